"""Words as tokens: every word keeps its tag at any length, and nothing depends on the rest of the batch."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from albert.errors import ConfigError
from albert.model.losses import IGNORED_LABEL
from albert.tasks.tagging.features import TagFeatures, encode_words, make_tag_features
from albert.tasks.tagging.files import TaggedExample
from albert.text.tokenizer import AlbertTokenizer

TAGS = ("O", "B-x", "I-x")
LABEL_IDS = {tag: number for number, tag in enumerate(TAGS)}
WORDS = (
    "stack",
    "Overflow",
    "U.N.",
    "'s",
    "1990,",
    "-",
    "été",
    "\ufffd",
    "\u200b",
    "\u3000",
    "中",
    "国",
    "[SEP]",
)


@pytest.fixture(scope="module", params=["sentencepiece", "wordpiece"])
def tokenizer(
    request: pytest.FixtureRequest, tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> AlbertTokenizer:
    if request.param == "sentencepiece":
        return AlbertTokenizer.from_pretrained(tokenizer_folder)
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    pieces = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "stack",
        "over",
        "##flow",
        "中",
        "国",
        ".",
        "'",
        "-",
    ]
    pieces += [
        *letters,
        *(f"##{letter}" for letter in letters),
        *"0123456789",
        *(f"##{n}" for n in range(10)),
    ]
    folder = tmp_path_factory.mktemp("wordpiece")
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces), encoding="utf-8")
    return AlbertTokenizer.from_pretrained(folder)


def sentence(words: list[str], *, space: str = " ", tags: list[str] | None = None) -> TaggedExample:
    starts = [sum(len(word) + len(space) for word in words[:number]) for number in range(len(words))]
    return TaggedExample(
        tuple(words), space.join(words), tuple(starts), None if tags is None else tuple(tags), "here"
    )


def encode(
    examples: list[TaggedExample], tokenizer: AlbertTokenizer, *, max_seq_length: int = 512
) -> TagFeatures:
    return make_tag_features(examples, tokenizer, label_ids=LABEL_IDS, max_seq_length=max_seq_length)


def windows(features: TagFeatures) -> Iterator[TagFeatures]:
    return (features.take(np.array([number])) for number in range(len(features)))


def tokens_of(example: TaggedExample, tokenizer: AlbertTokenizer) -> list[int]:
    return encode_words([example], tokenizer, longest=512)[0].tolist()


SENTENCES = st.lists(
    st.tuples(
        st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(TAGS)), min_size=1, max_size=30),
        st.sampled_from(["", " "]),
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=80)
@given(drawn=SENTENCES, max_seq_length=st.integers(3, 40))
def test_every_word_keeps_its_tag_at_any_length(
    tokenizer: AlbertTokenizer, drawn: list[tuple[list[tuple[str, str]], str]], max_seq_length: int
) -> None:
    examples = [
        sentence([word for word, _ in pairs], space=space, tags=[tag for _, tag in pairs])
        for pairs, space in drawn
    ]
    features = encode(examples, tokenizer, max_seq_length=max_seq_length)
    assert features.lengths.max() <= max_seq_length
    assert features.labels[features.opens_word].tolist() == [
        LABEL_IDS[tag] for example in examples for tag in example.tags or ()
    ]
    assert (features.labels[~features.opens_word] == IGNORED_LABEL).all()
    assert features.num_words.sum() == sum(len(example.words) for example in examples)
    assert features.num_words.min() >= 1
    for window in windows(features):
        assert window.input_ids[0] == tokenizer.cls_token_id
        assert window.opens_word[1]
        assert window.input_ids[-1] == tokenizer.sep_token_id


@settings(max_examples=40)
@given(drawn=SENTENCES, max_seq_length=st.integers(3, 40))
def test_features_of_a_sentence_do_not_depend_on_the_others(
    tokenizer: AlbertTokenizer, drawn: list[tuple[list[tuple[str, str]], str]], max_seq_length: int
) -> None:
    examples = [sentence([word for word, _ in pairs], space=space) for pairs, space in drawn]
    together = encode(examples, tokenizer, max_seq_length=max_seq_length)
    alone = [encode([example], tokenizer, max_seq_length=max_seq_length) for example in examples]
    for name in ("input_ids", "opens_word", "lengths", "labels"):
        joined = np.concatenate([getattr(features, name) for features in alone])
        np.testing.assert_array_equal(getattr(together, name), joined)


def test_words_between_spaces_have_the_tokens_of_the_running_text(tokenizer: AlbertTokenizer) -> None:
    example = sentence(["The", "stack", "Overflow's", "U.N.", "(été)", "1990,", "is", "TypeError", "."])
    assert tokens_of(example, tokenizer) == tokenizer.encode(example.text, add_special_tokens=False)


def test_characters_that_touch_have_the_tokens_of_the_running_text(tokenizer: AlbertTokenizer) -> None:
    example = sentence(list("xq.zy-中xq国"), space="")
    found = tokenizer.convert_ids_to_tokens(tokens_of(example, tokenizer))
    running = tokenizer.convert_ids_to_tokens(tokenizer.encode(example.text, add_special_tokens=False))
    assert found == running


def test_no_token_crosses_the_end_of_a_tagged_character(tokenizer: AlbertTokenizer) -> None:
    example = sentence(list("在中国stack"), space="")
    ids, widths = encode_words([example], tokenizer, longest=512)
    assert len(widths) == len(example.words)
    found = tokenizer.convert_ids_to_tokens(ids.tolist())[-5:]
    assert found == (
        list("stack") if tokenizer.kind == "sentencepiece" else ["s", "##t", "##a", "##c", "##k"]
    )


@pytest.mark.parametrize("word", ["\u200b", "\u3000", "\ufffd"])
def test_a_word_without_tokens_is_unknown(tokenizer: AlbertTokenizer, word: str) -> None:
    features = encode([sentence(["stack", word, "over"])], tokenizer)
    places = np.flatnonzero(features.opens_word)
    assert len(places) == 3
    if not tokenizer.encode(word, add_special_tokens=False):
        assert features.input_ids[places[1]] == tokenizer.unk_token_id


def test_names_of_special_tokens_in_a_word_are_text(tokenizer: AlbertTokenizer) -> None:
    features = encode([sentence(["[SEP]", "[MASK]"])], tokenizer)
    assert (features.input_ids == tokenizer.sep_token_id).sum() == 1
    assert tokenizer.mask_token_id not in features.input_ids


def test_windows_of_a_long_sentence_are_about_equally_long(tokenizer: AlbertTokenizer) -> None:
    features = encode([sentence(["stack"] * 100)], tokenizer, max_seq_length=92)
    width = len(tokenizer.encode("stack", add_special_tokens=False))
    assert features.num_words.tolist() == ([50, 50] if width == 1 else [34, 33, 33])


def test_a_word_longer_than_a_window_keeps_its_first_tokens(tokenizer: AlbertTokenizer) -> None:
    long = encode([sentence(["a", "xyxyxyxyxyxy", "b"])], tokenizer, max_seq_length=6)
    assert long.num_words.tolist() == [1, 1, 1]
    assert long.lengths.tolist()[1] == 6


def test_sentences_without_tags_have_no_labels(tokenizer: AlbertTokenizer) -> None:
    features = encode([sentence(["stack", "over"])], tokenizer)
    assert features.opens_word.sum() == 2
    assert (features.labels == IGNORED_LABEL).all()


def test_no_sentences_give_no_windows(tokenizer: AlbertTokenizer) -> None:
    features = encode([], tokenizer)
    assert (len(features), len(features.input_ids), len(features.num_words)) == (0, 0, 0)


def test_a_length_without_room_for_a_word_is_refused(tokenizer: AlbertTokenizer) -> None:
    with pytest.raises(ConfigError, match="max_seq_length is 2"):
        encode([sentence(["a"])], tokenizer, max_seq_length=2)


def test_first_tokens_of_words_equal_those_of_transformers(
    tokenizer: AlbertTokenizer, tmp_path: Path
) -> None:
    tokenizer.save_pretrained(tmp_path)
    oracle = transformers.AutoTokenizer.from_pretrained(tmp_path)
    words = [
        "The",
        "stack",
        "of",
        "TypeErrors",
        "(U.N.)",
        "takes",
        "two-fold",
        "values",
        "-",
        "overflow",
        ".",
    ]
    features = encode([sentence(words)], tokenizer)
    expected = oracle(words, is_split_into_words=True)
    assert features.input_ids.tolist() == expected["input_ids"]
    word_ids = expected.word_ids()
    opens = [
        word is not None and word != before for before, word in zip([None, *word_ids], word_ids, strict=False)
    ]
    assert features.opens_word.tolist() == opens
