"""Any number of labels for a text: reading, training, thresholds, scores, and files of predictions."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from albert.commands.evaluate import EvaluateSettings, evaluate
from albert.commands.finetune import finetune
from albert.commands.predict import PredictSettings, predict
from albert.config import AlbertConfig
from albert.errors import DataError
from albert.model.task_models import AlbertForSequenceClassification
from albert.tasks.catalogue import find_task
from albert.tasks.features import TextFeatures
from albert.tasks.multi_label.labels import best_threshold, join_labels, split_labels
from albert.tasks.multi_label.solver import LabelSets, MultiLabelObjective, MultiLabelSolver
from albert.tasks.tables import Example
from albert.tasks.task import Task
from samples.toy_task import settings, write_encoder, write_table

SOLVER = MultiLabelSolver()
TASK = replace(find_task("multi-label"), labels=("blue", "red", "round"))
LABELS_OF_WORD = {"error": "bad", "true": "good", "string": "bad,good", "list": ""}
"""Words, one of which determines the labels of a text."""
LABELS = np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
EXAMPLES = [Example(text, label=tuple(row)) for text, row in zip("abc", LABELS, strict=True)]
LOGITS = np.array([[2.0, -1.0, 0.5], [-0.2, -3.0, 1.0], [-1.0, -0.4, 3.0]], np.float32)


def write(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def read(task: Task, path: Path) -> list[Example]:
    return list(SOLVER.read(task, [path], split="train"))


@pytest.mark.parametrize(
    ("cell", "labels"),
    [
        ("red,blue", ["red", "blue"]),
        (" red , blue ,", ["red", "blue"]),
        ('["red", "not red, nor blue"]', ["red", "not red, nor blue"]),
        ("", []),
        ("[]", []),
    ],
)
def test_labels_are_separated_by_commas_or_listed_in_json(cell: str, labels: list[str]) -> None:
    assert split_labels(cell, "t.tsv:2") == labels
    assert split_labels(join_labels(labels), "t.tsv:2") == labels


def test_tables_and_json_lines_hold_the_same_examples(tmp_path: Path) -> None:
    rows = [("a", "red,round"), ("b", ""), ("c", "blue")]
    write_table(tmp_path / "t.tsv", rows, "text", "labels")
    lines = [{"text": text, "labels": cell.split(",") if cell else []} for text, cell in rows]
    listed = write(tmp_path / "t.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    task = SOLVER.with_labels_in(find_task("multi-label"), [listed])
    assert task == SOLVER.with_labels_in(find_task("multi-label"), [tmp_path / "t.tsv"])
    assert task.labels == ("blue", "red", "round")
    assert read(task, listed) == read(task, tmp_path / "t.tsv")
    assert [example.label for example in read(task, listed)] == [(0, 1, 1), (0, 0, 0), (1, 0, 0)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text\tlabels\na\tred,rond\n", r"t\.tsv:2: unknown label 'rond'; did you mean 'round'"),
        ('text\tlabels\na\t["red"\n', r"t\.tsv:2: the labels are not a JSON list"),
        ("text\tlabels\na\t[[1]]\n", r"t\.tsv:2: expected a list of texts as labels, found \[\[1\]\]"),
        ("text\tlabel\na\tred\n", r"t\.tsv:1: no column 'labels'; did you mean 'label'"),
    ],
)
def test_bad_labels_are_refused_with_file_and_line(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(TASK, write(tmp_path / "t.tsv", content))


def test_a_training_file_without_any_label_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="column 'labels' holds no label; expected labels such as red,blue"):
        SOLVER.with_labels_in(find_task("multi-label"), [write(tmp_path / "t.tsv", "text\tlabels\na\t\n")])


def test_the_loss_is_the_mean_binary_cross_entropy() -> None:
    config = AlbertConfig(
        vocab_size=31, embedding_size=8, hidden_size=12, num_hidden_layers=1, num_attention_heads=3,
        intermediate_size=20, **SOLVER.config_changes(TASK),
    )  # fmt: skip
    torch.manual_seed(0)
    model = AlbertForSequenceClassification(config).eval()
    batch = TextFeatures(np.arange(9) + 5, np.zeros(9, np.int64), np.array([2, 4, 3]), LABELS)
    objective = MultiLabelObjective()
    found = objective.sums(model, batch)["task"]
    predictions = SOLVER.predict(TASK, model, EXAMPLES, batch)
    expected = torch.nn.BCEWithLogitsLoss()(torch.tensor(predictions.logits), torch.tensor(LABELS).float())
    assert float(found.total.detach()) / objective.counts(batch)["task"] == pytest.approx(
        float(expected), abs=1e-6
    )
    assert SOLVER.losses(TASK, EXAMPLES, predictions).mean() == pytest.approx(float(expected), abs=1e-6)


def test_scores_are_those_of_scikit_learn_at_the_threshold() -> None:
    for threshold in (0.5, 0.42, 0.9):
        predictions = SOLVER.with_threshold(TASK, LabelSets(logits=LOGITS), threshold)
        predicted = 1 / (1 + np.exp(-LOGITS.astype(np.float64))) >= threshold
        scores = SOLVER.scores(TASK, EXAMPLES, predictions)
        assert scores["f1_micro"] == f1_score(LABELS > 0, predicted, average="micro")
        assert scores["f1_macro"] == f1_score(LABELS > 0, predicted, average="macro", zero_division=0.0)
        assert scores["subset_accuracy"] == pytest.approx(((LABELS > 0) == predicted).all(1).mean())


def test_the_best_threshold_equals_that_of_an_exhaustive_search() -> None:
    draw = np.random.default_rng(0)
    for _ in range(20):
        probabilities = draw.integers(0, 8, (6, 3)) / 8  # with ties
        labels = (draw.random((6, 3)) < 0.4).astype(np.float64)
        threshold, best = best_threshold(probabilities, labels)
        reached = [
            f1_score(labels > 0, probabilities >= t, average="micro", zero_division=0.0)
            for t in np.linspace(0, 1, 200)
        ]
        assert best == pytest.approx(max(reached))
        at_threshold = f1_score(labels > 0, probabilities >= threshold, average="micro", zero_division=0.0)
        assert at_threshold == pytest.approx(best)


def test_guessing_by_frequency_has_the_entropy_of_each_label() -> None:
    shares = np.array([1 / 3, 1 / 3, 2 / 3])
    expected = -(shares * np.log(shares) + (1 - shares) * np.log(1 - shares)).mean()
    assert SOLVER.guessing_loss(TASK, EXAMPLES) == pytest.approx(expected)
    assert not SOLVER.are_all_alike(TASK, LabelSets(logits=LOGITS))
    assert SOLVER.are_all_alike(TASK, LabelSets(logits=LOGITS[:1].repeat(3, 0)))


def test_a_record_names_the_labels_and_the_probability_of_each() -> None:
    [first, second, _] = SOLVER.records(TASK, EXAMPLES, LabelSets(logits=LOGITS))
    assert first["labels"] == ["blue", "round"]
    assert second["labels"] == ["round"]
    assert first["scores"] == pytest.approx({"blue": 0.880797, "red": 0.268941, "round": 0.622459})
    assert SOLVER.shown(TASK, EXAMPLES[0])["label"] == "blue,round"
    assert SOLVER.shown(TASK, EXAMPLES[1])["label"] == "(none)"


@pytest.fixture(scope="module")
def run(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model fine-tuned on texts whose labels depend on one word, and its data."""
    folder, draw = tmp_path_factory.mktemp("multi-label"), random.Random(0)
    for name, count in (("train", 160), ("dev", 40)):
        rows = []
        for number in range(count):
            word = list(LABELS_OF_WORD)[number % 4]
            words = draw.choices(["the", "value", "of", "this", "is"], k=3)
            words.insert(draw.randint(0, 3), word)
            rows.append((" ".join(words), LABELS_OF_WORD[word]))
        write_table(folder / "data" / f"{name}.tsv", rows, "text", "labels")
    encoder = write_encoder(folder / "encoder", golden)
    changes: dict[str, Any] = {"task": "multi-label", "max_steps": 200, "batch_size": 32, "eval_steps": 50}
    changes |= {"learning_rate": 3e-3, "schedule": "linear"}
    finetune(settings(encoder, folder / "data", folder / "run", **changes))
    return folder / "run" / "best", folder / "data"


