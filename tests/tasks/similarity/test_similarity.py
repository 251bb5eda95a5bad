"""Texts compared by their vectors: scores and pairs, from files to a folder of sentence-transformers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from albert.cli.main import run
from albert.commands.finetune import FinetuneSettings, finetune
from albert.errors import ConfigError, DataError
from albert.inference.embedding import Embedder
from albert.inference.pipelines import pipeline
from albert.inference.sentence_transformers import write_sentence_transformers
from albert.inference.trained_model import open_trained
from albert.model.similarity import AlbertForSimilarity
from albert.tasks.catalogue import find_task, solver_of
from albert.tasks.similarity.features import SeparateFeatures
from albert.tasks.similarity.form import in_form
from albert.tasks.similarity.overlap import overlaps
from albert.tasks.similarity.solver import TEMPERATURE, PairsObjective, PairsSolver, SimilarityObjective
from samples.teachers import teacher_config
from samples.toy_task import write_encoder, write_table


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory, golden: Path) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder"), golden)


@pytest.fixture(scope="module")
def sentence_encoder(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The encoder as a folder of sentence-transformers, which normalises its vectors."""
    folder = tmp_path_factory.mktemp("sentences") / "encoder"
    embedder = Embedder.open(encoder, normalize=True, device="cpu", max_seq_length=16)
    write_sentence_transformers(folder, embedder, record={"command": "test", "settings": {}})
    return folder


WORDS = ("error", "value", "type", "true", "reference")


def write_scores(folder: Path) -> Path:
    """Two texts are similar if they have a word of a few in common."""
    draw = np.random.default_rng(0)
    rows: list[tuple[str, ...]] = []
    for number in range(64):
        a, b = draw.choice(WORDS, 2, replace=False)
        second = a if number % 2 else b
        rows.append((f"the {a} of it", f"a {second} is this", "5" if number % 2 else "1"))
    for split in ("train", "dev"):
        write_table(folder / f"{split}.tsv", rows, "sentence1", "sentence2", "score")
    return folder


def write_pairs(folder: Path, *, negatives: bool) -> Path:
    rows = [(f"the {w}", f"this is a {w}", "of the type") for w in WORDS for _ in range(4)]
    header = ("anchor", "positive", "negative") if negatives else ("anchor", "positive")
    for split in ("train", "dev"):
        write_table(folder / f"{split}.tsv", [row[: len(header)] for row in rows], *header)
    return folder


def settings(encoder: Path, data: Path, output: Path, **changes: Any) -> FinetuneSettings:
    given = {
        "task": "similarity", "model": str(encoder), "data": data, "output": output, "max_steps": 60,
        "batch_size": 16, "max_seq_length": 16, "learning_rate": 3e-3, "eval_steps": 60, "device": "cpu",
    }  # fmt: skip
    return FinetuneSettings(**(given | changes))


def small_model() -> AlbertForSimilarity:
    torch.manual_seed(0)
    return AlbertForSimilarity(teacher_config()).eval()


def features(width: int, labels: list[float]) -> SeparateFeatures:
    draw = np.random.default_rng(0)
    lengths = draw.integers(3, 9, len(labels) * width)
    ids = draw.integers(5, 2000, int(lengths.sum()))
    return SeparateFeatures(ids, np.zeros_like(ids), lengths, np.array(labels))


def vectors_of(model: AlbertForSimilarity, batch: SeparateFeatures) -> torch.Tensor:
    texts = np.split(batch.input_ids, batch.lengths.cumsum()[:-1])
    states = [model.albert(torch.from_numpy(ids)[None]).last_hidden_state[0].mean(0) for ids in texts]
    return F.normalize(torch.stack(states), dim=-1).view(len(batch), batch.width, -1)


def test_scores_are_learnt_as_the_squared_error_of_the_cosine() -> None:
    model, batch = small_model(), features(2, [0.0, 2.5, 5.0])
    found = SimilarityObjective((0.0, 5.0)).sums(model, batch)["task"].total
    vectors = vectors_of(model, batch)
    cosines = (vectors[:, 0] * vectors[:, 1]).sum(-1)
    torch.testing.assert_close(found, (cosines - torch.tensor([0.0, 0.5, 1.0])).square().sum())


