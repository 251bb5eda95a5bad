"""Predictions for files: correct, in order, in every format, as a stream."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from albert.commands.predict import PredictSettings, predict
from albert.config import AlbertConfig
from albert.errors import ConfigError, DataError
from albert.inference.pipelines import pipeline
from albert.model.task_models import AlbertForSequenceClassification
from albert.tasks.classification.solver import ClassificationSolver
from albert.tasks.task import ColumnSettings
from albert.text.tokenizer import AlbertTokenizer

TEXTS = ["one", "a much longer second text, with commas", "three three three", "four is the last"]
Models = dict[str, Path]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, golden: Path) -> Models:
    """Folders of tiny models: with three labels, with those of CoLA, and for regression."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "spiece.model").write_bytes((golden / "tokenization" / "30k-clean.model").read_bytes())
    tokenizer = AlbertTokenizer.from_pretrained(folder)
    heads: dict[str, Any] = {
        "labels": {"id2label": {0: "red", 1: "green", 2: "blue"}},
        "acceptable": {"id2label": {0: "0", 1: "1"}},
        "number": {"id2label": {0: "score"}, "problem_type": "regression"},
    }
    for name, head in heads.items():
        torch.manual_seed(1)
        config = AlbertConfig(
            vocab_size=tokenizer.vocab_size,
            embedding_size=8,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=64,
            initializer_range=1.0,
            **head,
        )
        AlbertForSequenceClassification(config).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return {name: folder / name for name in heads}


def run(model: Path, folder: Path, name: str, content: str, output: str, **changes: Any) -> list[str]:
    (folder / name).write_text(content, encoding="utf-8")
    asked = PredictSettings(model=model, input=folder / name, output=folder / output, device="cpu", **changes)
    count = predict(asked)["examples"]
    lines = (folder / output).read_text(encoding="utf-8").splitlines()
    assert len(lines) == count + output.endswith((".tsv", ".csv"))
    return lines


def expected_logits(model: Path, texts: list[str], pairs: list[str] | None = None) -> torch.Tensor:
    """Return the logits of each text from the public class, one padded batch at a time."""
    tokenizer = AlbertTokenizer.from_pretrained(model)
    classifier = AlbertForSequenceClassification.from_pretrained(model)
    rows = []
    for index, text in enumerate(texts):
        encoding = tokenizer([text], None if pairs is None else [pairs[index]], return_tensors="pt")
        with torch.no_grad():
            rows.append(classifier(**encoding).logits[0])
    return torch.stack(rows)


def test_lines_of_text_are_labelled_in_order(models: Models, tmp_path: Path) -> None:
    lines = run(models["labels"], tmp_path, "in.txt", "\n".join(TEXTS) + "\n", "out.jsonl")
    probabilities = expected_logits(models["labels"], TEXTS).softmax(-1)
    for line, expected in zip(map(json.loads, lines), probabilities, strict=True):
        names = ["red", "green", "blue"]
        assert line["label"] == names[int(expected.argmax())]
        assert line["score"] == pytest.approx(float(expected.max()), abs=1e-5)
        assert list(line["scores"]) == names
        assert list(line["scores"].values()) == pytest.approx(expected.tolist(), abs=1e-5)


def test_tsv_and_jsonl_hold_the_same_predictions(models: Models, tmp_path: Path) -> None:
    content = "\n".join(TEXTS)
    as_json = [json.loads(x) for x in run(models["labels"], tmp_path, "in.txt", content, "out.jsonl")]
    header, *rows = [x.split("\t") for x in run(models["labels"], tmp_path, "in.txt", content, "out.tsv")]
    assert header == ["id", "text", "label", "score", "red", "green", "blue"]
    for row, line in zip(rows, as_json, strict=True):
        assert row[:3] == [line["id"], line["text"], line["label"]]
        assert [float(cell) for cell in row[3:]] == [line["score"], *line["scores"].values()]


