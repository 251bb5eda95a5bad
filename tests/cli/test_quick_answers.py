"""Help, the list of tasks and errors do not wait for libraries that take long to load.

What is imported is compared, not time: a loaded machine makes everything slow.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from albert.cli.main import SUMMARIES
from samples.toy_task import write_encoder, write_toy

SLOW = {"datasets", "matplotlib", "scipy", "sklearn", "torch", "transformers"}
"""Libraries that take a second or more, or do with what they load."""
SLOW_TO_HELP = SLOW | {"huggingface_hub", "numpy", "pyarrow", "sentencepiece", "tokenizers"}
_PROGRAM = """
import contextlib, io, json, sys
from albert.cli.main import run

results = []
for line in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = run(line)
        except SystemExit as leaving:
            code = leaving.code
    loaded = sorted(set(sys.modules) & set(sys.argv[1:]))
    results.append({"code": code, "out": out.getvalue(), "err": err.getvalue(), "loaded": loaded})
print(json.dumps(results))
"""


def answers(lines: Sequence[Sequence[str]], *, watched: set[str]) -> list[dict[str, Any]]:
    """Run command lines in one new process; return code, output and watched modules loaded so far of each."""
    command = [sys.executable, "-c", _PROGRAM, *sorted(watched)]
    done = subprocess.run(command, input=json.dumps(lines), text=True, capture_output=True, check=True)
    results: list[dict[str, Any]] = json.loads(done.stdout)
    return results


def test_help_loads_nothing_slow() -> None:
    lines = [[], ["--help"], ["--version"], ["nothing"], *([name, "--help"] for name in SUMMARIES)]
    found = answers(lines, watched=SLOW_TO_HELP)
    assert [result["loaded"] for result in found] == [[]] * len(lines)
    assert [result["code"] for result in found] == [0, 0, 0, 2] + [0] * len(SUMMARIES)


def test_a_line_that_cannot_be_parsed_loads_nothing_slow() -> None:
    lines = [
        [name, *rest]
        for name in SUMMARIES
        for rest in (["--no-such-flag", "1"], ["--seed", "x"], ["--help-me"])
    ]
    found = answers(lines, watched=SLOW_TO_HELP)
    assert [result["loaded"] for result in found] == [[]] * len(lines)
    assert {result["code"] for result in found} == {2}


def test_the_list_of_tasks_loads_no_library_of_models_data_or_scores() -> None:
    [found] = answers([["tasks"]], watched=SLOW | {"huggingface_hub", "pyarrow", "tokenizers"})
    assert found["code"] == 0
    assert "rte" in found["out"]
    assert found["loaded"] == []


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, golden: Path, prepared_data: Path, tiny_config: Path
) -> Path:
    """Return a folder with a model, data for it, a run, and files that do not fit."""
    folder = tmp_path_factory.mktemp("inputs")
    write_encoder(folder / "model", golden)
    write_toy(folder / "data")
    small = write_encoder(folder / "small", golden)
    config = json.loads((small / "config.json").read_text())
    (small / "config.json").write_text(json.dumps(config | {"vocab_size": 1000}))
    (folder / "prepared").symlink_to(prepared_data)
    (folder / "shape.json").write_text(tiny_config.read_text())
    (folder / "wrong.json").write_text('{"hidden_sizes": 8}')
    (folder / "filled").mkdir()
    (folder / "filled" / "notes.txt").write_text("mine")
    record = {"command": "finetune", "settings": {"task": "rte"}, "inputs": {}}
    (folder / "run").mkdir()
    (folder / "run" / "run.json").write_text(json.dumps(record))
    (folder / "file").write_text("")
    return folder


def test_the_facts_about_a_folder_load_no_torch(folder: Path) -> None:
    [found] = answers([["info", str(folder / "model"), "--json"]], watched={"torch"})
    assert found["code"] == 0
    assert json.loads(found["out"])["tensors"] == "32 of 32 tensors"
    assert found["loaded"] == []


FINETUNE = "finetune --task classification --model {}/model --data {}/data --output {}/new"
PRETRAIN = "pretrain --data {}/prepared --output {}/new --max-seq-length 32"
PREDICT = "predict --model {}/model --output {}/new.csv"
WRONG = [
    (FINETUNE.replace("classification", "clasification"), "did you mean 'classification'"),
    (FINETUNE.replace("classification", "squad"), "names several tasks"),
    (FINETUNE.replace("/model", "/nothing"), "no such file or folder"),
    (FINETUNE.replace("/model", "/small"), "its tokenizer 2000 tokens"),
    (FINETUNE.replace("/data", "/nothing"), "no such file or folder"),
    (FINETUNE.replace("/new", "/file"), "contains no run"),
    (FINETUNE.replace("/new", "/filled"), "contains no run"),
    (FINETUNE.replace("/new", "/run"), "contains a run with other settings"),
    (f"{FINETUNE} --label-column lable", "no column 'lable'"),
    (f"{FINETUNE} --text-column review", "no column 'review'"),
    (f"{FINETUNE} --max-steps 3 --num-epochs 2", "both set the length"),
    (f"{FINETUNE} --seeds 0", "expected more than 0"),
    (PRETRAIN.replace("/prepared", "/nothing"), "no such folder"),
    (PRETRAIN.replace("/new", "/run"), "contains a run of `albert finetune`"),
    (PRETRAIN.replace("/new", "/filled"), "contains no run"),
    (f"{PRETRAIN} --config {{}}/nothing.json", "nothing.json"),
    (f"{PRETRAIN} --config {{}}/wrong.json", "hidden_sizes"),
    (f"{PRETRAIN} --size bse", "no size 'bse'"),
    (f"{PRETRAIN} --size base --config {{}}/shape.json", "choose one"),
    (f"{PRETRAIN} --max-steps 10 --warmup-steps 20", "--warmup-steps 20 exceeds --max-steps 10"),
    (f"{PRETRAIN} --recipe smal", "did you mean 'small'"),
    (f"{PRETRAIN} --init-from {{}}/nothing", "no such file or folder"),
    (f"{PRETRAIN} --size base --max-seq-length 600", "exceeds the 512 positions"),
    ("evaluate --task rte", "expected either --model or --predictions"),
    ("evaluate --task rtee --predictions {}/file", "did you mean 'rte'"),
    ("evaluate --task classification --model {}/nothing --data {}/data", "no such file or folder"),
    ("evaluate --task classification --model {}/model --data {}/nothing", "no such file or folder"),
    ("evaluate --task classification --model {}/model --data {}/data --text-column txt", "no column 'txt'"),
    ("predict --model {}/nothing --output {}/new.csv --input {}/data/dev.tsv", "no such file or folder"),
    (f"{PREDICT} --input {{}}/nothing.tsv", "no such file"),
    (PREDICT, "expected --input FILE"),
    (f"{PREDICT} --task classification --input {{}}/data/dev.tsv --text-column x", "no column 'x'"),
    (f"{PREDICT} --input {{}}/data/dev.tsv --data {{}}/data", "both name the examples"),
    ("embed --model {}/nothing --input {}/data/dev.tsv --output {}/new.npy", "no such file or folder"),
    ("embed --model {}/model --input {}/nothing.tsv --output {}/new.npy", "no such file"),
    ("embed --model {}/model --input {}/data/dev.tsv --output {}/new.txt", "ending in .npy"),
    ("embed --model {}/model --input {}/data/dev.tsv --output {}/new.npy --text-column x", "no column 'x'"),
    ("fill-mask --model {}/nothing text", "no such file or folder"),
    ("convert {}/nothing {}/new", "no such file or folder"),
    ("convert {}/model {}/filled", "not empty"),
    ("info {}/nothing", "no such file or folder"),
    ("bench --size bse", "no size 'bse'"),
    ("bench --max-seq-length 3", "expected 8 to 512"),
    ("demo --output {}/filled", "is not a demo's folder"),
    ("demo --minutes 0", "expected a number above 0"),
    ("vocab --input {}/nothing.txt --output {}/new", "no such file"),
    ("vocab --input {}/data/train.tsv --output {}/filled", "has other files in it"),
    ("prepare --input {}/nothing.txt --tokenizer {}/model --output {}/new", "no such file"),
    ("prepare --input {}/data/train.tsv --tokenizer {}/nothing --output {}/new", "nothing"),
    ("show {}/nothing", "no such folder"),
    ("report {}/nothing", "no such folder"),
    ("report {}/run --output {}/file", "expected a folder"),
]  # fmt: skip


def test_what_is_wrong_is_said_in_one_line_before_torch_is_loaded(folder: Path) -> None:
    lines = [line.replace("{}", str(folder)).split() for line, _ in WRONG]
    for (line, message), found in zip(WRONG, answers(lines, watched=SLOW), strict=True):
        assert found["code"] in {1, 2}, line
        assert message in found["err"], line
        assert found["err"].splitlines()[-1].startswith("error: "), line
        assert found["loaded"] == [], line
    assert not (folder / "new").exists()


def test_a_model_is_opened_without_the_compiler_of_torch(folder: Path) -> None:
    """Loading it takes longer than everything else that `albert info` does."""
    lines = [["info", str(folder / "model")], ["fill-mask", "--model", str(folder / "model"), "a [MASK]"]]
    for found in answers(lines, watched={"torch._dynamo"}):
        assert found["code"] == 0
        assert found["loaded"] == []
