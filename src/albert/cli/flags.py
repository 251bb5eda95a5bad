"""Flags from a settings dataclass: field names are flags, docstrings below fields are help.

Nested settings are flat on the command line: `--learning-rate`, not `--optimizer.learning-rate`.
"""

import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import tyro

from albert.errors import ConfigError, did_you_mean

S = TypeVar("S")


def parse(settings_type: type[S], arguments: list[str], *, command: str) -> tuple[S, bool]:
    """Parses the flags of `albert COMMAND`.

    Returns:
        The settings, and whether `--json` was given.

    Raises:
        ConfigError: The file of `--from` cannot be used, or a value makes no sense.
        SystemExit: The command line is wrong (2), or asks for help (0).
    """
    as_json = "--json" in arguments
    arguments = [argument for argument in arguments if argument != "--json"]
    default, arguments = _take_from(settings_type, arguments, command=command)
    settings: S = tyro.cli(
        settings_type,
        prog=f"albert {command}",
        args=arguments,
        default=tyro.MISSING_NONPROP if default is None else default,
        config=(tyro.conf.OmitArgPrefixes,),
    )
    return settings, as_json


def _take_from(settings_type: type[S], arguments: list[str], *, command: str) -> tuple[S | None, list[str]]:
    """Takes `--from FILE` out of `arguments`; its settings are the defaults of all flags."""
    if "--from" not in arguments:
        return None, arguments
    place = arguments.index("--from")
    if place + 1 == len(arguments):
        raise ConfigError("--from needs the run.json of an earlier run")
    path = Path(arguments[place + 1])
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        values, ran = record["settings"], record["command"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"--from {path}: expected the run.json of an earlier run: {error}") from error
    if ran != command:
        raise ConfigError(f"--from {path}: is of `albert {ran}`, not of `albert {command}`")
    return _from_json(settings_type, values, path), arguments[:place] + arguments[place + 2 :]


def _from_json(settings_type: type[S], values: dict[str, Any], path: Path) -> S:
    """Returns settings from their JSON form."""
    hints = get_type_hints(settings_type)
    names = [field.name for field in fields(settings_type)]  # type: ignore[arg-type]  # is a dataclass
    for name in values:
        if name not in names:
            raise ConfigError(f"{path}: unknown setting {name!r}{did_you_mean(name, names)}")
    return settings_type(**{name: _typed(hints[name], value, path) for name, value in values.items()})


def _typed(hint: Any, value: Any, path: Path) -> Any:
    """Returns a JSON value as the type of its field: JSON knows neither paths nor tuples nor records."""
    if is_dataclass(hint):
        assert isinstance(hint, type)
        return _from_json(hint, value, path)
    if value is not None and get_origin(hint) in {Union, UnionType}:
        hint = next(option for option in get_args(hint) if option is not type(None))
    if get_origin(hint) is tuple:
        return tuple(_typed(get_args(hint)[0], item, path) for item in value)
    return Path(value) if hint is Path and value is not None else value
