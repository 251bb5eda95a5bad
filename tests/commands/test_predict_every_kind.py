"""Predictions of every kind of task: official files get the model's scores, archives stay complete."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from albert.commands.evaluate import EvaluateSettings, evaluate
from albert.commands.predict import PredictSettings, predict
from albert.config import AlbertConfig
from albert.errors import ConfigError, DataError
from albert.model.answer_models import AlbertForQuestionAnswering, AlbertForQuestionAnsweringBeamSearch
from albert.model.pretrained import Pretrained
from albert.model.task_models import (
    AlbertForMultipleChoice,
    AlbertForSequenceClassification,
    AlbertForTokenClassification,
)
from albert.tasks.catalogue import files_of_benchmark, find_task
from albert.tasks.classification.clue import TNEWS_DESCRIPTIONS
from albert.text.tokenizer import AlbertTokenizer

MakeModel = Callable[[str], Path]
HEADS: dict[str, type[Pretrained]] = {
    "choice": AlbertForMultipleChoice,
    "tagging": AlbertForTokenClassification,
    "spans": AlbertForQuestionAnswering,
}
THRESHOLD = 0.25

C3 = [
    [
        ["男：今天星期几？", "女：星期二。"],
        [{"question": "今天？", "choice": ["一", "二", "三"], "answer": "二"}],
        "d-1",
    ],
    [["女：下雨了。"], [{"question": "天气？", "choice": ["雨", "晴"], "answer": "雨"}] * 2, "d-2"],
]
SENTENCES = "EU O\nrejects O\nGerman B-MISC\ncall O\n\nPeter B-PER\nBlackburn I-PER\n\nBRUSSELS B-LOC\n"
CLUENER = [
    {"text": "浙商银行的叶老桂", "label": {"name": {"叶老桂": [[5, 7]]}, "company": {"浙商银行": [[0, 3]]}}},
    {"text": "在北京", "label": {"address": {"北京": [[1, 2]]}}},
]
HEADLINES = [
    {"id": 7, "sentence": "one two three", "label": "102"},
    {"id": 3, "sentence": "four five", "label": "116"},
]


@pytest.fixture(scope="module")
def make_model(tmp_path_factory: pytest.TempPathFactory, golden: Path) -> MakeModel:
    """Return a function that writes a tiny random model for a task."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "spiece.model").write_bytes((golden / "tokenization" / "30k-clean.model").read_bytes())
    tokenizer = AlbertTokenizer.from_pretrained(folder)

    def make(name: str) -> Path:
        if (folder / name).is_dir():
            return folder / name
        task = find_task(name)
        model_class = HEADS.get(task.kind, AlbertForSequenceClassification)
        if task.may_lack_answer:
            model_class = AlbertForQuestionAnsweringBeamSearch
        # Own data have the labels of their training file, here one type more than their dev file.
        labels = task.labels or (find_task("conll2003").labels if task.kind == "tagging" else ())
        head: dict[str, Any] = {"id2label": dict(enumerate(labels))} if labels else {}
        if task.kind == "regression":
            head = {"id2label": {0: "score"}, "problem_type": "regression"}
        torch.manual_seed(3)
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
        model = model_class(config)
        if isinstance(model, AlbertForSequenceClassification):
            with torch.no_grad():
                model.classifier.weight.mul_(100)  # numbers beyond the scale of STS-B
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
        record = {
            "lengths": {"max_query_length": 16, "doc_stride": 16},
            "scores": {"best_f1_thresh": THRESHOLD},
        }
        (folder / name / "run.json").write_text(json.dumps(record), encoding="utf-8")
        return folder / name

    return make