def test_a_model_learns_better_than_predicting_every_label(run: tuple[Path, Path]) -> None:
    model, data = run
    scores = evaluate(EvaluateSettings(task="multi-label", model=str(model), data=data))
    assert scores["f1_micro"] > 0.7  # every label for every text: 2/3
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    assert config["problem_type"] == "multi_label_classification"


@pytest.mark.parametrize("suffix", [".tsv", ".jsonl"])
def test_predictions_in_a_file_have_the_scores_of_the_model(
    run: tuple[Path, Path], tmp_path: Path, suffix: str
) -> None:
    model, data = run
    output = tmp_path / f"out{suffix}"
    predict(PredictSettings(model=str(model), input=data / "dev.tsv", output=output))
    found = evaluate(EvaluateSettings(task="multi-label", predictions=output, data=data))
    by_model = evaluate(EvaluateSettings(task="multi-label", model=str(model), data=data))
    assert {name: found[name] for name in ("f1_micro", "f1_macro")} == {
        name: by_model[name] for name in ("f1_micro", "f1_macro")
    }


def test_a_label_that_the_examples_lack_counts_as_wrong(tmp_path: Path) -> None:
    write_table(tmp_path / "dev.tsv", [("a", "red"), ("b", "blue")], "text", "labels")
    output = write(tmp_path / "out.tsv", "labels\nred,green\nblue\n")
    found = evaluate(EvaluateSettings(task="multi-label", predictions=output, data=tmp_path))
    assert found["f1_micro"] == pytest.approx(2 * 2 / (3 + 2))


