"""One rule for special tokens spelled in user data: plain text, by command, pipeline and in Python alike."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from albert import (
    AlbertForMaskedLM,
    AlbertForMultipleChoice,
    AlbertForPreTraining,
    AlbertForQuestionAnswering,
    AlbertForSequenceClassification,
    AlbertForTokenClassification,
    AlbertModel,
    AlbertTokenizer,
    pipeline,
)
from albert.commands.embed import EmbedSettings, embed
from albert.commands.predict import PredictSettings, predict
from albert.tasks.task import ColumnSettings

TEXT = "The value [SEP] of [CLS] a [MASK] list [PAD] returns <pad> two."
PLAIN = "It takes one type."
LABELS = {0: "bad", 1: "fine", 2: "good"}
TAGS = {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC", 4: "I-LOC"}
LONG = {"max_position_embeddings": 160}


def predicted(folder: Path, path: Path, content: str, **changes: Any) -> list[dict[str, Any]]:
    """Return what `albert predict` writes for a file with `content`."""
    path.write_text(content, encoding="utf-8")
    output = path.with_name("predictions.jsonl")
    predict(PredictSettings(model=str(folder), input=path, output=output, device="cpu", **changes))
    return [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]


def encoded(folder: Path, *texts: str, split: bool = True) -> Any:
    tokenizer = AlbertTokenizer.from_pretrained(folder)
    return tokenizer(*texts, return_tensors="pt", split_special_tokens=split)


def test_classification(make_folder: Any, tmp_path: Path) -> None:
    folder = make_folder(AlbertForSequenceClassification, id2label=LABELS, **LONG)
    model = AlbertForSequenceClassification.from_pretrained(folder)
    with torch.no_grad():
        by_hand = model(**encoded(folder, TEXT)).logits[0].softmax(-1)
        otherwise = model(**encoded(folder, TEXT, split=False)).logits[0].softmax(-1)
    assert not torch.allclose(by_hand, otherwise, atol=1e-3)  # The test can fail.
    expected = {label: pytest.approx(float(by_hand[index]), abs=1e-5) for index, label in LABELS.items()}
    rows = pipeline("text-classification", model=folder, device="cpu")(TEXT, top_k=None)
    assert {row["label"]: row["score"] for row in rows} == expected
    [row] = predicted(folder, tmp_path / "in.txt", TEXT + "\n")
    assert row["scores"] == expected


def test_pairs(make_folder: Any, tmp_path: Path) -> None:
    folder = make_folder(AlbertForSequenceClassification, id2label=LABELS, **LONG)
    model = AlbertForSequenceClassification.from_pretrained(folder)
    with torch.no_grad():
        by_hand = model(**encoded(folder, PLAIN, TEXT)).logits[0].softmax(-1)
    expected = {label: pytest.approx(float(by_hand[index]), abs=1e-5) for index, label in LABELS.items()}
    classify = pipeline("text-classification", model=folder, device="cpu")
    rows = classify({"text": PLAIN, "text_pair": TEXT}, top_k=None)
    assert {row["label"]: row["score"] for row in rows} == expected
    [row] = predicted(
        folder,
        tmp_path / "in.jsonl",
        json.dumps({"text": PLAIN, "other": TEXT}) + "\n",
        columns=ColumnSettings(pair_column="other"),
    )
    assert row["scores"] == expected


def test_spans(make_folder: Any, tmp_path: Path) -> None:
    folder = make_folder(AlbertForQuestionAnswering, **LONG)
    question = "What is [SEP]?"
    encoding = encoded(folder, question, TEXT)
    offsets = AlbertTokenizer.from_pretrained(folder)(
        question, TEXT, return_offsets_mapping=True, split_special_tokens=True
    )["offset_mapping"]
    with torch.no_grad():
        output = AlbertForQuestionAnswering.from_pretrained(folder)(**encoding)
    inside = encoding["token_type_ids"][0].nonzero().flatten().tolist()[:-1]
    start, end = output.start_logits[0].tolist(), output.end_logits[0].tolist()
    spans = [(start[i] + end[j], i, j) for i in inside for j in inside if i <= j < i + 30]
    _, first, last = max(spans)
    by_hand = TEXT[offsets[first][0] : offsets[last][1]].strip()
    answer = pipeline("question-answering", model=folder, device="cpu")
    [best, *_] = answer(question=question, context=TEXT, max_answer_len=30, top_k=2)
    assert best["answer"] == by_hand
    record = {"id": "1", "question": question, "context": TEXT}
    [row] = predicted(folder, tmp_path / "in.jsonl", json.dumps(record) + "\n")
    assert [row[name] for name in ("answer", "start", "end")] == [
        best[name] for name in ("answer", "start", "end")
    ]


def test_tagging(make_folder: Any, tmp_path: Path) -> None:
    text = TEXT.replace(
        " <pad>", ""
    )  # Its lone space is a word of its own in the pipeline, as in transformers.
    folder = make_folder(AlbertForTokenClassification, id2label=TAGS, **LONG)
    with torch.no_grad():
        logits = AlbertForTokenClassification.from_pretrained(folder)(**encoded(folder, text)).logits[0]
    by_hand = logits.softmax(-1).max(-1).values[1:-1].tolist()
    tag = pipeline("token-classification", model=folder, device="cpu")
    tokens = tag(text, ignore_labels=())
    assert [token["score"] for token in tokens] == pytest.approx(by_hand, abs=1e-5)
    entities = tag(text, aggregation_strategy="first")
    [row] = predicted(folder, tmp_path / "in.txt", text + "\n")
    assert row["words"] == text.split()
    assert [entity["text"] for entity in row["entities"]] == [
        text[entity["start"] : entity["end"]].strip() for entity in entities
    ]
    assert [entity["type"] for entity in row["entities"]] == [entity["entity_group"] for entity in entities]
    scores = [entity["score"] for entity in entities]
    assert [entity["score"] for entity in row["entities"]] == pytest.approx(scores, abs=1e-5)
    assert "[SEP]" in [entity["text"] for entity in row["entities"]]


def test_choice(make_folder: Any, tmp_path: Path) -> None:
    folder = make_folder(AlbertForMultipleChoice, **LONG)
    choices = ["[SEP] one", "two [PAD]", PLAIN]
    encoding = AlbertTokenizer.from_pretrained(folder)(
        [TEXT] * 3,
        [f"What is [MASK]? {choice}" for choice in choices],
        padding=True,
        return_tensors="pt",
        split_special_tokens=True,
    )
    with torch.no_grad():
        model = AlbertForMultipleChoice.from_pretrained(folder)
        by_hand = model(**{name: value[None] for name, value in encoding.items()}).logits[0].softmax(-1)
    expected = {letter: pytest.approx(float(by_hand[n]), abs=1e-5) for n, letter in enumerate("ABC")}
    record = {"passage": TEXT, "question": "What is [MASK]?", "choices": choices}
    rows = pipeline("multiple-choice", model=folder, device="cpu")(record, top_k=3)
    assert {row["label"]: row["score"] for row in rows} == expected
    [row] = predicted(folder, tmp_path / "in.jsonl", json.dumps(record) + "\n")
    assert row["scores"] == expected


def test_vectors_and_features(make_folder: Any, tmp_path: Path) -> None:
    folder = make_folder(AlbertForPreTraining, **LONG)
    with torch.no_grad():
        by_hand = AlbertModel.from_pretrained(folder)(**encoded(folder, TEXT)).last_hidden_state
    found = pipeline("feature-extraction", model=folder, device="cpu")(TEXT, return_tensors=True)
    torch.testing.assert_close(found, by_hand, atol=1e-5, rtol=0)
    source, output = tmp_path / "in.txt", tmp_path / "out.npy"
    source.write_text(TEXT + "\n", encoding="utf-8")
    embed(EmbedSettings(model=str(folder), input=source, output=output, device="cpu"))
    np.testing.assert_allclose(np.load(output)[0], by_hand[0].mean(0).numpy(), atol=1e-5)


def test_fill_mask_reads_the_mask_alone(make_folder: Any) -> None:
    folder = make_folder(AlbertForMaskedLM, **LONG)
    tokenizer, text = AlbertTokenizer.from_pretrained(folder), "The [MASK] of [SEP] a list."
    start, end = (tokenizer.encode_sentences([part])[0] for part in ("The", " of [SEP] a list."))
    ids = [tokenizer.cls_token_id, *start, tokenizer.mask_token_id, *end, tokenizer.sep_token_id]
    with torch.no_grad():
        logits = AlbertForMaskedLM.from_pretrained(folder)(torch.tensor([ids])).logits[0]
    scores, tokens = logits[ids.index(tokenizer.mask_token_id)].softmax(-1).topk(3)
    rows = pipeline("fill-mask", model=folder, device="cpu")(text, top_k=3)
    assert [row["token"] for row in rows] == tokens.tolist()
    assert [row["score"] for row in rows] == pytest.approx(scores.tolist(), abs=1e-5)
    assert all("[sep]" in row["sequence"] for row in rows)
