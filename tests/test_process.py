"""How a command line ends: exit codes, one line for a user's error, silence when the reader has gone."""

import os
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
    ("error", "code", "message"),
    [
        (DataError("text.txt:3: no text"), 1, "error: text.txt:3: no text\n"),
        (UsageError("no flag --x"), 2, "error: no flag --x\n"),
        (PermissionError(13, "Permission denied", "/root/x"), 1, "error: /root/x: Permission denied\n"),
        (KeyboardInterrupt(), 130, "stopped\n"),
    ],
)
def test_an_error_becomes_one_line_and_an_exit_code(
    error: BaseException, code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code_of(raising(error)) == code
    assert capsys.readouterr().err == message


def test_a_finished_job_exits_with_0_and_a_defect_is_not_hidden() -> None:
    assert exit_code_of(lambda: None) == 0
    with pytest.raises(ZeroDivisionError):
        exit_code_of(raising(ZeroDivisionError()))


def test_messages_can_be_reworded(capsys: pytest.CaptureFixture[str]) -> None:
    exit_code_of(
        raising(DataError("give --input")), reword=lambda text: text.replace("--input", "--input_file")
    )
    assert capsys.readouterr().err == "error: give --input_file\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "command",
    [
        "albert --help",
        "albert --version",
        "albert vocab --help",
        "albert pretrain --help",
        "albert tasks",
        "albert.run_pretraining --help",
    ],
)
def test_a_reader_that_has_gone_ends_every_command_without_a_word(command: str, unbuffered: str) -> None:
    """As in `albert --help | head -3`, where `head` leaves first."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", *command.split()],
        stdout=writer,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        check=False,
    )
    os.close(writer)
    assert done.stderr == b""
    assert done.returncode == 141


def test_a_command_without_standard_output_ends_as_always() -> None:
    done = subprocess.run(
        f"{sys.executable} -m albert --help >&-", shell=True, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


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