def test_lines_of_text_are_labelled_at_the_given_threshold(run: tuple[Path, Path], tmp_path: Path) -> None:
    texts = write(tmp_path / "texts.txt", "the value is this string\nthe value\n")
    for threshold, expected in ((None, 0.5), (0.0, 0.0), (0.3, 0.3), (1.0, 1.0)):
        output = tmp_path / "out.jsonl"
        predict(PredictSettings(model=str(run[0]), input=texts, output=output, threshold=threshold))
        for line in output.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            assert record["labels"] == [name for name, p in record["scores"].items() if p >= expected]


def test_transformers_reads_the_folder_with_the_same_probabilities(
    run: tuple[Path, Path], tmp_path: Path
) -> None:
    transformers = pytest.importorskip("transformers")
    text = "the value is this string"
    output = tmp_path / "out.jsonl"
    predict(PredictSettings(model=str(run[0]), input=write(tmp_path / "t.txt", text + "\n"), output=output))
    ours = json.loads(output.read_text(encoding="utf-8"))["scores"]
    pipe = transformers.pipeline("text-classification", model=str(run[0]), top_k=None, device="cpu")
    theirs = {entry["label"]: entry["score"] for entry in pipe([text])[0]}
    assert ours == pytest.approx(theirs, abs=1e-5)


BINARY = replace(find_task("multi-label"), data=replace(TASK.data, label_column="toxic, obscene,threat"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", "text,toxic,obscene,threat\na,1,0,0\nb,0,0,0\nc,1.0,TRUE,0.0\n"),
        ("t.tsv", "id\tthreat\ttext\tobscene\ttoxic\n7\t0\ta\t0\t1\n8\t0\tb\t0\t0\n9\t0\tc\t1\t1\n"),
        (
            "t.jsonl",
            '{"text": "a", "toxic": 1, "obscene": 0, "threat": false}\n'
            '{"text": "b", "toxic": 0, "obscene": 0, "threat": 0}\n'
            '{"text": "c", "toxic": true, "obscene": 1.0, "threat": "0"}\n',
        ),
    ],
)
def test_labels_may_be_columns_of_ones_and_zeros(tmp_path: Path, name: str, content: str) -> None:
    path = write(tmp_path / name, content)
    task = SOLVER.with_labels_in(BINARY, [path])
    assert task.labels == ("toxic", "obscene", "threat")
    assert [(x.text, x.label) for x in read(task, path)] == [
        ("a", (1, 0, 0)),
        ("b", (0, 0, 0)),
        ("c", (1, 1, 0)),
    ]
    in_other_order = replace(task, labels=("threat", "toxic", "obscene"))
    assert [x.label for x in read(in_other_order, path)] == [(0, 1, 0), (0, 0, 0), (0, 1, 1)]
    unlabelled = list(SOLVER.read(task, [path], split="test", labelled=False))
    assert [x.label for x in unlabelled] == [None] * 3


@pytest.mark.parametrize("cell", ["2", "-1", "", "yes", "0.5"])
def test_other_values_than_one_and_zero_are_refused_with_their_line(tmp_path: Path, cell: str) -> None:
    path = write(tmp_path / "t.csv", f"text,toxic,obscene,threat\na,1,0,0\nb,0,{cell},0\n")
    with pytest.raises(DataError, match=r"t\.csv:3: expected 1 or 0 in column 'obscene', found"):
        read(SOLVER.with_labels_in(BINARY, [path]), path)


def test_a_column_of_a_label_that_is_missing_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "text,toxic,threat\na,1,0\n")
    with pytest.raises(DataError, match="no column 'obscene'"):
        read(SOLVER.with_labels_in(BINARY, [path]), path)
