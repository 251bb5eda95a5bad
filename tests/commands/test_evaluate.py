"""Scores of a stored model: equal to those in training, on any labelled split, refused if misleading."""

from pathlib import Path
from typing import Any

import pytest
import torch

from albert.commands.evaluate import EvaluateSettings, evaluate
from albert.commands.finetune import FinetuneSettings, finetune
from albert.commands.following import prediction
from albert.config import AlbertConfig
from albert.errors import CheckpointError, ConfigError, DataError
from albert.model.task_models import AlbertForSequenceClassification
from albert.tasks import labels
from albert.tasks.catalogue import find_task
from albert.tasks.tables import Columns, read_rows
from albert.tasks.task import ColumnSettings
from albert.text.tokenizer import AlbertTokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory, golden: Path) -> AlbertTokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    (folder / "spiece.model").write_bytes((golden / "tokenization" / "30k-clean.model").read_bytes())
    return AlbertTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def data(golden: Path) -> Path:
    """Small files in the layout of the official ones."""
    return golden / "glue" / "data"


def write_model(folder: Path, tokenizer: AlbertTokenizer, **changes: Any) -> Path:
    torch.manual_seed(0)
    config = AlbertConfig(
        vocab_size=tokenizer.vocab_size,
        embedding_size=8,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=0.5,
        **changes,
    )
    AlbertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("task", ["cola", "sst2", "mrpc", "stsb", "rte", "wnli"])
def test_a_stored_model_scores_as_it_did_in_training(
    tokenizer: AlbertTokenizer, data: Path, tmp_path: Path, task: str
) -> None:
    start = write_model(tmp_path / "start", tokenizer)
    asked = FinetuneSettings(
        task=task, model=start, data=data, output=tmp_path / "run", max_steps=2, batch_size=4, device="cpu"
    )
    finished = finetune(asked)
    last = finished["last"]
    result = evaluate(EvaluateSettings(task=task, model=tmp_path / "run" / "model", data=data, device="cpu"))
    assert result.pop("task") == task
    assert result.pop("split") == "dev"
    assert result.pop("lengths") == finished["lengths"]["dev"]
    assert result.pop("next") == prediction(tmp_path / "run" / "model", task=task)
    assert result.pop("examples") == (8 if task in {"cola", "sst2"} else 9)
    assert result.pop(f"baseline_{find_task(task).best_metric}") >= 0
    assert result == pytest.approx({name: last[name] for name in result}, abs=1e-6)
    assert {"step", *result} == set(last)


def test_labels_in_another_order_give_the_same_score(
    tokenizer: AlbertTokenizer, data: Path, tmp_path: Path
) -> None:
    names = {0: "entailment", 1: "not_entailment"}
    first = write_model(tmp_path / "a", tokenizer, id2label=names)
    model = AlbertForSequenceClassification.from_pretrained(
        first, id2label={0: "not_entailment", 1: "entailment"}
    )
    with torch.no_grad():
        model.classifier.weight.copy_(model.classifier.weight.flip(0))
        model.classifier.bias.copy_(model.classifier.bias.flip(0))
    model.save_pretrained(tmp_path / "b")
    tokenizer.save_pretrained(tmp_path / "b")
    asked = {"task": "rte", "data": data, "device": "cpu"}
    results = [evaluate(EvaluateSettings(model=tmp_path / name, **asked)) for name in ("a", "b")]  # type: ignore[arg-type]
    assert results[0].pop("lengths") == results[1].pop("lengths")
    assert results[0].pop("next") != results[1].pop("next")
    assert results[0] == pytest.approx(results[1])


def test_unnamed_labels_are_taken_in_the_order_of_the_task(
    tokenizer: AlbertTokenizer, data: Path, tmp_path: Path
) -> None:
    named = write_model(tmp_path / "a", tokenizer, id2label={0: "entailment", 1: "not_entailment"})
    unnamed = write_model(tmp_path / "b", tokenizer)
    results = [
        evaluate(EvaluateSettings(task="rte", model=folder, data=data, device="cpu"))
        for folder in (named, unnamed)
    ]
    assert results[0] | {"next": ""} == results[1] | {"next": ""}


@pytest.mark.parametrize(
    "names",
    [("Entailment", "NOT ENTAILMENT"), ("entailment", "not-entailment"), ("éntailment", "notEntailment")],
)
def test_names_of_labels_are_compared_without_case_accents_and_separators(
    tokenizer: AlbertTokenizer, data: Path, tmp_path: Path, names: tuple[str, str]
) -> None:
    exact = write_model(tmp_path / "a", tokenizer, id2label={0: "entailment", 1: "not_entailment"})
    other = write_model(tmp_path / "b", tokenizer, id2label=dict(enumerate(names)))
    asked = {"task": "rte", "data": data, "device": "cpu"}
    results = [evaluate(EvaluateSettings(model=folder, **asked)) for folder in (exact, other)]  # type: ignore[arg-type]
    assert results[0] | {"next": ""} == results[1] | {"next": ""}


