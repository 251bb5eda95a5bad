"""The page for users of the original: its commands run, old and new, and its claims name tests that exist."""

import json
import re
import shlex
from pathlib import Path

import pytest

from albert.cli.main import run
from albert.legacy.scripts import script_main
from samples.original_files import SHAPE

PAGE = Path(__file__).parents[2] / "docs" / "from-the-original.md"
# Small enough for a test; appended, so that they overrule what the page says.
SMALL = {
    "create_pretraining_data": "--max_seq_length=64 --dupe_factor=1",
    "run_pretraining": "--max_seq_length=64 --train_batch_size=4 --num_train_steps=2 --num_warmup_steps=1 "
    "--max_eval_steps=2",
    "export_checkpoints": "",
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
        return script_main(name)([*words[3:], *shlex.split(SMALL[name])])
    name, arguments = words[1], words[2:]
    expanded = [
        str(path)
        for argument in arguments
        for path in (sorted(Path().glob(argument)) if "*" in argument else [argument])
    ]
    return run([name, *expanded, *shlex.split(SMALL[name])])


def test_the_commands_of_the_page_run_one_after_the_other(
    corpus_file: Path, tokenizer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Path("corpus").mkdir()
    Path("corpus/part.txt").write_bytes(corpus_file.read_bytes())
    Path("vocab").symlink_to(tokenizer_folder)
    Path("albert_config.json").write_text(json.dumps(SHAPE))
    lines = commands()
    assert len(lines) == 6
    for line in lines:
        assert run_line(line) == 0, line
    assert Path("exported/model.safetensors").read_bytes() == Path("run/best/model.safetensors").read_bytes()
    assert Path("pretrained/model/spiece.model").is_file()


def test_every_test_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE.read_text(encoding="utf-8")))
    sources = "\n".join(
        path.read_text(encoding="utf-8") for path in PAGE.parents[1].glob("tests/legacy/*.py")
    )
    assert named
    assert named <= set(re.findall(r"^def (test_\w+)\(", sources, flags=re.MULTILINE))
