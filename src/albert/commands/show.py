"""`albert show`: masked examples as text, to see what a model is to learn from before it does."""

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
"""What the sentence-order labels 0 and 1 mean under each sentence loss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowSettings:
    """Shows masked examples as a model would get them.

    A space stands before each word, as whole-word masking sees words. [MASK→the] is a hidden piece, [cat→the]
    one with another in its place, [the] one that is to be told although it is shown.
    """

    data: Positional[Annotated[tuple[Path, ...], arg(metavar="DATA")]]
    """Folder that `albert prepare` wrote, or TFRecord files."""
    tokenizer: Path | None = None
    """Folder of the tokenizer that made the TFRecord files; shards bring their own."""
    count: int = 3
    """Examples to show."""
    seed: int = 0
    """Of all draws; held-out examples are always the same."""
    split: SplitName = "train"
    """Examples to train on, or to evaluate on."""
    examples: ExampleSettings = ExampleSettings()
    """How examples are made; those in TFRecord files are made already."""

    def __post_init__(self) -> None:
        if not self.data:
            raise ConfigError("no DATA given; name a folder that albert prepare wrote, or TFRecord files")
        if self.count < 1:
            raise ConfigError(f"--count is {self.count}; expected at least 1")


def show(settings: ShowSettings) -> list[dict[str, Any]]:
    """Returns one row for each example: order of its segments, pieces, hidden pieces, text."""
    data = open_pretraining_data(settings.data, tokenizer=settings.tokenizer)
    assert data.tokenizer is not None
    source = (
        data.train(settings.examples, seed=settings.seed)
        if settings.split == "train"
        else data.held_out(settings.examples)
    )
    if source is None:
        raise DataError(
            f"{settings.data[0]}: no held-out examples; show those to train on with --split train, or name "
            "the TFRecord files of the others"
        )
    batch = next(Examples(source).one_pass(settings.count, limit=settings.count))
    orders = ORDERS[settings.examples.filled().sentence_loss]
    return [
        _row(number, batch.take(number, number + 1), data.tokenizer, orders) for number in range(len(batch))
    ]


def mark_pieces(batch: PretrainingBatch, tokenizer: AlbertTokenizer) -> str:
    """Returns the first sequence of a batch as text, its hidden pieces marked, each segment on a line."""
    text = ""
    labels = dict(zip(batch.masked_positions.tolist(), batch.masked_labels.tolist(), strict=True))
    for position, shown in enumerate(batch.input_ids[: batch.lengths[0]].tolist()):
        piece = _plain(tokenizer, shown)
        if position in labels:
            label = _plain(tokenizer, labels[position])
            if shown == tokenizer.mask_token_id:
                piece = "MASK"
            piece = f"[{label}]" if labels[position] == shown else f"[{piece}→{label}]"
        if position and batch.token_type_ids[position] != batch.token_type_ids[position - 1]:
            text += "\n"
        elif position and batch.word_starts[position]:
            text += " "
        text += piece
    return text


def _row(
    number: int, batch: PretrainingBatch, tokenizer: AlbertTokenizer, orders: Sequence[str]
) -> dict[str, Any]:
    label = int(batch.sentence_order_labels[0])
    pieces, hidden = int(batch.lengths[0]), len(batch.masked_positions)
    return {
        "example": number + 1,
        "order": "single segment" if label == NO_ORDER_LABEL else orders[label],
        "pieces": pieces,
        "hidden": hidden,
        "hidden_share": hidden / pieces,
        "text": mark_pieces(batch, tokenizer),
    }


def _plain(tokenizer: AlbertTokenizer, piece_id: int) -> str:
    """Returns a piece without the sign that tells whether it begins a word."""
    piece = tokenizer.convert_ids_to_tokens(piece_id)
    if tokenizer.kind == "wordpiece":
        return piece.removeprefix("##") or piece
    return piece.removeprefix("▁") or piece
