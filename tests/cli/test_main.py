"""The command line as a person meets it: exit codes, streams, messages, speed."""

import json
import re
import resource
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import get_type_hints

import pytest

from albert.cli.flags import parse
from albert.cli.main import SUMMARIES, find_settings, run
from samples.command_flags import flags_of

SURFACE = Path(__file__).parent / "surface.txt"


SURFACE_LINES = SURFACE.read_text(encoding="utf-8").splitlines()


def test_the_surface_of_all_flags_is_the_frozen_one() -> None:
    """A changed flag breaks somebody's script: change surface.txt on purpose, with a changelog entry."""
    assert [f"{name} {flag}" for name in SUMMARIES for flag in sorted(flags_of(name))] == SURFACE_LINES


@pytest.mark.parametrize("name", list(SUMMARIES))
def test_the_summary_in_the_overview_is_that_of_the_settings(name: str) -> None:
    settings_type = find_settings(name)
    assert settings_type.__doc__ is not None
    assert settings_type.__doc__.splitlines()[0] == SUMMARIES[name]


def has_word(text: str, word: str) -> bool:
    """Whether a word is in a text by itself, not as part of a longer flag or name."""
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text) is not None


@pytest.mark.parametrize("name", list(SUMMARIES))
def test_help_explains_every_flag_of_the_surface(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run([name, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    usage = shown.partition("\n\n")[0]
    flags = flags_of(name)
    for line in SURFACE_LINES:
        command, flag = line.split()
        if command == name:
            placeholder = flags[flag].placeholder
            assert has_word(usage, placeholder) if placeholder else has_word(shown, f"--{flag}"), line


def test_a_flag_that_only_starts_like_another_does_not_count_as_explained() -> None:
    assert has_word("│ --max-steps INT", "--max-steps")
    assert not has_word("│ --max-steps INT", "--max")
    assert not has_word("│ --no-seed", "--seed")
    assert not has_word("the seed of all draws", "--seed")


@pytest.mark.parametrize("name", list(SUMMARIES))
def test_every_setting_has_a_docstring(name: str) -> None:
    import ast
    import inspect

    def undocumented(settings_type: type) -> list[str]:
        body = ast.parse(inspect.getsource(settings_type)).body[0].body  # type: ignore[attr-defined]
        missing = [
            ast.unparse(field.target)
            for field, after in zip(body, [*body[1:], None], strict=True)
            if isinstance(field, ast.AnnAssign)
            and not (isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant))
        ]
        hints = get_type_hints(settings_type)
        nested = [hints[f.name] for f in fields(settings_type) if is_dataclass(hints[f.name])]
        return missing + [name for inner in nested for name in undocumented(inner)]

    assert undocumented(find_settings(name)) == []


def test_overview_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown and summary in shown for name, summary in SUMMARIES.items())


def test_an_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pretain"]) == 2
    assert "no command 'pretain'; did you mean 'pretrain'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("info --no-such-flag", "albert info has no flag --no-such-flag"),
        ("predict --modle x --output y", "albert predict has no flag --modle; did you mean '--model'?"),
        (
            "finetune --learnign_rate 1",
            "albert finetune has no flag --learnign-rate; did you mean '--learning-rate'?",
        ),
        ("predict --model x", "missing: --output PATH"),
        ("info", "missing: MODEL"),
        ("predict --model", "--model needs a value"),
        (
            "predict --model x --output y --split foo",
            "--split is 'foo'; expected one of 'train', 'dev', 'test'",
        ),
        ("predict --model x --output y more", "nothing is expected in the place of more"),
        ("vocab --input a --output b --vocab-size x", "--vocab-size is 'x'; expected a whole number"),
        ("embed --model x --max-seq-length ten", "--max-seq-length is 'ten'; expected a whole number"),
        ("pretrain --data x --output y --learning-rate fast", "--learning-rate is 'fast'; expected a number"),
        ("pretrain --depths 1 x", "--depths is 'x'; expected a whole number or 'all'"),
        ("prepare --workers many", "--workers is 'many'; expected a whole number or 'ray'"),
        ("show data --max-ngram=2.5", "--max-ngram is '2.5'; expected a whole number"),
        ("finetune --no-seed", "albert finetune has no flag --no-seed; --seed takes a value"),
    ],
)
def test_a_wrong_command_line_is_one_line_that_names_the_flag(
    line: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name, *arguments = line.split()
    assert run([name, *arguments]) == 2
    assert capsys.readouterr().err == f"error: {message}; see albert {name} --help\n"


@pytest.mark.parametrize(
    "line",
    [
        "finetune --task t --model m --output o --max-steps None --dev-share 0.5 --no-from-scratch",
        "pretrain --data a b --output o --micro-batch-size auto --depths --eval-data c --compile",
        "pretrain --data=a --output=o --depths 1 2 --learning_rate 1e-3 --micro-batch-size 8",
        "prepare --input a --tokenizer t --output o --workers ray",
        "show data more --max-predictions-per-seq 0 --no-whole-words",
        "fill-mask --top-k 3 --model m text",
        "bench --jobs latency tokenization --max-seq-length auto --lengths squad",
    ],
)
def test_right_values_of_every_type_are_accepted(line: str) -> None:
    name, *arguments = line.split()
    settings, _ = parse(find_settings(name), arguments, command=name)
    assert isinstance(settings, find_settings(name))


def test_the_users_error_is_one_line_on_stderr_and_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["info", str(tmp_path / "nothing")]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1


def test_flags_may_be_spelled_with_underscores_and_results_are_json_on_stdout(
    tiny_config: Path, tokenizer_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from albert import AlbertConfig, AlbertForPreTraining, AlbertTokenizer

    AlbertForPreTraining(AlbertConfig.from_json(tiny_config)).save_pretrained(tmp_path)
    AlbertTokenizer.from_pretrained(tokenizer_folder).save_pretrained(tmp_path)
    assert run(["fill-mask", "--model", str(tmp_path), "--top_k", "2", "--json", "A [MASK]."]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 2
    assert set(rows[0]) == {"sequence", "score", "token", "token_str"}
    assert run(["info", str(tmp_path), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["parameters"]["total"] == sum(
        p.numel() for p in AlbertForPreTraining(AlbertConfig.from_json(tiny_config)).parameters()
    )
    assert shown["size"] == "own"


def test_from_repeats_a_run_and_flags_override_it(
    prepared_data: Path, tiny_config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [
        "pretrain",
        "--data",
        str(prepared_data),
        "--config",
        str(tiny_config),
        "--max-seq-length",
        "32",
    ]
    command += ["--max-steps", "3", "--batch-size", "4", "--warmup-steps", "1", "--device", "cpu", "--json"]
    assert run([*command, "--output", str(tmp_path / "one")]) == 0
    first = json.loads(capsys.readouterr().out)
    repeat = [
        "pretrain",
        "--from",
        str(tmp_path / "one" / "run.json"),
        "--output",
        str(tmp_path / "two"),
        "--json",
    ]
    assert run(repeat) == 0
    second = json.loads(capsys.readouterr().out)
    assert first["masked_lm_loss"] == second["masked_lm_loss"]
    assert run(["info", "--from", str(tmp_path / "one" / "run.json")]) == 1
    assert "has the settings of `albert pretrain`, not of `albert info`" in capsys.readouterr().err


def test_help_is_immediate() -> None:
    def seconds(*command: str) -> float:
        """Return the CPU time of a process: wall-clock is also affected by other tests."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    bare, ours = (
        min(seconds(*command) for _ in range(5)) for command in (("-c", "pass"), ("-m", "albert", "--help"))
    )
    assert ours - bare < 0.15
