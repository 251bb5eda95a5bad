"""How well an encoder finds texts: a retrieval folder scored by exact search.

The folder has the layout of BEIR: `corpus.jsonl` and `queries.jsonl` with `_id`, `text` and perhaps `title`,
and `qrels/*.tsv` with query, document and relevance. The corpus is read in blocks, of which each query keeps
its nearest documents, so memory grows with the queries alone. The baseline compares words, each weighted by
its rarity, in the same way.
Letters: Q queries, B documents of a block, D size of a vector.
Source: Thakur et al. (2021), BEIR, section 3; the scores are those of trec_eval.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albert.console import progress, warn
from albert.errors import DataError
from albert.inference.embedding import Embedder
from albert.tasks.similarity.overlap import words_of
from albert.tasks.tables import Columns, parse_number, table_rows
from albert.tasks.text_files import read_field, read_objects

DOCUMENTS_AT_ONCE = 2048
KEPT = 100
"""Nearest documents that each query keeps: those that the scores look at."""

Relevance = Mapping[str, Mapping[str, float]]
"""Relevance of documents, by query and document; those that are not named have none."""
Compare = Callable[[Sequence[str]], NDArray[np.float32]]
"""Function from the texts of a block to their similarities to all queries, (Q, B)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalData:
    """A retrieval folder: its queries and which documents are right for them."""

    folder: Path
    """Where it is."""
    queries: Mapping[str, str]
    """Texts of the queries that have a right document, by id."""
    relevance: Relevance
    """Their right documents."""

    def documents(self) -> Iterator[tuple[str, str]]:
        """Yield id and text of every document, its title before it.

        Raises:
            DataError: The file cannot be read, or a line is no document.
        """
        path = self.folder / "corpus.jsonl"
        for line, row in read_objects(path):
            where = f"{path}:{line}"
            title = read_field(row, "title", (str, type(None)), where) if "title" in row else None
            text = read_field(row, "text", str, where)
            yield str(read_field(row, "_id", (str, int), where)), f"{title} {text}" if title else text


def read_retrieval(folder: Path, *, split: str) -> RetrievalData:
    """Read the queries of a retrieval folder, and their right documents.

    Raises:
        DataError: A file is missing or damaged, or no query has a right document.
    """
    for name in ("corpus.jsonl", "queries.jsonl", "qrels"):
        if not (folder / name).exists():
            raise DataError(
                f"{folder}: no {name}; expected corpus.jsonl, queries.jsonl and qrels/{split}.tsv, as "
                "BEIR has"
            )
    relevance = _read_relevance(folder / "qrels", split)
    path = folder / "queries.jsonl"
    queries = {}
    for line, row in read_objects(path):
        id_ = str(read_field(row, "_id", (str, int), f"{path}:{line}"))
        if relevance.get(id_):
            queries[id_] = read_field(row, "text", str, f"{path}:{line}")
    if not queries:
        raise DataError(f"{path}: no query of qrels/ is in it; expected the same ids in both")
    if missing := len(relevance) - len(queries):
        warn(f"{path}: {missing:,} queries of qrels/ are not in it, and not scored")
    return RetrievalData(folder=folder, queries=queries, relevance=relevance)


