"""What people type: every call gives what the same call of transformers gives on the same folder."""

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from datasets import Dataset
from tokenizers import AddedToken

from albert.errors import TokenizerError
from albert.text.loading import ONLY, REFUSED, WITHOUT_EFFECT
from albert.text.tokenizer import AlbertTokenizer

ONE = "hello world"
LONG = "the cats sat on the mat, unwanted running."
TEXTS = [ONE, LONG, "", "  two  spaces ", "I was born in 1990!"]
WORDS = """
[PAD] [UNK] [CLS] [SEP] [MASK] the a cat sat on mat ##s ##t un want ##want ##ed runn ##ing , low ##er ##est .
! hello world i was born in 19 ##90 two spaces ##ces sp1
"""


@pytest.fixture(scope="module", params=["sentencepiece", "wordpiece"])
def pair(
    request: pytest.FixtureRequest, tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, AlbertTokenizer]:
    """The tokenizer of transformers, and ours, of one folder."""
    folder = tokenizer_folder
    if request.param == "wordpiece":
        folder = tmp_path_factory.mktemp("wordpiece")
        letters = [prefix + chr(code) for prefix in ("", "##") for code in range(97, 123)]
        pieces = dict.fromkeys([*WORDS.split(), *letters])
        (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces), encoding="utf-8")
        AlbertTokenizer.from_pretrained(folder).save_pretrained(folder)
    return transformers.AutoTokenizer.from_pretrained(folder), AlbertTokenizer.from_pretrained(folder)


