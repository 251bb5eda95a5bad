"""Reads .jsonl and .parquet files as records, and makes lines of what their text field holds.

Stands above `files` and below `corpus`. A record is (place, value): where it stands, for messages, and
what its field or column holds, which is a string, bytes or a list of lines if all is well.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from albert.data.corpus.files import (
    MAX_LINE_BYTES,
    MAX_RECORD_BYTES,
    TABLE_SUFFIXES,
    Reading,
    Tally,
    check_unchanged,
    has_suffix,
    leave_out,
    read_lines,
)
from albert.data.corpus.storage import one_line, open_stored, stored_bytes, version_of
from albert.errors import DataError

Record = tuple[str, Any]

BATCH_BYTES = 1 << 22
"""Text of a .parquet file that is decoded at a time, where its records are of about equal length."""
MAX_BATCH_ROWS = 1 << 16


def read_file_records(file: str, reading: Reading, tally: Tally) -> Iterator[Record]:
    """Reads the records of a .jsonl or .parquet file.

    Raises:
        DataError: The file is damaged or changes meanwhile, a .parquet file lacks the column; or, unless
            such are left out, a line of a .jsonl file is no JSON object with the field.
    """
    read = _read_table if has_suffix(file, TABLE_SUFFIXES) else _read_json_lines
    return read(file, reading, tally)


def lines_of_records(records: Iterable[Record], reading: Reading, tally: Tally) -> Iterator[list[str]]:
    """Yields for each record its non-empty stripped lines and, behind them, an empty one.

    Raises:
        DataError: A record holds no text, or an endless line, and such are not left out.
    """
    for place, value in records:
        text = _text_of(value, place, reading, tally)
        if text is None:
            continue
        if "\0" in text:
            tally.skip("NUL bytes", place, text.count("\0"))
            text = text.replace("\0", "")
        lines = [stripped for line in text.split("\n") if (stripped := line.strip())]
        if len(text) > MAX_LINE_BYTES and any(len(line) > MAX_LINE_BYTES for line in lines):
            limit = f"{MAX_LINE_BYTES >> 20} MiB"
            problem = (
                f"one endless line, longer than {limit}, in the field {reading.column!r}; break the text "
                "into lines"
            )
            leave_out(
                f"records with a line longer than {limit}", place, problem, reading=reading, tally=tally
            )
            continue
        lines.append("")
        yield lines


def _text_of(value: Any, place: str, reading: Reading, tally: Tally) -> str | None:
    """Returns the text of a record; None where there is none and such records are left out."""
    try:
        if isinstance(value, list):
            return "\n".join(_checked(line, reading) for line in value)
        return _checked(value, reading)
    except UnicodeError as error:
        kind, problem = "records that are not UTF-8", f"not text: {error.reason}"  # type: ignore[attr-defined]
        problem += "; mend the record or read it with --errors replace"
    except TypeError as error:
        kind = f"records whose field {reading.column!r} is no text"
        problem = f"field {reading.column!r} is {error}; expected a string or a list of strings"
    leave_out(kind, place, problem, reading=reading, tally=tally)
    return None


def _checked(value: Any, reading: Reading) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", reading.errors)
    if not isinstance(value, str):
        raise TypeError("null" if value is None else type(value).__name__)
    # JSON can spell half a surrogate pair, which is no text.
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
            leave_out("records that are no JSON objects", place, problem, reading=reading, tally=tally)
        elif reading.column not in record:
            found = ", ".join(map(repr, list(record)[:8])) or "none"
            problem = f"the record lacks the field {reading.column!r}; its fields: {found}; see --column"
            kind = f"records without the field {reading.column!r}"
            leave_out(kind, place, problem, reading=reading, tally=tally)
        else:
            yield place, record[reading.column]


def _read_table(file: str, reading: Reading, tally: Tally) -> Iterator[Record]:
    """Reads one column of a .parquet file, some rows at a time."""
    version = version_of(file)
    size = stored_bytes(file) or 0
    row = counted = 0
    with open_stored(file) as stored:
        try:
            # Pages are fetched as they are needed, not whole columns ahead.
            table = pq.ParquetFile(stored, pre_buffer=False, buffer_size=1 << 20)
            batch_rows = _batch_rows(table, file, reading.column)
            for batch in table.iter_batches(batch_size=batch_rows, columns=[reading.column]):
                for value in _as_bytes(batch.column(0)).to_pylist():
                    row += 1
                    yield f"{file}:row {row}", value
                # Rows stand for bytes: other columns are stored among them.
                reached = size * row // table.metadata.num_rows
                tally.bytes_read += reached - counted
                counted = reached
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"{file}: damaged Parquet file, found behind row {row} ({one_line(error)}); fetch or write "
                "it again"
            ) from error
    check_unchanged(file, version)


def _batch_rows(table: pq.ParquetFile, file: str, column: str) -> int:
    """Returns how many rows to decode at a time; refuses a file without a text column of that name."""
    schema = table.schema_arrow
    if column not in schema.names:
        columns = ", ".join(map(repr, schema.names))
        raise DataError(f"{file}: no column {column!r}; its columns: {columns}; choose one with --column")
    kind = schema.field(column).type
    values = kind.value_type if hasattr(kind, "value_type") else kind
    if not any(is_kind(values) for is_kind in _TEXT_KINDS):
        raise DataError(f"{file}: column {column!r} holds {kind}; expected strings or lists of strings")
    groups = [table.metadata.row_group(i) for i in range(table.metadata.num_row_groups)]
    # Of all columns: what the metadata says of single ones ends the whole process where it is damaged.
    row_bytes = sum(group.total_byte_size for group in groups) / max(1, table.metadata.num_rows)
    return int(min(max(1, BATCH_BYTES / max(1, row_bytes)), MAX_BATCH_ROWS))


def _as_bytes(column: pa.Array) -> pa.Array:
    """Returns strings as the bytes they are stored as: only so can bad UTF-8 be told row by row."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if hasattr(column.type, "value_type"):
        return column.cast(pa.large_list(pa.large_binary()))
    return column.cast(pa.large_binary())


_TEXT_KINDS = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_binary,
    pa.types.is_large_binary,
)
