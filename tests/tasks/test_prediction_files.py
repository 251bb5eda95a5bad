"""Files of predictions get the official scores; predictions for other examples are refused."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from albert.errors import ConfigError, DataError
from albert.tasks.catalogue import find_task, solver_of
from albert.tasks.prediction_files import PredictionFile

HEADER = "sentence1\tsentence2\tlabel\n"
RTE = "one\ttwo\tentailment\nthree\tfour\tnot_entailment\nfive\tsix\tentailment\n"


def score(name: str, data: Path, predictions: Path, **changes: Any) -> dict[str, float]:
    known = find_task(name)
    solver = solver_of(known)
    task = solver.with_labels_in(known, [data])
    examples = list(solver.read(task, [data], split="dev"))
    file = PredictionFile(path=predictions, has_other_labels=not known.labels, **changes)
    return solver.scores_of_file(task, examples, file)


def write(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def unzipped(path: Path, target: Path) -> Path:
    target.write_bytes(gzip.decompress(path.read_bytes()))
    return target


def test_answers_get_the_scores_of_the_original(golden: Path, tmp_path: Path) -> None:
    folder = golden / "squad"
    texts = unzipped(folder / "decode_v1_b_nbest20_len30_predictions.json.gz", tmp_path / "v1.json")
    expected = json.loads(gzip.decompress((folder / "decode_v1_b_nbest20_len30_eval.json.gz").read_bytes()))
    found = score("squad1", folder / "v1_dev.json", texts)
    assert {name: found[name] for name in expected} == expected


def test_null_odds_give_the_scores_of_the_original(golden: Path, tmp_path: Path) -> None:
    folder, name = golden / "squad", "decode_v2_b_nbest20_len30"
    report = json.loads(gzip.decompress((folder / f"{name}_eval.json.gz").read_bytes()))
    texts = write(tmp_path / "texts.json", json.dumps(report["first_pass_predictions"]))
    odds = unzipped(folder / f"{name}_null_odds.json.gz", tmp_path / "odds.json")
    expected = report["first_pass_with_best"]
    found = score("squad2", folder / "v2_dev.json", texts, null_odds=odds)
    assert {key: found[key] for key in expected} == expected
    at_best = score(
        "squad2",
        folder / "v2_dev.json",
        texts,
        null_odds=odds,
        threshold=expected["best_f1_thresh"],
    )
    assert at_best["f1"] == expected["best_f1"]


def test_rows_are_matched_by_their_ids_in_any_order(tmp_path: Path) -> None:
    data = write(tmp_path / "dev.tsv", HEADER + RTE)
    lines = ["0\tentailment", "1\tnot_entailment", "2\tnot_entailment"]
    for order in (lines, lines[::-1]):
        table = write(tmp_path / "RTE.tsv", "\n".join(["index\tprediction", *order]))
        assert score("rte", data, table) == {"accuracy": pytest.approx(2 / 3)}


def test_rows_without_ids_are_matched_by_their_place(tmp_path: Path) -> None:
    data = write(tmp_path / "dev.tsv", HEADER + RTE)
    labels = ("entailment", "entailment", "entailment")
    rows = write(tmp_path / "out.jsonl", "".join(json.dumps({"label": label}) + "\n" for label in labels))
    assert score("rte", data, rows) == {"accuracy": pytest.approx(2 / 3)}


def test_a_label_that_no_own_example_has_counts_as_wrong(tmp_path: Path) -> None:
    data = write(tmp_path / "dev.tsv", "text\tlabel\none\ta\ntwo\tb\nthree\tb\n")
    rows = write(tmp_path / "out.tsv", "label\na\nb\nc\n")
    assert score("classification", data, rows)["accuracy"] == pytest.approx(2 / 3)


def test_choices_are_named_by_letter_or_by_number(tmp_path: Path) -> None:
    rows = [
        {"passage": "p", "question": "q", "choices": ["x", "y", "z"], "label": "B"},
        {"passage": "p", "question": "q", "choices": ["x", "y"], "label": "A"},
    ]
    data = write(tmp_path / "dev.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    for content in ("label\nB\nB\n", "id\tlabel\n0\t1\n1\t1\n"):
        assert score("choice", data, write(tmp_path / "out.tsv", content)) == {"accuracy": 0.5}
    with pytest.raises(DataError, match="is choice C, but it has only 2"):
        score("choice", data, write(tmp_path / "out.tsv", "label\nB\nC\n"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("index\tprediction\n0\tentailment\n", r"holds 1 predictions for 3 examples; give one for each"),
        ("index\tprediction\n0\tyes\n", r"RTE\.tsv:2: unknown label 'yes'; known: entailment, not_ent"),
        (
            "index\tprediction\n0\t\n",
            r"RTE\.tsv:2: no prediction; expected one in column prediction or label",
        ),
        (
            "index\tprediction\n0\tentailment\n1\tentailment\n1\tentailment\n",
            r"RTE\.tsv:4: '1' already has a prediction at .*RTE\.tsv:3",
        ),
        (
            "index\tprediction\n0\tentailment\n1\tentailment\n3\tentailment\n",
            r"1 of 3 examples have no prediction, the first of them '2'",
        ),
    ],
)
def test_predictions_for_other_examples_are_refused(tmp_path: Path, content: str, message: str) -> None:
    data = write(tmp_path / "dev.tsv", HEADER + RTE)
    with pytest.raises(DataError, match=message):
        score("rte", data, write(tmp_path / "RTE.tsv", content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", r"out\.json: expected an object with a text for each question, found a list"),
        ('{"a": 1}', r"out\.json: expected a text for each question, found 1 for 'a'"),
        ("{", r"out\.json:1: not JSON"),
    ],
)
def test_a_file_without_answers_is_refused(golden: Path, tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        score("squad1", golden / "squad" / "v1_dev.json", write(tmp_path / "out.json", content))


def test_missing_answers_and_those_of_other_questions_are_reported(
    golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = write(tmp_path / "out.json", '{"of another file": "one"}')
    found = score("squad1", golden / "squad" / "v1_dev.json", texts)
    assert found["f1"] == 0
    assert found["missing"] == found["total"]
    said = capsys.readouterr().err
    assert f"{found['total']} of {found['total']} questions have no prediction" in said
    assert "1 predictions are for other questions" in said


def test_null_odds_are_refused_if_every_question_has_an_answer(golden: Path, tmp_path: Path) -> None:
    texts = write(tmp_path / "out.json", "{}")
    with pytest.raises(ConfigError, match="every question of task 'squad1' has an answer"):
        score("squad1", golden / "squad" / "v1_dev.json", texts, null_odds=texts)


def test_tags_must_fit_the_words(tmp_path: Path) -> None:
    data = write(tmp_path / "dev.conll", "Peter B-PER\nlives O\n\nHere O\n")
    with pytest.raises(DataError, match=r"sentence 1 has 1 tags for the 2 words of .*dev\.conll:1"):
        score("tagging", data, write(tmp_path / "out.conll", "Peter B-PER\n\nHere O\n"))
    with pytest.raises(DataError, match="holds 1 sentences; expected 2"):
        score("tagging", data, write(tmp_path / "out.conll", "Peter B-PER\nlives O\n"))
    found = score("tagging", data, write(tmp_path / "out.conll", "Peter B-ORG\nlives O\n\nHere O\n"))
    assert found == {"f1": 0.0, "precision": 0.0, "recall": 0.0, "accuracy": pytest.approx(2 / 3)}
