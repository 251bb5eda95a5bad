"""The flags of the original's scripts: names, types, defaults, spellings, and errors for wrong ones."""

from pathlib import Path

import pytest
from absl.flags import FlagValues

from albert.errors import UsageError
from albert.legacy.flags import parse
from albert.legacy.scripts import SCRIPTS, script_main

SURFACE = Path(__file__).parent / "surface.txt"
# The flags that the original requires.
PRETRAINING = ["--albert_config_file=c", "--input_file=i", "--output_dir=o"]


def values(*arguments: str) -> FlagValues:
    return parse(SCRIPTS["run_pretraining"], [*PRETRAINING, *arguments])


def refusal(*arguments: str) -> str:
    with pytest.raises(UsageError) as error:
        parse(SCRIPTS["run_pretraining"], arguments)
    return str(error.value)


def test_the_flags_of_all_scripts_are_frozen() -> None:
    """A changed flag breaks somebody's script."""
    surface = [
        f"{script.name} --{flag.name} {flag.kind} {flag.default!r}{' required' if flag.required else ''}"
        for script in SCRIPTS.values()
        for flag in sorted(script.flags, key=lambda flag: flag.name)
    ]
    assert surface == SURFACE.read_text(encoding="utf-8").splitlines()


def test_every_script_has_as_many_flags_as_the_original() -> None:
    counts = {name: len({flag.name for flag in script.flags}) for name, script in SCRIPTS.items()}
    assert counts == {
        "create_pretraining_data": 17,
        "run_pretraining": 28,
        "export_checkpoints": 4,
        "run_classifier": 32,
        "run_squad_v1": 34,
        "run_squad_v2": 35,
        "run_race": 35,
        "run_classifier_clue": 27,
        "create_pretraining_data_zh": 18,
        "run_pretraining_zh": 29,
        "run_pretraining_google": 30,
        "run_classifier_sp_google": 30,
    }


@pytest.mark.parametrize(
    ("spelling", "value"),
    [
        ("--do_eval", True),
        ("-do_eval", True),
        ("--nodo_eval", False),
        ("--do_eval=true", True),
        ("--do_eval=True", True),
        ("--do_eval=1", True),
        ("--do_eval=false", False),
        ("-do_eval=False", False),
    ],
)
def test_a_boolean_takes_every_spelling_of_absl(spelling: str, value: bool) -> None:
    assert values(spelling).do_eval is value


def test_values_follow_an_equals_sign_or_a_space_and_the_last_one_counts() -> None:
    flags = values(
        "--num_train_steps", "7", "-learning_rate=.5", "--num_train_steps=8", "--optimizer", "adamw"
    )
    assert (flags.num_train_steps, flags.learning_rate, flags.optimizer) == (8, 0.5, "adamw")
    assert flags.train_batch_size == 4096


def test_two_command_lines_in_one_process_share_no_values() -> None:
    assert values("--nodo_train").do_train is False
    assert values().do_train is True


def test_flags_can_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "flags").write_text("--num_train_steps=5\n--nodo_train\n")
    flags = values(f"--flagfile={tmp_path / 'flags'}")
    assert (flags.num_train_steps, flags.do_train) == (5, False)


def test_a_boolean_never_consumes_the_next_word() -> None:
    message = refusal(*PRETRAINING, "--do_train", "false", "--do_eval")
    assert message.startswith("'false' belongs to no flag")
    assert "--do_train=false" in message


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--inputfile=x", "no flag --inputfile; did you mean --input_file?"),
        ("--nodo_trian", "did you mean"),
        ("--num_train_steps=many", "--num_train_steps is 'many'; expected a whole number"),
        ("--learning_rate=fast", "--learning_rate is 'fast'; expected a number"),
        ("--do_eval=perhaps", "--do_eval is 'perhaps'; expected true or false"),
        ("--optimizer=sgd", "--optimizer is 'sgd'; expected one of adamw, lamb"),
        ("--output_dir", "--output_dir has no value"),
        ("--flagfile=/nowhere", "/nowhere"),
    ],
)
def test_a_wrong_flag_is_an_error_that_names_it(argument: str, message: str) -> None:
    assert message in refusal(*PRETRAINING, argument)


@pytest.mark.parametrize("name", list(SCRIPTS))
def test_flags_required_by_the_original_are_required(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert script_main(name)([]) == 2
    error = capsys.readouterr().err
    required = [flag.name for flag in SCRIPTS[name].flags if flag.required]
    assert required
    assert all(f"--{flag}" in error for flag in required)
    assert error.startswith("error: ")
    assert error.count("\n") == 1


def test_a_required_flag_must_not_be_empty() -> None:
    assert "--output_dir must be given" in refusal(*PRETRAINING, "--output_dir=")


def test_flags_without_effect_are_accepted_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    flags = values("--use_tpu", "--tpu_name=node-1", "--iterations_per_loop=100", "--alsologtostderr")
    assert flags.use_tpu is True
    error = capsys.readouterr().err
    assert error == "without effect here: --use_tpu, --tpu_name, --iterations_per_loop\n"
    values("--do_eval")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", list(SCRIPTS))
def test_help_explains_every_flag(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert script_main(name)(["--help"]) == 0
    shown = capsys.readouterr().out
    for flag in SCRIPTS[name].flags:
        assert f"{flag.name}: {flag.help}" in shown


def test_messages_name_the_flags_of_the_script() -> None:
    reword = SCRIPTS["run_pretraining"].reword
    assert reword("--max-seq-length 9 exceeds") == "--max_seq_length 9 exceeds"
    assert reword("give --output a new folder") == "give --output_dir a new folder"
    assert reword("--output_dir and --no-such stay") == "--output_dir and --no-such stay"