def plain(value: Any) -> Any:
    """Return a result in lists and dictionaries."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "keys"):
        return {key: plain(value[key]) for key in value.keys()}  # noqa: SIM118  # of their class, no mapping
    return [plain(part) for part in value] if isinstance(value, list | tuple) else value


CALLS: dict[str, Callable[[Any], Any]] = {
    "one text": lambda t: t(ONE),
    "several": lambda t: t(TEXTS),
    "a pair": lambda t: t(ONE, LONG),
    "pairs as two lists": lambda t: t([ONE, LONG], [LONG, ONE]),
    "pairs as tuples": lambda t: t([(ONE, LONG), (LONG, ONE)]),
    "pairs as lists": lambda t: t([[ONE, LONG], [LONG, ONE]]),
    "no special tokens": lambda t: t(TEXTS, add_special_tokens=False),
    "no masks and segments": lambda t: t(ONE, return_attention_mask=False, return_token_type_ids=False),
    "special tokens mask": lambda t: t(ONE, LONG, return_special_tokens_mask=True),
    "lengths": lambda t: [t(ONE, return_length=True), t(TEXTS, return_length=True)],
    "padding to a length": lambda t: t(TEXTS, padding="max_length", max_length=30),
    "padding to the longest": lambda t: t(TEXTS, padding="longest", return_special_tokens_mask=True),
    "padding to a multiple": lambda t: t(TEXTS, padding=True, pad_to_multiple_of=8),
    "padding on the left": lambda t: t(TEXTS, padding=True, padding_side="left"),
    "no padding by name": lambda t: t(TEXTS, padding="do_not_pad"),
    "cut to a length": lambda t: t(TEXTS, truncation=True, max_length=7),
    "a length alone": lambda t: t(TEXTS, max_length=7),
    "a length without cutting": lambda t: t(TEXTS, truncation=False, max_length=7),
    "no cutting by name": lambda t: t(TEXTS, truncation="do_not_truncate", max_length=7),
    "the first text is cut": lambda t: t(LONG, ONE, truncation="only_first", max_length=9),
    "the second text is cut": lambda t: t(ONE, LONG, truncation="only_second", max_length=9),
    "cut and padded": lambda t: t(TEXTS, truncation=True, padding="max_length", max_length=8),
    "tensors": lambda t: t(TEXTS, padding=True, return_tensors="pt"),
    "arrays": lambda t: t(ONE, return_tensors="np"),
    "an enumeration": lambda t: t(ONE, return_tensors=transformers.TensorType.PYTORCH),
    "windows": lambda t: t(TEXTS, truncation=True, max_length=8, return_overflowing_tokens=True),
    "windows of one text": lambda t: t(LONG, truncation=True, max_length=8, return_overflowing_tokens=True),
    "windows that share": lambda t: t(
        ONE, LONG, truncation="only_second", max_length=12, stride=2, return_overflowing_tokens=True
    ),
    "windows of the first text": lambda t: t(
        LONG, ONE, truncation="only_first", max_length=12, stride=1, return_overflowing_tokens=True
    ),
    "texts of windows": lambda t: t(
        ONE, LONG, truncation="only_second", max_length=12, return_overflowing_tokens=True
    ).sequence_ids(1),
    "words": lambda t: t(["hello", "cats", "born"], is_split_into_words=True),
    "rows of words": lambda t: t([["hello", "cats"], ["born"]], is_split_into_words=True, padding=True),
    "pairs of words": lambda t: t([["hello"], ["a"]], [["cats"], ["born"]], is_split_into_words=True),
    "words of words": lambda t: t(["hello", "cats"], ["born"], is_split_into_words=True).word_ids(),
    "words of a text": lambda t: t("hello [MASK] cats, unwanted").word_ids(),
    "texts of tokens": lambda t: t(ONE, LONG).sequence_ids(),
    "tokens": lambda t: t(LONG).tokens(),
    "ids": lambda t: t.encode(ONE, LONG, truncation=True, max_length=9, padding="max_length"),
    "ids as a tensor": lambda t: t.encode(ONE, return_tensors="pt"),
    "tokens of a pair": lambda t: t.tokenize(ONE, LONG, add_special_tokens=True),
    "text of ids": lambda t: t.decode(t.encode(LONG)),
    "text of ids without special tokens": lambda t: t.decode(t.encode(LONG), skip_special_tokens=True),
    "cleaned text": lambda t: t.decode(t.encode(LONG), True, clean_up_tokenization_spaces=True),
    "text of a tensor": lambda t: t.decode(t.encode(ONE, return_tensors="pt")[0]),
    "text of an array": lambda t: t.decode(np.array(t.encode(ONE))),
    "text of one id": lambda t: t.decode(7),
    "texts of rows": lambda t: t.batch_decode(t(TEXTS)["input_ids"], skip_special_tokens=True),
    "texts of a tensor": lambda t: t.batch_decode(t(TEXTS, padding=True, return_tensors="pt").input_ids),
    "texts of nested rows": lambda t: t.decode([t.encode(ONE), t.encode(LONG)]),
    "tokens of ids": lambda t: [
        t.convert_ids_to_tokens(2),
        t.convert_ids_to_tokens([2, 7, 3], skip_special_tokens=True),
        t.convert_ids_to_tokens(torch.tensor([2, 7])),
    ],
    "ids of tokens": lambda t: [
        t.convert_tokens_to_ids("[CLS]"),
        t.convert_tokens_to_ids(["[SEP]", "nothing"]),
    ],
    "special tokens mask of ids": lambda t: t.get_special_tokens_mask(
        t.encode(ONE), already_has_special_tokens=True
    ),
    "numbers of special tokens": lambda t: [
        t.num_special_tokens_to_add(),
        t.num_special_tokens_to_add(pair=True),
    ],
    "longest texts": lambda t: [t.max_len_single_sentence, t.max_len_sentences_pair],
    "names": lambda t: [*t.special_tokens_map.items()].sort(),
    "sizes": lambda t: [
        len(t),
        t.vocab_size,
        t.model_max_length,
        len(t.get_vocab()),
        t.vocab == t.get_vocab(),
    ],
    "sides": lambda t: [t.padding_side, t.truncation_side, t.is_fast, [*t.model_input_names]],
    "special ids": lambda t: [sorted(t.all_special_ids), sorted(t.all_special_tokens), t.get_added_vocab()],
    "padding of encodings": lambda t: t.pad([t(text) for text in TEXTS]),
    "padding of encodings to a multiple": lambda t: t.pad([t(x) for x in TEXTS], pad_to_multiple_of=8),
    "padding of encodings to a length": lambda t: t.pad(t(ONE), padding="max_length", max_length=12),
    "padding of encodings on the left": lambda t: t.pad([t(x) for x in TEXTS], padding_side="left"),
    "padding of ids": lambda t: t.pad({"input_ids": [[2, 7, 3], [2, 3]]}, return_tensors="pt"),
    "padding of tensors": lambda t: t.pad([{"input_ids": torch.tensor(t.encode(x))} for x in TEXTS]),
    "padding beside labels": lambda t: t.pad([{**t(x), "label": 1} for x in TEXTS], return_tensors="np"),
    "padding of nothing": lambda t: t.pad({"input_ids": []}),
    "no padding of encodings": lambda t: t.pad([t(x) for x in TEXTS], padding=False),
    "a collator": lambda t: transformers.DataCollatorWithPadding(t)([{**t(x), "label": 1} for x in TEXTS]),
    "a collator of tags": lambda t: transformers.DataCollatorForTokenClassification(t)(
        [{**t(x), "labels": [1] * len(t.encode(x))} for x in TEXTS]
    ),
    "a collator that masks": lambda t: transformers.DataCollatorForLanguageModeling(t, seed=3)(
        [t(x) for x in TEXTS]
    ),
    "places": lambda t: [
        [e.token_to_word(1), e.token_to_sequence(2), e.token_to_word(0, 2), e.word_to_tokens(1)]
        for e in (t("cats unwanted mat"), t(["cats unwanted mat"]))
    ],
    "characters": lambda t: (
        [t("cats unwanted").char_to_token(i) for i in (0, 3, 5, 12)]
        + [t("cats unwanted").char_to_word(7), t(ONE, LONG).char_to_token(0, 4, 1)]
    ),
    "numbers of texts": lambda t: [t(ONE).n_sequences, t(ONE, LONG).n_sequences],
    "one row as tensors": lambda t: t(ONE).convert_to_tensors("pt", prepend_batch_axis=True),
    "fields": lambda t: [[*t(ONE).keys()], t(ONE).input_ids, t(ONE).data["input_ids"]],
    "a copy": lambda t: pickle.loads(pickle.dumps(t))(LONG),
    "a deep copy": lambda t: copy.deepcopy(t)(LONG),
    "special tokens as text": lambda t: t("a [SEP] b", split_special_tokens=True),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CALLS)
def test_a_call_gives_what_transformers_gives(pair: tuple[Any, AlbertTokenizer], name: str) -> None:
    expected, found = (plain(CALLS[name](tokenizer)) for tokenizer in pair)
    assert found == expected


@pytest.mark.parametrize("side", ["left", "right"])
def test_sides_are_set_on_the_tokenizer_and_stored(
    pair: tuple[Any, AlbertTokenizer], tmp_path: Path, side: Any
) -> None:
    results = []
    for tokenizer in map(copy.deepcopy, pair):
        tokenizer.padding_side = tokenizer.truncation_side = side
        results.append(
            plain(
                [
                    tokenizer(TEXTS, truncation=True, padding=True, max_length=7),
                    tokenizer(LONG, ONE, truncation="only_first", max_length=9),
                    tokenizer(LONG, truncation=True, max_length=7, stride=2, return_overflowing_tokens=True),
                ]
            )
        )
    assert results[1] == results[0]
    ours = copy.deepcopy(pair[1])
    ours.padding_side = ours.truncation_side = side
    ours.save_pretrained(tmp_path)
    for opened in (
        AlbertTokenizer.from_pretrained(tmp_path),
        transformers.AutoTokenizer.from_pretrained(tmp_path),
    ):
        assert (opened.padding_side, opened.truncation_side) == (side, side)
    options = {"padding_side": "left", "truncation_side": "right", "model_max_length": 9}
    changed = AlbertTokenizer.from_pretrained(tmp_path, **options)
    assert {name: getattr(changed, name) for name in options} == options


ADDED: dict[str, Callable[[Any], int]] = {
    "words": lambda t: t.add_tokens(["new_tok", "[bracket]"]),
    "one word": lambda t: t.add_tokens("new_tok"),
    "a known piece": lambda t: t.add_tokens(["new_tok", t.convert_ids_to_tokens(9)]),
    "special": lambda t: t.add_tokens(["<e1>"], special_tokens=True),
    "special by name": lambda t: t.add_special_tokens({"extra_special_tokens": ["<e1>", "<e2>"]}),
    "with spaces": lambda t: t.add_tokens(
        [AddedToken("new_tok", lstrip=True, rstrip=True, normalized=False)]
    ),
}


@pytest.mark.parametrize("name", ADDED)
def test_added_tokens_are_found_counted_and_stored(
    pair: tuple[Any, AlbertTokenizer], tmp_path: Path, name: str
) -> None:
    text = "a new_tok <e1> cats <e2> [bracket]x"
    counts, rows, decoded = [], [], []
    for tokenizer in map(copy.deepcopy, pair):
        counts.append([ADDED[name](tokenizer), len(tokenizer), tokenizer.vocab_size])
        rows.append(tokenizer.encode(text))
        decoded.append(tokenizer.decode(rows[-1], skip_special_tokens=True))
    assert counts[1] == counts[0]
    assert rows[1] == rows[0]
    assert decoded[1] == decoded[0]
    ours = copy.deepcopy(pair[1])
    ADDED[name](ours)
    ours.save_pretrained(tmp_path)
    for opened in (
        AlbertTokenizer.from_pretrained(tmp_path),
        transformers.AutoTokenizer.from_pretrained(tmp_path),
    ):
        assert len(opened) == len(ours)
        assert opened.encode(text) == rows[0]


def test_added_special_tokens_are_special(pair: tuple[Any, AlbertTokenizer]) -> None:
    ours = copy.deepcopy(pair[1])
    ours.add_special_tokens({"additional_special_tokens": ["<e1>"], "pad_token": ours.pad_token})
    new = len(ours) - 1
    assert ours.extra_special_tokens == ["<e1>"]
    assert new in ours.all_special_ids
    assert ours.special_tokens_map["extra_special_tokens"] == ["<e1>"]
    assert ours.get_special_tokens_mask([new, 9], already_has_special_tokens=True) == [1, 0]
    with pytest.raises(TokenizerError, match="there is no special token 'bad_token'"):
        ours.add_special_tokens({"bad_token": "x"})
    for token in ("", " ", 3):
        with pytest.raises(TokenizerError, match="expected a token, text that is not empty"):
            ours.add_tokens([token])


def test_inputs_are_built_of_ids(pair: tuple[Any, AlbertTokenizer]) -> None:
    ours = pair[1]
    first, second = ours.encode(ONE, add_special_tokens=False), ours.encode(LONG, add_special_tokens=False)
    encoding = ours(ONE, LONG, return_special_tokens_mask=True)
    assert ours.build_inputs_with_special_tokens(first, second) == encoding["input_ids"]
    assert ours.create_token_type_ids_from_sequences(first, second) == encoding["token_type_ids"]
    assert ours.get_special_tokens_mask(first, second) == encoding["special_tokens_mask"]


WRONG: dict[str, tuple[Callable[[AlbertTokenizer], Any], str]] = {
    "padding": (
        lambda t: t(ONE, padding="max_lenght"),
        "padding is 'max_lenght'; .* did you mean 'max_length'",
    ),
    "truncation": (
        lambda t: t(ONE, truncation="first"),
        "truncation is 'first'; known are True, False, longest_first",
    ),
    "tensors": (lambda t: t(ONE, return_tensors="tf"), "return_tensors is 'tf'; expected 'pt'"),
    "side of a call": (
        lambda t: t(ONE, padding_side="up"),
        "padding_side is 'up'; expected 'right' or 'left'",
    ),
    "an option": (lambda t: t(ONE, trunction=True), "has no option 'trunction'; did you mean 'truncation'"),
    "no text": (lambda t: t(5), "expected a text or a list of texts, found int"),
    "no texts": (lambda t: t([5]), "text 0 is int; expected str"),
    "a missing text": (lambda t: t(["a", None]), "text 1 is None; expected str"),
    "a multiple": (
        lambda t: t(ONE, padding=True, truncation=True, max_length=10, pad_to_multiple_of=8),
        "max_length 10 is no multiple of pad_to_multiple_of 8",
    ),
    "a stride": (
        lambda t: t(LONG, truncation=True, max_length=6, stride=4, return_overflowing_tokens=True),
        "stride is 4; expected 0 to 3",
    ),
    "windows of both texts": (
        lambda t: t(LONG, LONG, truncation=True, max_length=9, return_overflowing_tokens=True),
        "needs to know which text is cut",
    ),
    "rows of an array": (lambda t: t(TEXTS, return_tensors="np"), "the rows of input_ids differ in length"),
    "encodings": (lambda t: t.pad([{"x": [1]}]), "expected encodings with input_ids, found x"),
    "fields": (lambda t: t.pad([{"input_ids": [1]}, {"input_ids": [1], "x": 1}]), "have different fields"),
    "a key": (lambda t: t(["a"])[0], "0 is no field; there are input_ids"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_exist_is_refused_by_name(pair: tuple[Any, AlbertTokenizer], name: str) -> None:
    call, message = WRONG[name]
    with pytest.raises((TokenizerError, KeyError), match=message):
        call(pair[1])


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("pad_token", "[SEP]", "belongs to the vocabulary"),
        ("mask_token_id", 9, "belongs to the vocabulary"),
        ("padding_side", "up", "expected 'right' or 'left'"),
        ("model_max_length", 0, "expected a whole number of at least 1"),
        ("model_max_lenght", 9, "a tokenizer has no 'model_max_lenght'; did you mean 'model_max_length'"),
    ],
)
def test_nothing_is_set_without_effect(
    pair: tuple[Any, AlbertTokenizer], name: str, value: Any, message: str
) -> None:
    tokenizer = copy.deepcopy(pair[1])
    with pytest.raises(TokenizerError, match=message):
        setattr(tokenizer, name, value)
    tokenizer.pad_token = tokenizer.pad_token
    tokenizer.somebodys_note = "kept"  # type: ignore[attr-defined]
    assert tokenizer.somebodys_note == "kept"  # type: ignore[attr-defined]


def test_a_vocabulary_is_given_as_a_file(tokenizer_folder: Path, pair: tuple[Any, AlbertTokenizer]) -> None:
    path = tokenizer_folder / "spiece.model"
    folder = AlbertTokenizer.from_pretrained(tokenizer_folder)
    for tokenizer in (AlbertTokenizer(path), AlbertTokenizer(vocab_file=str(path), model_max_length=9)):
        assert tokenizer.encode(LONG) == folder.encode(LONG)
    assert AlbertTokenizer(path, do_lower_case=False).encode("Hello") != folder.encode("Hello")
    with pytest.raises(TokenizerError, match=r"no such file; expected spiece\.model or vocab\.txt"):
        AlbertTokenizer(tokenizer_folder)
    again = AlbertTokenizer(pair[1].save_vocabulary(tokenizer_folder.parent / pair[1].kind, "mine")[0])
    assert again.fingerprint == pair[1].fingerprint


def test_arguments_of_from_pretrained_are_honoured_without_effect_or_refused(tokenizer_folder: Path) -> None:
    read = AlbertTokenizer.from_pretrained
    for name in WITHOUT_EFFECT:
        assert read(tokenizer_folder, **{name: True}).encode(ONE) == read(tokenizer_folder).encode(ONE)
    for name in REFUSED:
        with pytest.raises(TokenizerError, match=f"{name} is not supported: "):
            read(tokenizer_folder, **{name: True})
    for name, (accepted, _) in ONLY.items():
        assert read(tokenizer_folder, **{name: accepted}).encode(ONE) == read(tokenizer_folder).encode(ONE)
        with pytest.raises(TokenizerError, match=f"{name}={not accepted} is not supported: "):
            read(tokenizer_folder, **{name: not accepted})
    assert read(tokenizer_folder, extra_special_tokens=["<e1>"]).extra_special_tokens == ["<e1>"]
    assert read(tokenizer_folder.parent, subfolder=tokenizer_folder.name).name_or_path
    assert read(tokenizer_folder, pad_token="<pad>", max_len=7).model_max_length == 7
    with pytest.raises(TokenizerError, match=r"pad_token is '\[PAD\]', but the vocabulary's is '<pad>'"):
        read(tokenizer_folder, pad_token="[PAD]")
    with pytest.raises(TokenizerError, match="no argument 'do_lowercase'; did you mean 'do_lower_case'"):
        read(tokenizer_folder, do_lowercase=True)


def test_a_copy_of_an_encoding_no_longer_knows_its_texts(pair: tuple[Any, AlbertTokenizer]) -> None:
    encoding = pair[1](ONE)
    copied = pickle.loads(pickle.dumps(encoding))
    assert dict(copied) == dict(encoding)
    assert encoding.is_fast
    assert not copied.is_fast
    with pytest.raises(TokenizerError, match="no longer knows its texts"):
        copied.tokens()


def test_texts_are_encoded_by_several_processes(tokenizer_folder: Path) -> None:
    ours = AlbertTokenizer.from_pretrained(tokenizer_folder)
    rows = Dataset.from_dict({"text": TEXTS}).map(
        lambda batch: ours(batch["text"], truncation=True, max_length=9), batched=True, num_proc=2
    )
    assert rows["input_ids"][:] == ours(TEXTS, truncation=True, max_length=9)["input_ids"]


def test_a_tokenizer_is_shown_with_what_matters(pair: tuple[Any, AlbertTokenizer]) -> None:
    shown = repr(pair[1])
    assert shown.startswith(
        f"AlbertTokenizer(kind='{pair[1].kind}', tokens={len(pair[1])}, do_lower_case=True"
    )
    assert "padding_side='right'" in shown


def test_a_lone_space_has_no_width(tokenizer_folder: Path) -> None:
    theirs, ours = (
        tokenizers.from_pretrained(tokenizer_folder)
        for tokenizers in (transformers.AutoTokenizer, AlbertTokenizer)
    )
    assert ours.tokenize("hello world")[0] == "▁"
    expected, found = (
        t("hello world", return_offsets_mapping=True)["offset_mapping"] for t in (theirs, ours)
    )
    assert expected[1] == (0, 1)
    assert found[1] == (0, 0)
    assert found[2] == expected[2] == (0, 5)


def test_of_a_pair_the_first_text_keeps_one_token_more(pair: tuple[Any, AlbertTokenizer]) -> None:
    rows = [t("hello world", LONG, truncation=True, max_length=6)["token_type_ids"] for t in pair]
    assert [row.count(0) for row in rows] == [3, 4]
