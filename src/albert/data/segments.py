"""Packs sentences into chunks and cuts each chunk into a pair of segments, in order or swapped.

Stands between `shards` (documents) and `masking`. Source: Lan et al. (2020), section 3.1, and
`create_instances_from_document` of the original, whose packing, cut and truncation are kept. Different is a
chunk of a single sentence: there it got a segment of a random document, labelled as swapped;
here it stays a single segment without a label, so that the label says nothing but the order.

Letters: D documents, S sentences, C chunks, B chunks of a block.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from albert.data.batches import NO_ORDER_LABEL, IntArray
from albert.data.shards import Shard

SPECIALS_OF_PAIR = 3
"""[CLS] A [SEP] B [SEP]"""
SPECIALS_OF_SINGLE = 2
"""[CLS] A [SEP]"""


@dataclass(frozen=True, kw_only=True)
class Window:
    """The chunks of a few shards, in a random order."""

    pieces: npt.NDArray[np.unsignedinteger[Any]]
    """All pieces of the shards, end to end."""
    sentence_bounds: IntArray
    """(S + 1,) sentence s is `pieces[sentence_bounds[s]:sentence_bounds[s + 1]]`."""
    first_sentences: IntArray
    """(C,) where each chunk begins, in sentences."""
    end_sentences: IntArray
    """(C,) where each chunk ends (exclusive), in sentences."""


@dataclass(frozen=True, kw_only=True)
class Segments:
    """B pairs of segments, already cut to the length of a sequence; the second may be empty."""

    begins: IntArray
    """(B, 2) where each segment begins in the pieces of the window."""
    lengths: IntArray
    """(B, 2) pieces of each segment; 0 for the second of a single one."""
    sentence_order_labels: IntArray
    """(B,) 0 in order, 1 swapped, -100 for a single segment."""


def open_window(
    shards: Iterable[Shard],
    *,
    num_pieces: int,
    max_seq_length: int,
    short_seq_prob: float,
    random: np.random.Generator,
) -> Window:
    """Joins shards of `num_pieces` in all, packs their sentences into chunks, and shuffles the chunks.

    Shards are copied one after the other, so an iterator may let go of each before it maps the next.
    """
    pieces: npt.NDArray[np.unsignedinteger[Any]] = np.empty(0, np.uint16)
    bounds, chunk_bounds = [np.zeros(1, np.int64)], [np.zeros((0, 2), np.int64)]
    filled = sentences = 0
    for shard in shards:
        if not filled:
            pieces = np.empty(num_pieces, shard.pieces.dtype)
        targets = draw_targets(
            len(shard.document_ends),
            max_pieces=max_seq_length - SPECIALS_OF_PAIR,
            short_seq_prob=short_seq_prob,
            random=random,
        )
        starts = pack_sentences(shard, targets) + sentences
        chunk_bounds.append(np.stack([starts[:-1], starts[1:]], axis=1))
        bounds.append(shard.sentence_ends + filled)
        pieces[filled : filled + len(shard.pieces)] = shard.pieces
        filled += len(shard.pieces)
        sentences += len(shard.sentence_ends)
    chunks = random.permutation(np.concatenate(chunk_bounds))
    return Window(
        pieces=pieces,
        sentence_bounds=np.concatenate(bounds),
        first_sentences=chunks[:, 0],
        end_sentences=chunks[:, 1],
    )


def draw_targets(
    num_documents: int, *, max_pieces: int, short_seq_prob: float, random: np.random.Generator
) -> IntArray:
    """Returns (D,) the number of pieces at which a chunk of each document is full.

    It is `max_pieces`, or with `short_seq_prob` uniform in [2, max_pieces]: short sequences lessen the
    mismatch to fine-tuning. Drawn once a document, as in the original.
    """
    short = random.random(num_documents) < short_seq_prob
    lengths = random.integers(2, max_pieces, num_documents, endpoint=True)
    return np.where(short, lengths, max_pieces)


def pack_sentences(shard: Shard, targets: IntArray) -> IntArray:
    """Returns (C + 1,) the sentences at which chunks begin, and the number of sentences behind them.

    A chunk takes sentences until it holds the target of its document, or the document ends.
    """
    bounds = np.concatenate([[0], shard.sentence_ends])
    sentences = np.diff(shard.document_ends, prepend=0)
    full_at = bounds[:-1] + np.repeat(targets, sentences)
    following = np.minimum(np.searchsorted(bounds, full_at), np.repeat(shard.document_ends, sentences))
    # Each sentence knows where a chunk that begins there ends; only the chain from 0 is walked.
    successor = following.data
    starts = [0]
    while starts[-1] < len(following):
        starts.append(successor[starts[-1]])
    return np.array(starts, np.int64)


def cut_pairs(
    window: Window, begin: int, end: int, *, max_seq_length: int, random: np.random.Generator
) -> Segments:
    """Cuts chunks `begin` to `end` of a window at a random sentence boundary; swaps half of the pairs."""
    first, last = window.first_sentences[begin:end], window.end_sentences[begin:end]
    is_pair = last - first >= 2
    cut = random.integers(1, np.maximum(last - first, 2))  # uniform in [1, sentences - 1]
    bounds = window.sentence_bounds
    edges = np.stack([bounds[first], bounds[np.where(is_pair, first + cut, last)], bounds[last]], 1)
    begins, lengths = edges[:, :2].copy(), np.diff(edges, axis=1)

    swapped = is_pair & (random.random(len(first)) < 0.5)
    begins[swapped] = begins[swapped, ::-1]
    lengths[swapped] = lengths[swapped, ::-1]

    specials = np.where(is_pair, SPECIALS_OF_PAIR, SPECIALS_OF_SINGLE)
    kept = truncated_lengths(lengths, max_seq_length - specials)
    # The original drops piece after piece, each from the front or the back by a coin.
    begins += random.binomial(lengths - kept, 0.5)
    return Segments(
        begins=begins,
        lengths=kept,
        sentence_order_labels=np.where(is_pair, swapped, NO_ORDER_LABEL).astype(np.int64),
    )


def truncated_lengths(lengths: IntArray, max_pieces: IntArray) -> IntArray:
    """Returns (B, 2) what is left of pairs of `lengths` (B, 2) when cut to `max_pieces` (B,) in all.

    The closed form of the original's loop, which drops from the longer segment, the second on a tie, until
    the pair fits: a segment gives way only as far as half of the room.
    """
    first, second = lengths[:, 0], lengths[:, 1]
    half = max_pieces // 2
    return np.stack(
        [
            np.minimum(first, np.maximum(max_pieces - second, max_pieces - half)),
            np.minimum(second, np.maximum(max_pieces - first, half)),
        ],
        axis=1,
    )
