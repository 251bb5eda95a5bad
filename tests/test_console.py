"""Progress and messages: on stderr, readable in a log."""

import shlex
from dataclasses import dataclass, field, replace

import pytest

from albert import console
from albert.console import changed_settings, command_line, human_count, human_seconds, progress, say, warn


def test_messages_go_to_stderr_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    say("one")
    warn("two")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "one\nwarning: two\n"


def test_progress_without_a_terminal_is_an_occasional_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(float(second) for second in range(100))
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    with progress("pretraining", total=30, done=10, unit=" steps") as bar:
        for _ in range(20):
            bar.advance(1, "loss 3.1")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "pretraining: 2 of 20 steps (10%), ETA 0:18, 1 steps/s  loss 3.1",
        "pretraining: 12 of 20 steps (60%), ETA 0:08, 1 steps/s  loss 3.1",
    ]


@pytest.mark.parametrize(
    ("number", "text"), [(7, "7"), (999, "999"), (28_340, "28.3k"), (1_292_932, "1.29M"), (4e9, "4G")]
)
def test_counts_have_three_digits_and_a_prefix(number: float, text: str) -> None:
    assert human_count(number) == text


@pytest.mark.parametrize(("seconds", "text"), [(7.4, "0:07"), (75, "1:15"), (3675, "1:01:15")])
def test_durations_are_clock_times(seconds: float, text: str) -> None:
    assert human_seconds(seconds) == text


def test_a_command_line_is_typed_as_it_is_whatever_the_names_of_files() -> None:
    line = command_line(
        "prepare", input=("my file.csv", "b'.txt"), held_out=0.5, skip_bad=True, check=False, seed=None
    )
    words = ["albert", "prepare", "--input", "my file.csv", "b'.txt", "--held-out", "0.5", "--skip-bad"]
    assert shlex.split(line) == [*words, "--no-check"]
    assert command_line("show", "data", count=2) == "albert show data --count 2"


@dataclass(frozen=True)
class Inner:
    depth: int = 3
    width: int = 4


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    names: list[str] = field(default_factory=list)
    inner: Inner = Inner()


def test_changed_settings_are_those_that_make_the_same_settings_again() -> None:
    assert changed_settings(Outer(name="a")) == {"name": "a"}
    settings = Outer(name="a", names=["b"], inner=replace(Inner(), depth=5))
    assert changed_settings(settings) == {"name": "a", "names": ["b"], "depth": 5}


def test_the_eta_leaves_out_what_is_done_only_once_before_the_first_report(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 8.0, 9.0, 10.0, 11.0, 12.0])  # eight seconds until the first step, then one each
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(console, "PLAIN_LINE_SECONDS", 2)
    with progress("pretraining", total=100, unit=" steps") as bar:
        for _ in range(5):
            bar.advance(1)
    lines = capsys.readouterr().err.splitlines()
    assert lines[1] == "pretraining: 3 of 100 steps (3%), ETA 1:37, 1 steps/s"
