"""`albert SUBCOMMAND ...`: finds the recipe, parses its settings, calls it, prints what it returns.

A subcommand `fill-mask` is the module `albert.commands.fill_mask` with a dataclass `FillMaskSettings` and a
function `fill_mask`; it is imported only when it is asked for, so that `albert --help` is immediate.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, NoReturn

from albert import __version__
from albert.console import say
from albert.errors import did_you_mean
from albert.process import exit_code_of, run_and_leave

SUMMARIES = {
    "vocab": "Makes a vocabulary from raw text.",
    "prepare": "Turns raw text into token shards for pretraining.",
    "show": "Shows masked examples as a model would get them.",
    "pretrain": "Pretrains a model on prepared data.",
    "finetune": "Fine-tune a model on a task.",
    "evaluate": "Score a fine-tuned model or a file of predictions on a task.",
    "predict": "Write the predictions of a fine-tuned model: labels, numbers, choices, answers, tags.",
    "report": "Draws the curves of one or several runs, and compares them.",
    "convert": "Turns ALBERT weights of any form into a model folder.",
    "fill-mask": "Predict the masked tokens of a text.",
    "embed": "Write a vector for every text of a file.",
    "info": "Shows what a model holds, in whatever form it is.",
    "tasks": "Lists the known tasks with their data, scores and default settings.",
    "bench": "Measures training, inference, text and optimiser, beside transformers and beside the floor.",
    "demo": "Does the whole of it, small, on the documentation inside the running Python.",
}


def main() -> NoReturn:
    """Runs the command line of this process and exits."""
    run_and_leave(run)


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
    return exit_code_of(lambda: _run_command(name, rest))


def find_command(name: str) -> tuple[type[Any], Callable[[Any], Any]]:
    """Returns the settings class and the function of subcommand `name`."""
    module_name = name.replace("-", "_")
    module = import_module(f"albert.commands.{module_name}")
    class_name = "".join(word.capitalize() for word in name.split("-")) + "Settings"
    return getattr(module, class_name), getattr(module, module_name)


def _run_command(name: str, arguments: list[str]) -> None:
    from albert.cli.flags import parse
    from albert.cli.output import show

    settings_type, function = find_command(name)
    settings, as_json = parse(settings_type, arguments, command=name)
    result = function(settings)
    if result is not None:
        show(result, as_json=as_json)


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
