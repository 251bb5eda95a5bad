"""What README and docs show is true: commands and code run, and the tests they name exist."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from albert import (
    AlbertConfig,
    AlbertForMultipleChoice,
    AlbertForPreTraining,
    AlbertForQuestionAnswering,
    AlbertForSequenceClassification,
    AlbertForTokenClassification,
    AlbertTokenizer,
)
from albert.cli.main import SUMMARIES, run
from albert.model.pretrained import Pretrained

ROOT = Path(__file__).parents[2]
# Flags of the command line itself, of pip, torchrun and SLURM.
ELSEWHERE = {
    "json", "from", "help", "recipe", "constraint", "nproc-per-node", "nnodes", "rdzv-backend",
    "rdzv-endpoint", "rdzv-id", "max-restarts", "nodes", "ntasks-per-node", "gpus-per-node", "requeue",
    "signal",
}  # fmt: skip
# Small values for a test; appended, so that they override those of the page.
SMALL = {
    "vocab": "--vocab-size 300",
    "pretrain": "--batch-size 4 --max-steps 2 --warmup-steps 1 --device cpu",
    "finetune": "--max-steps 2 --batch-size 4 --max-seq-length 32 --device cpu",
}


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the pages use; the corpus is the pages themselves."""
    (tmp_path / "corpus").mkdir()
    for number, page in enumerate((ROOT / "docs").rglob("*.md")):
        (tmp_path / "corpus" / f"part{number}.txt").write_bytes(page.read_bytes())
    (tmp_path / "texts.txt").write_text("One value is a type.\nThe module takes two.\n")
    (tmp_path / "reviews").mkdir()
    rows = "".join(f"the value is {word}\t{word}\n" for word in ("one", "two") * 8)
    for split in ("train", "dev"):
        (tmp_path / "reviews" / f"{split}.tsv").write_text("text\tlabel\n" + rows)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_readme_runs_from_raw_text_to_predictions(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = [line for line in blocks("README.md", "sh")[0].splitlines() if line]
    assert len(commands) == 6
    for line in commands:
        _, name, *arguments = shlex.split(line)
        expanded = [
            str(path)
            for argument in arguments
            for path in (sorted(Path().glob(argument)) if "*" in argument else [argument])
        ]
        assert run([name, *expanded, *shlex.split(SMALL.get(name, ""))]) == 0, line
    assert len((workplace / "labels.tsv").read_text().splitlines()) == 3
    capsys.readouterr()
    exec(blocks("README.md", "python")[0], {})
    shown = capsys.readouterr().out
    assert "torch.Size([1," in shown


def test_the_page_on_pretraining_data_runs(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = sorted(map(str, Path("corpus").glob("*.txt")))
    assert run(["vocab", "--input", *corpus, "--output", "vocab", "--vocab-size", "300"]) == 0
    commands = [line for line in blocks("docs/pretraining-data.md", "sh")[0].splitlines() if line]
    assert len(commands) == 5
    for line in commands:
        _, name, *arguments = shlex.split(line)
        expanded = [part for argument in arguments for part in (corpus if "*" in argument else [argument])]
        capsys.readouterr()
        assert run([name, *expanded]) == 0, line
        assert ("[MASK" in capsys.readouterr().out) == (name == "show")
    assert (workplace / "data" / "meta.json").exists()


def test_the_page_on_pretraining_runs(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = sorted(map(str, Path("corpus").glob("*.txt")))
    assert run(["vocab", "--input", *corpus, "--output", "vocab", "--vocab-size", "300"]) == 0
    assert run(["prepare", "--input", *corpus, "--tokenizer", "vocab", "--output", "data"]) == 0
    commands = [line for line in blocks("docs/pretraining.md", "sh")[0].splitlines() if line]
    assert len(commands) == 3
    for line in commands:
        _, name, *arguments = shlex.split(line)
        capsys.readouterr()
        assert run([name, *arguments, *(["--device", "cpu"] if name == "pretrain" else [])]) == 0, line
    assert (workplace / "report" / "report.png").exists()
    assert (workplace / "run" / "model" / "model.safetensors").exists()


def test_the_page_on_inference_runs(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = sorted(map(str, Path("corpus").glob("*.txt")))
    assert run(["vocab", "--input", *corpus, "--output", "vocab", "--vocab-size", "300"]) == 0
    write_models()
    commands = [line for line in blocks("docs/inference.md", "sh")[0].splitlines() if line]
    assert len(commands) == 5
    for line in commands:
        assert run(shlex.split(line)[1:]) == 0, line
    assert np.load("vectors.npy").shape == np.load("directions.npy").shape == (2, 8)
    assert len(Path("labels.tsv").read_text().splitlines()) == 3
    assert Path("encoder/modules.json").is_file()
    capsys.readouterr()
    exec(blocks("docs/inference.md", "python")[0], {})
    shown = capsys.readouterr().out
    assert all(f"'{field}'" in shown for field in ("label", "entity_group", "answer", "choice"))


def write_models() -> None:
    """Write the models that the page on inference uses, tiny and random."""
    tokenizer = AlbertTokenizer.from_pretrained("vocab")
    models: dict[str, tuple[type[Pretrained], dict[int, str] | None]] = {
        "run/model": (AlbertForPreTraining, None),
        "classifier/best": (AlbertForSequenceClassification, {0: "one", 1: "two"}),
        "tagger/best": (AlbertForTokenClassification, {0: "B-X", 1: "I-X"}),
        "reader/best": (AlbertForQuestionAnswering, None),
        "chooser/best": (AlbertForMultipleChoice, None),
    }
    for folder, (model_class, id2label) in models.items():
        config = AlbertConfig(
            vocab_size=tokenizer.vocab_size,
            embedding_size=6,
            hidden_size=8,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=12,
            max_position_embeddings=64,
            id2label=id2label,
        )
        model_class(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def test_the_page_on_fine_tuning_runs(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = sorted(map(str, Path("corpus").glob("*.txt")))
    assert run(["vocab", "--input", *corpus, "--output", "vocab", "--vocab-size", "300"]) == 0
    assert run(["prepare", "--input", *corpus, "--tokenizer", "vocab", "--output", "data"]) == 0
    pretraining = "--data data --output run --size tiny --max-seq-length 64"
    assert run(["pretrain", *shlex.split(pretraining), *shlex.split(SMALL["pretrain"])]) == 0
    commands = [line for line in blocks("docs/fine-tuning.md", "sh")[0].splitlines() if line]
    assert len(commands) == 4
    for line in commands:
        _, name, *arguments = shlex.split(line)
        capsys.readouterr()
        assert run([name, *arguments, *shlex.split(SMALL.get(name, ""))]) == 0, line
    assert len((workplace / "labels.tsv").read_text().splitlines()) == 3
    assert (workplace / "runs" / "first" / "report.html").exists()


def test_make_targets_that_pages_name_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    text = "\n".join(page.read_text(encoding="utf-8") for page in ROOT.glob("*.md"))
    named = set(re.findall(r"(?:`|^)make ([\w-]+)", text, flags=re.MULTILINE))
    assert named
    assert all(re.search(rf"^{target}:", makefile, flags=re.MULTILINE) for target in named)


def test_every_subcommand_and_flag_that_a_page_names_exists() -> None:
    surface = (ROOT / "tests" / "cli" / "surface.txt").read_text()
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    for name in re.findall(r"`albert ([a-z][a-z-]+)", text):
        assert name in SUMMARIES, name
    original = (ROOT / "tests" / "legacy" / "surface.txt").read_text().replace("--", "")
    known = {line.split()[1] for line in (surface + original).splitlines()} | ELSEWHERE
    for flag in re.findall(r"(?<![\w-])--([a-z][a-z0-9_-]+)", text):
        assert {flag, flag.removeprefix("no-"), flag.removeprefix("no")} & known, flag


def test_every_test_that_the_differences_name_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "differences.md").read_text()))
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    defined = set(re.findall(r"^def (test_\w+)\(", sources, flags=re.MULTILINE))
    assert named
    assert named <= defined


def test_links_between_pages_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_the_golden_files_stay_within_their_budget() -> None:
    files = [path for path in (ROOT / "tests" / "golden").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 3_000_000
