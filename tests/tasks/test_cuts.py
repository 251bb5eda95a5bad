"""What is cut off is counted, for every kind of task and by every command that encodes texts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from albert.commands.embed import EmbedSettings, embed
from albert.commands.evaluate import EvaluateSettings, evaluate
from albert.commands.finetune import finetune
from albert.commands.predict import PredictSettings, predict
from albert.tasks.catalogue import find_task, solver_of
from albert.tasks.choice.files import ChoiceExample
from albert.tasks.cuts import Cuts
from albert.tasks.spans.files import Question
from albert.tasks.tables import Example
from albert.tasks.tagging.files import TaggedExample
from albert.tasks.task import Lengths
from albert.text.tokenizer import AlbertTokenizer
from samples.toy_task import settings, write_encoder, write_table

LENGTHS = Lengths(max_seq_length=12, max_query_length=4, doc_stride=4, max_qa_length=6)
ONE = "the value of it"
LONG = "the value of this type is a reference to it " * 2


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory, golden: Path) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder"), golden)


@pytest.fixture(scope="module")
def tokenizer(encoder: Path) -> AlbertTokenizer:
    return AlbertTokenizer.from_pretrained(encoder)


def tagged(words: tuple[str, ...]) -> TaggedExample:
    starts = tuple(np.cumsum([0, *(len(word) + 1 for word in words[:-1])]).tolist())
    return TaggedExample(words=words, text=" ".join(words), starts=starts, tags=None, where="t:1")


def asked(text: str) -> Question:
    return Question(id=text, context=LONG, question=text, answers=None, where="t:1")


CASES: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("classification", [Example(ONE), Example(LONG), Example(ONE)], {"unit": "texts", "limit": 12}),
    ("rte", [Example(ONE, LONG), Example(ONE, ONE)], {"unit": "pairs", "limit": 12}),
    ("spans", [asked(ONE), asked(LONG)], {"unit": "questions", "limit": 4}),
    ("conll2003", [tagged(("the", "e" * 90)), tagged(("value",))], {"unit": "words", "limit": 10}),
    (
        "race",
        [ChoiceExample(passage=ONE, choices=(ONE, "of")), ChoiceExample(passage=LONG, choices=("of", "it"))],
        {"unit": "choices with passage and question", "limit": 12},
    ),
]


@pytest.mark.parametrize(("name", "examples", "expected"), CASES, ids=[case[0] for case in CASES])
def test_every_kind_counts_what_it_cuts(
    tokenizer: AlbertTokenizer, name: str, examples: list[Any], expected: dict[str, Any]
) -> None:
    task, cuts = find_task(name), Cuts()
    solver = solver_of(task)
    counted = solver.encode(task, examples, tokenizer, lengths=LENGTHS, cuts=cuts)
    plain = solver.encode(task, examples, tokenizer, lengths=LENGTHS)
    np.testing.assert_array_equal(counted.input_ids, plain.input_ids)
    whole = Cuts()
    solver.encode(
        task,
        examples,
        tokenizer,
        lengths=Lengths(max_seq_length=512, max_query_length=400, max_qa_length=400),
        cuts=whole,
    )
    found = cuts.to_dict()
    assert {name: found[name] for name in expected} == expected
    assert whole.cut == 0
    assert whole.total == cuts.total
    assert 0 < cuts.cut < cuts.total
    assert cuts.longest == whole.longest > cuts.limit


def test_a_text_of_exactly_the_length_is_not_cut(tokenizer: AlbertTokenizer) -> None:
    task = find_task("classification")
    exact = len(tokenizer.tokenize(ONE)) + 2
    for limit, expected in ((exact, 0), (exact - 1, 1)):
        cuts = Cuts()
        lengths = Lengths(max_seq_length=limit)
        solver_of(task).encode(task, [Example(ONE)], tokenizer, lengths=lengths, cuts=cuts)
        assert (cuts.cut, cuts.longest) == (expected, exact)


def test_counts_add_up_over_the_parts_of_a_stream() -> None:
    cuts = Cuts()
    for lengths in ([3, 9], [1203], []):
        cuts.add(np.array(lengths, np.int64), unit="texts", limit=8)
    assert str(cuts) == "2 of 3 texts are cut to 8 tokens; the longest has 1,203"
    assert cuts.to_dict() == {"unit": "texts", "limit": 8, "total": 3, "cut": 2, "longest": 1203}


def test_finetune_reports_cuts_in_log_result_and_page(
    encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_table(tmp_path / "train.tsv", [(LONG, "a"), (ONE, "b")] * 4, "text", "label")
    write_table(tmp_path / "dev.tsv", [(ONE, "a"), (ONE, "b")], "text", "label")
    result = finetune(settings(encoder, tmp_path, tmp_path / "run", max_seq_length=8))
    train, dev = result["lengths"]["train"], result["lengths"]["dev"]
    assert (train["cut"], train["total"], train["limit"]) == (4, 8, 8)
    assert (dev["cut"], dev["total"]) == (0, 2)
    sentence = f"4 of 8 texts are cut to 8 tokens; the longest has {train['longest']}"
    shown = capsys.readouterr().err
    assert f"train: {sentence}" in shown
    assert "dev: 0 of" not in shown
    assert f"train: {sentence}." in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_evaluate_predict_and_embed_report_cuts(
    encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in ("train", "dev"):
        write_table(tmp_path / f"{split}.tsv", [(LONG, "a"), (ONE, "b")] * 2, "text", "label")
    finetune(settings(encoder, tmp_path, tmp_path / "run", max_seq_length=8))
    capsys.readouterr()
    model = str(tmp_path / "run" / "model")
    (tmp_path / "in.txt").write_text(f"{LONG}\n{ONE}\n{LONG}\n", encoding="utf-8")
    evaluated = evaluate(EvaluateSettings(task="classification", model=model, data=tmp_path, device="cpu"))
    assert "dev: 2 of 4 texts are cut to 8 tokens" in capsys.readouterr().err
    predicted = predict(
        PredictSettings(model=model, input=tmp_path / "in.txt", output=tmp_path / "out.tsv", device="cpu")
    )
    assert "in.txt: 2 of 3 texts are cut to 8 tokens" in capsys.readouterr().err
    embedded = embed(
        EmbedSettings(
            model=model,
            input=tmp_path / "in.txt",
            output=tmp_path / "out.npy",
            max_seq_length=9,
            device="cpu",
        )
    )
    assert "in.txt: 2 of 3 texts are cut to 9 tokens" in capsys.readouterr().err
    results: list[Any] = [evaluated, predicted, embedded]
    assert [result["lengths"]["cut"] for result in results] == [2, 2, 2]


def test_what_is_skipped_in_the_data_is_in_result_and_report(
    encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header = ("gold_label", "sentence1", "sentence2")
    rows = [("neutral", ONE, ONE), ("-", ONE, ONE), ("entailment", ONE, "it\0")]
    for name in ("train", "dev_matched"):
        write_table(tmp_path / f"{name}.tsv", rows, *header)
    result = finetune(settings(encoder, tmp_path, tmp_path / "run", task="mnli"))
    skipped = [f"skipped examples labelled '-', which means no label: 1 (first: {tmp_path}/{name}.tsv:3)"
               for name in ("train", "dev_matched")]  # fmt: skip
    nuls = [f"skipped NUL bytes: 1 (first: {tmp_path}/{name}.tsv:4)" for name in ("train", "dev_matched")]
    assert sorted(result["notes"]) == sorted([*skipped, *nuls])
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert all(note in page for note in nuls)
    model = str(tmp_path / "run" / "model")
    evaluated = evaluate(EvaluateSettings(task="mnli", model=model, data=tmp_path, device="cpu"))
    assert sorted(evaluated["notes"]) == sorted([skipped[1], nuls[1]])  # type: ignore[call-overload]
    (tmp_path / "in.txt").write_bytes(b"one and many\0\ntwo\n")
    asked: dict[str, Any] = {"input": tmp_path / "in.txt", "device": "cpu", "model": str(encoder)}
    embedded = embed(EmbedSettings(output=tmp_path / "out.npy", **asked))
    assert embedded["notes"] == [f"skipped NUL bytes: 1 (first: {tmp_path}/in.txt:1)"]
    assert "skipped NUL bytes" in capsys.readouterr().err
    (tmp_path / "in.txt").write_text("one\ntwo\n")
    assert "notes" not in embed(EmbedSettings(output=tmp_path / "out.npy", **asked))
