"""The sentences of raw text, one after the other, for commands that need no documents."""

from collections.abc import Iterator

from albert import console
from albert.data.corpus.documents import choose_splitting, read_documents, sentence_splitter
from albert.data.corpus.files import Tally, report_skipped, total_bytes
from albert.data.recognition import find_raw_files
from albert.data.settings import TextSettings


def read_sentences(settings: TextSettings, *, shows_progress: bool = True) -> Iterator[str]:
    """Yield the sentences of the input.

    Args:
        settings: Which text, and how it is read.
        shows_progress: Whether to show a progress bar; False where the caller shows its own.

    Raises:
        DataError: The text cannot be read, or there is none.
    """
    files = find_raw_files(settings.input)
    splitting = choose_splitting(
        settings.splitting, files, language=settings.language, reading=settings.reading
    )
    split = sentence_splitter(splitting, settings.language)
    tally = Tally()
    documents = read_documents(files, reading=settings.reading, tally=tally)
    if shows_progress:
        documents = _with_progress(documents, tally, total=total_bytes(files))
    for document in documents:
        yield from split(document)
    report_skipped(tally)


def _with_progress(documents: Iterator[list[str]], tally: Tally, *, total: int | None) -> Iterator[list[str]]:
    shown = 0
    with console.progress("reading", total=total, unit="B") as progress:
        for document in documents:
            progress.advance(tally.bytes_read - shown)
            shown = tally.bytes_read
            yield document