def test_ids_and_texts_of_the_input_stand_beside_the_predictions(models: Models, tmp_path: Path) -> None:
    """A label is of little use without the text it belongs to."""
    texts = ['with "quotes", and commas', "of two\nlines", "plain"]
    table = tmp_path / "in.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["score", "id"], *[[text, f"t-{n}"] for n, text in enumerate(texts)]])
    for name in ("out.csv", "out.jsonl", "out.tsv"):
        predict(
            PredictSettings(
                model=str(models["labels"]),
                input=table,
                output=tmp_path / name,
                columns=ColumnSettings(text_column="score"),
            )
        )
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["id"] for row in rows] == [line["id"] for line in lines] == ["t-0", "t-1", "t-2"]
    assert [row["input_score"] for row in rows] == texts  # `score` itself is the probability
    assert [float(row["score"]) for row in rows] == [line["score"] for line in lines]
    assert "of two lines" in (tmp_path / "out.tsv").read_text(encoding="utf-8")


def test_all_bad_rows_are_named_before_anything_is_written(models: Models, tmp_path: Path) -> None:
    content = "text\n" + "good\n" * 2000 + "".join("a\tb\n" for _ in range(12)) + "good\n"
    with pytest.raises(DataError) as found:
        run(models["labels"], tmp_path, "in.tsv", content, "out.tsv")
    first, *named = str(found.value).split("\n")
    assert first == (
        "12 rows cannot be used, correct them, or leave them out with --on-bad-row skip; the first 10:"
    )
    assert named[0].strip() == f"{tmp_path}/in.tsv:2002: expected 1 columns, found 2; the columns are text"
    assert len(named) == 10
    assert not (tmp_path / "out.tsv").exists()


@pytest.mark.parametrize("output", ["out.tsv", "out.csv", "out.jsonl"])
def test_rows_that_are_left_out_keep_their_places(models: Models, tmp_path: Path, output: str) -> None:
    content = "text\tid\none\ta\n \tb\nthree\tc\nfour\n"
    lines = run(models["labels"], tmp_path, "in.tsv", content, output, on_bad_row="skip")
    whole = run(models["labels"], tmp_path, "good.tsv", "text\tid\none\ta\nthree\tc\n", output)
    if output.endswith(".jsonl"):
        assert json.loads(lines[1])["skipped"].startswith(f"{tmp_path}/in.tsv:3: the text in column 'text'")
        assert "expected 2 columns, found 1" in json.loads(lines[3])["skipped"]
        assert [lines[0], lines[2]] == whole
    else:
        separator = "\t" if output.endswith(".tsv") else ","
        assert lines[2].strip(separator) == "1"
        assert lines[4].strip(separator) == "3"
        assert [lines[0], lines[1], lines[3]] == whole


def test_no_row_can_be_left_out_of_an_official_file(models: Models, tmp_path: Path, golden: Path) -> None:
    data = golden / "glue" / "data"
    asked = PredictSettings(
        model=str(models["acceptable"]),
        task="cola",
        data=data,
        output=tmp_path / "CoLA.tsv",
        on_bad_row="skip",
    )
    with pytest.raises(ConfigError, match=r"the official file .* needs every answer"):
        predict(asked)


def test_pairs_come_from_two_columns(models: Models, tmp_path: Path) -> None:
    pairs = list(reversed(TEXTS))
    rows = "".join(json.dumps({"q": text, "a": pair}) + "\n" for text, pair in zip(TEXTS, pairs, strict=True))
    columns = ColumnSettings(text_column="q", pair_column="a")
    lines = run(models["labels"], tmp_path, "in.jsonl", rows, "out.jsonl", columns=columns)
    probabilities = expected_logits(models["labels"], TEXTS, pairs).softmax(-1)
    found = [list(json.loads(line)["scores"].values()) for line in lines]
    torch.testing.assert_close(torch.tensor(found), probabilities, atol=1e-5, rtol=0)


def test_a_regression_model_predicts_numbers(models: Models, tmp_path: Path) -> None:
    expected = expected_logits(models["number"], TEXTS)[:, 0].tolist()
    lines = run(models["number"], tmp_path, "in.txt", "\n".join(TEXTS), "out.jsonl")
    header, *rows = run(models["number"], tmp_path, "in.txt", "\n".join(TEXTS), "out.tsv")
    assert header == "id\ttext\tscore"
    assert [json.loads(line)["score"] for line in lines] == pytest.approx(expected, abs=1e-4)
    assert [float(row.split("\t")[-1]) for row in rows] == pytest.approx(expected, abs=1e-4)


