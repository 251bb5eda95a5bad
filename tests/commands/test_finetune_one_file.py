"""One file of own data is enough: examples are held out of it, and the model remembers how it was read."""

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from albert.cli.main import run
from albert.commands.evaluate import EvaluateSettings, evaluate
from albert.commands.finetune import finetune
from albert.commands.predict import PredictSettings, predict
from albert.errors import CheckpointError, ConfigError, DataError
from albert.tasks.held_out import held_out_places
from albert.tasks.task import ColumnSettings
from samples.toy_task import sentences, settings, write_encoder, write_table, write_toy

COLUMNS = ColumnSettings(text_column="message", label_column="queue")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory, golden: Path) -> Path:
    """A folder with a tiny pretrained model."""
    return write_encoder(tmp_path_factory.mktemp("encoder"), golden)


@pytest.fixture(scope="module")
def tickets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV file of 60 messages."""
    path = tmp_path_factory.mktemp("tickets") / "tickets.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("message", "queue"), *sentences(60, seed=1)])
    return path


@pytest.fixture(scope="module")
def trained(encoder: Path, tickets: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The result of a run on that file."""
    folder = tmp_path_factory.mktemp("run") / "run"
    return finetune(settings(encoder, tickets, folder, columns=COLUMNS)) | {"run": str(folder)}


def test_a_tenth_is_held_out_and_said(trained: dict[str, Any]) -> None:
    assert trained["notes"] == [
        "no dev file: 6 of 60 examples are held out as dev (--dev-share 0.1 --split-seed 1)"
    ]
    assert set(trained["best"]) == {"step", "accuracy", "f1_macro", "loss"}


def test_the_held_out_examples_are_scored_again_as_in_training(
    trained: dict[str, Any], tickets: Path
) -> None:
    asked = EvaluateSettings(task="classification", model=trained["model"], data=tickets)
    scores = evaluate(asked)
    assert scores["examples"] == 6
    assert scores["loss"] == pytest.approx(trained["best"]["loss"], abs=1e-6)
    rest = evaluate(
        EvaluateSettings(task="classification", model=trained["model"], data=tickets, split="train")
    )
    assert rest["examples"] == 54


