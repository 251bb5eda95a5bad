"""Old names of flags and values work on command lines, in `run.json`, and when a run is resumed."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from albert import renamed
from albert.cli.flags import parse
from albert.cli.main import SUMMARIES, run
from albert.commands.pretrain import pretrain
from albert.data.examples.settings import ExampleSettings
from albert.pretraining.settings import PretrainSettings
from albert.renamed import RENAMED, rename_arguments, rename_settings
from albert.training.settings import LoopSettings, OptimizerSettings
from samples.command_flags import flags_of

OLD = {"schedule": "original", "sentence_loss": "original", "word_rule": "original"}
NEW = {"schedule": "decay-from-start", "sentence_loss": "sop-random", "word_rule": "english"}
NOTES = [
    "--schedule original is now --schedule decay-from-start",
    "--sentence-loss original is now --sentence-loss sop-random",
    "--word-rule original is now --word-rule english",
]

RewriteRecord = Callable[[Path], None]


def with_old_names(path: Path) -> None:
    """Rewrite a `run.json` to what the previous version wrote."""
    text = path.read_text()
    for name, value in NEW.items():
        assert f'"{name}": "{value}"' in text
        text = text.replace(f'"{name}": "{value}"', f'"{name}": "{OLD[name]}"')
    path.write_text(text)


@pytest.fixture
def settings(prepared_data: Path, tiny_config: Path, tmp_path: Path) -> PretrainSettings:
    return PretrainSettings(
        data=(prepared_data,),
        output=tmp_path / "run",
        config=tiny_config,
        examples=ExampleSettings(max_seq_length=32, sentence_loss="sop-random", word_rule="english"),
        optimizer=OptimizerSettings(warmup_steps=1, schedule="decay-from-start"),
        loop=LoopSettings(max_steps=2, batch_size=4, device="cpu"),
    )


@pytest.mark.parametrize(("old", "new"), list(RENAMED.items()))
def test_every_new_name_is_in_use_and_no_old_one_is(old: str, new: str) -> None:
    flags = [flags_of(command) for command in SUMMARIES]
    new_flag, _, new_value = new.removeprefix("--").partition(" ")
    old_flag, _, old_value = old.removeprefix("--").partition(" ")
    commands = [known for known in flags if new_flag in known]
    assert commands
    for known in commands:
        assert not new_value or new_value in known[new_flag].choices
        assert old_flag not in known or old_value not in known[old_flag].choices


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        (["--schedule", "original"], ["--schedule", "decay-from-start"]),
        (["--sentence-loss=original"], ["--sentence-loss=sop-random"]),
        (["--word_rule", "original", "DATA"], ["--word-rule", "english", "DATA"]),
    ],
)
def test_an_old_value_is_replaced_however_it_is_typed(typed: list[str], read: list[str]) -> None:
    renamed_arguments, notes = rename_arguments(typed)
    assert renamed_arguments == read
    assert len(notes) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--style", "original"],
        ["--schedule", "linear", "original"],
        ["--schedule=linear", "original"],
        ["original", "--json"],
        ["--schedule"],
    ],
)
def test_what_is_no_old_name_stays_as_typed(arguments: list[str]) -> None:
    assert rename_arguments(arguments) == (arguments, [])


def test_a_renamed_flag_is_one_more_line_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(renamed.RENAMED, "--old-rate", "--learning-rate")
    monkeypatch.setitem(renamed.RENAMED, "--learning-rate zero", "--learning-rate 0")
    assert rename_arguments(["--old_rate", "3", "--old-rate=zero"]) == (
        ["--learning-rate", "3", "--learning-rate=0"],
        ["--old-rate is now --learning-rate"] * 2 + ["--learning-rate zero is now --learning-rate 0"],
    )
    assert rename_settings({"optimizer": {"old_rate": 3.0}}) == {"optimizer": {"learning_rate": 3.0}}


@pytest.mark.parametrize("name", list(OLD))
def test_an_old_value_on_the_command_line_is_understood_with_one_line_on_stderr(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    flag = "--" + name.replace("_", "-")
    required = ["--data", "d", "--output", "r"]
    settings, _ = parse(PretrainSettings, [*required, flag, OLD[name]], command="pretrain")
    assert settings == parse(PretrainSettings, [*required, flag, NEW[name]], command="pretrain")[0]
    assert capsys.readouterr().err.splitlines() == [NOTES[list(OLD).index(name)]]


def test_a_command_runs_with_old_names(prepared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = []
    for values in (OLD, NEW):
        flags = ["--sentence-loss", values["sentence_loss"], "--word-rule", values["word_rule"]]
        assert run(["show", str(prepared_data), *flags, "--json"]) == 0
        outputs.append(capsys.readouterr())
    assert outputs[0].out == outputs[1].out
    assert outputs[0].err.splitlines() == NOTES[1:]
    assert outputs[1].err == ""


def test_a_run_of_the_previous_version_is_resumed(settings: PretrainSettings) -> None:
    result = pretrain(settings)
    with_old_names(settings.output / "run.json")
    assert pretrain(settings) == result


def test_the_settings_of_a_run_of_the_previous_version_are_taken_over(
    settings: PretrainSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    pretrain(settings)
    record = settings.output / "run.json"
    with_old_names(record)
    capsys.readouterr()
    arguments = ["--from", str(record), "--data", str(settings.data[0]), "--output", "again"]
    again, _ = parse(PretrainSettings, arguments, command="pretrain")
    assert again == replace(settings, output=Path("again"))
    assert capsys.readouterr().err == ""


def test_other_names_and_values_of_a_record_are_left_alone() -> None:
    values = {
        "schedule": None,
        "held_out": 0.1,
        "input": ["original"],
        "data": {"style": "original", "held-out": "digest", "a/b-c_d.tsv": "digest"},
    }
    assert rename_settings(json.loads(json.dumps(values))) == values
