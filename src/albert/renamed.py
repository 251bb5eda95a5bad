"""Old names of flags and of their values: old command lines and old `run.json` files keep working.

A renamed value is one line, `"--flag old": "--flag new"`, and so is a renamed flag, `"--old": "--new"`. The
table holds for all commands: a name that left one command must not return in another.
"""

from collections.abc import Sequence
from typing import Any

RENAMED = {
    "--schedule original": "--schedule decay-from-start",
    "--sentence-loss original": "--sentence-loss sop-random",
    "--word-rule original": "--word-rule english",
    "--null-threshold": "--threshold",
    "--loss-depths": "--depths",
}
"""New names by old names, spelled as on a command line."""


def rename_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the arguments under today's names, and one note for each old name among them."""
    renamed: list[str] = []
    notes: list[str] = []
    flag = ""  # the flag whose value comes next
    for argument in arguments:
        if not argument.startswith("--"):
            renamed.append(_rename_value(flag, argument, notes))
            flag = ""
            continue
        name, equals, value = argument.partition("=")
        flag = _rename_flag(name.replace("_", "-"), notes)
        renamed.append(flag + equals + (_rename_value(flag, value, notes) if equals else ""))
        flag = "" if equals else flag
    return renamed, notes


def rename_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings read from a `run.json`, nested as they were, under today's names."""
    renamed: dict[str, Any] = {}
    for name, value in settings.items():
        old_flag = "--" + name.replace("_", "-")
        flag = _rename_flag(old_flag, [])
        # A name that is not in the table stays as it is, even with a hyphen.
        new_name = name if flag == old_flag else flag.removeprefix("--").replace("-", "_")
        if isinstance(value, dict):
            renamed[new_name] = rename_settings(value)
        else:
            renamed[new_name] = _rename_value(flag, value, []) if isinstance(value, str) else value
    return renamed


def _rename_flag(flag: str, notes: list[str]) -> str:
    """Return the new name of a flag; an old one is noted."""
    new = RENAMED.get(flag, flag)
    if new != flag:
        notes.append(f"{flag} is now {new}")
    return new


def _rename_value(flag: str, value: str, notes: list[str]) -> str:
    """Return the new name of a flag's value; an old one is noted."""
    old = f"{flag} {value}"
    new = RENAMED.get(old, old)
    if new != old:
        notes.append(f"{old} is now {new}")
    return new.removeprefix(f"{flag} ")
