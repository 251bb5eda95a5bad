"""What README and docs show is true: commands and code run, and the tests they name exist."""

import csv
import json
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
from albert.cli.flags import COMMANDS_WITH_RECIPES
from albert.cli.main import SUMMARIES, run
from albert.legacy.scripts import SCRIPTS
from albert.model.pretrained import Pretrained
from samples.command_flags import flags_of

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
    tickets = "".join(f"the value is {queue},{queue}\n" for queue in ("bills", "repairs") * 8)
    (tmp_path / "tickets.csv").write_text("message,queue\n" + tickets)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_readme_runs_from_raw_text_to_predictions(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = [line for line in blocks("README.md", "sh")[0].splitlines() if line]
    assert len(commands) == 6
    for line in commands:
        _, name, *arguments = shlex.split(line, comments=True)
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
        assert ("[CLS]" in capsys.readouterr().out) == (name == "show")
    assert (workplace / "data" / "meta.json").exists()


def test_the_page_on_pretraining_data_makes_documents_from_the_rows_of_a_table(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [path.read_text(encoding="utf-8") for path in sorted(Path("corpus").iterdir())]
    bodies = [body for text in texts for body in text.split("\n\n")]
    with Path("tickets.csv").open("w", newline="", encoding="utf-8") as file:
        rows = [(number, f"ticket {number}", body) for number, body in enumerate(bodies)]
        csv.writer(file).writerows([("id", "subject", "body"), *rows])
    first, second = blocks("docs/pretraining-data.md", "sh")[1].splitlines()
    assert run([*shlex.split(first)[1:], *shlex.split(SMALL["vocab"])]) == 0
    capsys.readouterr()
    assert run([*shlex.split(second)[1:], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["documents"] == len(bodies)


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


def test_the_page_on_fine_tuning_runs_with_one_file(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = sorted(map(str, Path("corpus").glob("*.txt")))
    assert run(["vocab", "--input", *corpus, "--output", "vocab", "--vocab-size", "300"]) == 0
    write_models()
    rows = [(f"value {number} is {word}", word) for number in range(20) for word in ("one", "two")]
    with Path("tickets.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("message", "queue"), *rows])
    found = []
    for line in blocks("docs/fine-tuning.md", "sh")[1].splitlines():
        _, name, *arguments = shlex.split(line)
        small = shlex.split(SMALL.get(name, ""))
        capsys.readouterr()
        assert run([name, *arguments, *small, "--json"]) == 0, line
        found.append(json.loads(capsys.readouterr().out))
    assert [found[1]["examples"], found[2]["examples"]] == [4, 40]
    assert Path("queues.csv").read_text().startswith("id,message,label,score,one,two")


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
    exec(blocks("docs/inference.md", "python")[1], {})
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("torch.Size([2, ")
    assert second.startswith("torch.Size([2, ")


def test_the_page_on_small_models_runs(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = sorted(map(str, Path("corpus").glob("*.txt")))
    assert run(["vocab", "--input", *corpus, "--output", "vocab", "--vocab-size", "300"]) == 0
    write_models()
    assert run(["embed", "--model", "run/model", "--sentence-transformers", "encoder"]) == 0
    Path("texts.txt").write_text("".join(f"text {number} of some\n" for number in range(40)))
    Path("tickets.csv").write_text("text\n" + "".join(f"ticket {number}\n" for number in range(40)))
    commands = [line for line in blocks("docs/small-models.md", "sh")[0].splitlines() if line]
    assert len(commands) == 4
    small = {"distill": "--max-steps 2 --batch-size 4 --embedding-size 6 --device cpu"}
    for line in commands:
        _, name, *arguments = shlex.split(line)
        assert run([name, *arguments, *shlex.split(small.get(name, ""))]) == 0, line
    assert np.load("vectors.npy").shape == (40, 8)
    assert len(Path("labels.tsv").read_text().splitlines()) == 41


def test_the_page_on_similarity_runs(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = sorted(map(str, Path("corpus").glob("*.txt")))
    assert run(["vocab", "--input", *corpus, "--output", "vocab", "--vocab-size", "300"]) == 0
    write_models()
    assert run(["embed", "--model", "run/model", "--sentence-transformers", "encoder"]) == 0
    rows = [(f"text {number}", f"text {number // 2} of some") for number in range(40)]
    Path("texts.txt").write_text("".join(f"{text}\n" for text, _ in rows))
    scored = "".join(f"{a},{b},{number % 3}\n" for number, (a, b) in enumerate(rows))
    Path("pairs.csv").write_text(f"sentence1,sentence2,score\n{scored}")
    Path("questions.csv").write_text("anchor,positive\n" + "".join(f"{a},{b}\n" for a, b in rows))
    Path("folder/qrels").mkdir(parents=True)
    for name in ("corpus", "queries"):
        lines = [json.dumps({"_id": str(number), "text": text}) for number, (text, _) in enumerate(rows)]
        Path(f"folder/{name}.jsonl").write_text("\n".join(lines))
    Path("folder/qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\n1\t1\t1\n")
    commands = [line for line in blocks("docs/similarity.md", "sh")[0].splitlines() if line]
    assert len(commands) == 5
    for line in commands:
        _, name, *arguments = shlex.split(line)
        small = ["--max-steps", "2", "--device", "cpu"] if name == "finetune" else []
        capsys.readouterr()
        assert run([name, *arguments, *small, "--json"]) == 0, line
    assert json.loads(capsys.readouterr().out)["documents"] == 40
    assert np.load("vectors.npy").shape == (40, 4)


def test_the_page_on_elastic_depth_runs(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = sorted(map(str, Path("corpus").glob("*.txt")))
    assert run(["vocab", "--input", *corpus, "--output", "vocab", "--vocab-size", "300"]) == 0
    write_models()
    rows = [f"ticket {number},{'ab'[number % 2]}\n" for number in range(60)]
    Path("tickets.csv").write_text("text,label\n" + "".join(rows))
    commands = [line for line in blocks("docs/elastic-depth.md", "sh")[0].splitlines() if line]
    assert len(commands) == 5
    for line in commands:
        _, name, *arguments = shlex.split(line)
        small = shlex.split("--max-steps 2 --eval-steps 1 --device cpu") if name == "finetune" else []
        assert run([name, *arguments, *small]) == 0, line
    capsys.readouterr()
    assert run(["info", "elastic/best", "--json"]) == 0
    assert [*json.loads(capsys.readouterr().out)["depths"]] == ["1", "2"]
    assert Path("exits.png").is_file()
    assert json.loads(Path("small/config.json").read_text())["num_hidden_layers"] == 1


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


def pages() -> list[Path]:
    return [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def command_lines(page: str) -> list[tuple[str, list[str]]]:
    """Return name and words of every command of ours in the code of a page, be it a mere fragment."""
    fence = re.compile(r"^```\w*\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
    code = [line for block in fence.findall(page) for line in block.replace("\\\n", " ").splitlines()]
    code += re.findall(r"`((?:[^`\n]|\n(?!\n))+)`", fence.sub("", page))
    commands = re.compile(r"(?:^|[\s;(])(?<!from )albert ([a-z][a-z-]*)([^|&;#]*)")
    scripts = re.compile(r"-m albert\.([a-z0-9_]+)([^|&;#]*)")
    return [
        (found[1], re.split(r"[\s\[\]]+", found[2]))
        for line in code
        for pattern in (commands, scripts)
        for found in pattern.finditer(line)
    ]


def unknown_parts(name: str, words: list[str]) -> list[str]:
    """Return the flags that this very command does not know, and the values that its flags do not take."""
    if name in SCRIPTS:
        if any(word.startswith("--bert_config_file") for word in words):
            # albert_zh's script of the same name
            name = {"run_classifier": "run_classifier_clue", "run_pretraining": "run_pretraining_zh"}[name]
        known = {f"--{flag.name}" for flag in SCRIPTS[name].flags} | {"--help"}
        return [word for word in words if word.startswith("--") and word.partition("=")[0] not in known]
    flags = flags_of(name)
    without_value = {"json", "help", *(f"no-{flag}" for flag in flags)}
    free = {"from"} | ({"recipe"} if name in COMMANDS_WITH_RECIPES else set())
    unknown = []
    for word, following in zip(words, [*words[1:], ""], strict=True):
        spelled, equals, value = word.removeprefix("--").partition("=")
        flag = spelled.replace("_", "-")
        if not word.startswith("--") or flag in without_value | free:
            continue
        choices = flags[flag].choices if flag in flags else ()
        value = value if equals else following
        if flag not in flags or (choices and value[:1].islower() and value not in choices):
            unknown.append(f"{word} {following}")
    return unknown


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_a_page_shows_knows_its_flags_and_their_values(page: Path) -> None:
    for name, words in command_lines(page.read_text(encoding="utf-8")):
        assert name in SUMMARIES or name in SCRIPTS, name
        assert unknown_parts(name, words) == [], name


def test_a_flag_of_another_command_is_noticed_in_a_page() -> None:
    page = """
    Make a vocabulary with `albert vocab --input FILES --vocab-size 8000`, then `albert pretrain ...
    --schedule cosine --no-init-from-group0 --recipe small` and `albert vocab --recipe small --json`.

```sh
albert prepare --input corpus --dupe_factor=2 \\
    --top-k 3 --format arrow --style original | head
python -m albert.run_pretraining --input_file=i --task_name=mnli
```
"""
    found = [(name, unknown_parts(name, words)) for name, words in command_lines(page)]
    assert sorted(found) == [
        ("prepare", ["--top-k 3", "--format arrow"]),
        ("pretrain", []),
        ("run_pretraining", ["--task_name=mnli"]),
        ("vocab", []),
        ("vocab", ["--recipe small"]),
    ]


def test_every_flag_that_a_page_names_by_itself_is_a_flag_of_some_command() -> None:
    known = {flag for name in SUMMARIES for flag in flags_of(name)}
    known |= {flag.name for script in SCRIPTS.values() for flag in script.flags} | ELSEWHERE
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages())
    for flag in re.findall(r"(?<![\w-])--([a-z][a-z0-9_-]+)", text):
        assert {flag, flag.removeprefix("no-"), flag.removeprefix("no")} & known, flag


def test_every_test_that_the_differences_name_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "differences.md").read_text()))
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    defined = set(re.findall(r"^def (test_\w+)\(", sources, flags=re.MULTILINE))
    assert named
    assert named <= defined


def test_links_between_pages_lead_somewhere() -> None:
    for page in pages():
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_the_golden_files_stay_within_their_budget() -> None:
    files = [path for path in (ROOT / "tests" / "golden").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 3_000_000