@pytest.mark.parametrize("width", [2, 3])
def test_pairs_are_learnt_by_finding_the_own_text_in_the_batch(width: int) -> None:
    model, batch = small_model(), features(width, [0.0] * 4)
    found = PairsObjective().sums(model, batch)["task"]
    vectors = vectors_of(model, batch)
    candidates = torch.cat([vectors[:, column] for column in range(1, width)])  # positives, then negatives
    logits = vectors[:, 0] @ candidates.T / TEMPERATURE
    expected = F.cross_entropy(logits, torch.arange(4), reduction="sum")
    torch.testing.assert_close(found.total, expected, rtol=1e-4, atol=1e-4)


def test_taken_examples_keep_all_of_their_texts() -> None:
    batch = features(3, [1.0, 2.0, 3.0])
    taken = batch.take(np.array([2, 0]))
    assert taken.width == 3
    assert list(taken.labels) == [3.0, 1.0]
    texts = np.split(batch.input_ids, batch.lengths.cumsum()[:-1])
    expected = np.concatenate([texts[i] for i in (6, 7, 8, 0, 1, 2)])
    np.testing.assert_array_equal(taken.input_ids, expected)


def test_scores_are_learnt_and_the_result_is_a_folder_of_sentence_transformers(
    encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_scores(tmp_path / "data")
    result = finetune(settings(encoder, data, tmp_path / "run"))
    assert result["spearman"] > 0.8
    model = result["model"]
    capsys.readouterr()
    words = ["--task", "similarity", "--model", str(tmp_path / "run"), "--data", str(data), "--json"]
    assert run(["evaluate", *words]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["spearman"] == pytest.approx(result["spearman"], abs=1e-6)
    assert "baseline_spearman" in scores
    texts = ["the error of it", "a type is this"]
    ours = Embedder.open(model, device="cpu").embed(texts)
    library = pytest.importorskip("sentence_transformers")
    theirs = library.SentenceTransformer(model, device="cpu").encode(texts)
    np.testing.assert_allclose(theirs, ours, atol=1e-5)
    predicted = tmp_path / "scores.tsv"
    write_table(tmp_path / "new.tsv", [tuple(texts)], "sentence1", "sentence2")
    assert (
        run(["predict", "--model", model, "--input", str(tmp_path / "new.tsv"), "--output", str(predicted)])
        == 0
    )
    score = float(predicted.read_text().splitlines()[1].split("\t")[-1])
    compare = pipeline("sentence-similarity", model=model, device="cpu")
    assert compare({"source_sentence": texts[0], "sentences": texts[1:]}) == pytest.approx([score], abs=1e-5)


@pytest.mark.parametrize("negatives", [False, True])
def test_pairs_are_learnt_with_and_without_hard_negatives(
    encoder: Path, tmp_path: Path, *, negatives: bool
) -> None:
    data = write_pairs(tmp_path / "data", negatives=negatives)
    result = finetune(settings(encoder, data, tmp_path / "run", task="pairs"))
    assert result["best"]["mrr"] >= result["recall_at_1"] > 0.5


def test_vectors_are_trained_to_do_with_fewer_numbers(
    encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_scores(tmp_path / "data")
    result = finetune(settings(encoder, data, tmp_path / "run", matryoshka=(4, 8)))
    capsys.readouterr()
    short = Embedder.open(result["model"], device="cpu", dimensions=4)
    assert short.embed(["the error"]).shape == (1, 4)
    assert "not trained to do with" not in capsys.readouterr().err
    Embedder.open(result["model"], device="cpu", dimensions=5)
    assert "not trained to do with so many numbers; its training names 4, 8" in capsys.readouterr().err


def test_the_loss_of_shorter_vectors_is_averaged_with_that_of_all() -> None:
    model, batch = small_model(), features(2, [0.0, 1.0])
    whole = SimilarityObjective((0.0, 1.0)).sums(model, batch)["task"].total
    both = SimilarityObjective((0.0, 1.0), (8,)).sums(model, batch)["task"].total
    with torch.no_grad():
        raw = torch.cat([model.packed_logits(*model.packed_inputs(batch))]).view(2, 2, -1)[..., :8]
    short = F.normalize(raw, dim=-1)
    error = ((short[:, 0] * short[:, 1]).sum(-1) - torch.tensor([0.0, 1.0])).square().sum()
    torch.testing.assert_close(both, (whole + error) / 2)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"matryoshka": (16,)}, "expected lengths from 1 to 15, as the vectors have 16 numbers"),
        ({"matryoshka": (8,), "task": "regression"}, "--matryoshka is for vectors, but task 'regression'"),
    ],
)
def test_lengths_of_vectors_that_cannot_be_are_refused(
    encoder: Path, tmp_path: Path, changes: dict[str, Any], expected: str
) -> None:
    data = write_scores(tmp_path / "data")
    with pytest.raises(ConfigError, match=expected):
        finetune(settings(encoder, data, tmp_path / "run", **changes))


