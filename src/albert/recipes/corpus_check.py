"""What `albert prepare --check` does: reads a sample of a corpus and says what is wrong with it."""

from collections.abc import Iterator, Sequence

from albert.data.corpus import LineMeaning, read_documents, sentence_splitter
from albert.data.files import Reading, Tally, report_skipped, total_bytes
from albert.data.inspection import Report, inspect
from albert.text.tokenizer import AlbertTokenizer

SAMPLE_CHARACTERS = 20_000_000
SAMPLE_FILES = 20
"""The sample is the beginning of so many files, spread evenly over the corpus."""


def check_corpus(
    files: Sequence[str],
    tokenizer: AlbertTokenizer,
    *,
    reading: Reading,
    splitting: LineMeaning,
    language: str,
    max_seq_length: int,
    pieces_per_second: float,
) -> Report:
    """Inspects a sample of a corpus and writes nothing.

    Raises:
        DataError: The sample cannot be read, or has no text.
    """
    tally = Tally()
    report = inspect(
        _sample(files, reading, tally),
        sentence_splitter(splitting, language),
        tokenizer,
        sampled_bytes=lambda: tally.bytes_read,
        total_bytes=total_bytes(files),
        max_seq_length=max_seq_length,
        pieces_per_second=pieces_per_second,
    )
    report_skipped(tally)
    return report


def _sample(files: Sequence[str], reading: Reading, tally: Tally) -> Iterator[list[str]]:
    chosen = files[:: -(-len(files) // SAMPLE_FILES)]
    for file in chosen:
        room = SAMPLE_CHARACTERS // len(chosen)
        for document in read_documents([file], reading=reading, tally=tally):
            yield document
            room -= sum(map(len, document))
            if room <= 0:
                break
