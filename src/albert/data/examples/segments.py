"""Packs sentences into chunks and makes each chunk a pair of segments: in order, swapped, or with a stranger.

Stands between `shards` (documents) and `sequences`. Source: Lan et al. (2020), section 3.1, and
`create_instances_from_document` of the original, whose packing, cut and truncation are kept. Different by
default is a chunk of a single sentence: there it got a segment of a random document, labelled as
swapped; here it stays a single segment without a label, so that the label says nothing but the order.
Nothing in here looks at the pieces, only at where sentences and documents end.

Letters: D documents, S sentences, C chunks, B chunks of a block.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from albert.data.batches import NO_ORDER_LABEL, IntArray
from albert.data.examples.settings import SPECIALS_OF_PAIR, SPECIALS_OF_SINGLE, ExampleSettings, SentenceLoss
from albert.data.shards.folder import Shard
from albert.text.truncation import kept_lengths


@dataclass(frozen=True, kw_only=True)
class Chunks:
    """C runs of sentences of one document each; the first segment ends where the second begins."""

    first: IntArray
    """(C,) sentence with which the first segment begins."""
    middle: IntArray
    """(C,) sentence with which the second segment begins."""
    end: IntArray
    """(C,) sentence behind the second segment; equal to `middle` where the chunk has no second one."""
    document: IntArray
    """(C,) the document of each."""

    def __len__(self) -> int:
        """Returns C."""
        return len(self.first)

    def take(self, index: slice | IntArray) -> "Chunks":
        """Returns some of the chunks."""
        return Chunks(**{name: values[index] for name, values in vars(self).items()})


@dataclass(frozen=True, kw_only=True)
class Window:
    """The chunks of a few shards, in a random order."""

    sentence_bounds: IntArray
    """(S + 1,) sentence s is pieces `sentence_bounds[s]` to `sentence_bounds[s + 1]` of the shards."""
    document_bounds: IntArray
    """(D + 1,) document d is sentences `document_bounds[d]` to `document_bounds[d + 1]`."""
    targets: IntArray
    """(D,) pieces at which a chunk of each document is full."""
    chunks: Chunks
    """All chunks, shuffled."""


@dataclass(frozen=True, kw_only=True)
class Segments:
    """B pairs of segments, already cut to the length of a sequence; the second may be empty."""

    begins: IntArray
    """(B, 2) where each segment begins in the pieces of the window."""
    lengths: IntArray
    """(B, 2) pieces of each segment; 0 for the second of a single one."""
    sentence_order_labels: IntArray
    """(B,) 0 in order, 1 swapped or a stranger, -100 for a single segment."""


def open_window(shards: Iterable[Shard], settings: ExampleSettings, random: np.random.Generator) -> Window:
    """Packs the sentences of shards into chunks and shuffles these."""
    sentence_bounds, document_bounds = [np.zeros(1, np.int64)], [np.zeros(1, np.int64)]
    targets, chunks = [np.zeros(0, np.int64)], []
    pieces = sentences = documents = 0
    for shard in shards:
        targets.append(
            draw_targets(
                len(shard.document_ends),
                max_pieces=settings.max_seq_length - settings.specials,
                short_seq_prob=settings.short_seq_prob,
                random=random,
            )
        )
        found = pack_sentences(shard, targets[-1], settings.sentence_loss, random)
        chunks.append([found.first + sentences, found.middle + sentences, found.end + sentences])
        chunks[-1].append(found.document + documents)
        sentence_bounds.append(shard.sentence_ends + pieces)
        document_bounds.append(shard.document_ends + sentences)
        pieces += len(shard.pieces)
        sentences += len(shard.sentence_ends)
        documents += len(shard.document_ends)
    columns = [np.concatenate(column) for column in zip(*chunks, strict=True)]
    order = random.permutation(len(columns[0]))
    return Window(
        sentence_bounds=np.concatenate(sentence_bounds),
        document_bounds=np.concatenate(document_bounds),
        targets=np.concatenate(targets),
        chunks=Chunks(
            first=columns[0][order],
            middle=columns[1][order],
            end=columns[2][order],
            document=columns[3][order],
        ),
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


def pack_sentences(
    shard: Shard, targets: IntArray, loss: SentenceLoss, random: np.random.Generator
) -> Chunks:
    """Packs the sentences of each document into chunks and cuts these in two.

    A chunk takes sentences until it holds the target of its document, or the document ends. The cut is
    uniform over the inner sentence boundaries. With "nsp" half of the chunks, and those of a lone
    sentence, keep only their first segment and give the other sentences back to the next chunk.
    """
    bounds = np.concatenate([[0], shard.sentence_ends])
    sentences = np.diff(shard.document_ends, prepend=0)
    full_at = bounds[:-1] + np.repeat(targets, sentences)
    following = np.minimum(np.searchsorted(bounds, full_at), np.repeat(shard.document_ends, sentences))
    if loss == "nsp":
        starts = np.arange(len(following))
        cuts = _draw_cuts(starts, following, random)
        given_back = (random.random(len(following)) < 0.5) | (following - starts == 1)
        following = np.where(given_back, cuts, following)
        first = _walk(following)
        middle = cuts[first]
    else:
        first = _walk(following)
        middle = following[first] if loss == "none" else _draw_cuts(first, following[first], random)
    documents = np.searchsorted(shard.document_ends, first, side="right")
    return Chunks(first=first, middle=middle, end=following[first], document=documents)


def make_segments(
    window: Window, block: slice, settings: ExampleSettings, random: np.random.Generator
) -> Segments:
    """Makes pairs of a block of chunks: swaps half, finds strangers, cuts to the length of a sequence."""
    chunks, bounds = window.chunks.take(block), window.sentence_bounds
    loss = settings.sentence_loss
    has_second = chunks.end > chunks.middle
    edges = np.stack([bounds[chunks.first], bounds[chunks.middle], bounds[chunks.end]], axis=1)
    begins, lengths = edges[:, :2].copy(), np.diff(edges, axis=1)

    swapped = has_second & (random.random(len(chunks)) < 0.5) & (loss != "nsp")
    begins[swapped] = begins[swapped, ::-1]
    lengths[swapped] = lengths[swapped, ::-1]
    labels = np.where(has_second, swapped, NO_ORDER_LABEL).astype(np.int64)

    if loss in {"nsp", "sop-random"}:
        alone = np.flatnonzero(~has_second)
        strangers = _draw_strangers(window, chunks.take(alone), lengths[alone, 0], random)
        begins[alone, 1], lengths[alone, 1] = strangers
        labels[alone] = 1

    specials = np.where(lengths[:, 1] > 0, SPECIALS_OF_PAIR, SPECIALS_OF_SINGLE)
    room = settings.max_seq_length - specials
    kept = np.stack(kept_lengths(lengths[:, 0], lengths[:, 1], room), axis=1)
    # The original drops piece after piece, each from the front or the back by a coin.
    begins += random.binomial(lengths - kept, 0.5)
    return Segments(begins=begins, lengths=kept, sentence_order_labels=labels)


def _walk(following: IntArray) -> IntArray:
    """Returns (C,) the sentences at which chunks begin, given where the chunk of every sentence ends."""
    successor: Sequence[int] = following.data  # a memoryview gives plain ints
    starts, sentence = [], 0
    while sentence < len(following):
        starts.append(sentence)
        sentence = successor[sentence]
    return np.array(starts, np.int64)


def _draw_cuts(first: IntArray, end: IntArray, random: np.random.Generator) -> IntArray:
    """Returns where the second segments begin: uniform in [first + 1, end - 1], `end` of a lone sentence."""
    return first + random.integers(1, np.maximum(end - first, 2))


def _draw_strangers(
    window: Window, chunks: Chunks, first_lengths: IntArray, random: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Returns (2, B) where segments of random other documents begin, and their lengths.

    Each begins with a random sentence of a document and takes sentences until the target of its chunk is
    reached; one at least. With a single document in the window that one is taken, as in the original.
    """
    documents = len(window.targets)
    drawn = random.integers(0, max(1, documents - 1), len(chunks))
    others = drawn + (drawn >= chunks.document) if documents > 1 else drawn
    begins, ends = window.document_bounds[others], window.document_bounds[others + 1]
    first = random.integers(begins, ends)
    missing = window.targets[chunks.document] - first_lengths
    full_at = np.searchsorted(window.sentence_bounds, window.sentence_bounds[first] + np.maximum(missing, 1))
    edges = window.sentence_bounds[np.stack([first, np.minimum(full_at, ends)])]
    return np.stack([edges[0], edges[1] - edges[0]])
