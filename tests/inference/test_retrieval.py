"""Retrieval folders: how they are read, searched and scored."""

import json
from pathlib import Path

import numpy as np
import pytest

from albert.errors import DataError
from albert.inference import retrieval
from albert.inference.embedding import Embedder
from albert.inference.retrieval import read_retrieval, score_retrieval, scores_of_ranking
from samples.toy_task import write_encoder

DOCUMENTS = {f"d{n}": f"the {word} of it" for n, word in enumerate(("error", "value", "type", "true", "a"))}
QUERIES = {"q0": "the error of it", "q1": "the type of it"}


def write_folder(folder: Path, qrels: str = "q0\td0\t1\nq1\td2\t2\nq1\td3\t1\n") -> Path:
    (folder / "qrels").mkdir(parents=True)
    corpus = [{"_id": id_, "title": "", "text": text} for id_, text in DOCUMENTS.items()]
    queries = [{"_id": id_, "text": text} for id_, text in QUERIES.items()]
    for name, rows in (("corpus", corpus), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + qrels)
    return folder


def test_a_ranking_is_scored_as_trec_eval_does() -> None:
    relevance = {"a": 3.0, "b": 1.0, "c": 1.0}
    found = scores_of_ranking(["x", "b", "a", *"123456789", "c"], relevance)
    gained = 1 / np.log2(3) + 3 / np.log2(4)
    ideal = 3 / np.log2(2) + 1 / np.log2(3) + 1 / np.log2(4)
    assert found == pytest.approx(
        {
            "ndcg_at_10": gained / ideal,
            "mrr_at_10": 0.5,
            "recall_at_1": 0.0,
            "recall_at_10": 2 / 3,
            "recall_at_100": 1.0,
        }
    )


def test_the_own_text_is_found_whatever_the_size_of_a_block(
    tmp_path: Path, golden: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = Embedder.open(write_encoder(tmp_path / "encoder", golden), device="cpu")
    data = read_retrieval(write_folder(tmp_path / "folder"), split="test")
    whole = score_retrieval(embedder, data)
    assert whole["recall_at_1"] == pytest.approx(0.75), "the second query has two right documents"
    assert whole["baseline_ndcg_at_10"] > 0.9
    assert (whole["queries"], whole["documents"]) == (2, 5)
    monkeypatch.setattr(retrieval, "DOCUMENTS_AT_ONCE", 2)
    assert score_retrieval(embedder, data) == pytest.approx(whole)


def test_only_the_nearest_documents_are_kept(
    tmp_path: Path, golden: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieval, "KEPT", 1)
    embedder = Embedder.open(write_encoder(tmp_path / "encoder", golden), device="cpu")
    data = read_retrieval(write_folder(tmp_path / "folder"), split="test")
    assert score_retrieval(embedder, data)["recall_at_100"] == pytest.approx(0.75)


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl", "qrels"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    folder = write_folder(tmp_path / "folder")
    (folder / name).rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=f"no {name}; expected corpus.jsonl, queries.jsonl and qrels"):
        read_retrieval(folder, split="test")


def test_a_split_that_is_not_there_is_the_only_file_or_an_error(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder")
    assert len(read_retrieval(folder, split="dev").queries) == 2
    (folder / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n")
    with pytest.raises(DataError, match=r"expected dev.tsv, found test.tsv, train.tsv; name one .* --split"):
        read_retrieval(folder, split="dev")


def test_right_documents_that_the_corpus_lacks_are_an_error(tmp_path: Path, golden: Path) -> None:
    embedder = Embedder.open(write_encoder(tmp_path / "encoder", golden), device="cpu")
    data = read_retrieval(write_folder(tmp_path / "folder", "q0\td9\t1\n"), split="test")
    with pytest.raises(DataError, match="1 documents of qrels/ are not in it, such as 'd9'"):
        score_retrieval(embedder, data)


def test_ids_that_do_not_match_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no query of qrels/ is in it"):
        read_retrieval(write_folder(tmp_path / "folder", "other\td0\t1\n"), split="test")
