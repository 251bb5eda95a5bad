"""A classification task out of documentation: which package does this sentence document.

Writes the tables that `albert finetune --task classification` reads. A document lies in one table
with all of its sentences.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from albert.data.storage import write_whole
from albert.errors import DataError
from albert.recipes.documentation import TOPICS, Document

TRAIN_FILE, DEV_FILE = "train.tsv", "dev.tsv"
NUM_PACKAGES = 8
MIN_DOCUMENTS = 20
"""Documents a package needs to be a label; fewer could not be split."""


def choose_packages(documents: Sequence[Document]) -> list[str]:
    """Returns the packages with the most sentences, among those with enough documents.

    Raises:
        DataError: There are not two of them.
    """
    num_documents = Counter(document.package for document in documents)
    num_sentences: Counter[str] = Counter()
    for document in documents:
        if document.package != TOPICS and num_documents[document.package] >= MIN_DOCUMENTS:
            num_sentences[document.package] += len(document.sentences)
    if len(num_sentences) < 2:
        raise DataError(
            f"found {len(num_sentences)} packages with {MIN_DOCUMENTS} documents or more; "
            "a classifier needs two; run with a Python that has its whole standard library"
        )
    return [package for package, _ in num_sentences.most_common(NUM_PACKAGES)]


def write_tables(folder: Path, documents: Iterable[Document], held_out: Iterable[bool]) -> None:
    """Writes the sentences of the chosen packages as tables; documents held out become the dev table."""
    pairs = list(zip(documents, held_out, strict=True))
    packages = choose_packages([document for document, _ in pairs])
    rows: dict[bool, list[str]] = {False: ["text\tlabel"], True: ["text\tlabel"]}
    for document, is_held_out in pairs:
        if document.package in packages:
            rows[is_held_out] += [f"{sentence}\t{document.package}" for sentence in document.sentences]
    folder.mkdir(parents=True, exist_ok=True)
    # The dev table is written last and so vouches for both.
    for is_held_out, name in ((False, TRAIN_FILE), (True, DEV_FILE)):
        write_whole(folder / name, ("\n".join(rows[is_held_out]) + "\n").encode())


def majority_share(folder: Path) -> float:
    """Returns the share of the dev table's most frequent label: what naming it every time gets right."""
    rows = (folder / DEV_FILE).read_text(encoding="utf-8").splitlines()[1:]
    counts = Counter(row.split("\t")[1] for row in rows)
    return max(counts.values()) / counts.total()