def test_a_benchmarks_test_file_is_read_for_the_named_task(
    models: Models, tmp_path: Path, golden: Path
) -> None:
    content = (golden / "glue" / "data" / "CoLA" / "test.tsv").read_text(encoding="utf-8")
    assert len(run(models["acceptable"], tmp_path, "test.tsv", content, "out.jsonl", task="cola")) == 6


def test_a_model_for_other_labels_than_the_tasks_is_refused(
    models: Models, tmp_path: Path, golden: Path
) -> None:
    data = golden / "glue" / "data"
    asked = PredictSettings(model=models["labels"], task="cola", data=data, output=tmp_path / "CoLA.tsv")
    with pytest.raises(ConfigError, match="has the labels red, green, blue, but task 'cola' has 0, 1"):
        predict(asked)


def test_ctrl_c_leaves_complete_lines(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("albert.inference.prediction_stream.EXAMPLES_AT_ONCE", 2)
    predict_logits = ClassificationSolver.predict

    def stopped(*arguments: Any) -> Any:
        if "four is the last" in [example.text for example in arguments[3]]:
            raise KeyboardInterrupt
        return predict_logits(*arguments)

    monkeypatch.setattr(ClassificationSolver, "predict", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(models["labels"], tmp_path, "in.txt", "\n".join(TEXTS), "out.tsv")
    rows = (tmp_path / "out.tsv").read_text(encoding="utf-8")
    assert rows.endswith("\n")
    assert [len(row.split("\t")) for row in rows.splitlines()] == [7, 7, 7]


def test_input_with_an_error_at_the_start_leaves_an_earlier_output_untouched(
    models: Models, tmp_path: Path
) -> None:
    (tmp_path / "out.jsonl").write_text("earlier", encoding="utf-8")
    for content, message in (("a\tb\n1\t2\n", "no column 'text'"), ("text\n", "holds no example")):
        with pytest.raises(DataError, match=message):
            run(models["labels"], tmp_path, "in.tsv", content, "out.jsonl")
    assert (tmp_path / "out.jsonl").read_text(encoding="utf-8") == "earlier"


@pytest.mark.parametrize(
    ("names", "changes", "message"),
    [
        (("in.txt", "out.txt"), {}, r"expected a name ending in \.csv, \.tsv or \.jsonl"),
        (("in.tsv", "in.tsv"), {}, "is the input"),
        (("in.tsv", "out.conll"), {}, r"expected a name ending in \.csv, \.tsv or \.jsonl"),
        (("in.tsv", "out.json"), {"format": "official"}, "task 'classification' has no official format"),
        (("in.tsv", "out.tsv"), {"data": Path()}, "--input and --data both name"),
        (("in.txt", "out.tsv"), {"threshold": 0.5}, "uses no threshold"),
        (
            ("in.txt", "out.tsv"),
            {"columns": ColumnSettings(text_column="a")},
            "lines of text have no columns",
        ),
        (("in.txt", "out.tsv"), {"max_seq_length": 65}, "the model has 64 positions"),
    ],
)
def test_settings_that_cannot_work_are_refused(
    models: Models, tmp_path: Path, names: tuple[str, str], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        run(models["labels"], tmp_path, names[0], "text\n", names[1], **changes)


def test_one_output_of_unknown_meaning_is_written_as_it_is_with_a_warning(
    models: Models, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "unknown"
    folder.mkdir()
    for path in models["number"].iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    del config["problem_type"]
    (folder / "config.json").write_text(json.dumps(config))
    known = run(models["number"], tmp_path, "in.txt", "one\ntwo\n", "known.jsonl")
    assert "problem_type" not in capsys.readouterr().err
    assert run(folder, tmp_path, "in.txt", "one\ntwo\n", "unknown.jsonl") == known
    assert "does not say (problem_type) whether the one output is a number" in capsys.readouterr().err
    assert run(folder, tmp_path, "in.txt", "one\ntwo\n", "given.jsonl", task="regression") == known
    assert "problem_type" not in capsys.readouterr().err
    logits = [json.loads(line)["score"] for line in known]
    scores = [row["score"] for row in pipeline("text-classification", str(folder))(["one", "two"])]
    assert scores == pytest.approx([1 / (1 + math.exp(-logit)) for logit in logits], abs=1e-5)
