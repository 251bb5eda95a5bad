"""The page for users of the original: its commands run, old and new, and the tests it names exist."""

import json
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from albert.cli.main import run
from samples.finetuning_files import write_albert_zh, write_race
from samples.original_files import SHAPE

PAGE = Path(__file__).parents[2] / "docs" / "from-the-original.md"
# Small values for a test; appended, so that they override those of the page.
SMALL = {
    "create_pretraining_data": "--max_seq_length=64 --dupe_factor=1",
    "run_pretraining": "--max_seq_length=64 --train_batch_size=4 --num_train_steps=2 --num_warmup_steps=1 "
    "--max_eval_steps=2",
    "export_checkpoints": "",
    "run_classifier": "--train_step=2 --warmup_step=1 --save_checkpoints_steps=1 --train_batch_size=4",
    "run_squad_v1": "--max_seq_length=96 --doc_stride=64 --max_query_length=16",
    "run_squad_v2": "--max_seq_length=96 --doc_stride=64 --max_query_length=16",
    "run_race": "--max_seq_length=64 --max_qa_length=16 --train_step=2 --warmup_step=1 --train_batch_size=2",
    "finetune": "--max-steps 2 --batch-size 4 --max-seq-length 96 --device cpu",
    "evaluate": "--device cpu",
    "predict": "--device cpu",
    "prepare": "",
    "pretrain": "--max-seq-length 64 --batch-size 4 --max-steps 2 --warmup-steps 1 --device cpu",
}


def commands() -> list[str]:
    blocks = re.findall(
        r"^```sh\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    return [line for block in blocks for line in block.splitlines() if line]


def run_line(line: str) -> int:
    words = shlex.split(line)
    if words[:2] == ["python", "-m"]:
        name = words[2].removeprefix("albert.")
        is_albert_zh = "--bert_config_file" in line
        small = "--num_train_epochs=9 --train_batch_size=4" if name == "run_classifier" else SMALL[name]
        if not is_albert_zh:
            small = SMALL[name]
        return import_module(words[2]).main([*words[3:], *shlex.split(small)])
    name, arguments = words[1], words[2:]
    expanded = [
        str(path)
        for argument in arguments
        for path in (sorted(Path().glob(argument)) if "*" in argument else [argument])
    ]
    return run([name, *expanded, *shlex.split(SMALL[name])])


def write_data(golden: Path) -> None:
    """Write the data that the page fine-tunes on into the working folder."""
    Path("glue").symlink_to(golden / "glue" / "data")
    write_race(Path("exams"), golden)
    Path("squad").mkdir()
    for name, source in (
        ("train-v1.1", "v1_dev"),
        ("dev-v1.1", "v1_dev"),
        ("train-v2.0", "v2_train"),
        ("dev-v2.0", "v2_dev"),
    ):
        Path(f"squad/{name}.json").symlink_to(golden / "squad" / f"{source}.json")
    write_albert_zh(Path("albert_tiny_zh"))
    sentence = "一丁七万丈三上下不与"
    lines = [sentence[start:] + sentence[:start] for start in range(6)]
    Path("news_zh_1.txt").write_text("\n\n".join(["\n".join(lines)] * 3) + "\n", encoding="utf-8")
    Path("lcqmc").mkdir()
    for split in ("train", "dev"):
        Path(f"lcqmc/{split}.txt").write_text("一丁\t丂七\t0\n丄丅\t丄丅\t1\n" * 4, encoding="utf-8")


def test_the_commands_of_the_page_run_one_after_the_other(
    corpus_file: Path, tokenizer_folder: Path, golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Path("corpus").mkdir()
    Path("corpus/part.txt").write_bytes(corpus_file.read_bytes())
    Path("vocab").symlink_to(tokenizer_folder)
    Path("albert_config.json").write_text(json.dumps(SHAPE))
    write_data(golden)
    lines = commands()
    assert len(lines) == 18
    for line in lines:
        assert run_line(line) == 0, line
    assert Path("exported/model.safetensors").read_bytes() == Path("run/best/model.safetensors").read_bytes()
    assert Path("pretrained/model/spiece.model").is_file()
    for name in ("mnli", "squad1", "squad2", "race", "albert_lcqmc_checkpoints"):
        assert Path(name, "model.ckpt-best", "model.safetensors").is_file()
    assert Path("MNLI-m.tsv").read_text().startswith("index\tprediction\n")


def test_every_test_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE.read_text(encoding="utf-8")))
    sources = "\n".join(
        path.read_text(encoding="utf-8") for path in PAGE.parents[1].glob("tests/legacy/*.py")
    )
    assert named
    assert named <= set(re.findall(r"^def (test_\w+)\(", sources, flags=re.MULTILINE))
