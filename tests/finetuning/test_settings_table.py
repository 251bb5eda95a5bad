"""The settings of a fine-tuning as people read them."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from albert.cli.main import run
from albert.config import AlbertConfig
from albert.finetuning.settings_table import table_lines
from albert.tasks.catalogue import TASKS, find_task
from albert.tasks.published import hyperparameter_rows, recipe_for, recipe_names
from samples.toy_task import write_encoder, write_toy

BASE = AlbertConfig.of_size("base-v2", vocab_size=30000)


def shown(lines: list[str]) -> dict[str, tuple[str, str]]:
    """Return value and source by setting, the source written out."""
    notes = dict(re.findall(r"^(\[\d+\]) (.+)$", "\n".join(lines), flags=re.MULTILINE))
    table = {}
    for line in lines:
        if not line.startswith("["):
            name, value, source = re.split(r"  +", line, maxsplit=2)
            mark = next((mark for mark in notes if source.endswith(mark)), None)
            if mark is not None:
                words = source.removesuffix(mark).strip()
                source = f"{words}; {notes[mark]}" if words else notes[mark]
            table[name] = (value, source)
    return table


@pytest.mark.parametrize("name", list(TASKS))
def test_the_table_says_what_the_rows_say_and_each_source_once(name: str) -> None:
    for recipe in recipe_names(TASKS[name]):
        hyperparameters = recipe_for(TASKS[name], BASE, name=recipe)
        used = {"max_steps": 1234, "warmup_steps": 123}
        rows = hyperparameter_rows(hyperparameters, used=used, given={"learning_rate", "max_seq_length"})
        lines = table_lines(rows)
        assert {setting: source for setting, (_, source) in shown(lines).items()} == {
            row["setting"]: row["source"] for row in rows
        }
        whole = "\n".join(lines)
        for source in {str(row["source"]) for row in rows} - {"given"}:
            assert whole.count(source) <= 1 or any(
                source in str(other["source"]) and source != other["source"] for other in rows
            )


def test_what_is_off_or_not_set_is_said_in_words() -> None:
    hyperparameters = replace(
        find_task("rte").hyperparameters,
        hidden_dropout_prob=None,
        classifier_dropout_prob=0.0,
        max_steps=None,
    )
    rows = hyperparameter_rows(hyperparameters, used={"max_steps": 2400, "warmup_steps": 0})
    found = {name: value for name, (value, _) in shown(table_lines(rows)).items()}
    assert found["hidden_dropout_prob"] == "the model's own"
    assert found["classifier_dropout_prob"] == found["warmup_steps"] == "off"
    assert found["max_steps"] == "2,400"
    assert found["learning_rate"] == "3e-05"
    assert "None" not in "".join(table_lines(rows))


def test_a_source_of_several_settings_is_a_note_also_after_other_words() -> None:
    rows: list[dict[str, object]] = [
        {"setting": "a", "value": 1, "source": "the paper"},
        {"setting": "b", "value": 2.5, "source": "given"},
        {"setting": "long", "value": 3, "source": "10% of the steps; the paper"},
        {"setting": "c", "value": 4, "source": "another place"},
        {"setting": "d", "value": 5, "source": "given"},
    ]
    assert table_lines(rows) == [
        "a     1    [1]",
        "b     2.5  given",
        "long  3    10% of the steps [1]",
        "c     4    another place",
        "d     5    given",
        "[1] the paper",
    ]


def test_finetune_prints_the_table(golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    encoder, data = write_encoder(tmp_path / "encoder", golden), write_toy(tmp_path / "data")
    command = ["finetune", "--task", "classification", "--model", str(encoder), "--data", str(data)]
    command += ["--output", str(tmp_path / "run"), "--max-steps", "1", "--warmup-steps", "0", "--json"]
    assert run([*command, "--device", "cpu"]) == 0
    lines = [line.removeprefix("  ") for line in capsys.readouterr().err.splitlines()]
    assert re.fullmatch(r"warmup_steps +off +given", next(x for x in lines if x.startswith("warmup_steps")))
    assert re.fullmatch(r"max_steps +1 +given", next(x for x in lines if x.startswith("max_steps")))
    assert sum("docs/fine-tuning.md, Small models" in line for line in lines) == 1