def test_an_order_that_fits_far_better_is_named_and_can_be_given(
    tokenizer: AlbertTokenizer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The outputs of a model without names are in another order than the task's labels."""
    rows = [f"{n}\tvalue {n}\tthe type\t{'entailment' if n % 2 else 'not_entailment'}" for n in range(12)]
    (tmp_path / "dev.tsv").write_text("index\tsentence1\tsentence2\tlabel\n" + "\n".join(rows) + "\n")
    folder = write_model(tmp_path / "m", tokenizer)
    asked: dict[str, Any] = {
        "task": "rte",
        "model": str(folder),
        "data": tmp_path / "dev.tsv",
        "device": "cpu",
    }
    first = evaluate(EvaluateSettings(**asked, labels="entailment,not_entailment"))
    second = evaluate(EvaluateSettings(**asked, labels="not_entailment, entailment"))
    assert first["accuracy"] == pytest.approx(1 - float(str(second["accuracy"])))
    assert "fit another order" not in capsys.readouterr().err
    with pytest.raises(ConfigError, match="--labels a: expected 2 different names, one for each output"):
        evaluate(EvaluateSettings(**asked, labels="a"))
    with pytest.raises(ConfigError, match="--labels names the outputs of a --model"):
        EvaluateSettings(task="rte", predictions=tmp_path / "p.tsv", labels="a,b")
    # A rule that always finds one: the warning comes once, although the scores are computed twice.
    monkeypatch.setattr(
        "albert.commands.evaluate.better_order", lambda _, pairs: (("b", "a"), 1.0) if pairs else None
    )
    evaluate(
        EvaluateSettings(**asked, labels="entailment,not_entailment", dtype="bf16", compare_float32=True)
    )
    assert capsys.readouterr().err.count("fit another order") == 1


def test_the_assumed_order_of_unnamed_labels_is_reported(
    tokenizer: AlbertTokenizer, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels._report_order.cache_clear()
    folder = write_model(tmp_path / "m", tokenizer)
    evaluate(EvaluateSettings(task="rte", model=str(folder), data=data, device="cpu"))
    shown = capsys.readouterr().err
    assert "its outputs are taken to be entailment, not_entailment, in that order (give another" in shown


def test_a_model_for_other_labels_is_refused(tokenizer: AlbertTokenizer, data: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path, tokenizer, id2label={0: "sports", 1: "arts"})
    with pytest.raises(ConfigError, match="has the labels sports, arts, but task 'rte' has"):
        evaluate(EvaluateSettings(task="rte", model=model, data=data))


def test_a_regression_model_is_refused_for_classification(
    tokenizer: AlbertTokenizer, data: Path, tmp_path: Path
) -> None:
    model = write_model(tmp_path, tokenizer, id2label={0: "score"}, problem_type="regression")
    with pytest.raises(ConfigError, match="trained for regression"):
        evaluate(EvaluateSettings(task="rte", model=model, data=data))


def test_a_model_without_classifier_is_refused(
    tokenizer: AlbertTokenizer, data: Path, tmp_path: Path
) -> None:
    folder = write_model(tmp_path, tokenizer)
    AlbertForSequenceClassification.from_pretrained(folder).albert.save_pretrained(folder)
    with pytest.raises(
        CheckpointError,
        match="of AlbertForSequenceClassification, so the model would predict at random; train it first",
    ):
        evaluate(EvaluateSettings(task="rte", model=folder, data=data))


def test_a_test_file_without_labels_cannot_be_scored(
    tokenizer: AlbertTokenizer, data: Path, tmp_path: Path
) -> None:
    model = write_model(tmp_path, tokenizer)
    with pytest.raises(DataError, match=r"test\.tsv:1: no column 'label'"):
        evaluate(EvaluateSettings(task="rte", model=model, data=data, split="test"))


def test_own_columns_are_read_from_csv(tokenizer: AlbertTokenizer, data: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", tokenizer, id2label={0: "entailment", 1: "not_entailment"})
    rows = read_rows(
        data / "RTE" / "dev.tsv",
        Columns(
            required=(
                "sentence1",
                "sentence2",
                "label",
            )
        ),
    )
    cells = [['"' + cell.replace('"', '""') + '"' for cell in row.cells] for row in rows]
    (tmp_path / "dev.csv").write_text("\n".join(["p,h,y", *map(",".join, cells)]) + "\n", encoding="utf-8")
    own = evaluate(
        EvaluateSettings(
            task="classification",
            model=model,
            data=tmp_path,
            columns=ColumnSettings(text_column="p", pair_column="h", label_column="y"),
        )
    )
    assert own["accuracy"] == evaluate(EvaluateSettings(task="rte", model=model, data=data))["accuracy"]


@pytest.mark.parametrize("given", [{}, {"model": "model", "predictions": Path("out.tsv")}])
def test_either_a_model_or_predictions_are_scored(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"to be scored; found {'both' if given else 'nei'}"):
        EvaluateSettings(task="rte", **given)


def test_predictions_are_scored_on_a_folder_or_on_its_file(data: Path, tmp_path: Path) -> None:
    labels = [row.cells[0] for row in read_rows(data / "RTE" / "dev.tsv", Columns(required=("label",)))]
    rows = [f"{index}\t{label}" for index, label in enumerate(labels)]
    (tmp_path / "RTE.tsv").write_text("\n".join(["index\tprediction", *rows]), encoding="utf-8")
    results = [
        evaluate(EvaluateSettings(task="rte", predictions=tmp_path / "RTE.tsv", data=place))
        for place in (data, data / "RTE" / "dev.tsv")
    ]
    most = max(map(labels.count, labels)) / len(labels)
    expected = {"task": "rte", "split": "dev", "examples": 9, "accuracy": 1.0, "baseline_accuracy": most}
    assert results == [expected] * 2


def test_a_threshold_needs_questions_that_may_have_no_answer(
    tokenizer: AlbertTokenizer, data: Path, tmp_path: Path
) -> None:
    model = write_model(tmp_path, tokenizer, id2label={0: "entailment", 1: "not_entailment"})
    with pytest.raises(ConfigError, match="uses no threshold"):
        evaluate(EvaluateSettings(task="rte", model=str(model), data=data, threshold=0.5))
