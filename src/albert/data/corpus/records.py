"""Records of .jsonl, .csv, .tsv and .parquet files, and the lines of their text.

A record is (place, values): where it is, for messages, and the values of its chosen fields or columns by
name. Each is a string, bytes, a list of lines or nothing, unless the file is wrong. Together they are one
document. Files are read a few rows at a time.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from albert.data.corpus.files import (
    COMMA_SUFFIXES,
    MAX_LINE_BYTES,
    MAX_RECORD_BYTES,
    PARQUET_SUFFIXES,
    TAB_SUFFIXES,
    Reading,
    Tally,
    check_unchanged,
    has_suffix,
    read_lines,
    skip_or_refuse,
)
from albert.data.corpus.separated import separator_hint, split_rows
from albert.data.corpus.storage import one_line, open_stored, stored_bytes, version_of
from albert.errors import DataError, did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

Record = tuple[str, Mapping[str, Any]]

BATCH_BYTES = 1 << 22
"""Text of a .parquet file that is decoded at a time, if its records are about equally long."""
MAX_BATCH_ROWS = 1 << 16
_HOW_TO_NAME = "name the one with the text: --column NAME"


def read_file_records(file: str, reading: Reading, tally: Tally) -> Iterator[Record]:
    """Read the records of a .jsonl, .csv, .tsv or .parquet file.

    Rows with more or fewer cells than the header line are skipped and counted.

    Raises:
        DataError: The file is damaged or changes meanwhile, a table lacks a column; or a line of a .jsonl
            file is not a JSON object with the fields, or a row of a .csv file is not CSV, and is not to be
            skipped.
    """
    if has_suffix(file, PARQUET_SUFFIXES):
        return _read_parquet(file, reading, tally)
    if has_suffix(file, (*COMMA_SUFFIXES, *TAB_SUFFIXES)):
        return _read_separated(file, reading, tally)
    return _read_json_lines(file, reading, tally)


def lines_of_records(records: Iterable[Record], reading: Reading, tally: Tally) -> Iterator[list[str]]:
    """Yield the non-empty stripped lines of each record, followed by an empty one.

    Records without text are skipped and counted.

    Raises:
        DataError: A record has something other than text, or an endless line, and is not to be skipped.
    """
    for place, values in records:
        text = _text_of(values, place, reading, tally)
        if text is None:
            continue
        if "\0" in text:
            tally.skip("NUL bytes", place, text.count("\0"))
            text = text.replace("\0", "")
        lines = [stripped for line in text.split("\n") if (stripped := line.strip())]
        if not lines:
            tally.skip("rows without text", place)
            continue
        if len(text) > MAX_LINE_BYTES and any(len(line) > MAX_LINE_BYTES for line in lines):
            limit = f"{MAX_LINE_BYTES >> 20} MiB"
            problem = (
                f"one endless line, longer than {limit}, in {', '.join(map(repr, values))}; break the text "
                "into lines"
            )
            skip_or_refuse(
                f"records with a line longer than {limit}", place, problem, reading=reading, tally=tally
            )
            continue
        lines.append("")
        yield lines


def _text_of(values: Mapping[str, Any], place: str, reading: Reading, tally: Tally) -> str | None:
    """Return the text of a record, its columns one after the other; None if it is skipped."""
    parts: list[str] = []
    for name, value in values.items():
        try:
            parts += _texts_of(value, reading)
        except UnicodeError as error:
            kind = "records that are not UTF-8"
            problem = f"not text: {error.reason}; fix the record"  # type: ignore[attr-defined]
            problem += " or read it with --errors replace" if reading.is_chosen else ""
        except TypeError as error:
            kind = f"records whose field {name!r} is not text"
            problem = f"field {name!r} is {error}; expected a string or a list of strings"
        else:
            continue
        skip_or_refuse(kind, place, problem, reading=reading, tally=tally)
        return None
    return "\n".join(parts)


def _texts_of(value: Any, reading: Reading) -> list[str]:
    if isinstance(value, list):
        return [_checked(line, reading) for line in value]
    return [] if value is None else [_checked(value, reading)]


def _checked(value: Any, reading: Reading) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", reading.errors)
    if not isinstance(value, str):
        raise TypeError("null" if value is None else type(value).__name__)
    # JSON can spell half a surrogate pair, which is not valid text.
    return value if value.isascii() else value.encode("utf-8", reading.errors).decode("utf-8")


def _read_json_lines(file: str, reading: Reading, tally: Tally) -> Iterator[Record]:
    lines = read_lines(file, reading=reading, tally=tally, max_line_bytes=MAX_RECORD_BYTES)
    for number, line in lines:
        if not line.strip():
            continue
        place = f"{file}:{number}"
        try:
            record = json.loads(line)
            problem = f"expected a JSON object, found {type(record).__name__}"
        except (ValueError, RecursionError) as error:
            record, problem = None, f"expected a JSON object, found bad JSON: {error}"
        if not isinstance(record, dict):
            skip_or_refuse("records that are not JSON objects", place, problem, reading=reading, tally=tally)
            continue
        names = reading.columns_of(record)
        missing = next((name for name in names if name not in record), None)
        if missing is None:
            yield place, {name: record[name] for name in names}
            continue
        problem = f"the record lacks the field {missing!r}; its fields: {_listed(record)}; {_HOW_TO_NAME}"
        kind = f"records without the field {missing!r}"
        skip_or_refuse(kind, place, problem, reading=reading, tally=tally)


def _read_separated(file: str, reading: Reading, tally: Tally) -> Iterator[Record]:
    """Read the chosen cells of each row of a .csv or .tsv file."""
    # A line that is not UTF-8 must not be skipped inside a row: its halves of pairs are found in the cells.
    decoding = replace(reading, errors="surrogateescape") if _skips_bytes(reading) else reading
    lines = read_lines(file, reading=decoding, tally=tally, max_line_bytes=MAX_RECORD_BYTES)
    rows = split_rows(
        file,
        ((number, line.removesuffix("\r")) for number, line in lines),
        is_tabbed=has_suffix(file, TAB_SUFFIXES),
        refuse=lambda place, problem: skip_or_refuse(
            "rows that are not CSV", place, problem, reading=reading, tally=tally
        ),
    )
    first, cells = next(rows, (0, []))
    if not first:
        return
    header = [name.strip() for name in cells]
    names = find_columns(f"{file}:{first}", header, reading)
    positions = [header.index(name) for name in names]
    for line, cells in rows:
        if len(cells) != len(header):
            tally.skip(
                f"rows with more or fewer than the {len(header)} cells of the header", f"{file}:{line}"
            )
        else:
            yield f"{file}:{line}", dict(zip(names, (cells[at] for at in positions), strict=True))


def _skips_bytes(reading: Reading) -> bool:
    return reading.skip_bad and reading.errors == "strict"


def find_columns(place: str, known: Collection[str], reading: Reading) -> tuple[str, ...]:
    """Return the names of the chosen columns of a table, all of which are `known`.

    Raises:
        DataError: The table lacks one; the message lists those that it has.
    """
    names = reading.columns_of(known)
    for name in names:
        if name not in known:
            hint = separator_hint(list(known)) or f"; {_HOW_TO_NAME}"
            raise DataError(
                f"{place}: no column {name!r}{did_you_mean(name, list(known))}; its columns: "
                f"{_listed(known)}{hint}"
            )
    return names


def _listed(names: Collection[str]) -> str:
    """Return names for a message, none longer than a line and no more than twenty."""
    shown = [repr(name[:40]) for name in list(names)[:20]]
    return ", ".join(shown + ["..."] * (len(names) > 20)) or "none"


def _read_parquet(file: str, reading: Reading, tally: Tally) -> Iterator[Record]:
    """Read the chosen columns of a .parquet file, a few rows at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    version = version_of(file)
    size = stored_bytes(file) or 0
    row = counted = 0
    with open_stored(file) as stored:
        try:
            # Fetches pages when they are needed, not whole columns in advance.
            table = pq.ParquetFile(stored, pre_buffer=False, buffer_size=1 << 20)
            names = find_columns(file, table.schema_arrow.names, reading)
            batch_rows = _batch_rows(table, file, names)
            for batch in table.iter_batches(batch_size=batch_rows, columns=list(names)):
                columns = [_as_bytes(batch.column(name)).to_pylist() for name in names]
                for values in zip(*columns, strict=True):
                    row += 1
                    yield f"{file}:row {row}", dict(zip(names, values, strict=True))
                # Bytes are estimated from rows: the file has other columns as well.
                reached = size * row // table.metadata.num_rows
                tally.bytes_read += reached - counted
                counted = reached
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"{file}: damaged Parquet file, noticed after row {row} ({one_line(error)}); fetch or write "
                "it again"
            ) from error
    check_unchanged(file, version)