@pytest.fixture(scope="module")
def data(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders or files with labelled examples by task."""
    folder = tmp_path_factory.mktemp("data")
    contents = {
        "tagging/dev.conll": SENTENCES,
        "cluener/dev.json": "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in CLUENER),
        "c3/c3-d-dev.json": json.dumps(C3, ensure_ascii=False),
        "tnews/dev.json": "".join(json.dumps(row) + "\n" for row in HEADLINES),
    }
    for name, content in contents.items():
        (folder / name).parent.mkdir()
        (folder / name).write_text(content, encoding="utf-8")
    glue = dict.fromkeys(("cola", "mrpc", "stsb", "qqp", "mnli-mm", "qnli"), golden / "glue" / "data")
    own = dict.fromkeys(("tagging",), folder / "tagging")
    return {
        **glue,
        **own,
        **dict.fromkeys(("cluener", "c3", "tnews"), folder),
        "race": golden / "race" / "data",
        "squad1": golden / "squad" / "v1_dev.json",
        "squad2": golden / "squad" / "v2_dev.json",
    }


def run(model: Path, task: str, data: Path, output: Path, **changes: Any) -> dict[str, Any]:
    source: dict[str, Any] = {"input": data} if data.is_file() else {"data": data}
    asked = {"model": str(model), "task": task, "output": output, "split": "dev", "device": "cpu"}
    return predict(PredictSettings(**{**asked, **source, **changes}))


@pytest.mark.parametrize(
    ("task", "output"),
    [
        ("cola", "CoLA.tsv"),
        ("mrpc", "MRPC.tsv"),
        ("stsb", "STS-B.tsv"),
        ("mnli-mm", "MNLI-mm.tsv"),
        ("qnli", "own.tsv"),
        ("qnli", "own.jsonl"),
        ("tnews", "tnews11_predict.json"),
        ("race", "race.json"),
        ("race", "own.jsonl"),
        ("race", "own.tsv"),
        ("c3", "c311_predict.json"),
        ("tagging", "tags.conll"),
        ("tagging", "tags.jsonl"),
        ("cluener", "cluener_predict.json"),
        ("squad1", "predictions.json"),
        ("squad1", "own.jsonl"),
        ("squad2", "predictions.json"),
    ],
)
def test_a_file_of_predictions_gets_the_scores_of_the_model(
    make_model: MakeModel, data: dict[str, Path], tmp_path: Path, task: str, output: str
) -> None:
    model = make_model(task)
    run(model, task, data[task], tmp_path / output)
    asked: dict[str, Any] = {"task": task, "data": data[task]}
    threshold = THRESHOLD if task == "squad2" else None
    by_model = evaluate(EvaluateSettings(model=str(model), device="cpu", threshold=threshold, **asked))
    by_file = evaluate(EvaluateSettings(predictions=tmp_path / output, **asked))
    assert by_model.pop("lengths")["total"] > 1
    assert by_model.pop("next").startswith(f"albert predict --task {task} --model ")
    assert "lengths" not in by_file  # Nothing is encoded.
    # Numbers of STS-B are clipped to its scale, which changes their order.
    names = set(by_model) - {"loss", "best_f1", "best_exact", "best_f1_thresh", "best_exact_thresh"}
    assert len(names) > 3
    if task != "stsb":
        assert by_file == {name: by_model[name] for name in by_file}
    assert names == set(by_file)


def test_glue_gets_the_index_and_the_label_of_every_row(
    make_model: MakeModel, data: dict[str, Path], tmp_path: Path
) -> None:
    model = make_model("mnli-mm")
    result = run(model, "mnli-mm", data["mnli-mm"], tmp_path, split="test")
    assert result["output"] == str(tmp_path / "MNLI-mm.tsv")
    header, *rows = (tmp_path / "MNLI-mm.tsv").read_text(encoding="utf-8").splitlines()
    assert header == "index\tprediction"
    assert [row.split("\t")[0] for row in rows] == [str(number) for number in range(result["examples"])]
    assert {row.split("\t")[1] for row in rows} <= {"contradiction", "entailment", "neutral"}


def test_numbers_stay_on_the_scale_of_stsb(
    make_model: MakeModel, data: dict[str, Path], tmp_path: Path
) -> None:
    run(make_model("stsb"), "stsb", data["stsb"], tmp_path / "out.jsonl", split="test")
    run(make_model("stsb"), "stsb", data["stsb"], tmp_path / "STS-B.tsv", split="test")
    free = [json.loads(line)["score"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    rows = (tmp_path / "STS-B.tsv").read_text().splitlines()[1:]
    assert min(free) < 0 or max(free) > 5
    assert [float(row.split("\t")[1]) for row in rows] == [min(5.0, max(0.0, score)) for score in free]


def test_clue_gets_ids_labels_and_names_of_subjects(
    make_model: MakeModel, data: dict[str, Path], tmp_path: Path
) -> None:
    run(make_model("tnews"), "tnews", data["tnews"], tmp_path)
    lines = (tmp_path / "tnews11_predict.json").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    assert [row["id"] for row in found] == [7, 3]
    assert all(row["label_desc"] == TNEWS_DESCRIPTIONS[row["label"]] for row in found)
    assert set(TNEWS_DESCRIPTIONS) == set(find_task("tnews").labels)


def test_an_archive_grows_file_by_file_and_missing_files_are_reported(
    make_model: MakeModel, data: dict[str, Path], tmp_path: Path
) -> None:
    archive = tmp_path / "submission.zip"
    first = run(make_model("cola"), "cola", data["cola"], archive, split="test")
    assert first["member"] == "CoLA.tsv"
    assert first["missing"] == [name for name in files_of_benchmark("GLUE") if name != "CoLA.tsv"]
    assert len(first["missing"]) == 10
    run(make_model("qnli"), "qnli", data["qnli"], archive, split="test")
    last = run(make_model("cola"), "cola", data["cola"], archive, split="dev")
    with zipfile.ZipFile(archive) as found:
        assert sorted(found.namelist()) == ["CoLA.tsv", "QNLI.tsv"]
        assert len(found.read("CoLA.tsv").splitlines()) == last["examples"] + 1
    assert [path.name for path in tmp_path.iterdir()] == ["submission.zip"]


def test_a_failure_leaves_an_archive_unchanged(
    make_model: MakeModel, data: dict[str, Path], tmp_path: Path
) -> None:
    archive = tmp_path / "submission.zip"
    run(make_model("cola"), "cola", data["cola"], archive)
    before = archive.read_bytes()
    bad = tmp_path / "test.tsv"
    bad.write_text("index\tquestion\tsentence\n0\tone\ttwo\n1\tone\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"test\.tsv:3: expected 3 columns, found 2"):
        run(make_model("qnli"), "qnli", bad, archive)
    assert archive.read_bytes() == before
    archive.write_bytes(before[: len(before) // 2])
    with pytest.raises(DataError, match="not a zip archive, or a damaged one"):
        run(make_model("qnli"), "qnli", data["qnli"], archive)
    assert {path.name for path in tmp_path.iterdir()} == {"submission.zip", "test.tsv"}


def test_answers_come_with_the_best_spans_and_the_null_odds(
    make_model: MakeModel, data: dict[str, Path], tmp_path: Path
) -> None:
    model = make_model("squad2")
    run(model, "squad2", data["squad2"], tmp_path / "predictions.json")
    text = (tmp_path / "predictions.json").read_text(encoding="utf-8")
    texts = json.loads(text)
    best, odds = (
        json.loads((tmp_path / name).read_text(encoding="utf-8"))
        for name in ("nbest_predictions.json", "null_odds.json")
    )
    assert list(texts) == list(best) == list(odds)
    assert text == json.dumps(texts, ensure_ascii=False, indent=4) + "\n"
    for question, answer in texts.items():
        assert answer == ("" if odds[question] > THRESHOLD else best[question][0]["text"])
        assert list(best[question][0]) == ["text", "probability", "start_log_prob", "end_log_prob"]
    always = run(model, "squad2", data["squad2"], tmp_path / "all.json", threshold=float("inf"))
    assert always["examples"] == len(texts)
    kept = json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))
    assert kept == {question: spans[0]["text"] for question, spans in best.items()}


def test_null_odds_next_to_a_file_give_the_best_threshold(
    make_model: MakeModel, data: dict[str, Path], tmp_path: Path
) -> None:
    model = make_model("squad2")
    run(model, "squad2", data["squad2"], tmp_path / "predictions.json", threshold=float("inf"))
    asked: dict[str, Any] = {"task": "squad2", "data": data["squad2"]}
    by_model = evaluate(EvaluateSettings(model=str(model), device="cpu", **asked))
    by_file = evaluate(
        EvaluateSettings(
            predictions=tmp_path / "predictions.json",
            null_odds=tmp_path / "null_odds.json",
            threshold=float(str(by_model["best_f1_thresh"])),
            **asked,
        )
    )
    del by_model["lengths"], by_model["next"]  # Predictions in a file are not encoded, and have no model.
    assert by_file == by_model


def test_the_order_of_the_input_is_kept_over_many_chunks(
    make_model: MakeModel, data: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model("squad1")
    run(model, "squad1", data["squad1"], tmp_path / "whole.json")
    nbest = (tmp_path / "nbest_predictions.json").read_text(encoding="utf-8")
    monkeypatch.setattr("albert.inference.prediction_stream.EXAMPLES_AT_ONCE", 3)
    run(model, "squad1", data["squad1"], tmp_path / "parts.json")
    whole, parts = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("whole", "parts"))
    assert len(whole) > 3
    assert list(parts.items()) == list(whole.items())
    again = json.loads((tmp_path / "nbest_predictions.json").read_text(encoding="utf-8"))
    assert {q: [s["text"] for s in spans] for q, spans in again.items()} == {
        q: [s["text"] for s in spans] for q, spans in json.loads(nbest).items()
    }
    assert not (tmp_path / "null_odds.json").exists()


def test_lines_of_text_are_tagged_word_by_word(make_model: MakeModel, tmp_path: Path) -> None:
    model = make_model("conll2003")
    (tmp_path / "in.txt").write_text("Peter lives in New  York .\n我在IBM，一年\n", encoding="utf-8")
    predict(PredictSettings(model=str(model), input=tmp_path / "in.txt", output=tmp_path / "out.jsonl"))
    predict(PredictSettings(model=str(model), input=tmp_path / "in.txt", output=tmp_path / "out.conll"))
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert found[0]["words"] == ["Peter", "lives", "in", "New", "York", "."]
    assert found[1]["words"] == ["我", "在", "IBM", "，", "一", "年"]
    sentences = (tmp_path / "out.conll").read_text(encoding="utf-8").split("\n\n")
    assert sentences.pop() == ""
    for sentence, row in zip(sentences, found, strict=True):
        assert sentence.split("\n") == [
            f"{word} {tag}" for word, tag in zip(row["words"], row["tags"], strict=True)
        ]
        for entity in row["entities"]:
            text = "Peter lives in New  York ." if row is found[0] else "我在IBM，一年"
            assert text[entity["start"] : entity["end"]] == entity["text"]


def test_every_character_of_a_chinese_line_is_tagged(make_model: MakeModel, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("在IBM 2年\n", encoding="utf-8")
    asked: dict[str, Any] = {"model": str(make_model("cluener")), "task": "cluener"}
    predict(PredictSettings(input=tmp_path / "in.txt", output=tmp_path / "out.jsonl", **asked))
    assert json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8"))["words"] == list("在IBM2年")


def test_a_word_with_a_space_cannot_be_written_in_columns(make_model: MakeModel, tmp_path: Path) -> None:
    rows = tmp_path / "in.jsonl"
    rows.write_text('{"words": ["New York", "is", "big"]}\n', encoding="utf-8")
    asked: dict[str, Any] = {"model": str(make_model("conll2003")), "input": rows}
    with pytest.raises(DataError, match=r"in\.jsonl:1: the word 'New York' contains a space"):
        predict(PredictSettings(output=tmp_path / "out.conll", **asked))
    predict(PredictSettings(output=tmp_path / "out.tsv", **asked))
    assert (
        (tmp_path / "out.tsv").read_text(encoding="utf-8").startswith("id\twords\ttags\n0\tNew York is big\t")
    )


@pytest.mark.parametrize(
    ("task", "output", "changes", "message"),
    [
        (
            "cola",
            "out.jsonl",
            {"format": "official"},
            r"goes to an existing folder, .* ending in \.tsv or \.zip",
        ),
        ("race", "out.zip", {}, r"goes to an existing folder, or a name ending in \.json$"),
        ("squad1", "out.tsv", {"format": "official"}, r"ending in \.json$"),
        ("squad1", "out.txt", {}, r"ending in \.csv, \.tsv or \.jsonl, or an existing folder"),
        ("tagging", "out.zip", {"format": "official"}, "task 'tagging' has no official format"),
    ],
)
def test_an_output_name_that_does_not_fit_the_format_is_refused(  # noqa: PLR0917  # fixtures, then the case
    make_model: MakeModel,
    data: dict[str, Path],
    tmp_path: Path,
    task: str,
    output: str,
    changes: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(ConfigError, match=message):
        run(make_model(task), task, data[task], tmp_path / output, **changes)
    assert not any(tmp_path.iterdir())


def test_an_input_next_to_the_output_is_not_overwritten(
    make_model: MakeModel, data: dict[str, Path], tmp_path: Path
) -> None:
    source = tmp_path / "nbest_predictions.json"
    source.write_bytes(data["squad1"].read_bytes())
    with pytest.raises(ConfigError, match=r"nbest_predictions\.json is the input"):
        run(make_model("squad1"), "squad1", source, tmp_path / "predictions.json")


def test_lines_of_text_are_refused_for_questions(make_model: MakeModel, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("one\n", encoding="utf-8")
    asked: dict[str, Any] = {"input": tmp_path / "in.txt", "output": tmp_path / "out.jsonl"}
    for task in ("squad1", "qnli"):
        with pytest.raises(ConfigError, match="lines of text are single texts"):
            predict(PredictSettings(model=str(make_model(task)), task=task, **asked))


def test_two_questions_with_the_same_id_are_refused_in_one_object(
    make_model: MakeModel, tmp_path: Path
) -> None:
    passage = {"id": "high1.txt", "article": "p", "questions": ["q"], "options": [["w", "x", "y", "z"]]}
    (tmp_path / "in.jsonl").write_text(f"{json.dumps(passage)}\n" * 2, encoding="utf-8")
    asked: dict[str, Any] = {"model": str(make_model("race")), "task": "race", "input": tmp_path / "in.jsonl"}
    with pytest.raises(DataError, match=r"two examples have the id 'high1\.txt-1'"):
        predict(PredictSettings(output=tmp_path / "out.json", **asked))
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]
    assert predict(PredictSettings(output=tmp_path / "out.jsonl", **asked))["examples"] == 2


def test_names_of_labels_are_refused_for_a_task_without_labels(
    make_model: MakeModel, data: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="--labels a,b: task 'squad1' has no labels; drop the flag"):
        run(make_model("squad1"), "squad1", data["squad1"], tmp_path / "out.json", labels="a,b")
