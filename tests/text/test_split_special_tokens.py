"""Special tokens spelled in a text: read, or plain text with `split_special_tokens`, as in transformers."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from albert.text.sentencepiece import SentencePieceEncoder
from albert.text.tokenizer import AlbertTokenizer
from albert.text.wordpiece import WordPieceEncoder

MODEL = Path(__file__).parents[1] / "golden" / "tokenization" / "30k-clean.model"
BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "x", "y", ".", "[", "]", "sep", "SEP"]
TEXTS = [
    "a [SEP] b [MASK].",
    "[sep]",
    "x[SEP]y",
    "[CLS][SEP] [MASK]",
    "[MASK][MASK] a  [SEP]",
    "[SEP]",
    "a b.",
]
# transformers' SentencePiece model holds the special tokens as ordinary pieces, which it can still match.
STILL_SPECIAL_IN_TRANSFORMERS = ["<s> </s> <pad>", "<unk>"]


@pytest.fixture(scope="module", params=["sentencepiece", "wordpiece", "cased wordpiece"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A folder we wrote, and transformers' tokenizer of it."""
    folder = tmp_path_factory.mktemp("tokenizer")
    if request.param == "sentencepiece":
        tokenizer = AlbertTokenizer(SentencePieceEncoder(MODEL.read_bytes(), lower_case=True))
    else:
        tokenizer = AlbertTokenizer(WordPieceEncoder(BERT, lower_case=request.param == "wordpiece"))
    tokenizer.save_pretrained(folder)
    config = {"model_type": "albert", "vocab_size": tokenizer.vocab_size}
    (folder / "config.json").write_text(json.dumps(config))
    return folder, AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("split", [None, False, True])
def test_ids_of_texts_and_pairs_equal_those_of_transformers(
    both: tuple[Path, Any], split: bool | None
) -> None:
    folder, other = both
    tokenizer = AlbertTokenizer.from_pretrained(folder)
    more = {} if split is None else {"split_special_tokens": split}
    for text in TEXTS:
        assert dict(tokenizer(text, **more)) == dict(other(text, **more))
        assert dict(tokenizer(text, TEXTS[0], **more)) == dict(other(text, TEXTS[0], **more))
        assert tokenizer.encode(text, **more) == other.encode(text, **more)
        # transformers shows the space that belongs to the mask.
        assert tokenizer.tokenize(text, **more) == [token.strip() for token in other.tokenize(text, **more)]


def test_the_setting_of_from_pretrained_is_the_default_of_every_call(both: tuple[Path, Any]) -> None:
    folder, _ = both
    other = AutoTokenizer.from_pretrained(folder, split_special_tokens=True)
    tokenizer = AlbertTokenizer.from_pretrained(folder, split_special_tokens=True)
    for text in TEXTS:
        assert tokenizer(text).input_ids == other(text).input_ids
        assert tokenizer.tokenize(text) == other.tokenize(text)
        assert tokenizer(text, split_special_tokens=False).input_ids == AlbertTokenizer.from_pretrained(
            folder
        ).encode(text)


def test_the_setting_is_saved_and_read_in_both_directions(both: tuple[Path, Any], tmp_path: Path) -> None:
    folder, _ = both
    AlbertTokenizer.from_pretrained(folder, split_special_tokens=True).save_pretrained(tmp_path / "ours")
    for tokenizer in (
        AlbertTokenizer.from_pretrained(tmp_path / "ours"),
        AutoTokenizer.from_pretrained(tmp_path / "ours"),
    ):
        assert tokenizer.split_special_tokens is True
    AutoTokenizer.from_pretrained(folder, split_special_tokens=True).save_pretrained(tmp_path / "theirs")
    saved = json.loads((tmp_path / "theirs" / "tokenizer_config.json").read_text())
    assert saved["split_special_tokens"] is True
    assert "split_special_tokens" not in json.loads((folder / "tokenizer_config.json").read_text())


def test_split_text_never_contains_a_special_token(both: tuple[Path, Any]) -> None:
    tokenizer = AlbertTokenizer.from_pretrained(both[0])
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    for text in [*TEXTS, *STILL_SPECIAL_IN_TRANSFORMERS, " ".join(tokenizer.all_special_tokens)]:
        ids = tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        assert ids == tokenizer.encode_sentences([text])[0]
        assert not special & set(ids)


def test_split_text_keeps_its_offsets(both: tuple[Path, Any]) -> None:
    tokenizer = AlbertTokenizer.from_pretrained(both[0])
    text = "a [SEP] b"
    encoding = tokenizer(
        text, add_special_tokens=False, return_offsets_mapping=True, split_special_tokens=True
    )
    parts = [text[start:end] for start, end in encoding.offset_mapping]
    assert "".join(parts).replace(" ", "") == "a[SEP]b"
    assert len(parts) > 3


def test_only_the_mask_is_read_for_fill_mask(both: tuple[Path, Any]) -> None:
    tokenizer = AlbertTokenizer.from_pretrained(both[0])
    ids = tokenizer.encode_with_masks("a [SEP] [MASK] b [CLS][MASK].")
    assert ids.count(tokenizer.mask_token_id) == 2
    assert not {tokenizer.sep_token_id, tokenizer.cls_token_id} & set(ids)
    assert tokenizer.encode_with_masks("a [MASK] b") == tokenizer.encode(
        "a [MASK] b", add_special_tokens=False
    )
