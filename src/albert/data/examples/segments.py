"""Sentences packed into chunks, and each chunk split into a pair of segments: in order, swapped, or random.

Source: Lan et al. (2020), section 3.1, and `create_instances_from_document` of the original, whose packing,
cut and truncation are kept. One thing differs by default: a chunk of a single sentence got a segment of a
random document there, with the label swapped. Here it stays a single segment without a label, so that the
label means the order and nothing else; such a sentence adds nothing to the second loss. Nothing here looks
at tokens, only at where sentences and documents end.

Letters: B sequences of a block; here also d documents, s sentences, c chunks.
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
    """Runs of sentences of one document each; the first segment ends where the second starts."""

    first: IntArray
    """(c,) first sentence of the first segment."""
    middle: IntArray
    """(c,) first sentence of the second segment."""
    end: IntArray
    """(c,) first sentence after the second segment; equal to `middle` if the chunk has no second one."""
    document: IntArray
    """(c,) the document of each chunk."""

    def __len__(self) -> int:
        """Return the number of chunks."""
        return len(self.first)

    def take(self, index: slice | IntArray) -> "Chunks":
        """Return some of the chunks."""
        return Chunks(**{name: values[index] for name, values in vars(self).items()})


@dataclass(frozen=True, kw_only=True)
class Window:
    """The chunks of a few shards, in a random order."""

    sentence_bounds: IntArray
    """(s + 1,) sentence i is tokens `sentence_bounds[i]` to `sentence_bounds[i + 1]` of the shards."""
    document_bounds: IntArray
    """(d + 1,) document i is sentences `document_bounds[i]` to `document_bounds[i + 1]`."""
    targets: IntArray
    """(d,) number of tokens at which a chunk of each document is full."""
    chunks: Chunks
    """All chunks, shuffled."""


@dataclass(frozen=True, kw_only=True)
class Segments:
    """B pairs of segments, already cut to the length of a sequence; the second may be empty."""

    begins: IntArray
    """(B, 2) where each segment starts in the tokens of the window."""
    lengths: IntArray
    """(B, 2) tokens of each segment; 0 for a second segment that does not exist."""
    sentence_order_labels: IntArray
    """(B,) 0 in order, 1 swapped or random, -100 for a single segment."""


def open_window(shards: Iterable[Shard], settings: ExampleSettings, random: np.random.Generator) -> Window:
    """Pack the sentences of shards into chunks and shuffle the chunks."""
    sentence_bounds, document_bounds = [np.zeros(1, np.int64)], [np.zeros(1, np.int64)]
    targets, chunks = [np.zeros(0, np.int64)], []
    tokens = sentences = documents = 0
    for shard in shards:
        targets.append(
            draw_targets(
                len(shard.document_ends),
                max_tokens=settings.max_seq_length - settings.specials,
                short_seq_prob=settings.short_seq_prob,
                random=random,
            )
        )
        found = pack_sentences(shard, targets[-1], settings.sentence_loss, random)
        chunks.append([found.first + sentences, found.middle + sentences, found.end + sentences])
        chunks[-1].append(found.document + documents)
        sentence_bounds.append(shard.sentence_ends + tokens)
        document_bounds.append(shard.document_ends + sentences)
        tokens += len(shard.tokens)
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
    num_documents: int, *, max_tokens: int, short_seq_prob: float, random: np.random.Generator
) -> IntArray:
    """Return (d,) the number of tokens at which a chunk of each document is full.

    It is `max_tokens`, or with probability `short_seq_prob` uniform in [2, max_tokens]: short sequences make
    pretraining more like fine-tuning. It is drawn once per document, as in the original.
    """
    short = random.random(num_documents) < short_seq_prob
    lengths = random.integers(2, max_tokens, num_documents, endpoint=True)
    return np.where(short, lengths, max_tokens)


def pack_sentences(
    shard: Shard, targets: IntArray, loss: SentenceLoss, random: np.random.Generator
) -> Chunks:
    """Pack the sentences of each document into chunks and cut the chunks in two.

    A chunk takes sentences until it reaches the target of its document, or the document ends. The cut is
    uniform over the inner sentence boundaries. With "nsp", half of the chunks, and those of a lone
    sentence, keep only their first segment and give the other sentences back to the next chunk.
    """
    bounds = np.concatenate([[0], shard.sentence_ends])  # (s + 1,)
    sentences = np.diff(shard.document_ends, prepend=0)
    full_at = bounds[:-1] + np.repeat(targets, sentences)
    following = np.minimum(np.searchsorted(bounds, full_at), np.repeat(shard.document_ends, sentences))
    # `following` is (s,): where a chunk that starts with each sentence would end.
    if loss == "nsp":
        starts = np.arange(len(following))
        cuts = _draw_cuts(starts, following, random)
        given_back = (random.random(len(following)) < 0.5) | (following - starts == 1)
        following = np.where(given_back, cuts, following)
        first = _walk(following)  # (s,) -> (c,)
        middle = cuts[first]
    else:
        first = _walk(following)
        middle = following[first] if loss == "none" else _draw_cuts(first, following[first], random)
    documents = np.searchsorted(shard.document_ends, first, side="right")
    return Chunks(first=first, middle=middle, end=following[first], document=documents)


def make_segments(
    window: Window, block: slice, settings: ExampleSettings, random: np.random.Generator
) -> Segments:
    """Make pairs of a block of chunks: swap half, draw random segments, cut to the length of a sequence."""
    chunks, bounds = window.chunks.take(block), window.sentence_bounds
    loss = settings.sentence_loss
    has_second = chunks.end > chunks.middle
    edges = np.stack([bounds[chunks.first], bounds[chunks.middle], bounds[chunks.end]], axis=1)  # (B, 3)
    begins, lengths = edges[:, :2].copy(), np.diff(edges, axis=1)  # (B, 3) -> (B, 2)

    swapped = has_second & (random.random(len(chunks)) < 0.5) & (loss != "nsp")
    begins[swapped] = begins[swapped, ::-1]
    lengths[swapped] = lengths[swapped, ::-1]
    labels = np.where(has_second, swapped, NO_ORDER_LABEL).astype(np.int64)

    if loss in {"nsp", "sop-random"}:
        alone = np.flatnonzero(~has_second)
        drawn = _draw_random_segments(window, chunks.take(alone), lengths[alone, 0], random)
        begins[alone, 1], lengths[alone, 1] = drawn
        labels[alone] = 1

    specials = np.where(lengths[:, 1] > 0, SPECIALS_OF_PAIR, SPECIALS_OF_SINGLE)
    room = settings.max_seq_length - specials
    kept = np.stack(kept_lengths(lengths[:, 0], lengths[:, 1], room), axis=1)  # (B, 2)
    # The original drops one token after the other, and tosses a coin for the front or the back.
    begins += random.binomial(lengths - kept, 0.5)
    return Segments(begins=begins, lengths=kept, sentence_order_labels=labels)


def _walk(following: IntArray) -> IntArray:
    """Return (c,) the first sentences of the chunks, given (s,) where a chunk of each sentence ends."""
    successor: Sequence[int] = following.data  # a memoryview gives plain ints
    starts, sentence = [], 0
    while sentence < len(following):
        starts.append(sentence)
        sentence = successor[sentence]
    return np.array(starts, np.int64)


def _draw_cuts(first: IntArray, end: IntArray, random: np.random.Generator) -> IntArray:
    """Return where the second segments start: uniform in [first + 1, end - 1]; `end` for a lone sentence."""
    return first + random.integers(1, np.maximum(end - first, 2))


def _draw_random_segments(
    window: Window, chunks: Chunks, first_lengths: IntArray, random: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return where random segments of other documents start, and their lengths, as two rows.

    Each starts with a random sentence of a document and takes sentences until the target of its chunk is
    reached, but at least one. If the window has a single document, that one is used, as in the original.
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
