"""`albert show`: masked examples as text, to see what a model will learn from before it does."""

from collections.abc import Sequence
from typing import Any

from albert.commands.settings.show import ShowSettings
from albert.console import Rows, command_line
from albert.data.batches import NO_ORDER_LABEL, PretrainingBatch
from albert.data.examples.stream import Examples
from albert.errors import DataError
from albert.pretraining.data import open_pretraining_data
from albert.text.tokenizer import AlbertTokenizer

__all__ = ["ShowSettings", "show"]

ORDERS = {
    "sop": ("in order", "swapped"),
    "sop-random": ("in order", "swapped or random next"),
    "nsp": ("next", "random next"),
    "none": ("in order", "swapped"),
}
"""What the sentence-order labels 0 and 1 mean for each sentence loss."""


def show(settings: ShowSettings) -> Rows:
    """Return one row per example: order of its segments, number of tokens, masked tokens, text."""
    data = open_pretraining_data(settings.data, tokenizer=settings.tokenizer)
    assert data.tokenizer is not None
    source = (
        data.train(settings.examples, seed=settings.seed)
        if settings.split == "train"
        else data.held_out(settings.examples)
    )
    if source is None:
        raise DataError(
            f"{settings.data[0]}: no held-out examples; use --split train, or name the TFRecord files "
            "with the held-out ones"
        )
    batch = next(Examples(source).one_pass(settings.count, limit=settings.count))
    orders = ORDERS[settings.examples.filled().sentence_loss]
    rows = (
        _row(number, batch.take(number, number + 1), data.tokenizer, orders) for number in range(len(batch))
    )
    # A tokenizer in the folder of the data need not be named.
    tokenizer = settings.tokenizer
    following = command_line(
        "pretrain", recipe="small", data=settings.data, tokenizer=tokenizer, output="run"
    )
    return Rows(rows, next=following)


def mark_masked_tokens(batch: PretrainingBatch, tokenizer: AlbertTokenizer) -> str:
    """Return the first sequence of a batch as text, with masked tokens in brackets and a line per segment."""
    text = ""
    labels = dict(zip(batch.masked_positions.tolist(), batch.masked_labels.tolist(), strict=True))
    for position, shown in enumerate(batch.input_ids[: batch.lengths[0]].tolist()):
        token = _plain(tokenizer, shown)
        if position in labels:
            label = _plain(tokenizer, labels[position])
            if shown == tokenizer.mask_token_id:
                token = "MASK"
            token = f"[{label}]" if labels[position] == shown else f"[{token}→{label}]"
        if position and batch.token_type_ids[position] != batch.token_type_ids[position - 1]:
            text += "\n"
        elif position and batch.word_starts[position]:
            text += " "
        text += token
    return text


def _row(
    number: int, batch: PretrainingBatch, tokenizer: AlbertTokenizer, orders: Sequence[str]
) -> dict[str, Any]:
    label = int(batch.sentence_order_labels[0])
    tokens, masked = int(batch.lengths[0]), len(batch.masked_positions)
    return {
        "example": number + 1,
        "order": "single segment" if label == NO_ORDER_LABEL else orders[label],
        "pieces": tokens,
        "masked_tokens": masked,
        "masked_share": masked / tokens,
        "text": mark_masked_tokens(batch, tokenizer),
    }


def _plain(tokenizer: AlbertTokenizer, token_id: int) -> str:
    """Return a token without the sign that says whether it starts a word."""
    piece = tokenizer.convert_ids_to_tokens(token_id)
    if tokenizer.kind == "wordpiece":
        return piece.removeprefix("##") or piece
    return piece.removeprefix("▁") or piece
