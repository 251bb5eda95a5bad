"""`albert COMMAND ...`: find the command, parse its settings, call it, print its result.

The command `fill-mask` is the function `fill_mask` in the module `albert.commands.fill_mask`, and the
dataclass `FillMaskSettings` in a module of its own. The former is imported only when the command line has
been understood, so that help and errors do not wait for torch; the price is that the summaries are here as
well as in the settings (a test compares them).
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
    "distill": "Train a small model to do what a large one does.",
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

_SETTINGS = {
    "prepare": "albert.data.settings",
    "pretrain": "albert.pretraining.settings",
    "finetune": "albert.finetuning.settings",
    "distill": "albert.distillation.settings",
}
"""Modules of settings that rooms below the commands need, too; the others are in `commands.settings`."""


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


def find_settings(name: str) -> type[Any]:
    """Return the settings class of a command, without loading the command."""
    module = import_module(_SETTINGS.get(name, f"albert.commands.settings.{name.replace('-', '_')}"))
    found: type[Any] = getattr(module, "".join(word.capitalize() for word in name.split("-")) + "Settings")
    return found


def find_command(name: str) -> Callable[[Any], Any]:
    """Return the function of a command."""
    module_name = name.replace("-", "_")
    found: Callable[[Any], Any] = getattr(import_module(f"albert.commands.{module_name}"), module_name)
    return found


def _run_command(name: str, arguments: list[str]) -> None:
    from albert.cli.flags import parse
    from albert.cli.output import show

    settings, as_json = parse(find_settings(name), arguments, command=name)
    from albert.commands.checks import check

    check(settings)
    result = find_command(name)(settings)
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
