"""Flags from a settings dataclass: field names are flags, docstrings below fields are their help.

Nested settings are flat on the command line: `--learning-rate`, not `--optimizer.learning-rate`. So each
setting is written once, and two nested settings must not have the same name.
"""

import inspect
import json
from dataclasses import MISSING, fields, is_dataclass
from importlib import import_module
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import tyro

from albert.cli.complaints import complaints_in_one_line
from albert.cli.values import refuse_wrong_words
from albert.console import say
from albert.errors import ConfigError, did_you_mean
from albert.renamed import rename_arguments, rename_settings

S = TypeVar("S")

COMMANDS_WITH_RECIPES = {"pretrain": "albert.pretraining.recipes", "distill": "albert.demo.recipes"}
"""Commands with `--recipe NAME`, and the module with their `RECIPES`."""


def parse(settings_type: type[S], arguments: list[str], *, command: str) -> tuple[S, bool]:
    """Parse the flags of `albert COMMAND`.

    Returns:
        The settings, and whether `--json` was given.

    Raises:
        ConfigError: The file of `--from`, the name of `--recipe` or a value cannot be used.
        UsageError: The command line is wrong.
        SystemExit: `--help` is in it.
    """
    as_json = "--json" in arguments
    arguments, notes = rename_arguments([argument for argument in arguments if argument != "--json"])
    for note in notes:
        say(note)
    default, arguments = _take_from(settings_type, arguments, command=command)
    if command in COMMANDS_WITH_RECIPES:
        recipe, arguments = _take_recipe(settings_type, arguments, module=COMMANDS_WITH_RECIPES[command])
        if default is not None and recipe is not None:
            raise ConfigError("--from and --recipe both give all settings; choose one")
        default = recipe or default
    refuse_wrong_words(settings_type, arguments, command=command)
    with complaints_in_one_line(command):
        settings: S = tyro.cli(
            settings_type,
            prog=f"albert {command}",
            description=_description(settings_type, command),
            args=arguments,
            default=tyro.MISSING_NONPROP if default is None else default,
            config=(tyro.conf.OmitArgPrefixes,),
        )
    return settings, as_json


def _take_from(settings_type: type[S], arguments: list[str], *, command: str) -> tuple[S | None, list[str]]:
    """Remove `--from FILE` from `arguments`; its settings become the defaults of all flags."""
    file, arguments = _take_option("--from", arguments, needs="the run.json of an earlier run")
    if file is None:
        return None, arguments
    path = Path(file)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        values, ran = record["settings"], record["command"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"--from {path}: expected the run.json of an earlier run: {error}") from error
    if ran != command:
        raise ConfigError(f"--from {path}: has the settings of `albert {ran}`, not of `albert {command}`")
    return _from_json(settings_type, rename_settings(values), path), arguments


def _take_recipe(settings_type: type[S], arguments: list[str], *, module: str) -> tuple[S | None, list[str]]:
    """Remove `--recipe NAME` from `arguments`; its numbers become the defaults of their flags."""
    name, arguments = _take_option("--recipe", arguments, needs="the name of a recipe")
    if name is None:
        return None, arguments
    recipes = import_module(module)
    required = [field.name for field in fields(settings_type) if field.default is MISSING]  # type: ignore[arg-type]  # is a dataclass
    flags = {argument.partition("=")[0].lstrip("-").replace("-", "_") for argument in arguments}
    given = [*required, *(name for name in recipes.SHAPE_SETTINGS if name in flags)]
    settings: S = recipes.recipe_settings(name, **dict.fromkeys(given, tyro.MISSING))
    return settings, arguments


def _take_option(name: str, arguments: list[str], *, needs: str) -> tuple[str | None, list[str]]:
    """Remove `name VALUE` or `name=VALUE` from `arguments`; return the value and the other arguments.

    Raises:
        ConfigError: There is no value, or more than one.
    """
    places = [i for i, argument in enumerate(arguments) if argument.partition("=")[0] == name]
    if not places:
        return None, arguments
    if len(places) > 1:
        raise ConfigError(f"{name} is given {len(places)} times; choose one")
    place = places[0]
    _, equals, value = arguments[place].partition("=")
    if equals:
        return value, arguments[:place] + arguments[place + 1 :]
    if place + 1 == len(arguments) or arguments[place + 1].startswith("--"):
        raise ConfigError(f"{name} needs {needs}")
    return arguments[place + 1], arguments[:place] + arguments[place + 2 :]


def _description(settings_type: type[Any], command: str) -> str | None:
    """Return the description in the help, or None for the docstring of the settings."""
    if command not in COMMANDS_WITH_RECIPES:
        return None
    recipes = import_module(COMMANDS_WITH_RECIPES[command]).RECIPES
    return (
        f"{inspect.getdoc(settings_type)}\n\n--recipe NAME starts from known settings, which "
        f"the other flags override: {', '.join(recipes)}."
    )


def _from_json(settings_type: type[S], values: dict[str, Any], path: Path) -> S:
    """Return settings from their JSON form."""
    hints = get_type_hints(settings_type)
    names = [field.name for field in fields(settings_type)]  # type: ignore[arg-type]  # is a dataclass
    for name in values:
        if name not in names:
            raise ConfigError(f"{path}: unknown setting {name!r}{did_you_mean(name, names)}")
    return settings_type(**{name: _typed(hints[name], value, path) for name, value in values.items()})


def _typed(hint: Any, value: Any, path: Path) -> Any:
    """Return a JSON value as the type of its field: JSON has neither paths nor tuples nor records."""
    if is_dataclass(hint):
        assert isinstance(hint, type)
        return _from_json(hint, value, path)
    if value is not None and get_origin(hint) in {Union, UnionType}:
        hint = next(option for option in get_args(hint) if option is not type(None))
    if get_origin(hint) is tuple:
        return tuple(_typed(get_args(hint)[0], item, path) for item in value)
    return Path(value) if hint is Path and value is not None else value
