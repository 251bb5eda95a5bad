"""Predictions for files: correct, in order, in every format, as a stream."""

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
    assert len(lines) == count + (output.endswith(".tsv"))
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
    assert header == ["label", "score", "red", "green", "blue"]
    for row, line in zip(rows, as_json, strict=True):
        assert row[0] == line["label"]
        assert [float(cell) for cell in row[1:]] == [line["score"], *line["scores"].values()]


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
    assert header == "score"
    assert [json.loads(line)["score"] for line in lines] == pytest.approx(expected, abs=1e-4)
    assert [float(row) for row in rows] == pytest.approx(expected, abs=1e-4)


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
    assert [len(row.split("\t")) for row in rows.splitlines()] == [5, 5, 5]


def test_predictions_are_written_while_the_input_is_read(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("albert.inference.prediction_stream.EXAMPLES_AT_ONCE", 2)
    with pytest.raises(DataError, match=r"in\.txt:5: the line is empty"):
        run(models["labels"], tmp_path, "in.txt", "a\nb\nc\nd\n\n", "out.jsonl")
    assert len((tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()) == 4


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
        (("in.txt", "out.txt"), {}, r"expected a name ending in \.tsv or \.jsonl"),
        (("in.tsv", "in.tsv"), {}, "is the input"),
        (("in.tsv", "out.conll"), {}, r"expected a name ending in \.tsv or \.jsonl"),
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
