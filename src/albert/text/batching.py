"""Texts and rows of ids as callers give them, and rows that are padded to one length."""

from collections.abc import Mapping, Sequence
from typing import Any

from albert.errors import TokenizerError
from albert.text.encoding import Encoding, lists_of
from albert.text.truncation import Side

OFFSETS = "offset_mapping"

Text = str | Sequence[str]
"""A text, or its words."""


def pair_up(
    text: str | Sequence[Any], text_pair: str | Sequence[Any] | None, *, is_split_into_words: bool
) -> tuple[list[tuple[Text, Text | None]], bool]:
    """Return the pairs to encode, and whether the caller gave a single one.

    Args:
        text: A text or a list of texts; without `text_pair` also a list of pairs.
        text_pair: A second text or as many.
        is_split_into_words: Whether a text is a list of words.

    Raises:
        TokenizerError: The first and second texts are not as many, something is no text, or a text is not a
            list of words although texts are split into words.
    """
    if is_split_into_words:
        for texts in (text, text_pair):
            _check_words(texts)
    if isinstance(text, str) or (is_split_into_words and text and isinstance(text[0], str)):
        if text_pair is not None and not (isinstance(text_pair, str) or is_split_into_words):
            raise TokenizerError("expected one second text for one first text, found a list")
        return [(text, text_pair)], True
    if not isinstance(text, Sequence):
        raise TokenizerError(f"expected a text or a list of texts, found {type(text).__name__}")
    if text_pair is None:
        pairs = [_pair(first, is_split_into_words=is_split_into_words) for first in text]
    elif isinstance(text_pair, str) or len(text_pair) != len(text):
        found = "one text" if isinstance(text_pair, str) else f"{len(text_pair)} texts"
        raise TokenizerError(f"expected {len(text)} second texts for as many first, found {found}")
    else:
        pairs = list(zip(text, text_pair, strict=True))
    if not is_split_into_words:
        _check_texts(pairs)
    return pairs, False


def _pair(given: Any, *, is_split_into_words: bool) -> tuple[Text, Text | None]:
    """Return a text of a list as a pair without a second text, and a pair in a list as it is."""
    is_pair = not isinstance(given, str) and isinstance(given, Sequence) and len(given) == 2
    if is_pair and not (is_split_into_words and isinstance(given[0], str)):
        return given[0], given[1]
    return given, None


def _check_texts(pairs: list[tuple[Any, Any]]) -> None:
    for index, pair in enumerate(pairs):
        for given in pair:
            if not isinstance(given, str) and given is not None:
                raise TokenizerError(
                    f"text {index} is {type(given).__name__}; expected str, or a pair of them: missing "
                    'values can be replaced by ""'
                )
        if pair[0] is None:
            raise TokenizerError(f'text {index} is None; expected str: missing values can be replaced by ""')


def _check_words(texts: str | Sequence[Any] | None) -> None:
    """Refuse what is neither a list of words nor a list of such lists, or of pairs of them."""
    rows = [] if texts is None or isinstance(texts, str) else list(texts)
    if isinstance(texts, str) or not (all(isinstance(row, str) for row in rows) or all(map(_is_words, rows))):
        raise TokenizerError("is_split_into_words=True: expected a list of words, or a list of such lists")


def _is_words(row: Any) -> bool:
    if not isinstance(row, list | tuple):
        return False
    is_pair = len(row) == 2 and all(isinstance(part, list | tuple) for part in row)
    return all(map(_is_words, row)) if is_pair else all(isinstance(word, str) for word in row)


def padded_length(lengths: Sequence[int], *, length: int | None, multiple: int | None) -> int:
    """Return the length of padded rows: `length`, or that of the longest, rounded up to a multiple."""
    found = max(lengths, default=0) if length is None else length
    return -(-found // multiple) * multiple if multiple else found


def pad_rows(fields: Mapping[str, list[list[Any]]], *, length: int, pad_token_id: int, side: Side) -> None:
    """Pad every row of every field that has a value for padding to `length`; longer rows stay."""
    fillers = {
        "input_ids": pad_token_id,
        "token_type_ids": 0,
        "attention_mask": 0,
        "special_tokens_mask": 1,
        OFFSETS: (0, 0),
        "word_ids": None,
    }
    for name, rows in fields.items():
        for row in rows if name in fillers else ():
            filling = [fillers[name]] * (length - len(row))
            row[len(row) if side == "right" else 0 : 0] = filling


def columns_of(
    given: Mapping[str, Any] | Sequence[Mapping[str, Any]],
) -> tuple[dict[str, list[Any]], bool, str | None]:
    """Return encodings as lists by field, whether there is only one, and the form of arrays among them.

    Args:
        given: One encoding, one whose fields have rows, or a list of encodings.

    Raises:
        TokenizerError: They lack `input_ids`, or have different fields.
    """
    if not isinstance(given, Mapping):
        names = list(given[0]) if given else ["input_ids"]
        if different := next((row for row in given if set(row) != set(names)), None):
            raise TokenizerError(f"the encodings have different fields: {names} and {list(different)}")
        given = {name: [row[name] for row in given] for name in names}
    if "input_ids" not in given:
        raise TokenizerError(f"expected encodings with input_ids, found {', '.join(given) or 'none'}")
    ids = given["input_ids"]
    first = ids[0] if isinstance(ids, list | tuple) and len(ids) else ids
    form = None
    if hasattr(first, "tolist"):
        form = "np" if type(first).__module__.startswith("numpy") else "pt"
    columns = {name: lists_of(values) for name, values in given.items()}
    rows = columns["input_ids"]
    is_single = bool(rows) and not isinstance(rows[0], list)
    if is_single:
        columns = {name: [values] for name, values in columns.items()}
    return {name: [_copied(row) for row in values] for name, values in columns.items()}, is_single, form


def _copied(row: Any) -> Any:
    return list(row) if isinstance(row, list) else row


def joined(columns: Mapping[str, list[Any]], *, is_single: bool) -> Encoding:
    """Return fields as an encoding, of one row or of several."""
    return Encoding({name: values[0] if is_single else values for name, values in columns.items()})