def test_another_file_is_scored_whole(trained: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "other.tsv"
    write_table(path, sentences(20, seed=7), "message", "queue")
    found = evaluate(EvaluateSettings(task="classification", model=trained["model"], data=path))
    assert found["examples"] == 20


def test_columns_need_not_be_named_again(trained: dict[str, Any], tickets: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    predict(PredictSettings(model=trained["model"], input=tickets, output=output))
    with output.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["message"] for row in rows] == [text for text, _ in sentences(60, seed=1)]


def test_a_run_stands_for_its_result(trained: dict[str, Any], tickets: Path, tmp_path: Path) -> None:
    for name, model in (("run.tsv", trained["run"]), ("model.tsv", trained["model"])):
        predict(PredictSettings(model=model, input=tickets, output=tmp_path / name))
    assert (tmp_path / "run.tsv").read_bytes() == (tmp_path / "model.tsv").read_bytes()
    assert Path(trained["model"]).name == "best"


def test_the_last_model_is_the_result_if_it_was_selected(
    encoder: Path, tickets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = finetune(settings(encoder, tickets, tmp_path / "run", columns=COLUMNS, select="last"))
    assert result["model"] == str(tmp_path / "run" / "model")
    capsys.readouterr()
    assert run(["info", str(tmp_path / "run"), "--json"]) == 0
    assert f"the run's result is {tmp_path / 'run' / 'model'}" in capsys.readouterr().err


def test_a_run_without_a_model_is_no_model(tmp_path: Path, tickets: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text(json.dumps({"command": "finetune", "settings": {}}))
    asked = PredictSettings(model=str(tmp_path / "run"), input=tickets, output=tmp_path / "out.tsv")
    with pytest.raises(CheckpointError, match="the run has written no model yet"):
        predict(asked)


def test_a_dev_file_and_a_share_contradict_each_other(encoder: Path, tmp_path: Path) -> None:
    data = write_toy(tmp_path / "data")
    with pytest.raises(ConfigError, match=r"--dev-share 0\.2: .*dev\.tsv is the dev file"):
        finetune(settings(encoder, data, tmp_path / "run", dev_share=0.2))


def test_too_few_examples_are_not_split_unless_asked_for(encoder: Path, tmp_path: Path) -> None:
    path = tmp_path / "few.tsv"
    write_table(path, sentences(4, seed=1), "text", "label")
    result = finetune(settings(encoder, path, tmp_path / "run", batch_size=2))
    assert "best" not in result
    with pytest.raises(ConfigError, match="4 examples are too few"):
        finetune(settings(encoder, path, tmp_path / "other", batch_size=2, dev_share=0.1))


def test_no_example_is_held_out_if_that_is_asked_for(encoder: Path, tickets: Path, tmp_path: Path) -> None:
    result = finetune(settings(encoder, tickets, tmp_path / "run", columns=COLUMNS, dev_share=0.0))
    assert "best" not in result
    assert result["model"] == str(tmp_path / "run" / "model")


def test_strata_keep_their_shares_and_equal_texts_stay_together() -> None:
    strata = ["often"] * 800 + ["seldom"] * 100 + ["rare"] * 20 + ["once"]
    texts = [f"text {n // 2}" if n < 200 else f"text {n}" for n in range(len(strata))]
    for seed in range(20):
        chosen = held_out_places(texts, strata, share=0.1, seed=seed)
        counts = Counter(strata[place] for place in chosen)
        assert abs(counts["often"] - 80) <= 2
        assert abs(counts["seldom"] - 10) <= 2
        assert 1 <= counts["rare"] <= 3
        assert counts["once"] == 0
        assert not {texts[place] for place in chosen} & {
            text for place, text in enumerate(texts) if place not in chosen
        }
    assert held_out_places(texts, strata, share=0.1, seed=1) == held_out_places(
        texts, strata, share=0.1, seed=1
    )


def test_bad_rows_are_named_together_or_left_out(encoder: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.tsv"
    rows = [*sentences(40, seed=1), ("", "good"), ("a text", ""), (" ", "bad")]
    write_table(path, rows, "text", "label")
    with pytest.raises(DataError) as found:
        finetune(settings(encoder, path, tmp_path / "run"))
    first, *named = str(found.value).split("\n")
    assert first == "3 rows cannot be used, correct them, or leave them out with --on-bad-row skip:"
    assert [line.strip().split(": ")[0] for line in named] == [f"{path}:{line}" for line in (42, 43, 44)]
    result = finetune(settings(encoder, path, tmp_path / "run", on_bad_row="skip"))
    assert result["notes"][0].startswith(f"left out 3 rows that cannot be used (first: {path}:42: ")


def test_unknown_labels_are_listed_with_their_numbers(trained: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "labels.tsv"
    rows = [*sentences(10, seed=3), *[("a text", "god")] * 3, *[("a text", "ugly")] * 2]
    write_table(path, rows, "message", "queue")
    asked = {"task": "classification", "model": trained["model"], "data": path}
    with pytest.raises(
        DataError, match=r"unknown labels, with the number of rows: 'god' \(3\), 'ugly' \(2\)"
    ):
        evaluate(EvaluateSettings(**asked))
    found = evaluate(EvaluateSettings(**asked, on_bad_row="skip"))
    assert found["examples"] == 10


def test_a_model_with_the_head_of_another_kind_is_refused(
    trained: dict[str, Any], encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = [
        "".join(f"{word} O\n" for word in text.split()[:-1]) + "it B-X\n" for text, _ in sentences(20, seed=1)
    ]
    path = tmp_path / "words.conll"
    path.write_text("\n".join(blocks), encoding="utf-8")
    asked = {"task": "tagging", "dev_share": 0.0}
    with pytest.raises(ConfigError, match=r"trained for classification, but task 'tagging' .*--init-from"):
        finetune(settings(Path(trained["model"]), path, tmp_path / "run", **asked))
    result = finetune(settings(encoder, path, tmp_path / "run", init_from=trained["model"], **asked))
    assert result["steps"] == 6


def test_a_classifier_is_a_start_for_numbers_and_that_is_said(
    trained: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "numbers.tsv"
    write_table(path, [(text, "1.5") for text, _ in sentences(20, seed=1)], "text", "label")
    finetune(settings(Path(trained["model"]), path, tmp_path / "run", task="regression", dev_share=0.0))
    assert "trained for classification, but task 'regression' is regression; its encoder is used" in (
        capsys.readouterr().err
    )
