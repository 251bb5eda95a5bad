"""Packing, cutting and truncation against plain loops modelled on the original."""

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from albert.data.examples.segments import (
    Segments,
    Window,
    draw_targets,
    make_segments,
    open_window,
    pack_sentences,
)
from albert.data.examples.settings import ExampleSettings
from albert.data.shards.folder import Shard

DOCUMENTS = st.lists(st.lists(st.integers(1, 12), min_size=1, max_size=9), min_size=1, max_size=12)


def make_shard(documents: list[list[int]], *, first_id: int = 0) -> Shard:
    """Return documents of sentences of the given lengths; token i of the shard has id first_id + i."""
    ends = np.cumsum([length for document in documents for length in document])
    return Shard(
        tokens=np.arange(first_id, first_id + ends[-1]).astype(np.uint32),
        sentence_ends=ends,
        document_ends=np.cumsum(list(map(len, documents))),
        word_starts=None,
    )


def make_window(shards: list[Shard], settings: ExampleSettings, *, seed: int = 0) -> Window:
    return open_window(shards, settings.filled(), np.random.default_rng(seed))


def whole_window(documents: list[list[int]], settings: ExampleSettings) -> Segments:
    window = make_window([make_shard(documents)], settings)
    return make_segments(window, slice(None), settings.filled(), np.random.default_rng(1))


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


@given(DOCUMENTS, st.integers(2, 30), st.integers(0, 99))
def test_packing_equals_the_loop_over_sentences(
    documents: list[list[int]], max_tokens: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    targets = draw_targets(len(documents), max_tokens=max_tokens, short_seq_prob=0.5, random=random)
    chunks = pack_sentences(make_shard(documents), targets, "sop", random)
    assert [*chunks.first.tolist(), sum(map(len, documents))] == pack_by_loop(documents, targets)
    assert chunks.end.tolist() == pack_by_loop(documents, targets)[1:]
    of_sentence = [number for number, document in enumerate(documents) for _ in document]
    assert chunks.document.tolist() == [of_sentence[first] for first in chunks.first]


def test_targets_are_full_length_or_uniform_from_two_up() -> None:
    random = np.random.default_rng(0)
    targets = draw_targets(60_000, max_tokens=13, short_seq_prob=0.25, random=random)
    counts = np.bincount(targets, minlength=14)
    expected = np.array([0, 0, *[0.25 / 12] * 11, 0.75 + 0.25 / 12])
    sigma = np.sqrt(expected * (1 - expected) / len(targets))
    assert np.all(np.abs(counts / len(targets) - expected) <= 4 * sigma)


@given(st.lists(DOCUMENTS, min_size=1, max_size=3), st.integers(0, 99))
def test_window_holds_every_sentence_once(shards: list[list[list[int]]], seed: int) -> None:
    settings = ExampleSettings(max_seq_length=20, short_seq_prob=0.3)
    window = make_window([make_shard(documents) for documents in shards], settings, seed=seed)
    bounds = np.sort(np.stack([window.chunks.first, window.chunks.end]), axis=1)
    assert bounds[0, 0] == 0
    assert bounds[0, 1:].tolist() == bounds[1, :-1].tolist()
    lengths = [length for documents in shards for document in documents for length in document]
    assert np.diff(window.sentence_bounds).tolist() == lengths
    documents = [document for shard in shards for document in shard]
    assert np.diff(window.document_bounds).tolist() == list(map(len, documents))


def test_cut_is_uniform_over_inner_sentence_boundaries_and_swap_is_fair() -> None:
    segments = whole_window([[1, 1, 1, 1]] * 20_000, ExampleSettings(short_seq_prob=0))
    swapped = segments.sentence_order_labels == 1
    first_lengths = np.where(swapped, segments.lengths[:, 1], segments.lengths[:, 0])
    shares = np.bincount(first_lengths, minlength=5) / 20_000
    assert shares[[0, 4]].tolist() == [0, 0]
    assert np.all(np.abs(shares[1:4] - 1 / 3) < 4 * np.sqrt(2 / 9 / 20_000))
    assert abs(swapped.mean() - 0.5) < 4 * 0.5 / np.sqrt(20_000)


def test_tokens_are_dropped_from_both_ends_equally() -> None:
    segments = whole_window([[31, 29]] * 5000, ExampleSettings(max_seq_length=53, short_seq_prob=0))
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
    segments = whole_window([[7], [50]], ExampleSettings(max_seq_length=20, short_seq_prob=0))
    assert segments.sentence_order_labels.tolist() == [-100, -100]
    assert sorted(segments.lengths.tolist()) == [[7, 0], [18, 0]]


DOCUMENT_OF_ID = np.repeat(np.arange(3), 40)


def test_lone_sentence_of_the_original_gets_a_segment_of_another_document_and_the_label_swapped() -> None:
    documents = [[40], [10, 10, 20], [5] * 8]
    settings = ExampleSettings(sentence_loss="sop-random", max_seq_length=64, short_seq_prob=0)
    starts = set()
    for seed in range(200):
        window = make_window([make_shard(documents)], settings, seed=seed)
        segments = make_segments(window, slice(None), settings, np.random.default_rng(seed))
        for begins, lengths, label in zip(
            segments.begins, segments.lengths, segments.sentence_order_labels, strict=True
        ):
            first, second = DOCUMENT_OF_ID[begins]
            if 0 in (first, second):
                assert (first, label) == (0, 1)
                assert second != 0
                # takes sentences until the missing 61 - 40 tokens are filled, or the document ends;
                # then tokens are dropped until both fit
                assert 5 <= lengths[1] <= 30
                starts.add(int(begins[1]))
            else:
                assert first == second
    assert len(starts) > 8


def test_second_segments_of_nsp_follow_or_are_random_with_equal_probability() -> None:
    settings = ExampleSettings(sentence_loss="nsp", max_seq_length=23, short_seq_prob=0)
    segments = whole_window([[5, 5, 5, 5]] * 10_000, settings)
    drawn = segments.sentence_order_labels == 1
    after = segments.begins[:, 0] + segments.lengths[:, 0]
    assert np.all(segments.begins[~drawn, 1] == after[~drawn])
    assert np.all(segments.begins[drawn, 1] // 20 != segments.begins[drawn, 0] // 20)
    # Every sentence is in a first segment, or in a second one that follows: random ones give theirs back.
    covered = segments.lengths[:, 0].sum() + segments.lengths[~drawn, 1].sum()
    assert covered == 200_000
    # A chunk of a lone sentence has no choice; the others are decided by a coin.
    first_of_document = segments.begins[:, 0] % 20 == 0
    share = drawn[first_of_document].mean()
    assert abs(share - 0.5) < 4 * 0.5 / np.sqrt(first_of_document.sum())


def test_without_a_sentence_loss_a_chunk_is_one_segment_of_full_length() -> None:
    segments = whole_window(
        [[6, 6, 6, 6]], ExampleSettings(sentence_loss="none", max_seq_length=14, short_seq_prob=0)
    )
    assert segments.lengths.tolist() == [[12, 0], [12, 0]]
    assert segments.sentence_order_labels.tolist() == [-100, -100]
