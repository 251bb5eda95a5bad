"""Folders that transformers saved: `tokenizer.json` alone, and tokens that users added, in every layout."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer

from albert.errors import TokenizerError
from albert.text.sentencepiece import SentencePieceEncoder
from albert.text.tokenizer import AlbertTokenizer
from albert.text.wordpiece import WordPieceEncoder

MODEL = Path(__file__).parents[1] / "golden" / "tokenization" / "30k-clean.model"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = list("abcdefghijklmnopqrstuvwxyz.,!?中文")
BERT = [*SPECIAL, *LETTERS, *(f"##{c}" for c in LETTERS), "the", "value", "##lue"]
TEXTS = [
    "The values of this type!", "naïve Café, and\u3000more", "中文 and 文中", "[SEP] is [MASK] text", "",
    "a" * 130, "🦙 unknown", "  two   spaces ", "tabs\tand\nlines",
]  # fmt: skip


@pytest.fixture(params=["sentencepiece", "wordpiece"])
def tokenizer(request: pytest.FixtureRequest) -> AlbertTokenizer:
    if request.param == "wordpiece":
        return AlbertTokenizer(WordPieceEncoder(BERT, lower_case=True))
    return AlbertTokenizer(SentencePieceEncoder(MODEL.read_bytes(), lower_case=True))


def saved_by_transformers(tokenizer: AlbertTokenizer, folder: Path, *, added: tuple[Any, ...] = ()) -> Any:
    """Write a folder, open it with transformers, add tokens, save it there, and return their tokenizer."""
    tokenizer.save_pretrained(folder / "ours")
    config = {"model_type": "albert", "vocab_size": tokenizer.vocab_size}
    (folder / "ours" / "config.json").write_text(json.dumps(config))
    theirs = AutoTokenizer.from_pretrained(folder / "ours")
    theirs.add_tokens(list(added))
    theirs.save_pretrained(folder / "back")
    names = {path.name for path in (folder / "back").iterdir()}
    assert names == {"tokenizer.json", "tokenizer_config.json"}
    return theirs


def test_a_folder_with_tokenizer_json_alone_gives_the_ids_and_offsets_of_the_vocabulary(
    tokenizer: AlbertTokenizer, tmp_path: Path
) -> None:
    saved_by_transformers(tokenizer, tmp_path)
    back = AlbertTokenizer.from_pretrained(tmp_path / "back")
    assert (back.kind, back.do_lower_case, back.keep_accents) == (tokenizer.kind, True, False)
    assert back.get_vocab() == tokenizer.get_vocab()
    for special in (False, True):
        for text in TEXTS:
            asked: dict[str, Any] = {"return_offsets_mapping": True, "split_special_tokens": special}
            assert back(text, **asked) == tokenizer(text, **asked)
    assert back.encode_sentences(TEXTS) == tokenizer.encode_sentences(TEXTS)
    flat, lengths = back.encode_flat(TEXTS)
    expected, counts = tokenizer.encode_flat(TEXTS)
    assert (flat.tolist(), lengths.tolist()) == (expected.tolist(), counts.tolist())
    assert (back.word_start_table == tokenizer.word_start_table).all()
    ids = tokenizer.encode(TEXTS[0])
    assert back.decode(ids, skip_special_tokens=True) == tokenizer.decode(ids, skip_special_tokens=True)


def test_half_of_a_character_is_read_as_the_replacement_character(
    tokenizer: AlbertTokenizer, tmp_path: Path
) -> None:
    saved_by_transformers(tokenizer, tmp_path)
    back = AlbertTokenizer.from_pretrained(tmp_path / "back")
    assert back("x\ud83d y", return_offsets_mapping=True) == back("x\ufffd y", return_offsets_mapping=True)


def test_a_folder_saved_again_by_us_is_the_same_tokenizer_in_both_libraries(
    tokenizer: AlbertTokenizer, tmp_path: Path
) -> None:
    theirs = saved_by_transformers(tokenizer, tmp_path, added=("@user", "http_url"))
    back = AlbertTokenizer.from_pretrained(tmp_path / "back")
    back.save_pretrained(tmp_path / "again")
    again = AlbertTokenizer.from_pretrained(tmp_path / "again")
    assert again.fingerprint == back.fingerprint
    (tmp_path / "again" / "config.json").write_text(json.dumps({"model_type": "albert"}))
    theirs_again = AutoTokenizer.from_pretrained(tmp_path / "again")
    for text in [*TEXTS[:6], "hello @user, see http_url."]:
        assert list(theirs(text).input_ids) == list(theirs_again(text).input_ids) == again(text)["input_ids"]


FLAGS: list[Any] = [
    "@user", AddedToken("<EMO>", lstrip=True, rstrip=True), AddedToken("gene", single_word=True),
    AddedToken("Upper", normalized=False), AddedToken("lower", normalized=True),
]  # fmt: skip
ADDED_TEXTS = [
    "hi @user and @username",
    "a <EMO> b",
    "gene genes a gene.",
    "Upper UPPER upper",
    "LOWER lower",
]


def test_added_tokens_get_the_ids_of_transformers_with_every_flag(
    tokenizer: AlbertTokenizer, tmp_path: Path
) -> None:
    theirs = saved_by_transformers(tokenizer, tmp_path, added=tuple(FLAGS))
    back = AlbertTokenizer.from_pretrained(tmp_path / "back")
    assert len(back) == len(theirs) == tokenizer.vocab_size + 5
    for text in ADDED_TEXTS:
        assert back(text)["input_ids"] == list(theirs(text).input_ids)
    first = tokenizer.vocab_size
    assert back.convert_ids_to_tokens([first, first + 2]) == ["@user", "gene"]
    assert back.convert_tokens_to_ids("gene") == first + 2


def test_special_tokens_that_users_added_are_found_in_texts_unlike_those_of_the_vocabulary(
    tokenizer: AlbertTokenizer, tmp_path: Path
) -> None:
    markers = (AddedToken("<ENT>", special=True), AddedToken("</ENT>", special=True))
    theirs = saved_by_transformers(tokenizer, tmp_path, added=markers)
    back = AlbertTokenizer.from_pretrained(tmp_path / "back")
    text, first = "the <ENT> value </ENT> of [SEP]", tokenizer.vocab_size
    assert back(text)["input_ids"] == list(theirs(text).input_ids)
    (ids,) = back.encode_sentences([text])
    assert [id_ for id_ in ids if id_ >= first] == [first, first + 1]
    assert back.sep_token_id not in ids
    back.save_pretrained(tmp_path / "again")
    stored = json.loads((tmp_path / "again" / "tokenizer.json").read_text())
    assert {t["content"] for t in stored["added_tokens"] if t["special"]} >= {"<ENT>", "</ENT>"}


@pytest.mark.parametrize("layout", ["added_tokens.json", "tokenizer_config.json"])
def test_the_layouts_of_transformers_4_are_read(
    tokenizer: AlbertTokenizer, tmp_path: Path, layout: str
) -> None:
    theirs = saved_by_transformers(tokenizer, tmp_path, added=("@user", "http_url"))
    folder, first = tmp_path / "four", tokenizer.vocab_size
    shutil.copytree(tmp_path / "ours", folder)
    (folder / "tokenizer.json").unlink()
    if layout == "added_tokens.json":
        (folder / layout).write_text(json.dumps({"@user": first, "http_url": first + 1}))
    else:
        config = json.loads((folder / layout).read_text())
        flags = dict.fromkeys(("lstrip", "rstrip", "single_word", "special"), False) | {"normalized": True}
        tokens = {first: "@user", first + 1: "http_url", 0: tokenizer.pad_token}
        config["added_tokens_decoder"] = {str(n): {"content": text, **flags} for n, text in tokens.items()}
        (folder / layout).write_text(json.dumps(config))
    found = AlbertTokenizer.from_pretrained(folder)
    assert len(found) == first + 2
    for text in ["hi @user and @username", "see http_url", *TEXTS[:4]]:
        assert found(text)["input_ids"] == list(theirs(text).input_ids)
    found.save_pretrained(tmp_path / "saved")
    again = AlbertTokenizer.from_pretrained(tmp_path / "saved")
    assert again.fingerprint == found.fingerprint
    assert again("hi @user")["input_ids"] == found("hi @user")["input_ids"]


def test_special_tokens_of_the_vocabulary_are_found_as_a_whole_and_others_are_named(
    tokenizer: AlbertTokenizer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    piece = tokenizer.convert_ids_to_tokens(tokenizer.vocab_size - 1)
    content = {"additional_special_tokens": [piece, {"content": "<new>"}]}
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(content))
    found = AlbertTokenizer.from_pretrained(tmp_path)
    assert len(found) == tokenizer.vocab_size
    assert found.encode(f"a{piece}b", add_special_tokens=False).count(tokenizer.vocab_size - 1) == 1
    assert "not used, because they have no ids: the special tokens <new>" in capsys.readouterr().err
    (tmp_path / "special_tokens_map.json").write_text(json.dumps({"additional_special_tokens": "x"}))
    with pytest.raises(TokenizerError, match=r"additional_special_tokens is .* expected a list of tokens"):
        AlbertTokenizer.from_pretrained(tmp_path)


def test_ids_of_added_tokens_that_leave_a_gap_are_refused(tokenizer: AlbertTokenizer, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    for content, message in (
        ({"@user": tokenizer.vocab_size + 4}, "the added tokens have the ids"),
        ({tokenizer.cls_token: tokenizer.vocab_size}, "is in the vocabulary already"),
        ({"@user": "many"}, "expected the added tokens with their ids"),
        ([], "expected a JSON object"),
    ):
        (tmp_path / "added_tokens.json").write_text(json.dumps(content))
        with pytest.raises(TokenizerError, match=message):
            AlbertTokenizer.from_pretrained(tmp_path)


def test_a_byte_pair_tokenizer_of_the_library_gives_its_ids(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    special = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.BpeTrainer(vocab_size=60, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(["the values of this type are the values"] * 9, trainer)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    found = AlbertTokenizer.from_pretrained(tmp_path)
    assert (found.do_lower_case, found.keep_accents) == (True, True)
    for text in ("The values", "types of VALUE", "qq"):
        assert found.encode_sentences([text])[0] == tokenizer.encode(text).ids


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", r"tokenizer\.json: not a tokenizer of the library tokenizers"),
        (b'{"version": "1.0", "model": {"type": "WordPiece", "vocab": {"a": 0}, "unk_token": "a", '
         b'"continuing_subword_prefix": "##", "max_input_chars_per_word": 9}}',
         "expected the special tokens"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_a_tokenizer_of_an_albert_is_refused(
    tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(TokenizerError, match=message):
        AlbertTokenizer.from_pretrained(tmp_path)


def test_lower_casing_of_the_file_cannot_be_overridden(tokenizer: AlbertTokenizer, tmp_path: Path) -> None:
    saved_by_transformers(tokenizer, tmp_path)
    assert AlbertTokenizer.from_pretrained(tmp_path / "back", do_lower_case=True).do_lower_case
    with pytest.raises(TokenizerError, match="lower-casing is a part of the file"):
        AlbertTokenizer.from_pretrained(tmp_path / "back", do_lower_case=False)


def test_a_folder_with_another_vocabulary_is_not_written_over_in_silence(
    tokenizer: AlbertTokenizer, tmp_path: Path
) -> None:
    saved_by_transformers(tokenizer, tmp_path, added=("@user",))
    back = AlbertTokenizer.from_pretrained(tmp_path / "back")
    with pytest.raises(
        TokenizerError, match=r"holds another vocabulary, .* instead of the tokenizer\.json just"
    ):
        back.save_pretrained(tmp_path / "ours")
