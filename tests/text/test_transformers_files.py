"""Saved folders read by transformers itself: its ids, segment ids and decoding against ours."""

import gzip
import io
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from transformers import AutoTokenizer

from albert.text.cleaning import preprocess_text
from albert.text.sentencepiece import SentencePieceEncoder
from albert.text.tokenizer import AlbertTokenizer
from albert.text.vocabulary import train_sentencepiece
from albert.text.wordpiece import WordPieceEncoder

GOLDEN = Path(__file__).parents[1] / "golden" / "tokenization"
MODEL = (GOLDEN / "30k-clean.model").read_bytes()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def read_rows(name: str) -> list[dict[str, Any]]:
    text = gzip.decompress((GOLDEN / name).read_bytes()).decode()
    return [json.loads(line) for line in text.split("\n") if line]


def read_with_transformers(tokenizer: AlbertTokenizer, folder: Path) -> Any:
    tokenizer.save_pretrained(folder)
    config = {"model_type": "albert", "vocab_size": tokenizer.vocab_size}
    (folder / "config.json").write_text(json.dumps(config))
    return AutoTokenizer.from_pretrained(folder, model_max_length=1_000_000)


@pytest.mark.parametrize("lower_case", [True, False])
def test_transformers_gives_our_ids_of_a_vocabulary_we_trained(tmp_path: Path, lower_case: bool) -> None:
    texts = [row["text"] for row in read_rows("spm_tokenization.jsonl.gz")]
    encoder = train_sentencepiece(texts * 2, vocab_size=700, lower_case=lower_case)
    tokenizer = AlbertTokenizer(encoder)
    other = read_with_transformers(tokenizer, tmp_path)
    differing = [text for text in texts if other(text).input_ids != tokenizer(text).input_ids]
    # float32 sums along the text against float64 sums of a word: some segmentations are equally good.
    assert len(differing) <= 0.01 * len(texts)


@pytest.mark.parametrize("lower_case", [True, False])
def test_transformers_differs_only_at_numbers_before_commas(tmp_path: Path, lower_case: bool) -> None:
    name = "lower" if lower_case else "cased"
    rows = read_rows("spm_tokenization.jsonl.gz")
    tokenizer = AlbertTokenizer(SentencePieceEncoder(MODEL, lower_case=lower_case))
    other = read_with_transformers(tokenizer, tmp_path)
    differing = [row for row in rows if other(row["text"]).input_ids != tokenizer(row["text"]).input_ids]
    assert all(row[name]["plain_pieces_differ"] for row in differing)
    # This vocabulary was made to have many such pieces; the published one has none inside words.
    assert len(differing) / len(rows) < 0.27


@pytest.mark.parametrize("lower_case", [True, False])
def test_transformers_gives_our_ids_of_words(tmp_path: Path, lower_case: bool) -> None:
    name = "lower" if lower_case else "cased"
    rows = read_rows("wordpiece_zh.jsonl.gz")
    pieces = sorted({piece for row in rows for piece in row[name]["pieces"]} - set(SPECIAL))
    tokenizer = AlbertTokenizer(WordPieceEncoder(SPECIAL + pieces, lower_case=lower_case))
    other = read_with_transformers(tokenizer, tmp_path)
    for row in rows:
        assert dict(other(row["text"])) == dict(tokenizer(row["text"]))


