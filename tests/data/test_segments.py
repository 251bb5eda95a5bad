"""Laws of packing, cutting and truncation, against plain loops written after the original's."""

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from albert.data.segments import (
    Window,
    cut_pairs,
    draw_targets,
    open_window,
    pack_sentences,
    truncated_lengths,
)
from albert.data.shards import Shard

DOCUMENTS = st.lists(st.lists(st.integers(1, 12), min_size=1, max_size=9), min_size=1, max_size=12)


def make_shard(documents: list[list[int]], *, first_id: int = 0) -> Shard:
    """Returns documents of sentences of the given lengths; piece i of the shard has id first_id + i."""
    ends = np.cumsum([length for document in documents for length in document])
    return Shard(
        pieces=np.arange(first_id, first_id + ends[-1]).astype(np.uint32),
        sentence_ends=ends,
        document_ends=np.cumsum(list(map(len, documents))),
    )


def make_window(
    shards: list[Shard], *, max_seq_length: int, short_seq_prob: float = 0.0, seed: int = 0
) -> Window:
    return open_window(
        shards,
        num_pieces=sum(len(shard.pieces) for shard in shards),
        max_seq_length=max_seq_length,
        short_seq_prob=short_seq_prob,
        random=np.random.default_rng(seed),
    )


def pack_by_loop(documents: list[list[int]], targets: npt.NDArray[np.int64]) -> list[int]:
    starts, sentence = [], 0
    for document, target in zip(documents, targets, strict=True):
        held = target
        for length in document:
            if held >= target:
                starts.append(sentence)
                held = 0
            held += length
            sentence += 1
    return [*starts, sentence]


def truncate_by_loop(first: int, second: int, room: int) -> tuple[int, int]:
    while first + second > room:
        if first > second:
            first -= 1
        else:
            second -= 1
    return first, second


@given(DOCUMENTS, st.integers(2, 30), st.integers(0, 99))
def test_packing_equals_the_loop_over_sentences(
    documents: list[list[int]], max_pieces: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    targets = draw_targets(len(documents), max_pieces=max_pieces, short_seq_prob=0.5, random=random)
    assert pack_sentences(make_shard(documents), targets).tolist() == pack_by_loop(documents, targets)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(2, 30)), min_size=1))
def test_truncation_equals_the_loop_over_pieces(rows: list[tuple[int, int, int]]) -> None:
    lengths, room = np.array([row[:2] for row in rows]), np.array([row[2] for row in rows])
    assert truncated_lengths(lengths, room).tolist() == [list(truncate_by_loop(*row)) for row in rows]


def test_targets_are_full_length_or_uniform_from_two_up() -> None:
    random = np.random.default_rng(0)
    targets = draw_targets(60_000, max_pieces=13, short_seq_prob=0.25, random=random)
    counts = np.bincount(targets, minlength=14)
    expected = np.array([0, 0, *[0.25 / 12] * 11, 0.75 + 0.25 / 12])
    sigma = np.sqrt(expected * (1 - expected) / len(targets))
    assert np.all(np.abs(counts / len(targets) - expected) <= 4 * sigma)


@given(st.lists(DOCUMENTS, min_size=1, max_size=3), st.integers(0, 99))
def test_window_holds_every_sentence_once(shards: list[list[list[int]]], seed: int) -> None:
    window = make_window(
        [make_shard(documents) for documents in shards], max_seq_length=20, short_seq_prob=0.3, seed=seed
    )
    bounds = np.sort(np.stack([window.first_sentences, window.end_sentences]), axis=1)
    assert bounds[0, 0] == 0
    assert bounds[0, 1:].tolist() == bounds[1, :-1].tolist()
    lengths = [length for documents in shards for document in documents for length in document]
    assert np.diff(window.sentence_bounds).tolist() == lengths
    assert len(window.pieces) == sum(lengths)


def test_cut_is_uniform_over_inner_sentence_boundaries_and_swap_is_fair() -> None:
    window = make_window([make_shard([[1, 1, 1, 1]] * 20_000)], max_seq_length=512)
    segments = cut_pairs(window, 0, 20_000, max_seq_length=512, random=np.random.default_rng(1))
    swapped = segments.sentence_order_labels == 1
    first_lengths = np.where(swapped, segments.lengths[:, 1], segments.lengths[:, 0])
    shares = np.bincount(first_lengths, minlength=5) / 20_000
    assert shares[[0, 4]].tolist() == [0, 0]
    assert np.all(np.abs(shares[1:4] - 1 / 3) < 4 * np.sqrt(2 / 9 / 20_000))
    assert abs(swapped.mean() - 0.5) < 4 * 0.5 / np.sqrt(20_000)


def test_dropped_pieces_leave_from_both_ends_alike() -> None:
    window = make_window([make_shard([[31, 29]] * 5000)], max_seq_length=53)
    segments = cut_pairs(window, 0, 5000, max_seq_length=53, random=np.random.default_rng(1))
    assert np.all(segments.lengths == 25)
    in_document = np.sort(segments.begins % 60, axis=1)
    front = in_document - [0, 31]
    removed = np.array([6, 4])
    assert np.all((front >= 0) & (front <= removed))
    for column in range(2):  # Binomial(removed, 1/2)
        count, sigma = removed[column], np.sqrt(removed[column] / 4 / 5000)
        assert abs(front[:, column].mean() - count / 2) < 4 * sigma
        assert abs(front[:, column].var() - count / 4) < 0.1 * count


def test_chunk_of_one_sentence_stays_single() -> None:
    window = make_window([make_shard([[7], [50]])], max_seq_length=20)
    segments = cut_pairs(window, 0, 2, max_seq_length=20, random=np.random.default_rng(1))
    assert segments.sentence_order_labels.tolist() == [-100, -100]
    assert sorted(segments.lengths.tolist()) == [[7, 0], [18, 0]]
