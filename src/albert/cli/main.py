"""`albert SUBCOMMAND ...`: finds the recipe, parses its settings, calls it, prints what it returns.

A subcommand `fill-mask` is the module `albert.recipes.fill_mask` with a dataclass `FillMaskSettings` and a
function `fill_mask`; it is imported only when it is asked for, so that `albert --help` is immediate.
Exit codes: 0 done, 1 the user's error, 2 a wrong command line, 130 stopped by Ctrl-C.
"""

import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, NoReturn

from albert import __version__
from albert.console import say
from albert.errors import AlbertError, did_you_mean

SUMMARIES = {
    "vocab": "Makes a vocabulary from raw text.",
    "prepare": "Turns raw text into token shards for pretraining.",
    "show": "Shows masked examples as a model would get them.",
    "pretrain": "Pretrains a model on prepared data.",
    "finetune": "Fine-tunes a model on a task.",
    "evaluate": "Scores a fine-tuned model on a task.",
    "predict": "Labels the texts of a file with a fine-tuned model.",
    "report": "Draws the curves of one or several runs, and compares them.",
    "convert": "Turns ALBERT weights of any form into a model folder.",
    "fill-mask": "Predicts the masked pieces of a text.",
    "info": "Shows what a model holds, in whatever form it is.",
    "tasks": "Lists the known tasks with their data, scores and default settings.",
    "demo": "Does the whole of it, small, on the documentation inside the running Python.",
}


def main() -> NoReturn:
    """Runs the command line of this process and exits."""
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


def run(arguments: list[str]) -> int:
    """Runs one command line and returns its exit code."""
    if not arguments or arguments[0] in {"-h", "--help"}:
        print(_overview())
        return 0
    if arguments[0] == "--version":
        print(f"albert {__version__}")
        return 0
    name, *rest = arguments
    if name not in SUMMARIES:
        say(f"error: no subcommand {name!r}{did_you_mean(name, list(SUMMARIES))}; see albert --help")
        return 2
    try:
        return _run_recipe(name, rest)
    except AlbertError as error:
        say(f"error: {error}")
    except KeyboardInterrupt:
        say("stopped")
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone; without this Python complains again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        say(f"error: {error.filename or 'system'}: {error.strerror or error}")
    return 1


def find_recipe(name: str) -> tuple[type[Any], Callable[[Any], Any]]:
    """Returns the settings class and the function of subcommand `name`."""
    module_name = name.replace("-", "_")
    module = import_module(f"albert.recipes.{module_name}")
    class_name = "".join(word.capitalize() for word in name.split("-")) + "Settings"
    return getattr(module, class_name), getattr(module, module_name)


def _run_recipe(name: str, arguments: list[str]) -> int:
    from albert.cli.flags import parse
    from albert.cli.output import show

    settings_type, function = find_recipe(name)
    settings, as_json = parse(settings_type, arguments, command=name)
    result = function(settings)
    if result is not None:
        show(result, as_json=as_json)
    return 0


def _overview() -> str:
    width = max(map(len, SUMMARIES))
    lines = [f"  {name:{width}}  {summary}" for name, summary in SUMMARIES.items()]
    return "\n".join(
        [
            "usage: albert SUBCOMMAND [--flag VALUE ...]",
            "",
            "The whole life of an ALBERT model: vocabulary, examples, pretraining, fine-tuning, use.",
            "",
            *lines,
            "",
            "albert SUBCOMMAND --help explains its flags; every flag may be written with - or _.",
            "--json prints a result as JSON; --from run.json takes the settings of an earlier run.",
        ]
    )
