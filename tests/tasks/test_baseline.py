"""The baseline of guessing, and the doubt about scores near it."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.metrics import accuracy_score, f1_score

from albert.tasks.baseline import baseline_score, doubt
from albert.tasks.catalogue import find_task, solver_of
from albert.tasks.task import Task


def read(task: Task, path: Path, text: str) -> tuple[Task, list[object]]:
    path.write_text(text, encoding="utf-8")
    task = solver_of(task).with_labels_in(task, [path])
    return task, list(solver_of(task).read(task, [path], split="dev"))


def test_guessing_a_label_scores_as_scikit_learns_dummy(tmp_path: Path) -> None:
    labels = ["a"] * 30 + ["b"] * 50 + ["c"] * 20
    rows = "".join(f"text {n}\t{label}\n" for n, label in enumerate(labels))
    task, examples = read(find_task("classification"), tmp_path / "a.tsv", f"text\tlabel\n{rows}")
    known, dev = examples[:60], examples[40:]
    dummy = DummyClassifier(strategy="most_frequent").fit(np.zeros((60, 1)), labels[:60])
    guessed = dummy.predict(np.zeros((60, 1)))
    assert baseline_score(solver_of(task), task, known, dev) == accuracy_score(labels[40:], guessed)
    scores = solver_of(task).scores(task, dev, solver_of(task).guess(task, known, dev))
    assert scores["f1_macro"] == pytest.approx(f1_score(labels[40:], guessed, average="macro"))


@pytest.mark.parametrize(
    ("name", "file", "text", "expected"),
    [
        ("regression", "a.tsv", "text\tlabel\na\t1\nb\t2\nc\t6\n", 0.0),
        ("multi-label", "a.tsv", "text\tlabels\na\tred\nb\tred,blue\nc\tgreen\nd\tred\n", 2 * 3 / (4 + 5)),
        ("tagging", "a.conll", "the O\ncity O\n\nRome B-X\nis O\n", 0.0),
        ("choice", "a.csv", "passage,choice0,choice1,label\np,x,y,B\nq,x,y,B\nr,x,y,A\n", 2 / 3),
    ],
)
def test_guessing_in_other_kinds(name: str, file: str, text: str, expected: float, tmp_path: Path) -> None:
    task, examples = read(find_task(name), tmp_path / file, text)
    assert baseline_score(solver_of(task), task, examples, examples) == pytest.approx(expected)


def test_guessing_no_answer_is_right_where_there_is_none(tmp_path: Path) -> None:
    lines = (
        '{"context": "a b", "question": "?", "answers": ["a"]}\n'
        '{"context": "a b", "question": "?", "answers": []}\n'
        '{"context": "a b", "question": "!", "answers": []}\n'
    )
    task, examples = read(find_task("spans"), tmp_path / "a.jsonl", lines)
    assert baseline_score(solver_of(task), task, examples, examples) == pytest.approx(100 * 2 / 3)
    answered, examples = read(find_task("spans"), tmp_path / "b.jsonl", lines.splitlines()[0] + "\n")
    assert baseline_score(solver_of(answered), answered, examples, examples) is None


def test_a_score_far_above_guessing_is_not_doubted() -> None:
    common = {"perfect": 1.0, "num_examples": 400, "loss": 0.1, "guessing_loss": 0.69}
    assert doubt(0.7, 0.5, **common) is None
    assert "does not carry over" in str(doubt(0.52, 0.5, **common))
    assert "even the training examples are not learnt" in str(doubt(0.52, 0.5, **{**common, "loss": 0.68}))
    assert "may be chance" in str(doubt(0.7, 0.5, **{**common, "num_examples": 20}))
    assert doubt(60.0, 50.0, **{**common, "perfect": 100.0, "num_examples": 4000}) is None
    assert "does not carry over" in str(doubt(0.01, 0.0, **common))