@pytest.mark.reference
@pytest.mark.parametrize("lower_case", [True, False])
def test_transformers_gives_the_published_vocabulary_s_ids_on_every_line(
    tmp_path: Path, reference: Path, lower_case: bool
) -> None:
    model = os.environ.get("ALBERT_REFERENCE_30K")
    if not model:
        pytest.skip("ALBERT_REFERENCE_30K names no published 30k-clean.model")
    path = reference / "tokenization_30k" / "spm_tokenization.jsonl"
    texts = [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").split("\n") if line]
    tokenizer = AlbertTokenizer(SentencePieceEncoder(Path(model).read_bytes(), lower_case=lower_case))
    other = read_with_transformers(tokenizer, tmp_path)
    for text in texts:
        assert dict(other(text)) == dict(tokenizer(text))


def test_transformers_gives_our_segments_masks_and_special_ids(tmp_path: Path) -> None:
    tokenizer = AlbertTokenizer(SentencePieceEncoder(MODEL, lower_case=True))
    other = read_with_transformers(tokenizer, tmp_path)
    pairs = [
        ("in the [MASK].", "a test"),
        ("the [MASK]ing", "[SEP] x"),
        (" [MASK] ", "."),
        ("a  [CLS] b", "c"),
    ]
    for first, second in pairs:
        assert dict(other(first, second)) == dict(tokenizer(first, second))
        ids = tokenizer(first).input_ids
        assert other.decode(ids, skip_special_tokens=True) == tokenizer.decode(ids, skip_special_tokens=True)
    assert sorted(other.all_special_ids) == tokenizer.all_special_ids
    assert other.mask_token_id == tokenizer.mask_token_id


def test_padding_and_arrays_are_those_of_transformers(tmp_path: Path) -> None:
    tokenizer = AlbertTokenizer(SentencePieceEncoder(MODEL, lower_case=True))
    other = read_with_transformers(tokenizer, tmp_path)
    texts = ["the", "in a test"]
    for settings in ({"padding": True}, {"padding": "max_length", "max_length": 12}):
        ours = tokenizer(texts, return_tensors="np", **settings)
        theirs = other(texts, return_tensors="np", **settings)
        assert set(ours) == set(theirs)
        assert all((ours[name] == theirs[name]).all() for name in ours)


def test_offsets_of_ordinary_text_are_those_of_transformers_but_for_lone_spaces(tmp_path: Path) -> None:
    tokenizer = AlbertTokenizer(SentencePieceEncoder(MODEL, lower_case=True))
    other = read_with_transformers(tokenizer, tmp_path)
    text = "the example in the test"
    ours = tokenizer(text, return_offsets_mapping=True)
    theirs = other(text, return_offsets_mapping=True)
    for piece, our, their in zip(
        tokenizer.convert_ids_to_tokens(ours.input_ids),
        ours.offset_mapping,
        theirs.offset_mapping,
        strict=True,
    ):
        assert our == tuple(their) or piece == "▁", (piece, our, their)


def train_other(algorithm: str, texts: list[str]) -> bytes:
    """Return a SentencePiece model that is not a unigram one."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=model, model_type=algorithm, vocab_size=900,
        hard_vocab_limit=False, pad_id=0, unk_id=1, bos_id=-1, eos_id=-1,
        control_symbols=["[CLS]", "[SEP]", "[MASK]"], minloglevel=3,
    )  # fmt: skip
    return model.getvalue()


@pytest.mark.parametrize("algorithm", ["bpe", "char"])
def test_transformers_gives_the_ids_of_vocabularies_that_are_not_unigram_ones(
    tmp_path: Path, algorithm: str
) -> None:
    texts = [row["text"] for row in read_rows("spm_tokenization.jsonl.gz")] + ["aaaa ------ ||--||--"]
    model = train_other(algorithm, texts)
    tokenizer = AlbertTokenizer(SentencePieceEncoder(model, lower_case=True))
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    other = read_with_transformers(tokenizer, tmp_path)
    without_commas = [text for text in texts if not re.search(r"\d,", preprocess_text(text, lower_case=True))]
    assert len(without_commas) > 100
    for text in without_commas:
        ids = tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        assert ids == processor.encode(preprocess_text(text, lower_case=True))
        assert other(text, add_special_tokens=False).input_ids == tokenizer.encode(
            text, add_special_tokens=False
        )


def test_a_vocabulary_that_transformers_cannot_express_gets_no_file_and_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [row["text"] for row in read_rows("spm_tokenization.jsonl.gz")]
    tokenizer = AlbertTokenizer(SentencePieceEncoder(train_other("word", texts), lower_case=True))
    (tmp_path / "tokenizer.json").write_text("{}")
    tokenizer.save_pretrained(tmp_path)
    assert "no tokenizer.json is written, since transformers would split" in capsys.readouterr().err
    assert not (tmp_path / "tokenizer.json").exists()
    assert AlbertTokenizer.from_pretrained(tmp_path)(texts[0]) == tokenizer(texts[0])
