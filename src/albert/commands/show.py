"""`albert show`: masked examples as text, to see what a model will learn from before it does."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from albert.data.batches import NO_ORDER_LABEL, PretrainingBatch
from albert.data.examples.settings import ExampleSettings
from albert.data.examples.stream import Examples
from albert.data.shards.folder import SplitName
from albert.errors import ConfigError, DataError
from albert.pretraining.data import open_pretraining_data
from albert.text.tokenizer import AlbertTokenizer

ORDERS = {
    "sop": ("in order", "swapped"),
    "sop-random": ("in order", "swapped or random next"),
    "nsp": ("next", "random next"),
    "none": ("in order", "swapped"),
}
"""What the sentence-order labels 0 and 1 mean for each sentence loss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowSettings:
    """Show masked examples as a model gets them.

    Words are separated by spaces, as whole-word masking sees words. Masked tokens are in brackets: [MASK→the]
    is replaced by [MASK], [cat→the] by another token, [the] by itself.
    """

    data: Positional[Annotated[tuple[Path, ...], arg(metavar="DATA")]]
    """Folder written by `albert prepare`, or TFRecord files."""
    tokenizer: Path | None = None
    """Folder of the tokenizer that made the TFRecord files; shards have their own."""
    count: int = 3
    """Number of examples to show."""
    seed: int = 0
    """Seed of all random draws; held-out examples are always the same."""
    split: SplitName = "train"
    """Which examples: those to train on, or those to evaluate on."""
    examples: ExampleSettings = ExampleSettings()
    """How examples are made; those in TFRecord files are already made."""

    def __post_init__(self) -> None:
        if not self.data:
            raise ConfigError("no DATA given; name a folder written by albert prepare, or TFRecord files")
        if self.count < 1:
            raise ConfigError(f"--count is {self.count}; expected at least 1")


def show(settings: ShowSettings) -> list[dict[str, Any]]:
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
    return [
        _row(number, batch.take(number, number + 1), data.tokenizer, orders) for number in range(len(batch))
    ]


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
