"""Flags and values of a command line, compared with the settings before the parser sees them.

The parser's own complaints name types of Python, and stop at the first alternative that does not fit.
"""

from collections.abc import Iterator
from dataclasses import is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from albert.errors import UsageError, did_you_mean

_NUMBERS = {int: "a whole number", float: "a number"}
"""Types whose texts can be wrong, as people call them."""


def flag_types(settings_type: type[Any]) -> dict[str, Any]:
    """Return the type of each flag of a command, by its name without --; nested settings are flat."""
    types: dict[str, Any] = {}
    for name, hint in get_type_hints(settings_type).items():
        is_nested = isinstance(hint, type) and is_dataclass(hint)
        types |= flag_types(hint) if is_nested else {name.replace("_", "-"): hint}
    return types


def refuse_wrong_words(settings_type: type[Any], arguments: list[str], *, command: str) -> None:
    """Refuse flags that the command does not have, and values that are not of their flag's type.

    Raises:
        UsageError: There is one; the message names flag, value and what was expected, or the nearest flag.
    """
    types = flag_types(settings_type)
    for flag, values in _flags_with_values(arguments):
        if flag == "help":
            continue
        try:
            _refuse_wrong_flag(flag, types, command)
            if flag in types:
                _refuse_wrong_values(flag, types[flag], values)
        except UsageError as error:
            raise UsageError(f"{error}; see albert {command} --help") from None


def _flags_with_values(arguments: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield each flag, without --, with the words up to the next one."""
    places = [i for i, argument in enumerate(arguments) if argument.startswith("--")]
    for place, following in zip(places, [*places[1:], len(arguments)], strict=False):
        flag, equals, value = arguments[place].removeprefix("--").partition("=")
        yield flag.replace("_", "-"), [*([value] if equals else []), *arguments[place + 1 : following]]


def _refuse_wrong_flag(flag: str, types: dict[str, Any], command: str) -> None:
    if flag in types or types.get(flag.removeprefix("no-")) is bool:
        return
    if flag.removeprefix("no-") in types:
        raise UsageError(f"albert {command} has no flag --{flag}; --{flag.removeprefix('no-')} takes a value")
    hint = did_you_mean(f"--{flag}", [f"--{name}" for name in (*types, "help")])
    raise UsageError(f"albert {command} has no flag --{flag}{hint}")


def _refuse_wrong_values(flag: str, hint: Any, values: list[str]) -> None:
    if hint is bool:
        return  # Words after a switch are not its values.
    takes_several = get_origin(hint) is tuple
    if not values and not takes_several:
        raise UsageError(f"--{flag} needs a value")
    options = _alternatives(get_args(hint)[0] if takes_several else hint)
    for value in values if takes_several else values[:1]:
        if not any(_fits(value, option) for option in options):
            expected = " or ".join(_in_words(option) for option in options if option is not NoneType)
            raise UsageError(f"--{flag} is {value!r}; expected {expected}")


def _alternatives(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in {Union, UnionType} else (hint,)


def _fits(value: str, option: Any) -> bool:
    """Whether a word can become a value of a type; of those not known here, any word can."""
    if option is NoneType:
        return value == "None"
    if get_origin(option) is Literal:
        return value in get_args(option)
    if option in _NUMBERS:
        try:
            option(value)
        except ValueError:
            return False
    return True


def _in_words(option: Any) -> str:
    if get_origin(option) is not Literal:
        return _NUMBERS[option]
    choices = ", ".join(map(repr, get_args(option)))
    return choices if len(get_args(option)) == 1 else f"one of {choices}"
