"""Rows of tables whose cells are separated by commas or tabs, split as a stream.

- `.csv`: separated by commas; a cell in quotation marks may hold commas and line ends.
- `.tsv`: separated by tabs alone; quotation marks are ordinary characters (GLUE has unpaired ones).

A row is (number of its first line, from 1; its cells). Blank lines are dropped.
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence

from albert.data.corpus.files import MAX_RECORD_BYTES
from albert.errors import DataError

Row = tuple[int, list[str]]

_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars", ",": "commas"}


def split_rows(
    file: str,
    lines: Iterable[tuple[int, str]],
    *,
    is_tabbed: bool,
    refuse: Callable[[str, str], object] | None = None,
) -> Iterator[Row]:
    """Yield the rows of a table, the header line included.

    Args:
        file: Name of the file, for messages.
        lines: Numbers and texts of its lines, without line ends.
        is_tabbed: Whether tabs separate the cells; otherwise commas do.
        refuse: Called with the place and the problem of a row whose quotation marks make no sense, which is
            then skipped; None: such a row is an error.

    Raises:
        DataError: Lines end in a carriage return alone, or a row is not CSV and `refuse` is None.
    """
    rows = _split_tabs(lines) if is_tabbed else _split_commas(file, lines, refuse or _raise)
    for count, (line, cells) in enumerate(rows):
        if not count and any("\r" in cell for cell in cells):
            raise DataError(
                f"{file}:{line}: lines end in a carriage return alone; convert the file: "
                "tr '\\r' '\\n' < OLD > NEW"
            )
        yield line, cells


def separator_hint(header: Sequence[str]) -> str:
    """Return what to do about a header line of a single cell that has other separators in it, or ""."""
    if len(header) != 1:
        return ""
    sign = max(_OTHER_SEPARATORS, key=header[0].count)
    if sign not in header[0]:
        return ""
    return (
        f"; the columns seem to be separated by {_OTHER_SEPARATORS[sign]}: write the table again, .csv with "
        "commas or .tsv with tabs"
    )


def _split_tabs(lines: Iterable[tuple[int, str]]) -> Iterator[Row]:
    for line, text in lines:
        if text:
            yield line, text.split("\t")


def _split_commas(
    file: str, lines: Iterable[tuple[int, str]], refuse: Callable[[str, str], object]
) -> Iterator[Row]:
    # A cell may be a whole document. The limit is that of the process, and is only ever raised.
    csv.field_size_limit(max(MAX_RECORD_BYTES, csv.field_size_limit()))
    # Line ends are put back: inside quotation marks they belong to the cell.
    reader = csv.reader((f"{text}\n" for _, text in lines), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            reason = str(error).partition(" - ")[0]  # without advice to programmers
            refuse(f"{file}:{line}", f"not a row of CSV ({reason}); check the quotation marks")
            continue
        if cells is None:
            return
        if cells:
            yield line, cells


def _raise(place: str, problem: str) -> None:
    raise DataError(f"{place}: {problem}")
