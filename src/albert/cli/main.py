"""`albert COMMAND ...`: find the command, parse its settings, call it, print its result.

The command `fill-mask` is the module `albert.commands.fill_mask` with a dataclass `FillMaskSettings` and a
function `fill_mask`. A module is imported only when its command is called, so that `albert --help` takes no
time; the price is that the summaries are here as well as in the settings (a test compares them).
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, NoReturn

from albert import __version__
from albert.console import say
from albert.errors import did_you_mean
from albert.process import exit_code_of, run_and_leave

SUMMARIES = {
    "vocab": "Make a vocabulary from raw text.",
    "prepare": "Turn raw text into token shards for pretraining.",
    "show": "Show masked examples as a model gets them.",
    "pretrain": "Pretrain a model on prepared data.",
    "finetune": "Fine-tune a model on a task.",
    "evaluate": "Score a fine-tuned model, or a file of predictions, on a task.",
    "predict": "Write the predictions of a fine-tuned model: labels, numbers, choices, answers, tags.",
    "report": "Draw the curves of one or more runs, and compare them.",
    "convert": "Turn ALBERT weights of any form into a model folder.",
    "fill-mask": "Predict the masked tokens of a text.",
    "embed": "Write a vector for each text of a file.",
    "info": "Show shape, parameters and tokenizer of a model of any form.",
    "tasks": "List the known tasks with their data, metrics and default settings.",
    "bench": "Measure training, inference, text and optimiser against transformers and a lower bound.",
    "demo": "Run all stages, small, on the documentation inside the running Python.",
}


def main() -> NoReturn:
    """Run the command line of this process and exits."""
    run_and_leave(run)


def run(arguments: list[str]) -> int:
    """Run one command line and returns its exit code."""
    if not arguments or arguments[0] in {"-h", "--help"}:
        print(_overview())
        return 0
    if arguments[0] == "--version":
        print(f"albert {__version__}")
        return 0
    name, *rest = arguments
    if name not in SUMMARIES:
        say(f"error: no command {name!r}{did_you_mean(name, list(SUMMARIES))}; see albert --help")
        return 2
    return exit_code_of(lambda: _run_command(name, rest))


def find_command(name: str) -> tuple[type[Any], Callable[[Any], Any]]:
    """Return the settings class and the function of a command."""
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
            "usage: albert COMMAND [--flag VALUE ...]",
            "",
            "The whole life of an ALBERT model: vocabulary, examples, pretraining, fine-tuning, use.",
            "",
            *lines,
            "",
            "albert COMMAND --help explains the flags of a command; every flag may be written with - or _.",
            "--json prints the result as JSON; --from run.json takes the settings of an earlier run.",
        ]
    )
