"""How a command line ends: exit codes, and one line for what a user did wrong."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from albert.errors import DataError, UsageError
from albert.process import exit_code_of


def raising(error: BaseException) -> Callable[[], None]:
    def job() -> None:
        raise error

    return job


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (DataError("text.txt:3: no text"), 1, "error: text.txt:3: no text\n"),
        (UsageError("no flag --x"), 2, "error: no flag --x\n"),
        (PermissionError(13, "Permission denied", "/root/x"), 1, "error: /root/x: Permission denied\n"),
        (KeyboardInterrupt(), 130, "stopped\n"),
    ],
)
def test_an_error_becomes_one_line_and_an_exit_code(
    error: BaseException, code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code_of(raising(error)) == code
    assert capsys.readouterr().err == told


def test_a_job_that_is_done_exits_with_0_and_a_defect_is_not_hidden() -> None:
    assert exit_code_of(lambda: None) == 0
    with pytest.raises(ZeroDivisionError):
        exit_code_of(raising(ZeroDivisionError()))


def test_messages_can_be_reworded(capsys: pytest.CaptureFixture[str]) -> None:
    exit_code_of(
        raising(DataError("give --input")), reword=lambda text: text.replace("--input", "--input_file")
    )
    assert capsys.readouterr().err == "error: give --input_file\n"


@pytest.mark.parametrize("script", ["create_pretraining_data", "run_pretraining", "export_checkpoints"])
def test_the_modules_of_the_original_are_programs(script: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"albert.{script}", "--no_such_flag"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: no flag --no_such_flag")
    assert done.stdout == ""
