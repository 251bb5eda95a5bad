"""Help, lists and wrong command lines are answered before anything heavy is loaded."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from albert.cli.main import SUMMARIES
from samples.toy_task import sentences, write_encoder, write_table

HEAVY = ("torch", "scipy", "sklearn", "transformers", "matplotlib")
FOR_HELP = (*HEAVY, "pyarrow", "tokenizers")
"""Help needs still less; vocabularies and corpora have the defaults of their own libraries."""
_PROGRAM = """
import json, sys
from albert.cli.main import run
answers = []
for line in json.loads(sys.argv[1]):
    try:
        code = run(line)
    except SystemExit as leaving:
        code = leaving.code
    answers.append([code, [name for name in sys.argv[2:] if name in sys.modules]])
print(json.dumps(answers), file=sys.stderr)
"""


def answers(lines: list[list[str]], modules: tuple[str, ...]) -> list[tuple[int, list[str], str]]:
    """Run command lines in one process; return exit code, modules that are loaded, and what was said."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, json.dumps(lines), *modules],
        capture_output=True,
        text=True,
        check=True,
    )
    *said, last = done.stderr.splitlines()
    errors = [line for line in said if line.startswith("error: ")] or [""] * len(lines)
    return [(code, loaded, text) for (code, loaded), text in zip(json.loads(last), errors, strict=True)]


def test_help_and_the_list_of_tasks_load_nothing_heavy() -> None:
    light = [name for name in SUMMARIES if name not in {"vocab", "prepare", "show", "pretrain"}]
    for code, loaded, _ in answers([[name, "--help"] for name in light], FOR_HELP):
        assert (code, loaded) == (0, [])
    rest = [[name, "--help"] for name in SUMMARIES if name not in light]
    for code, loaded, _ in answers([*rest, ["tasks"]], HEAVY):
        assert (code, loaded) == (0, [])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, golden: Path) -> Path:
    """A folder with a model, a table, and a model whose tokenizer is another's."""
    folder = tmp_path_factory.mktemp("place")
    write_encoder(folder / "model", golden)
    write_table(folder / "rows.tsv", sentences(20, seed=1), "text", "label")
    write_encoder(folder / "misfit", golden)
    config = json.loads((folder / "misfit" / "config.json").read_text())
    (folder / "misfit" / "config.json").write_text(json.dumps(config | {"vocab_size": 50}))
    return folder


def test_wrong_command_lines_are_answered_before_torch_is_loaded(place: Path) -> None:
    model, rows, output = f"{place}/model", f"{place}/rows.tsv", f"{place}/out"
    own = ["finetune", "--task", "classification", "--output", output]
    predict = ["predict", "--output", f"{output}.tsv"]
    wrong = {
        "no command 'finetun'": ["finetun"],
        "albert predict has no flag --inptu": [*predict, "--model", model, "--inptu", rows],
        "missing: --output": ["predict", "--model", model],
        "--input and --data both name": [*predict, "--model", model, "--input", rows, "--data", rows],
        "no such file or folder": [*predict, "--model", f"{place}/a/b", "--input", rows],
        "no such file": [*predict, "--model", model, "--input", f"{place}/none.tsv"],
        "unknown task 'rtee'": ["finetune", "--task", "rtee", "--model", model, "--output", output],
        "names several tasks": ["evaluate", "--task", "squad", "--model", model, "--data", rows],
        "no column 'review'": [*own, "--model", model, "--data", rows, "--text-column", "review"],
        "no column 'stars'": [*own, "--model", model, "--data", rows, "--label-column", "stars"],
        "no such file or folder; --data": [*own, "--model", model, "--data", f"{place}/nowhere"],
        "they do not fit": [*own, "--model", f"{place}/misfit", "--data", rows],
        "is a file; give --output": [*own[:3], "--output", rows, "--model", model, "--data", rows],
        "--max-steps and --num-epochs": [*own, "--model", model, "--max-steps", "1", "--num-epochs", "1"],
        "no column 'texts'": [
            "embed", "--model", model, "--input", rows, "--output", f"{output}.npy", "--text-column", "texts",
        ],
    }  # fmt: skip
    found = answers(list(wrong.values()), HEAVY)
    for expected, (code, loaded, said) in zip(wrong, found, strict=True):
        assert expected in said
        assert (code in {1, 2}, loaded) == (True, []), said
