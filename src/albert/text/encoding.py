"""The result of tokenizing: fields for the model, and where each token comes from.

Fields and methods are those of transformers' `BatchEncoding`.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from albert.errors import TokenizerError
from albert.text.options import tensors_of

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a token comes from."""

    sequence: int | None
    """0 for the first text, 1 for the second; None for special tokens that were added, and padding."""
    word: int | None
    """Number of the word in its text."""
    span: Span
    """Raw characters, from and to, in the text, or in the word if texts are split into words."""
    token: str
    """The token."""


class Encoding(dict[str, Any]):
    """The fields of encoded texts, as items and as attributes; made for `model(**encoding)`.

    Args:
        fields: Lists, arrays or tensors by name.
        origins: Finds where the tokens of each row come from; only called when asked for.
        words: The number of the word of each token of each row, if texts were split into words.
    """

    def __init__(
        self,
        fields: Mapping[str, Any] | None = None,
        *,
        origins: Callable[[], list[list[Origin]]] | None = None,
        words: list[list[int | None]] | None = None,
    ) -> None:
        super().__init__(fields or {})
        self.__dict__.update(_find_origins=origins, _origins=None, _words=words)

    def __getattr__(self, name: str) -> Any:
        """Return a field: a list, or an array if `return_tensors` was given."""
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no field {name!r}; there are {', '.join(self)}") from None

    def __getitem__(self, key: str | slice) -> Any:
        """Return a field, or all fields of some rows."""
        if isinstance(key, str):
            return super().__getitem__(key)
        if isinstance(key, slice):
            return {name: values[key] for name, values in self.items()}
        raise KeyError(
            f"{key!r} is no field; there are {', '.join(self)}: encoding[:1] has the fields of the first row"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Return the fields for a copy, which no longer knows where tokens come from."""
        return Encoding, (dict(self),)

    @property
    def data(self) -> dict[str, Any]:
        """The fields."""
        return dict(self)

    @property
    def is_fast(self) -> bool:
        """Whether tokens can be found in the texts."""
        return self._find_origins is not None

    @property
    def encodings(self) -> None:
        """None: rows of the library `tokenizers` there are none; see the methods."""
        return

    @property
    def n_sequences(self) -> int | None:
        """1 for texts, 2 for pairs; None for a copy."""
        if self._find_origins is None:
            return None
        found = {origin.sequence for row in self._rows() for origin in row} - {None}
        return max(len(found), 1)

    def to(self, device: Any, *, non_blocking: bool = False) -> "Encoding":
        """Move the tensors to a device, and return the encoding."""
        for name, value in self.items():
            if hasattr(value, "to"):
                self[name] = value.to(device, non_blocking=non_blocking)
        return self

    def convert_to_tensors(self, tensor_type: Any = None, prepend_batch_axis: bool = False) -> "Encoding":
        """Turn all fields into arrays or tensors, and return the encoding.

        Args:
            tensor_type: `np` or `pt`; None changes nothing.
            prepend_batch_axis: Whether fields are those of one row, to become a batch of one.

        Raises:
            TokenizerError: Rows differ in length, or are no numbers.
        """
        kind = tensors_of(tensor_type)
        if kind is None:
            return self
        for name, values in self.items():
            array = as_array(name, [values] if prepend_batch_axis else values)
            # Imported by name: data preparation and the command line use this room, and they must start
            # without the second that loading torch takes. A caller that wants tensors has loaded it already.
            self[name] = array if kind == "np" else importlib.import_module("torch").from_numpy(array)
        return self

    def tokens(self, batch_index: int = 0) -> list[str]:
        """Return the tokens of a row."""
        return [origin.token for origin in self._rows()[batch_index]]

    def sequence_ids(self, batch_index: int = 0) -> list[int | None]:
        """Return 0 or 1 for each token of the first or second text of a row; None for special tokens."""
        return [origin.sequence for origin in self._rows()[batch_index]]

    def word_ids(self, batch_index: int = 0) -> list[int | None]:
        """Return the number of the word of each token of a row; None for special tokens and padding."""
        if self._words is not None:
            row: list[int | None] = self._words[batch_index]
            return row
        return [origin.word for origin in self._rows()[batch_index]]

    def token_to_sequence(self, batch_or_token_index: int, token_index: int | None = None) -> int | None:
        """Return the text, 0 or 1, of a token."""
        return self._origin(batch_or_token_index, token_index).sequence

    def token_to_word(self, batch_or_token_index: int, token_index: int | None = None) -> int | None:
        """Return the number of the word of a token."""
        return self._origin(batch_or_token_index, token_index).word

    def token_to_chars(self, batch_or_token_index: int, token_index: int | None = None) -> Span | None:
        """Return the raw characters, from and to, of a token; None for special tokens."""
        origin = self._origin(batch_or_token_index, token_index)
        return None if origin.sequence is None else origin.span

    def char_to_token(
        self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0
    ) -> int | None:
        """Return the number of the token that holds a raw character; None for one between tokens."""
        row, index = _indices(batch_or_char_index, char_index)
        found = (
            number
            for number, origin in enumerate(self._rows()[row])
            if origin.sequence == sequence_index and origin.span[0] <= index < origin.span[1]
        )
        return next(found, None)

    def char_to_word(
        self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0
    ) -> int | None:
        """Return the number of the word that holds a raw character; None for one between words."""
        row, index = _indices(batch_or_char_index, char_index)
        token = self.char_to_token(row, index, sequence_index)
        return None if token is None else self._rows()[row][token].word

    def word_to_tokens(
        self, batch_or_word_index: int, word_index: int | None = None, sequence_index: int = 0
    ) -> Span | None:
        """Return the numbers of a word's tokens, from and to; None if there are none."""
        numbers = self._tokens_of_word(batch_or_word_index, word_index, sequence_index)
        return (numbers[0], numbers[-1] + 1) if numbers else None

    def word_to_chars(
        self, batch_or_word_index: int, word_index: int | None = None, sequence_index: int = 0
    ) -> Span | None:
        """Return the raw characters of a word, from and to; None if it has no token."""
        row, _ = _indices(batch_or_word_index, word_index)
        numbers = self._tokens_of_word(batch_or_word_index, word_index, sequence_index)
        spans = [self._rows()[row][number].span for number in numbers]
        return (min(start for start, _ in spans), max(end for _, end in spans)) if spans else None

    def _tokens_of_word(self, first: int, second: int | None, sequence: int) -> list[int]:
        row, index = _indices(first, second)
        return [
            number
            for number, origin in enumerate(self._rows()[row])
            if origin.sequence == sequence and origin.word == index
        ]

    def _origin(self, first: int, second: int | None) -> Origin:
        row, index = _indices(first, second)
        return self._rows()[row][index]

    def _rows(self) -> list[list[Origin]]:
        """Return the origin of every token of every row."""
        if self._origins is None:
            if self._find_origins is None:
                raise TokenizerError(
                    "this encoding no longer knows its texts, since it was copied or made by pad; ask the "
                    "one that the tokenizer returned"
                )
            self.__dict__["_origins"] = self._find_origins()
        found: list[list[Origin]] = self._origins
        return found


def _indices(first: int, second: int | None) -> tuple[int, int]:
    """Return row and index; one number alone is an index in the first row."""
    return (0, first) if second is None else (first, second)


def as_array(name: str, values: Any) -> Any:
    """Return the rows of a field as an array; whole numbers as int64.

    Raises:
        TokenizerError: The rows differ in length, or are no numbers.
    """
    try:
        array = np.asarray(values)
        if array.dtype.kind in "bui" or array.size == 0:
            array = array.astype(np.int64)
    except (ValueError, TypeError):
        array = np.asarray(None)
    if array.dtype.kind not in "if":
        raise TokenizerError(
            f"the rows of {name} differ in length, or hold something else than numbers, but an array needs "
            "equal lengths; give padding=True and, for texts that are too long, truncation=True"
        )
    return array


def lists_of(values: Any) -> Any:
    """Return arrays and tensors, also in lists, as lists."""
    if hasattr(values, "tolist"):
        return values.tolist()
    return [lists_of(value) for value in values] if isinstance(values, list | tuple) else values


def plain(values: Any) -> Any:
    """Return ids given as a number, a list, an array or a tensor as a number or lists."""
    return list(values) if isinstance(values, Sequence) and not isinstance(values, list) else lists_of(values)