def _batch_rows(table: "pq.ParquetFile", file: str, columns: Iterable[str]) -> int:
    """Return how many rows to decode at a time; refuse columns that hold no text."""
    from pyarrow import types

    kinds = (
        types.is_string,
        types.is_large_string,
        types.is_string_view,
        types.is_binary,
        types.is_large_binary,
    )
    for column in columns:
        kind = table.schema_arrow.field(column).type
        values = kind.value_type if hasattr(kind, "value_type") else kind
        if not any(is_kind(values) for is_kind in kinds):
            raise DataError(f"{file}: column {column!r} holds {kind}; expected strings or lists of strings")
    groups = [table.metadata.row_group(i) for i in range(table.metadata.num_row_groups)]
    # Of all columns: reading damaged metadata of a single column crashes the whole process.
    row_bytes = sum(group.total_byte_size for group in groups) / max(1, table.metadata.num_rows)
    return int(min(max(1, BATCH_BYTES / max(1, row_bytes)), MAX_BATCH_ROWS))


def _as_bytes(column: "pa.Array") -> "pa.Array":
    """Return strings as the stored bytes, so that bad UTF-8 can be reported row by row."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if hasattr(column.type, "value_type"):
        return column.cast(pa.large_list(pa.large_binary()))
    return column.cast(pa.large_binary())
