"""Records of .jsonl and .parquet files, and the lines of their text.

A record is (place, value): where it is, for messages, and the value of its field or column, which is a
string, bytes or a list of lines unless the file is wrong. Files are read a few rows at a time.
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
    read_lines,
    skip_or_refuse,
)
from albert.data.corpus.storage import one_line, open_stored, stored_bytes, version_of
from albert.errors import DataError

Record = tuple[str, Any]

BATCH_BYTES = 1 << 22
"""Text of a .parquet file that is decoded at a time, if its records are about equally long."""
MAX_BATCH_ROWS = 1 << 16


def read_file_records(file: str, reading: Reading, tally: Tally) -> Iterator[Record]:
    """Read the records of a .jsonl or .parquet file.

    Raises:
        DataError: The file is damaged or changes meanwhile, a .parquet file lacks the column; or a line of
            a .jsonl file is not a JSON object with the field and is not to be skipped.
    """
    read = _read_table if has_suffix(file, TABLE_SUFFIXES) else _read_json_lines
    return read(file, reading, tally)


def lines_of_records(records: Iterable[Record], reading: Reading, tally: Tally) -> Iterator[list[str]]:
    """Yield the non-empty stripped lines of each record, followed by an empty one.

    Raises:
        DataError: A record has no text, or an endless line, and is not to be skipped.
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
            skip_or_refuse(
                f"records with a line longer than {limit}", place, problem, reading=reading, tally=tally
            )
            continue
        lines.append("")
        yield lines


def _text_of(value: Any, place: str, reading: Reading, tally: Tally) -> str | None:
    """Return the text of a record; None if it has none and is skipped."""
    try:
        if isinstance(value, list):
            return "\n".join(_checked(line, reading) for line in value)
        return _checked(value, reading)
    except UnicodeError as error:
        kind, problem = "records that are not UTF-8", f"not text: {error.reason}"  # type: ignore[attr-defined]
        problem += "; fix the record" + (" or read it with --errors replace" if reading.is_chosen else "")
    except TypeError as error:
        kind = f"records whose field {reading.column!r} is not text"
        problem = f"field {reading.column!r} is {error}; expected a string or a list of strings"
    skip_or_refuse(kind, place, problem, reading=reading, tally=tally)
    return None


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
        elif reading.column not in record:
            found = ", ".join(map(repr, list(record)[:8])) or "none"
            problem = f"the record lacks the field {reading.column!r}; its fields: {found}; see --column"
            kind = f"records without the field {reading.column!r}"
            skip_or_refuse(kind, place, problem, reading=reading, tally=tally)
        else:
            yield place, record[reading.column]


def _read_table(file: str, reading: Reading, tally: Tally) -> Iterator[Record]:
    """Read one column of a .parquet file, a few rows at a time."""
    version = version_of(file)
    size = stored_bytes(file) or 0
    row = counted = 0
    with open_stored(file) as stored:
        try:
            # Fetches pages when they are needed, not whole columns in advance.
            table = pq.ParquetFile(stored, pre_buffer=False, buffer_size=1 << 20)
            batch_rows = _batch_rows(table, file, reading.column)
            for batch in table.iter_batches(batch_size=batch_rows, columns=[reading.column]):
                for value in _as_bytes(batch.column(0)).to_pylist():
                    row += 1
                    yield f"{file}:row {row}", value
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


def _batch_rows(table: pq.ParquetFile, file: str, column: str) -> int:
    """Return how many rows to decode at a time; refuse a file without a text column of that name."""
    schema = table.schema_arrow
    if column not in schema.names:
        columns = ", ".join(map(repr, schema.names))
        raise DataError(f"{file}: no column {column!r}; its columns: {columns}; choose one with --column")
    kind = schema.field(column).type
    values = kind.value_type if hasattr(kind, "value_type") else kind
    if not any(is_kind(values) for is_kind in _TEXT_KINDS):
        raise DataError(f"{file}: column {column!r} holds {kind}; expected strings or lists of strings")
    groups = [table.metadata.row_group(i) for i in range(table.metadata.num_row_groups)]
    # Of all columns: reading damaged metadata of a single column crashes the whole process.
    row_bytes = sum(group.total_byte_size for group in groups) / max(1, table.metadata.num_rows)
    return int(min(max(1, BATCH_BYTES / max(1, row_bytes)), MAX_BATCH_ROWS))


def _as_bytes(column: pa.Array) -> pa.Array:
    """Return strings as the stored bytes, so that bad UTF-8 can be reported row by row."""
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
