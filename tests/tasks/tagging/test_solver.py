"""The solver of tagging: the loss of transformers, predictions in the order of words, CoNLL's scores."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from scipy.special import log_softmax

from albert.config import AlbertConfig
from albert.errors import ConfigError
from albert.inference.opening import open_model
from albert.model.task_models import AlbertForTokenClassification
from albert.optim.optimizers import make_optimizer
from albert.tasks import solver as solver_module
from albert.tasks.catalogue import find_task, solver_of
from albert.tasks.features import shuffled_batches
from albert.tasks.solver import Solver
from albert.tasks.tagging.features import TagFeatures
from albert.tasks.tagging.files import TaggedExample
from albert.tasks.tagging.solver import TaggingSolver, TagPredictions
from albert.tasks.task import Lengths, Task
from albert.text.tokenizer import AlbertTokenizer
from albert.training.loop import train
from albert.training.settings import LoopSettings

TASK = find_task("conll2003")
SOLVER: Solver = TaggingSolver()


@pytest.fixture(scope="module")
def tokenizer(tokenizer_folder: Path) -> AlbertTokenizer:
    return AlbertTokenizer.from_pretrained(tokenizer_folder)


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> list[TaggedExample]:
    draw = np.random.default_rng(0)
    words = ["stack", "type", "Error", "Rust", "module", "value", "in", ".", "\ufffd"]
    blocks = [
        "".join(f"{draw.choice(words)} {draw.choice(TASK.labels)}\n" for _ in range(length))
        for length in (1, 9, 3, 40, 5, 22)
    ]
    path = tmp_path_factory.mktemp("data") / "train.txt"
    path.write_text("\n".join(blocks), encoding="utf-8")
    return list(SOLVER.read(TASK, [path], split="train"))


def make_model(task: Task = TASK) -> AlbertForTokenClassification:
    torch.manual_seed(0)
    config = AlbertConfig(
        vocab_size=2000,
        embedding_size=8,
        hidden_size=12,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=20,
        max_position_embeddings=64,
        initializer_range=0.5,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        **SOLVER.config_changes(task) | {"classifier_dropout_prob": 0.0},
    )
    return AlbertForTokenClassification(config)


def encode(
    examples: Sequence[TaggedExample], tokenizer: AlbertTokenizer, *, max_seq_length: int = 64
) -> TagFeatures:
    features = SOLVER.encode(TASK, examples, tokenizer, lengths=Lengths(max_seq_length=max_seq_length))
    assert isinstance(features, TagFeatures)
    return features


def predictions_of(tags: Sequence[Sequence[str]], *, names: Sequence[str] = TASK.labels) -> TagPredictions:
    """Return predictions with all weight on `tags`."""
    ids = [names.index(tag) for sentence in tags for tag in sentence]
    return TagPredictions(
        10 * np.eye(len(names), dtype=np.float32)[ids], np.array([len(row) for row in tags])
    )


def test_tagging_is_solved_by_its_solver() -> None:
    assert isinstance(solver_of(find_task("cluener")), TaggingSolver)


def test_loss_and_gradients_equal_transformers(
    examples: list[TaggedExample], tokenizer: AlbertTokenizer, tmp_path: Path
) -> None:
    model = make_model()
    model.save_pretrained(tmp_path)
    oracle = transformers.AlbertForTokenClassification.from_pretrained(tmp_path, attn_implementation="eager")
    batch = encode(examples, tokenizer, max_seq_length=20)
    objective = SOLVER.objective(TASK)
    loss = objective.sums(model, batch)["task"].total / objective.counts(batch)["task"]
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped

    rows, columns = len(batch), int(batch.lengths.max())
    real = np.arange(columns) < batch.lengths[:, None]
    padded = {name: np.full((rows, columns), fill) for name, fill in (("input_ids", 0), ("labels", -100))}
    padded["input_ids"][real], padded["labels"][real] = batch.input_ids, batch.labels
    expected = oracle(
        input_ids=torch.tensor(padded["input_ids"]),
        attention_mask=torch.tensor(real).long(),
        labels=torch.tensor(padded["labels"]),
    )
    expected.loss.backward()
    torch.testing.assert_close(loss.detach(), expected.loss.detach(), atol=1e-5, rtol=1e-5)
    gradients = {name: parameter.grad for name, parameter in oracle.named_parameters()}
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], atol=1e-5, rtol=1e-4)


def test_predictions_do_not_depend_on_the_rest_of_the_batch(
    examples: list[TaggedExample], tokenizer: AlbertTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model()

    def logits(some: list[TaggedExample]) -> np.ndarray:
        return SOLVER.predict(TASK, model, some, encode(some, tokenizer, max_seq_length=16)).logits

    together = logits(examples)
    assert together.shape == (80, 9)
    monkeypatch.setattr(solver_module, "TOKENS_AT_ONCE", 20)
    np.testing.assert_allclose(logits(examples), together, atol=1e-5)
    alone = np.concatenate([logits([example]) for example in examples])
    np.testing.assert_allclose(alone, together, atol=1e-5)


def test_losses_equal_the_training_loss(examples: list[TaggedExample], tokenizer: AlbertTokenizer) -> None:
    model, features = make_model(), encode(examples, tokenizer)
    objective = SOLVER.objective(TASK)
    trained = objective.sums(model, features)["task"].total.item() / objective.counts(features)["task"]
    predictions = SOLVER.predict(TASK, model, examples, features)
    assert SOLVER.scores(TASK, examples, predictions)["loss"] == pytest.approx(trained, abs=1e-5)
    by_hand = -log_softmax(predictions.logits[1:10], axis=-1)
    ids = [TASK.labels.index(tag) for tag in examples[1].tags or ()]
    losses = SOLVER.losses(TASK, examples, predictions)
    assert losses[1] == pytest.approx(by_hand[np.arange(9), ids].mean(), abs=1e-5)
    assert len(losses) == len(predictions) == 6


def test_right_predictions_score_one(examples: list[TaggedExample]) -> None:
    scores = SOLVER.scores(TASK, examples, predictions_of([example.tags or () for example in examples]))
    assert [scores[name] for name in TASK.metrics] == [1.0] * 4
    assert list(scores) == [*TASK.metrics, "loss"]


def test_an_entity_counts_as_a_whole() -> None:
    example = TaggedExample(("a", "b", "c"), "a b c", (0, 2, 4), ("B-PER", "I-PER", "B-LOC"), "here")
    scores = SOLVER.scores(TASK, [example], predictions_of([["B-PER", "O", "B-LOC"]]))
    assert (scores["precision"], scores["recall"], scores["f1"]) == (0.5, 0.5, 0.5)
    assert scores["accuracy"] == pytest.approx(2 / 3)


def test_records_hold_a_tag_for_every_word_and_entities_with_places() -> None:
    example = TaggedExample(("EU", "and", "U.N.", "met"), "EU and U.N. met", (0, 3, 7, 12), None, "here")
    logits = np.log(np.full((4, 9), 0.05, np.float32))
    for word, tag, probability in ((0, "I-ORG", 0.6), (1, "I-ORG", 0.8), (2, "O", 0.9), (3, "B-LOC", 0.6)):
        logits[word] = np.log((1 - probability) / 8)
        logits[word, TASK.labels.index(tag)] = np.log(probability)
    [record] = SOLVER.records(TASK, [example], TagPredictions(logits, np.array([4])))
    assert record == {
        "tags": ["I-ORG", "I-ORG", "O", "B-LOC"],
        "entities": [
            {"type": "ORG", "text": "EU and", "start": 0, "end": 6, "score": 0.7},
            {"type": "LOC", "text": "met", "start": 12, "end": 15, "score": 0.6},
        ],
    }


def test_records_follow_the_sentences(examples: list[TaggedExample]) -> None:
    tags = [list(example.tags or ()) for example in examples]
    assert [row["tags"] for row in SOLVER.records(TASK, examples, predictions_of(tags))] == tags


def test_an_example_is_shown_with_its_tagged_words() -> None:
    example = TaggedExample(("EU", "met"), "EU met", (0, 3), ("B-ORG", "O"), "here")
    assert SOLVER.shown(TASK, example) == {"text": "EU met", "label": "EU/B-ORG"}
    nothing = TaggedExample(("EU", "met"), "EU met", (0, 3), ("O", "O"), "here")
    assert SOLVER.shown(TASK, nothing) == {"text": "EU met", "label": "O"}
    unknown = TaggedExample(("EU", "met"), "EU met", (0, 3), None, "here")
    assert SOLVER.shown(TASK, unknown) == {"text": "EU met"}


def test_parts_of_speech_are_scored_by_accuracy_and_mark_no_entities(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_text("He PRON\nruns VERB\n\nSmall ADJ\ndogs NOUN\n")
    task = SOLVER.with_labels_in(find_task("tagging"), [path])
    assert (task.labels, task.metrics) == (("ADJ", "NOUN", "PRON", "VERB"), ("accuracy",))
    examples = list(SOLVER.read(task, [path], split="train"))
    predictions = predictions_of([["PRON", "VERB"], ["ADJ", "ADJ"]], names=task.labels)
    assert SOLVER.scores(task, examples, predictions)["accuracy"] == 0.75
    assert next(SOLVER.records(task, examples, predictions)) == {"tags": ["PRON", "VERB"], "entities": []}
    assert SOLVER.with_labels_of(find_task("tagging"), make_model(task).config) == task


def test_the_models_order_of_tags_is_kept() -> None:
    config = make_model().config
    backwards = replace(config, id2label=dict(enumerate(reversed(TASK.labels))))
    assert SOLVER.with_labels_of(TASK, backwards).labels == TASK.labels[::-1]
    unnamed = replace(config, id2label={number: f"LABEL_{number}" for number in range(9)})
    assert SOLVER.with_labels_of(TASK, unnamed) == TASK
    with pytest.raises(ConfigError, match="the model has the labels O, B-PER"):
        SOLVER.with_labels_of(find_task("cluener"), config)


def test_a_tagger_learns_long_sentences_and_is_read_back(tokenizer: AlbertTokenizer, tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    tag_of = {"stack": "B-PER", "Error": "B-LOC", "type": "O", "value": "O"}
    rows = [[str(word) for word in draw.choice(list(tag_of), 30)] for _ in range(40)]
    path = tmp_path / "train.txt"
    path.write_text("\n".join("".join(f"{word} {tag_of[word]}\n" for word in row) for row in rows))
    examples = list(SOLVER.read(TASK, [path], split="train"))
    features = encode(examples, tokenizer, max_seq_length=20)
    assert len(features) > len(examples)
    model = make_model()
    steps = train(
        model,
        shuffled_batches(features, 16, seed=0),
        SOLVER.objective(TASK),
        make_optimizer("adamw", model, weight_decay=0.01),
        learning_rate=lambda step: 3e-3,
        settings=LoopSettings(max_steps=60, batch_size=16, precision="float32"),
    )
    assert list(steps)[-1].loss < 0.5
    predictions = SOLVER.predict(TASK, model, examples, features)
    assert SOLVER.scores(TASK, examples, predictions)["f1"] > 0.95
    folder = tmp_path / "model"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    again, _ = open_model(folder, SOLVER.model_classes(), device="cpu")
    same = SOLVER.predict(TASK, again, examples, features)
    np.testing.assert_allclose(same.logits, predictions.logits, atol=1e-5)
