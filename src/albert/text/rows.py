"""Rows of tokens laid out for a model: special tokens, segments, masks, padding; and their origins."""

from collections.abc import Callable
from typing import Any, NamedTuple

from albert.text.batching import OFFSETS, pad_rows, padded_length
from albert.text.encoding import Origin, Span
from albert.text.options import Options

Located = tuple[int, Span, int | None]
"""A token's id, its range in the raw text, and the number of its word where that is known."""
NOWHERE = (0, 0)
Row = tuple[list[Located], list[Located] | None]
"""The tokens of a text, and of the second one of a pair."""


class Marks(NamedTuple):
    """Ids of the special tokens of a row."""

    opening: int
    """[CLS]"""
    closing: int
    """[SEP], after every text."""
    padding: int
    """Of padding."""


def fields_of(rows: list[Row], how: Options, marks: Marks) -> dict[str, list[Any]]:
    """Return the fields of rows, padded, and `word_ids`, the number of the word of each token."""
    opening: list[Located] = [(marks.opening, NOWHERE, None)] if how.special else []
    closing: list[Located] = [(marks.closing, NOWHERE, None)] if how.special else []
    heads = [opening + first + closing for first, _ in rows]
    tails = [[] if second is None else second + closing for _, second in rows]
    wholes = [head + tail for head, tail in zip(heads, tails, strict=True)]
    fields: dict[str, list[Any]] = {
        "input_ids": [[id_ for id_, _, _ in whole] for whole in wholes],
        "token_type_ids": [
            [0] * len(head) + [1] * len(tail) for head, tail in zip(heads, tails, strict=True)
        ],
        "attention_mask": [[1] * len(whole) for whole in wholes],
        "word_ids": [[word for _, _, word in whole] for whole in wholes],
    }
    if OFFSETS in how.fields:
        fields[OFFSETS] = [[span for _, span, _ in whole] for whole in wholes]
    if "special_tokens_mask" in how.fields:
        edge = [1] * how.special
        fields["special_tokens_mask"] = [
            edge + [0] * len(first) + edge + ([] if second is None else [0] * len(second) + edge)
            for first, second in rows
        ]
    if how.padding != "do_not_pad":
        length = _padded_length(list(map(len, wholes)), how)
        pad_rows(fields, length=length, pad_token_id=marks.padding, side=how.padding_side)
    if "length" in how.fields:
        fields["length"] = [len(row) for row in fields["input_ids"]]
    kept = {"input_ids", "word_ids", *how.fields}
    return {name: values for name, values in fields.items() if name in kept}


def origins_of(
    rows: list[Row], how: Options, marks: Marks, piece: Callable[[int], str]
) -> list[list[Origin]]:
    """Return where the tokens of rows come from, padding included; `piece` gives the token of an id."""
    opening, closing, padding = (Origin(None, None, NOWHERE, piece(id_)) for id_ in marks)
    edge = [closing] if how.special else []
    found: list[list[Origin]] = []
    for texts in rows:
        row = [opening] if how.special else []
        for number, tokens in enumerate(texts):
            if tokens is not None:
                row += [Origin(number, word, span, piece(id_)) for id_, span, word in tokens] + edge
        found.append(row)
    if how.padding != "do_not_pad":
        length = _padded_length(list(map(len, found)), how)
        for row in found:
            row[len(row) if how.padding_side == "right" else 0 : 0] = [padding] * (length - len(row))
    return found


def _padded_length(lengths: list[int], how: Options) -> int:
    limit = how.length if how.padding == "max_length" else None
    return padded_length(lengths, length=limit, multiple=how.multiple)