def test_a_batch_that_is_contrasted_is_not_divided(encoder: Path, tmp_path: Path) -> None:
    data = write_pairs(tmp_path / "data", negatives=False)
    with pytest.raises(ConfigError, match="--micro-batch-size 4: task 'pairs' compares all texts of a batch"):
        finetune(settings(encoder, data, tmp_path / "run", task="pairs", micro_batch_size=4))


def test_a_pair_without_its_hard_negative_is_named(encoder: Path, tmp_path: Path) -> None:
    rows = [("a", "b", "c"), ("d", "e", "")]
    write_table(tmp_path / "pairs.tsv", rows, "anchor", "positive", "negative")
    with pytest.raises(DataError, match="example 2 has no text in column 'negative'"):
        finetune(settings(encoder, tmp_path / "pairs.tsv", tmp_path / "run", task="pairs", dev_share=0.0))


def test_scores_that_are_all_the_same_are_refused(encoder: Path, tmp_path: Path) -> None:
    write_table(tmp_path / "same.tsv", [("a", "b", "1"), ("c", "d", "1")], "sentence1", "sentence2", "score")
    with pytest.raises(DataError, match="expected scores that differ in column 'score', found 1"):
        finetune(settings(encoder, tmp_path / "same.tsv", tmp_path / "run"))


def test_ranks_are_places_among_the_texts_of_all() -> None:
    vectors = np.zeros((3, 2, 3), np.float32)
    vectors[:, 0] = np.eye(3)
    vectors[0, 1], vectors[1, 1], vectors[2, 1] = (1, 0, 0), (0.6, 0.8, 0), (0, 0.9, 0.435)
    found = PairsSolver().scores(find_task("pairs"), [], vectors)
    assert found == pytest.approx({"recall_at_1": 2 / 3, "mrr": (1 + 1 / 2 + 1) / 3})


def test_the_form_follows_the_model_and_can_be_named(encoder: Path, sentence_encoder: Path) -> None:
    stsb = find_task("stsb")
    assert in_form(stsb, encoder).kind == "regression"
    assert in_form(stsb, sentence_encoder).kind == "similarity"
    assert in_form(stsb, sentence_encoder, "cross-encoder").kind == "regression"
    assert in_form(stsb, encoder, "bi-encoder").kind == "similarity"
    with pytest.raises(ConfigError, match="--form bi-encoder: task 'rte' is classification"):
        in_form(find_task("rte"), encoder, "bi-encoder")
    with pytest.raises(ConfigError, match="for a cross-encoder on pairs with a number give --task"):
        in_form(find_task("similarity"), encoder, "cross-encoder")


def test_a_sentence_encoder_is_scored_without_any_training(sentence_encoder: Path, tmp_path: Path) -> None:
    trained = open_trained(str(sentence_encoder), task="similarity", device="cpu")
    solver = solver_of(trained.task)
    rows = write_scores(tmp_path / "data") / "dev.tsv"
    examples = list(solver.read(trained.task, (rows,), split="dev"))
    encoded = solver.encode(trained.task, examples, trained.tokenizer, lengths=trained.lengths)
    found = solver.predict(trained.task, trained.model, examples, encoded)
    embedder = Embedder.open(sentence_encoder, device="cpu")
    expected = embedder.embed([example.text for example in examples])
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-5)


def test_overlaps_weigh_rare_words_more() -> None:
    first = ["the cat", "the dog", "the cow", "今天天气"]
    second = ["a cat", "the bird", "cow the", "今天很冷"]
    found = overlaps(first, second)
    assert found[2] == pytest.approx(1.0)
    assert found[0] > found[1] > 0
    assert 0 < found[3] < 1
    assert overlaps(["!"], ["?"]) == pytest.approx([0.0])
