"""`albert embed`: a vector for every text of a file.

Texts are read, encoded and written a thousand at a time, in the order of the file, so memory does not depend
on its size. Vectors go to a temporary file that gets its name when it is complete.
"""

import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from albert.choices import VectorType
from albert.commands.settings.embed import EmbedSettings
from albert.console import collected_notes, command_line, progress, say, without_notes
from albert.errors import DataError
from albert.inference.embedding import Embedder
from albert.inference.quantization import quantized_file, write_steps
from albert.inference.read_ahead import read_ahead
from albert.inference.sentence_transformers import write_sentence_transformers
from albert.tasks.bad_rows import ADVICE, BadRows, SkippedRow, each
from albert.tasks.cuts import Cuts
from albert.tasks.features import TextFeatures
from albert.tasks.tables import Columns, Row, check_text, table_rows
from albert.tasks.text_files import plain_text_rows
from albert.training.record import settings_as_json
from albert.training.versions import versions
from albert.writing import replacing

__all__ = ["EmbedSettings", "embed"]

TEXTS_AT_ONCE = 1024
_READ_BYTES = 1 << 20


def embed(settings: EmbedSettings) -> dict[str, object]:
    """Write the vectors, the folder, or both, and return what was written.

    Raises:
        AlbertError: The model or the input cannot be read; an earlier output stays unchanged.
    """
    embedder = Embedder.open(
        settings.model,
        pooling=settings.pooling,
        normalize=settings.normalize,
        max_seq_length=settings.max_seq_length,
        prompt=settings.prompt,
        dimensions=settings.dimensions,
        depth=settings.depth,
        device=settings.device,
        dtype=settings.dtype,
    )
    result: dict[str, object] = {}
    if settings.input is not None and settings.output is not None:
        if settings.on_bad_row == "error":
            with without_notes():
                for _ in _read(settings.input, settings.text_column, BadRows(advice=ADVICE)):
                    pass
        bad_rows = BadRows(settings.on_bad_row, advice=ADVICE, keeps_place=True)
        texts = _read(settings.input, settings.text_column, bad_rows)
        with collected_notes() as notes:
            cuts = _write(
                settings.output,
                embedder,
                texts,
                total=_count_lines(settings.input),
                dtype=settings.output_dtype,
            )
        if cuts.cut:
            say(f"{settings.input}: {cuts}")
        count = cuts.total + bad_rows.count
        result = {"output": str(settings.output), "texts": count, "dimension": embedder.dimension}
        result["lengths"] = cuts.to_dict()
        if bad_rows.count:
            result["skipped"] = bad_rows.count
        if notes:
            result["notes"] = notes
    if settings.sentence_transformers is not None:
        record = {"command": "embed", "settings": settings_as_json(settings), "versions": versions()}
        write_sentence_transformers(settings.sentence_transformers, embedder, record=record)
        result["sentence_transformers"] = str(settings.sentence_transformers)
    else:
        result["next"] = command_line("embed", model=settings.model, sentence_transformers="FOLDER")
    return result


def _read(path: Path, column: str, bad_rows: BadRows) -> Iterator[str | SkippedRow]:
    """Yield the texts of the input.

    Raises:
        DataError: It cannot be read, or texts are empty; the message names files and lines.
    """
    if path.suffix == ".txt":
        lines = each(plain_text_rows(path), lambda line: line[1])
    else:
        lines = each(
            table_rows(path, Columns(required=(column,), how_to_name="--text-column")),
            lambda row: _text_of(row, path, column),
        )
    return bad_rows.sift(lines)


def _text_of(row: Row, path: Path, column: str) -> str:
    check_text(row.cells[0], column, f"{path}:{row.line}")
    return row.cells[0]


def _write(
    output: Path,
    embedder: Embedder,
    texts: Iterator[str | SkippedRow],
    *,
    total: int | None,
    dtype: VectorType,
) -> Cuts:
    """Write the vectors of `texts` in a type, and return how many texts were cut."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with replacing(output) as temporary:
        if dtype == "float32":
            return _write_float32(temporary, embedder, texts, total=total)
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=".") as folder:
            exact = Path(folder) / "vectors.npy"
            cuts = _write_float32(exact, embedder, texts, total=total)
            steps = quantized_file(exact, temporary, dtype)
        if steps:
            write_steps(output.with_suffix(".json"), steps)
        return cuts


def _write_float32(
    path: Path, embedder: Embedder, texts: Iterator[str | SkippedRow], *, total: int | None
) -> Cuts:
    """Write the vectors of `texts` and return how many were cut."""
    count, cuts = 0, Cuts()
    with (
        path.open("wb") as file,
        progress("embedding", total=total, unit=" texts") as bar,
    ):
        _write_header(file, 0, embedder.dimension)
        start = file.tell()
        for is_text, features in read_ahead(_encoded(embedder, texts, cuts)):
            vectors = np.full((len(is_text), embedder.dimension), np.nan, np.float32)
            vectors[is_text] = embedder.vectors(features)
            file.write(vectors.tobytes())
            count += len(vectors)
            bar.advance(len(vectors))
        if not count:
            raise DataError("the input holds no texts; expected one or more")
        # numpy pads the header, so the one with the final number of rows fits over the first.
        file.seek(0)
        _write_header(file, count, embedder.dimension)
        assert file.tell() == start
    return cuts


def _encoded(
    embedder: Embedder, texts: Iterator[str | SkippedRow], cuts: Cuts
) -> Iterator[tuple[NDArray[np.bool_], TextFeatures]]:
    """Yield some rows at a time: which of them are texts, (B,), and these as tokens."""
    while batch := list(islice(texts, TEXTS_AT_ONCE)):
        usable = [text for text in batch if isinstance(text, str)]
        yield np.array([isinstance(text, str) for text in batch]), embedder.encode(usable, cuts=cuts)


def _write_header(file: BinaryIO, num_rows: int, dimension: int) -> None:
    layout = {"descr": "<f4", "fortran_order": False, "shape": (num_rows, dimension)}
    np.lib.format.write_array_header_1_0(file, layout)


def _count_lines(path: Path) -> int | None:
    """Return the number of lines of a file, about that of its texts; None if it cannot be read twice."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            blocks = iter(lambda: file.read(_READ_BYTES), b"")
            return sum(block.count(b"\n") for block in blocks)
    except OSError:
        return None  # Reading the texts reports the error.
