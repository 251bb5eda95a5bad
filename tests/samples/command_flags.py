"""The flags of a command, read from its settings as the command line reads them."""

import shlex
import types
from dataclasses import dataclass, is_dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import tyro

from albert.cli.flags import parse
from albert.cli.main import find_settings


@dataclass(frozen=True, kw_only=True)
class Flag:
    """One setting on the command line."""

    name: str
    """Without the leading --."""
    choices: tuple[str, ...]
    """The values it takes, where these are a fixed set; else empty."""
    placeholder: str
    """What stands for it in the usage line where it is given by its place instead of its name; else empty."""


def flags_of(command: str) -> dict[str, Flag]:
    """Return the flags of a command by name; nested settings are flat."""
    return {flag.name: flag for flag in _flags(find_settings(command))}


def parse_line(line: str) -> Any:
    """Return the settings of a whole command line, as a user types it."""
    program, command, *arguments = shlex.split(line)
    assert program == "albert"
    settings_type = find_settings(command)
    return parse(settings_type, arguments, command=command)[0]


def _flags(settings_type: type) -> list[Flag]:
    flags: list[Flag] = []
    for name, hint in get_type_hints(settings_type, include_extras=True).items():
        if is_dataclass(hint):
            flags += _flags(hint)  # type: ignore[arg-type]  # a class, not a record
        else:
            placeholder = _placeholder(hint, name.upper())
            flags.append(Flag(name=name.replace("_", "-"), choices=_choices(hint), placeholder=placeholder))
    return flags


def _placeholder(hint: Any, default: str) -> str:
    if get_origin(hint) is not Annotated or tyro.conf.Positional not in hint.__metadata__:
        return ""
    given = [getattr(extra, "metavar", None) for extra in hint.__metadata__]
    return next((metavar for metavar in given if metavar), default)


def _choices(hint: Any) -> tuple[str, ...]:
    """Return the values of a literal, an optional one or a tuple of them; nothing if others fit as well."""
    if get_origin(hint) is Literal:
        return get_args(hint)
    if get_origin(hint) in {Union, types.UnionType, tuple}:
        options = [_choices(option) for option in get_args(hint) if option not in {type(None), Ellipsis}]
        return tuple(value for values in options for value in values) if all(options) else ()
    return ()