def score_retrieval(embedder: Embedder, data: RetrievalData) -> dict[str, float]:
    """Return the scores of an encoder, and those of comparing words as `baseline_...`.

    Raises:
        DataError: The corpus cannot be read, or lacks right documents.
    """
    texts = list(data.queries.values())
    queries = _unit(embedder.embed(texts))

    def nearness(block: Sequence[str]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = queries @ _unit(embedder.embed(block)).T
        return found

    num_documents, found = _search(data, nearness, name="embedding the corpus")
    _, by_words = _search(data, _word_nearness(data, texts), name="comparing words")
    baseline = _scores(data, by_words)
    return {
        "queries": len(texts),
        "documents": num_documents,
        **_scores(data, found),
        **{f"baseline_{name}": value for name, value in baseline.items()},
    }


def _read_relevance(folder: Path, split: str) -> dict[str, dict[str, float]]:
    """Read the file of a split, or the only one there is."""
    files = sorted(folder.glob("*.tsv"))
    named = [path for path in files if path.stem == split]
    if len(named or files) != 1:
        names = ", ".join(path.name for path in files) or "none"
        raise DataError(f"{folder}: expected {split}.tsv, found {names}; name one of them with --split")
    (path,) = named or files
    found: dict[str, dict[str, float]] = {}
    for row in _rows(path):
        query, document, relevance = row.cells
        value = parse_number(relevance, f"{path}:{row.line}")
        if value > 0:
            found.setdefault(query, {})[document] = value
    return found


def _rows(path: Path) -> Iterator[Any]:
    for row in table_rows(path, Columns(required=("query-id", "corpus-id", "score"), how_to_name="")):
        if isinstance(row, DataError):
            raise row
        yield row


def _search(data: RetrievalData, compare: Compare, *, name: str) -> tuple[int, list[list[str]]]:
    """Return the number of documents, and the ids of the nearest to each query, the nearest first."""
    best = np.full((len(data.queries), 0), -np.inf, np.float32)
    ids: NDArray[np.object_] = np.empty((len(data.queries), 0), object)
    documents, count = data.documents(), 0
    wanted = {document for query in data.queries for document in data.relevance[query]}
    with progress(name, total=None, unit=" documents") as bar:
        while block := list(islice(documents, DOCUMENTS_AT_ONCE)):
            scores = np.concatenate([best, compare([text for _, text in block])], axis=1)
            names = np.broadcast_to(np.array([id_ for id_, _ in block], object), (len(ids), len(block)))
            all_ids = np.concatenate([ids, names], axis=1)
            order = np.argsort(-scores, axis=1, kind="stable")[:, :KEPT]
            best, ids = np.take_along_axis(scores, order, 1), np.take_along_axis(all_ids, order, 1)
            wanted -= {id_ for id_, _ in block}
            count += len(block)
            bar.advance(len(block))
    if wanted:
        raise DataError(
            f"{data.folder / 'corpus.jsonl'}: {len(wanted):,} documents of qrels/ are not in it, such as "
            f"{min(wanted)!r}; fetch the whole corpus"
        )
    return count, ids.tolist()


def _word_nearness(data: RetrievalData, queries: Sequence[str]) -> Compare:
    """Return the comparison of words, each weighted by its rarity in the corpus."""
    from scipy.sparse import csr_array

    spread: Counter[str] = Counter()
    total = 0
    for _, text in data.documents():
        spread.update(set(words_of(text)))
        total += 1
    columns = {word: number for number, word in enumerate({w for text in queries for w in words_of(text)})}

    def table(texts: Sequence[str]) -> Any:
        places, values = [], []
        for number, text in enumerate(texts):
            counts = Counter(words_of(text))
            weights = {w: c * math.log(1 + total / (1 + spread[w])) for w, c in counts.items()}
            size = math.sqrt(sum(value * value for value in weights.values())) or 1.0
            for word in weights.keys() & columns.keys():
                places.append((number, columns[word]))
                values.append(weights[word] / size)
        rows, cells = np.array(places, np.int64).reshape(-1, 2).T
        return csr_array((values, (rows, cells)), shape=(len(texts), len(columns)))

    asked = table(queries)
    return lambda block: (asked @ table(block).T).toarray().astype(np.float32)


def _scores(data: RetrievalData, found: Sequence[Sequence[str]]) -> dict[str, float]:
    """Return the mean scores of the queries."""
    rows = [
        scores_of_ranking(ranking, data.relevance[query])
        for query, ranking in zip(data.queries, found, strict=True)
    ]
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def scores_of_ranking(ranking: Sequence[str], relevance: Mapping[str, float]) -> dict[str, float]:
    """Return the scores of one query: nDCG@10, the reciprocal rank within 10, recall@1, @10 and @100."""
    gains = [relevance.get(document, 0.0) for document in ranking]
    ideal = sorted(relevance.values(), reverse=True)
    first = next((place for place, gain in enumerate(gains[:10]) if gain), None)
    return {
        "ndcg_at_10": _discounted(gains[:10]) / _discounted(ideal[:10]),
        "mrr_at_10": 0.0 if first is None else 1 / (1 + first),
        **{f"recall_at_{k}": sum(map(bool, gains[:k])) / len(relevance) for k in (1, 10, 100)},
    }


def _discounted(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(2 + place) for place, gain in enumerate(gains))


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return found
