"""All scripts of the original by name, and how to run one: parse its flags, then call its function.

The script `run_pretraining` is the function of that name in the module `albert.legacy.run_pretraining`, which
is imported only to call it, so that `--help` and a wrong flag are answered at once.
"""

from collections.abc import Callable
from functools import partial
from importlib import import_module

from albert.legacy import albert_zh_flags, finetuning_flags, pretraining_flags
from albert.legacy.flags import Script, asks_for_help, explain, parse
from albert.process import exit_code_of

SCRIPTS: dict[str, Script] = {
    script.name: script
    for script in (
        pretraining_flags.CREATE_PRETRAINING_DATA,
        pretraining_flags.RUN_PRETRAINING,
        pretraining_flags.EXPORT_CHECKPOINTS,
        finetuning_flags.RUN_CLASSIFIER,
        finetuning_flags.RUN_SQUAD_V1,
        finetuning_flags.RUN_SQUAD_V2,
        finetuning_flags.RUN_RACE,
        finetuning_flags.RUN_CLASSIFIER_CLUE,
        albert_zh_flags.CREATE_PRETRAINING_DATA_ZH,
        albert_zh_flags.RUN_PRETRAINING_ZH,
        albert_zh_flags.RUN_PRETRAINING_GOOGLE,
        albert_zh_flags.RUN_CLASSIFIER_SP_GOOGLE,
    )
}


def script_main(name: str) -> Callable[[list[str]], int]:
    """Return the function that runs the command line of a script and returns its exit code."""
    return partial(_run, SCRIPTS[name])


def _run(script: Script, arguments: list[str]) -> int:
    if asks_for_help(arguments):
        print(explain(script))
        return 0
    return exit_code_of(partial(_do, script, arguments), reword=script.reword)


def _do(script: Script, arguments: list[str]) -> None:
    flags = parse(script, arguments)
    job = script.job or script.name
    getattr(import_module(f"albert.legacy.{job}"), job)(flags)
