"""How a command line begins and ends in its process: exit codes, the one line of a user's error, torchrun.

Exit codes: 0 done, 1 the user's error, 2 a wrong command line, 130 stopped by Ctrl-C.
"""

import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from albert.console import say
from albert.errors import AlbertError, UsageError


def run_and_leave(run: Callable[[list[str]], int]) -> NoReturn:
    """Runs the command line of this process and exits with the code that `run` returns."""
    # Threads that wait for each other spin for long by default: beside one busy process a training step took
    # 25 times as long. A short spin costs nothing on an idle machine. It is read when torch is loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")
    try:
        code: Any = run(sys.argv[1:])
    except SystemExit as leaving:
        code = leaving.code
    if "TORCHELASTIC_RUN_ID" in os.environ and isinstance(code, int):
        # Under torchrun: the threads that talk to other processes may abort an interpreter that tidies up,
        # and a finished run would count as failed. All files are written and synced by now.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def exit_code_of(job: Callable[[], object], *, reword: Callable[[str], str] = str) -> int:
    """Does a job and returns its exit code; what the user did wrong is said as one line.

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
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone; without this Python complains again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        say(f"error: {error.filename or 'system'}: {error.strerror or error}")
        return 1
    return 0
