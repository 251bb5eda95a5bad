"""The result of tokenizing: rows of ids with their masks, padded, as lists, arrays or tensors.

Fields and padding are those of transformers.
"""

import importlib
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from albert.errors import TokenizerError

Padding = Literal["longest", "max_length"]
Tensors = Literal["np", "pt"]

OFFSETS = "offset_mapping"
WORDS = "word_ids"

Text = str | Sequence[str]
"""A text, or its words."""


class Encoding(dict[str, Any]):
    """The fields of encoded texts, as items and as attributes; made for `model(**encoding)`."""

    _words: list[list[int | None]] | None = None

    def __getattr__(self, name: str) -> Any:
        """Return a field: a list, or an array if `return_tensors` was given."""
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no field {name!r}; there are {', '.join(self)}") from None

    def to(self, device: Any) -> "Encoding":
        """Return the encoding with its tensors on a device."""
        return Encoding({name: value.to(device) for name, value in self.items()}).with_words(self._words)

    def word_ids(self, batch_index: int = 0) -> list[int | None]:
        """Return the number of the word of each token of a row; None for special tokens and padding.

        Raises:
            TokenizerError: The texts were not given as lists of words.
        """
        if self._words is None:
            raise TokenizerError(
                "word_ids needs texts that are lists of words, with is_split_into_words=True"
            )
        return self._words[batch_index]

    def with_words(self, words: list[list[int | None]] | None) -> "Encoding":
        """Return this encoding, whose rows have the word numbers `words`."""
        self._words = words
        return self


def pair_up(
    text: str | Sequence[Any], text_pair: str | Sequence[Any] | None, *, is_split_into_words: bool
) -> tuple[list[tuple[Text, Text | None]], bool]:
    """Return the pairs to encode, and whether the caller gave a single one.

    Raises:
        TokenizerError: The first and second texts are not as many, or a text is not a list of words although
            texts are split into words.
    """
    if is_split_into_words:
        for texts in (text, text_pair):
            _check_words(texts)
    if isinstance(text, str) or (is_split_into_words and text and isinstance(text[0], str)):
        if text_pair is not None and not (isinstance(text_pair, str) or is_split_into_words):
            raise TokenizerError("expected one second text for one first text, found a list")
        return [(text, text_pair)], True
    if text_pair is None:
        return [(first, None) for first in text], False
    if isinstance(text_pair, str) or len(text_pair) != len(text):
        found = "one text" if isinstance(text_pair, str) else f"{len(text_pair)} texts"
        raise TokenizerError(f"expected {len(text)} second texts for as many first, found {found}")
    return list(zip(text, text_pair, strict=True)), False


def _check_words(texts: str | Sequence[Any] | None) -> None:
    """Refuse what is neither a list of words nor a list of such lists."""
    rows = [] if texts is None or isinstance(texts, str) else list(texts)
    if isinstance(texts, str) or not (
        all(isinstance(row, str) for row in rows)
        or all(isinstance(row, list | tuple) and all(isinstance(word, str) for word in row) for row in rows)
    ):
        raise TokenizerError("is_split_into_words=True: expected a list of words, or a list of such lists")


def pad(rows: list[Encoding], *, length: int, pad_token_id: int) -> None:
    """Pad every row on the right to `length`; longer rows stay as they are."""
    fillers = {
        "input_ids": pad_token_id,
        "token_type_ids": 0,
        "attention_mask": 0,
        OFFSETS: (0, 0),
        WORDS: None,
    }
    for row in rows:
        missing = length - len(row["input_ids"])
        for name, values in row.items():
            values.extend([fillers[name]] * missing)


def stack(rows: list[Encoding], tensors: Tensors | None) -> Encoding:
    """Return one encoding whose fields hold all rows, (B, T) as arrays or as lists of lists.

    Raises:
        TokenizerError: The rows differ in length and cannot become an array.
    """
    names = list(rows[0]) if rows else ["input_ids", "token_type_ids", "attention_mask"]
    batch = Encoding({name: [row[name] for row in rows] for name in names})
    if tensors is None:
        return batch
    if len({len(ids) for ids in batch["input_ids"]}) > 1:
        raise TokenizerError(
            "the rows differ in length, but an array needs equal lengths; "
            "give padding=True and, for texts that are too long, truncation=True"
        )
    arrays = {name: np.asarray(values, dtype=np.int64) for name, values in batch.items()}
    if tensors == "np":
        return Encoding(arrays)
    # Imported by name: data preparation and the command line use this room, and they must start without the
    # second that loading torch takes. A caller that wants tensors has loaded it already.
    torch = importlib.import_module("torch")
    return Encoding({name: torch.from_numpy(array) for name, array in arrays.items()})
