"""Text files as the readers of every kind share them: lines, JSON objects a line, whole JSON files, fields.

Lines are read as a stream. Errors name the file and the line, or the place inside a JSON file.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from albert.data.corpus.files import Tally, read_lines, report_skipped
from albert.errors import DataError, did_you_mean
from albert.tasks.bad_rows import attempt, strict

_HIGH, _LOW = r"\\u[dD][89abAB][\da-fA-F]{2}", r"\\u[dD][c-fC-F][\da-fA-F]{2}"
_HALF_PAIR = re.compile(rf"{_HIGH}(?!{_LOW})|(?<!\\u[dD][89abAB][\da-fA-F][\da-fA-F]){_LOW}")

_KINDS: dict[type, str] = {
    str: "a text",
    list: "a list",
    dict: "an object",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    type(None): "null",
}


def read_text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a UTF-8 text, numbered from 1, without line ends and byte order mark.

    Raises:
        DataError: The file cannot be read, is not UTF-8, or has a line that is too long.
    """
    tally = Tally()
    for number, line in read_lines(path, tally=tally):
        yield number, line.removesuffix("\r")
    report_skipped(tally)  # NUL bytes


def plain_text_rows(path: Path) -> Iterator[tuple[str, str] | DataError]:
    """Yield the lines of a plain text, each with its place, file and line; an empty one as its error."""
    for number, line in read_text_lines(path):
        if line.strip():
            yield f"{path}:{number}", line
        else:
            yield DataError(f"{path}:{number}: the line is empty; drop it, as each line is one text")


def parse_json(text: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: It is not JSON, or spells half of a UTF-16 pair, which is no character and cannot be
            written to a file.
        RecursionError: It is nested too deeply.
    """
    value = json.loads(text)
    for half in _HALF_PAIR.finditer(text):
        # An odd number of backslashes before the u: otherwise the backslash itself is escaped.
        if (half.start() - len(text[: half.start()].rstrip("\\"))) % 2 == 0:
            raise json.JSONDecodeError(
                f"{half[0]} is half of a character; write it in full", text, half.start()
            )
    return value


def read_objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the JSON objects of a file, one a line, each with its line from 1.

    Raises:
        DataError: A line is not a JSON object; the message names file and line.
    """
    return strict(object_rows(path))


def object_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]] | DataError]:
    """Yield JSON objects as `read_objects` does; a line that is none as its error, in its place."""
    for line, text in read_text_lines(path):
        # Files joined end to end have a byte order mark in the middle.
        text = text.lstrip("\ufeff")  # noqa: PLW2901  # the mark is not part of the line
        if text.strip():
            yield attempt(_object, text, line, f"{path}:{line}")


def _object(text: str, line: int, where: str) -> tuple[int, dict[str, Any]]:
    try:
        fields = parse_json(text)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{where}: not a JSON object ({_reason(error)}); expected one on each line"
        ) from error
    if not isinstance(fields, dict):
        raise DataError(f"{where}: expected a JSON object, found {kind_of_value(fields)}")
    return line, fields


def _reason(error: Exception) -> str:
    """Return what is wrong with a line of JSON, and where in the line."""
    return (
        f"{error.msg} at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else str(error)
    )


def read_json(path: Path, *, expected: str) -> Any:
    """Return the content of a JSON file.

    Raises:
        DataError: The file cannot be read, or is not JSON in UTF-8; the message says what was `expected`.
    """
    try:
        return parse_json(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 (byte {error.start:,}); save the file as UTF-8") from error
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not JSON ({error.msg}); expected {expected}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({error}); expected {expected}") from error


def read_field(
    record: Any, name: str, kinds: type | tuple[type, ...], where: str, *, advice: str = ""
) -> Any:
    """Return the field `name` of a JSON object, whose value is of one of some `kinds`.

    Raises:
        DataError: It is missing, the message ends with `advice`, or its value is of another kind.
    """
    if not isinstance(record, Mapping):
        raise DataError(f"{where}: expected a JSON object with {name!r}, found {kind_of_value(record)}")
    if name not in record:
        hint = did_you_mean(name, list(record))
        also = f"; {advice}" if advice else ""
        raise DataError(f"{where}: no field {name!r}{hint}; found {', '.join(record) or 'none'}{also}")
    value = record[name]
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        expected = " or ".join(_KINDS[kind] for kind in kinds)
        raise DataError(f"{where}: expected {expected} in field {name!r}, found {kind_of_value(value)}")
    return value


def kind_of_value(value: object) -> str:
    """Return the kind of a JSON value, such as "a list"; a constant is its own: "true", "null"."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return _KINDS[type(value)]
