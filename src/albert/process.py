"""How a command line starts and ends in its process: exit codes, one line for a user's error, torchrun.

Exit codes: 0 done, 1 the user's error, 2 a wrong command line, 130 stopped by Ctrl-C, 141 the reader of the
output has gone. The last two are what a shell reports for a program that SIGINT or SIGPIPE ended.
"""

import os
import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import Any, NoReturn

from albert.console import UNWRITABLE, say
from albert.errors import AlbertError, UsageError

STOPPED = 130
READER_GONE = 141


def run_and_leave(run: Callable[[list[str]], int]) -> NoReturn:
    """Run the command line of this process and exit with the code that `run` returns."""
    # By default OpenMP threads that wait spin for a long time: next to one busy process a training step took
    # 25 times as long. A short spin costs nothing on an idle machine. torch reads the variable when it loads.
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=UNWRITABLE)
    code: Any
    try:
        try:
            code = run(sys.argv[1:])
        except SystemExit as leaving:
            code = leaving.code
        print(end="", flush=True)  # output to a pipe is buffered: a reader that has gone is noticed here
    except BrokenPipeError:
        code = _leave_quietly()
    if "TORCHELASTIC_RUN_ID" in os.environ and isinstance(code, int):
        # Under torchrun, threads that talk to other processes may abort an interpreter that is shutting down,
        # and a finished run would count as failed. All files are written and synced by now.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def exit_code_of(job: Callable[[], object], *, reword: Callable[[str], str] = str) -> int:
    """Do a job and return its exit code; a user's error becomes one line on stderr.

    Args:
        job: Raises an AlbertError for a user's error.
        reword: Puts the message into the words of this command line.
    """
    try:
        job()
    except AlbertError as error:
        say(f"error: {reword(str(error))}")
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        say("stopped")
        return STOPPED
    except BrokenPipeError:
        return _leave_quietly()
    except OSError as error:
        say(f"error: {error.filename or 'system'}: {error.strerror or error}")
        return 1
    return 0


def _leave_quietly() -> int:
    """Send what is left of the output to nowhere, so that Python does not complain at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in filter(None, (sys.stdout, sys.stderr)):  # None if closed before the start
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(nowhere, stream.fileno())
    return READER_GONE
