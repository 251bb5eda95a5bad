"""English prose that comes with every Python: the docstrings of its standard library and its `help` topics.

Modules are read with `ast` and never imported. A document is one docstring (of a module, a class or a
function) or one topic, because there is no sentence order to learn across docstrings. Documents are cleaned
to sentences, and repeated sentences are dropped, so that no held-out sentence occurs elsewhere. The sentences
of the largest packages also become the tables of a classifier.
"""

import ast
import json
import re
import sysconfig
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import sentencex

from albert import console
from albert.data.corpus.storage import write_whole
from albert.errors import DataError

TOPICS = "pydoc_data"
"""Package of the `help` topics, the chapters of the language reference."""
TRAIN_FILE, DEV_FILE = "train.tsv", "dev.tsv"
NUM_PACKAGES = 8
MIN_DOCUMENTS = 20
"""Documents a package needs to become a label; fewer could not be split."""

_SKIPPED_FOLDERS = {"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__"}
_WORD = re.compile(r"[A-Za-z][a-z']+")
_ITEM = re.compile(r"^\s*(?:[-*+•]|\d+[.)])\s+")
_MARKUP = re.compile(r"\*\*|``|:[a-z]+:(?=`)|`")
_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One docstring or topic."""

    package: str
    """Top-level module it belongs to, such as `email`."""
    sentences: tuple[str, ...]
    """At least one."""


def standard_library() -> Path:
    """Return the folder of the running Python's standard library."""
    return Path(sysconfig.get_path("stdlib"))


def find_documents(library: Path) -> list[Document]:
    """Read the documentation of all modules in `library`, in the order of their paths.

    Raises:
        DataError: No module has documentation.
    """
    files = [
        path for path in sorted(library.rglob("*.py"))
        if not _SKIPPED_FOLDERS.intersection(path.relative_to(library).parts)
    ]  # fmt: skip
    seen: set[str] = set()
    documents = []
    with console.progress("reading documentation", total=len(files), unit=" files") as bar:
        for path in files:
            relative = path.relative_to(library)
            package = relative.parts[0].removesuffix(".py").removeprefix("_py").lstrip("_")
            cleaned = (_new_sentences(text, seen) for text in _read_texts(path))
            documents += [Document(package=package, sentences=found) for found in cleaned if found]
            bar.advance(1, str(relative.parts[0]))
    if not documents:
        raise DataError(f"{library}: no Python source with documentation; expected a standard library")
    return documents


def write_documents(path: Path, library: Path) -> None:
    """Write the documents of `library` to `path`, as JSON lines with `package` and `text`."""
    documents = find_documents(library)
    rows = ({"package": d.package, "text": "\n".join(d.sentences)} for d in documents)
    write_whole(path, "".join(json.dumps(row) + "\n" for row in rows).encode())
    console.say(f"{path}: {len(documents):,} documents, {path.stat().st_size / 1e6:.2f} MB")


def read_documents(path: Path) -> list[Document]:
    """Read what `write_documents` wrote."""
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [Document(package=row["package"], sentences=tuple(row["text"].split("\n"))) for row in rows]


def split_sentences(text: str) -> list[str]:
    """Return the sentences of a docstring, without examples, tables, signatures and other non-prose."""
    found = []
    for paragraph in _paragraphs(text):
        for sentence in sentencex.segment("en", _MARKUP.sub("", paragraph)):
            stripped = " ".join(sentence.split())
            if _is_prose(stripped):
                found.append(stripped)
    return found


def _read_texts(path: Path) -> Iterator[str]:
    """Yield the docstrings or topics of one file; nothing if this Python cannot parse it."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError):
        return
    if path.parent.name == TOPICS:
        yield from (
            node.value for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) > 500
        )  # fmt: skip
        return
    for node in ast.walk(tree):
        if isinstance(node, _Documented) and (text := ast.get_docstring(node)):
            yield text


def _new_sentences(text: str, seen: set[str]) -> tuple[str, ...]:
    """Return the sentences of `text` that are not in `seen`, and adds them to it."""
    new = []
    for sentence in split_sentences(text):
        key = " ".join(_WORD.findall(sentence.lower()))
        if key not in seen:
            seen.add(key)
            new.append(sentence)
    return tuple(new)


def _paragraphs(text: str) -> Iterator[str]:
    """Yield the paragraphs of a docstring, each as one line; list items are paragraphs of their own."""
    for block in re.split(r"\n\s*\n", text):
        if ">>>" in block:
            continue
        lines: list[str] = []
        for line in block.split("\n"):
            if lines and _ITEM.match(line):
                yield " ".join(lines)
                lines = []
            lines.append(_ITEM.sub("", line, count=1).strip())
        yield " ".join(lines)


def _is_prose(sentence: str) -> bool:
    """Return whether a sentence has at least four words and consists mostly of words."""
    words = _WORD.findall(sentence)
    return len(words) >= 4 and sum(map(len, words)) >= 0.6 * len(sentence.replace(" ", ""))


def choose_packages(documents: Sequence[Document]) -> list[str]:
    """Return the packages with the most sentences among those with enough documents.

    Raises:
        DataError: Fewer than two packages have enough documents.
    """
    num_documents = Counter(document.package for document in documents)
    num_sentences: Counter[str] = Counter()
    for document in documents:
        if document.package != TOPICS and num_documents[document.package] >= MIN_DOCUMENTS:
            num_sentences[document.package] += len(document.sentences)
    if len(num_sentences) < 2:
        raise DataError(
            f"found {len(num_sentences)} packages with {MIN_DOCUMENTS} documents or more; "
            "a classifier needs two; use a Python with its whole standard library"
        )
    return [package for package, _ in num_sentences.most_common(NUM_PACKAGES)]


def write_tables(folder: Path, documents: Iterable[Document], held_out: Iterable[bool]) -> None:
    """Write the sentences of the chosen packages as tables; held-out documents become the dev table."""
    pairs = list(zip(documents, held_out, strict=True))
    packages = choose_packages([document for document, _ in pairs])
    rows: dict[bool, list[str]] = {False: ["text\tlabel"], True: ["text\tlabel"]}
    for document, is_held_out in pairs:
        if document.package in packages:
            rows[is_held_out] += [f"{sentence}\t{document.package}" for sentence in document.sentences]
    folder.mkdir(parents=True, exist_ok=True)
    # The dev table is written last, so its existence means that both are complete.
    for is_held_out, name in ((False, TRAIN_FILE), (True, DEV_FILE)):
        write_whole(folder / name, ("\n".join(rows[is_held_out]) + "\n").encode())


def majority_share(folder: Path) -> float:
    """Return the accuracy of always predicting the dev table's most frequent label."""
    rows = (folder / DEV_FILE).read_text(encoding="utf-8").splitlines()[1:]
    counts = Counter(row.split("\t")[1] for row in rows)
    return max(counts.values()) / counts.total()
