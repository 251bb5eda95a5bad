"""Laws of the example stream, on corpora in which every token has a different id.

There a segment can be read off its ids: ascending by one, and a swapped pair by its order.
"""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from albert.data.batches import NO_ORDER_LABEL, BoolArray, IntArray, PretrainingBatch
from albert.data.examples import masked_text
from albert.data.examples.masked_text import MaskedText
from albert.data.examples.masking import Vocabulary
from albert.data.examples.segments import open_window
from albert.data.examples.settings import ExampleSettings
from albert.data.examples.stream import Examples, RankSlice
from albert.data.shards.folder import (
    PreparedData,
    Shard,
    ShardInfo,
    TokenizerInfo,
    open_prepared,
    write_meta,
    write_shard,
)
from albert.errors import ConfigError, DataError

NUM_PIECES = 20_000
FIRST_ID = 5
CLS, SEP, MASK = 2, 3, 4


@dataclass(frozen=True)
class Table:
    """A rule that is a table."""

    table: BoolArray

    def opens(self, ids: IntArray) -> BoolArray:
        return self.table[ids]


def write_counting(
    folder: Path, sentences: list[list[int]], *, name: str, first: int, starts: bool
) -> ShardInfo:
    """Write documents of sentences of the given lengths, whose tokens count up from `first`."""
    ends = np.cumsum([length for document in sentences for length in document])
    shard = Shard(
        tokens=np.arange(first, first + ends[-1]).astype(np.uint32),
        sentence_ends=ends,
        document_ends=np.cumsum(list(map(len, sentences))),
        word_starts=np.arange(ends[-1]) % 3 == 0 if starts else None,
    )
    return write_shard(folder / name, shard, vocab_size=NUM_PIECES + FIRST_ID, unknown_id=1)


def write_data(folder: Path, *, starts: bool = False) -> PreparedData:
    """Write documents of random sentences whose tokens count up from `FIRST_ID`, in many small shards."""
    random = np.random.default_rng(7)
    shards: dict[str, list[ShardInfo]] = {"train": [], "held-out": []}
    begin = 0
    while begin < NUM_PIECES - 2500:
        documents = [random.geometric(0.12, random.geometric(0.2)).tolist() for _ in range(35)]
        split = "held-out" if begin > 0.9 * (NUM_PIECES - 2500) else "train"
        name = f"{split}-{len(shards[split])}.arrow"
        info = write_counting(folder, documents, name=name, first=FIRST_ID + begin, starts=starts)
        shards[split].append(info)
        begin += info.pieces
    tokenizer = TokenizerInfo(
        fingerprint="ab", kind="wordpiece", do_lower_case=True, vocab_size=FIRST_ID + NUM_PIECES
    )
    write_meta(folder, shards=shards, tokenizer=tokenizer, counts={})
    return open_prepared(folder)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    return write_data(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    opens = np.random.default_rng(8).random(NUM_PIECES + FIRST_ID) < 0.7
    return Vocabulary(
        size=NUM_PIECES + FIRST_ID,
        cls_id=CLS,
        sep_id=SEP,
        mask_id=MASK,
        ordinary_ids=np.arange(FIRST_ID, FIRST_ID + NUM_PIECES),
        words=Table(opens),
    )


def stream(data: PreparedData, vocabulary: Vocabulary, *, workers: int = 0, **options: Any) -> Examples:
    given = ExampleSettings(**{"max_seq_length": 24} | options)
    return Examples(MaskedText(data=data, vocabulary=vocabulary, settings=given), workers=workers)


def assert_equal(first: PretrainingBatch, second: PretrainingBatch) -> None:
    for name, array in vars(first).items():
        np.testing.assert_array_equal(array, vars(second)[name], err_msg=name)


def unmasked(batch: PretrainingBatch) -> npt.NDArray[np.int64]:
    """Return the ids with the labels put back."""
    ids = batch.input_ids.copy()
    ids[batch.masked_positions] = batch.masked_labels
    return ids


def rows(batch: PretrainingBatch, array: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    return np.split(array, np.cumsum(batch.lengths)[:-1])


def one_epoch(
    data: PreparedData, vocabulary: Vocabulary, *, epoch: int = 0, seed: int = 0, **options: Any
) -> PretrainingBatch:
    given = ExampleSettings(**options)
    examples = Examples(MaskedText(data=data, vocabulary=vocabulary, settings=given, seed=seed))
    return PretrainingBatch.join(list(examples.one_pass(1000, epoch=epoch)))


@pytest.fixture(scope="module")
def reference(data: PreparedData, vocabulary: Vocabulary) -> PretrainingBatch:
    """Return the stream's first 3000 examples, nearly three epochs, read in one go."""
    return next(stream(data, vocabulary).batches(3000))


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batch_size=st.integers(1, 700), start=st.integers(0, 2200), num_batches=st.integers(1, 3))
def test_stream_depends_neither_on_batch_size_nor_on_where_reading_starts(
    *,
    data: PreparedData,
    vocabulary: Vocabulary,
    reference: PretrainingBatch,
    batch_size: int,
    start: int,
    num_batches: int,
) -> None:
    examples = stream(data, vocabulary)
    batches = list(islice(examples.batches(batch_size, start=start), num_batches))
    assert [len(batch) for batch in batches] == [batch_size] * num_batches
    end = min(3000, start + batch_size * num_batches)
    assert_equal(PretrainingBatch.join(batches).take(0, end - start), reference.take(start, end))


def test_stream_is_one_epoch_after_the_other(
    data: PreparedData, vocabulary: Vocabulary, reference: PretrainingBatch
) -> None:
    epochs = [one_epoch(data, vocabulary, epoch=epoch, max_seq_length=24) for epoch in range(2)]
    joined = PretrainingBatch.join(epochs)
    assert_equal(joined, reference.take(0, len(joined)))
    assert not np.array_equal(epochs[0].take(0, 50).input_ids, epochs[1].take(0, 50).input_ids)


def test_other_seed_gives_other_examples(
    data: PreparedData, vocabulary: Vocabulary, reference: PretrainingBatch
) -> None:
    other = one_epoch(data, vocabulary, max_seq_length=24, seed=1)
    assert not np.array_equal(other.take(0, 50).input_ids, reference.take(0, 50).input_ids)


@pytest.mark.parametrize("max_seq_length", [5, 24, 128])
def test_sequence_is_two_runs_of_the_text_between_special_tokens(
    data: PreparedData, vocabulary: Vocabulary, max_seq_length: int
) -> None:
    batch = one_epoch(data, vocabulary, max_seq_length=max_seq_length)
    assert batch.lengths.max() == max_seq_length
    kinds = rows(batch, batch.token_type_ids)
    for ids, types, label in zip(
        rows(batch, unmasked(batch)), kinds, batch.sentence_order_labels, strict=True
    ):
        assert ids[0] == CLS
        *segments, nothing = np.split(ids[1:], np.flatnonzero(ids[1:] == SEP) + 1)
        assert not len(nothing)
        texts = [segment[:-1] for segment in segments]
        assert all(len(text) and np.all(np.diff(text) == 1) for text in texts)
        assert types.tolist() == [0] * (len(texts[0]) + 2) + [1] * sum(map(len, segments[1:]))
        expected = -100 if len(texts) == 1 else int(texts[0][0] > texts[1][0])
        assert label == expected


def test_tokens_that_are_not_masked_are_the_text(data: PreparedData, vocabulary: Vocabulary) -> None:
    batch = one_epoch(data, vocabulary, max_seq_length=24)
    shown = np.ones(len(batch.input_ids), bool)
    shown[batch.masked_positions] = False
    assert np.all(batch.input_ids[shown] != MASK)
    assert np.all(np.diff(batch.masked_positions) > 0)
    assert batch.masked_labels.min() >= FIRST_ID
    assert not set(batch.input_ids[batch.masked_positions]) & {0, 1, CLS, SEP}


def test_epoch_without_truncation_has_every_token_once(data: PreparedData, vocabulary: Vocabulary) -> None:
    sequence = max(len(x) for x in [data.read_shard("train", 0).tokens]) + 3000
    batch = one_epoch(data, vocabulary, max_seq_length=sequence, short_seq_prob=0.0)
    ids = unmasked(batch)
    assert np.sort(ids[ids >= FIRST_ID]).tolist() == list(range(FIRST_ID, FIRST_ID + data.tokens("train")))


def test_only_truncation_loses_tokens(data: PreparedData, vocabulary: Vocabulary) -> None:
    batch = one_epoch(data, vocabulary, max_seq_length=24)
    ids = unmasked(batch)
    ordinary = ids[ids >= FIRST_ID]
    assert len(np.unique(ordinary)) == len(ordinary)
    full = batch.lengths == 24
    missing = data.tokens("train") - len(ordinary)
    assert 0 < missing < 24 * full.sum()


def test_words_are_masked_whole(data: PreparedData, vocabulary: Vocabulary) -> None:
    batch = one_epoch(data, vocabulary, max_seq_length=64)
    ids = unmasked(batch)
    masked = np.zeros(len(ids), bool)
    masked[batch.masked_positions] = True
    continues = (ids >= FIRST_ID) & ~vocabulary.words.opens(ids)
    continues[1:] &= ids[:-1] >= FIRST_ID  # a word starts after a special token
    inside = np.flatnonzero(continues)
    assert np.array_equal(masked[inside], masked[inside - 1])


@pytest.mark.parametrize("cap", [0, 3])
def test_budget_is_used_up_exactly_if_words_are_single_tokens(
    data: PreparedData, vocabulary: Vocabulary, cap: int
) -> None:
    batch = one_epoch(data, vocabulary, max_seq_length=64, max_predictions_per_seq=cap, whole_words=False)
    sequence = np.searchsorted(np.cumsum(batch.lengths), batch.masked_positions, side="right")
    found = np.bincount(sequence, minlength=len(batch))
    expected = [min(cap or 64, max(1, round(length * 0.15))) for length in batch.lengths.tolist()]
    assert found.tolist() == expected


def test_half_of_the_pairs_are_swapped(data: PreparedData, vocabulary: Vocabulary) -> None:
    labels = [one_epoch(data, vocabulary, epoch=e, max_seq_length=24).sentence_order_labels for e in range(5)]
    pairs = np.concatenate(labels)
    pairs = pairs[pairs >= 0]
    assert abs(pairs.mean() - 0.5) < 4 * 0.5 / np.sqrt(len(pairs))


def test_one_pass_ends_at_its_limit_and_repeats(data: PreparedData, vocabulary: Vocabulary) -> None:
    settings = ExampleSettings(max_seq_length=24)
    examples = Examples(MaskedText(data=data, vocabulary=vocabulary, settings=settings, split="held-out"))
    whole = PretrainingBatch.join(list(examples.one_pass(7)))
    limited = list(examples.one_pass(16, limit=40))
    assert [len(batch) for batch in limited] == [16, 16, 8]
    assert_equal(PretrainingBatch.join(limited), whole.take(0, 40))
    ids = unmasked(whole)
    assert ids[ids >= FIRST_ID].min() > FIRST_ID + data.tokens("train") - 1


def test_estimate_of_an_epoch_is_near_its_number_of_examples(
    data: PreparedData, vocabulary: Vocabulary
) -> None:
    examples = stream(data, vocabulary)
    number = len(one_epoch(data, vocabulary, max_seq_length=24))
    assert abs(examples.estimate_per_epoch() - number) < 0.1 * number


def test_split_without_documents_is_refused(
    data: PreparedData, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    write_meta(tmp_path, shards={"train": [], "held-out": []}, tokenizer=data.tokenizer, counts={})
    with pytest.raises(DataError, match=r"no document in the split 'held-out'; .*--held-out"):
        MaskedText(data=open_prepared(tmp_path), vocabulary=vocabulary, split="held-out")


def test_negative_seed_is_refused(data: PreparedData, vocabulary: Vocabulary) -> None:
    with pytest.raises(ConfigError, match="--seed is -1; expected 0 or more"):
        MaskedText(data=data, vocabulary=vocabulary, seed=-1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_seq_length": 4},
        {"short_seq_prob": 1.5},
        {"masked_lm_prob": -0.1},
        {"max_ngram": 0},
        {"max_predictions_per_seq": -1},
        {"dupe_factor": 0},
    ],
)
def test_settings_that_make_no_examples_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))}.*expected"):
        ExampleSettings(**wrong)


@pytest.fixture(scope="module")
def in_workers(data: PreparedData, vocabulary: Vocabulary) -> dict[int, PretrainingBatch]:
    """Return examples 700 to 2200 of the stream, made by different numbers of processes."""
    return {n: next(stream(data, vocabulary, workers=n).batches(1500, start=700)) for n in (1, 2, 7)}


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_stream_is_the_same_for_any_number_of_workers(
    in_workers: dict[int, PretrainingBatch], reference: PretrainingBatch, workers: int
) -> None:
    assert_equal(in_workers[workers], reference.take(700, 2200))


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ranks=st.integers(1, 5), batch=st.integers(5, 700), start=st.integers(0, 1200), micro=st.integers(1, 90)
)
def test_ranks_read_their_slices_of_every_batch(
    *,
    data: PreparedData,
    vocabulary: Vocabulary,
    reference: PretrainingBatch,
    ranks: int,
    batch: int,
    start: int,
    micro: int,
) -> None:
    rounds = max(1, 1500 // batch)
    bounds = [batch * rank // ranks for rank in range(ranks + 1)]
    rows: list[PretrainingBatch] = []
    for rank in range(ranks):
        rank_slice = RankSlice(rank=rank, ranks=ranks, batch=batch)
        batches = stream(data, vocabulary).batches(micro, start=start, rank_slice=rank_slice)
        own = rounds * (bounds[rank + 1] - bounds[rank])
        rows.append(PretrainingBatch.join(list(islice(batches, -(-own // micro)))))
    dealt = [
        rows[rank].take(*(turn * (bounds[rank + 1] - bounds[rank]) for turn in (turn, turn + 1)))
        for turn in range(rounds)
        for rank in range(ranks)
    ]
    end = min(3000, start + rounds * batch)
    assert_equal(PretrainingBatch.join(dealt).take(0, end - start), reference.take(start, end))


def test_ranks_divide_one_pass_and_its_limit(data: PreparedData, vocabulary: Vocabulary) -> None:
    whole = PretrainingBatch.join(list(stream(data, vocabulary).one_pass(64, limit=200)))
    slices = [RankSlice(rank=rank, ranks=3, batch=96) for rank in range(3)]
    parts = [
        PretrainingBatch.join(list(stream(data, vocabulary).one_pass(32, limit=200, rank_slice=part)))
        for part in slices
    ]
    assert [len(part) for part in parts] == [72, 64, 64]
    turns = [parts[rank].take(32 * turn, 32 * turn + 32) for turn in range(2) for rank in range(3)]
    assert_equal(PretrainingBatch.join([*turns, parts[0].take(64, 72)]), whole)


def test_masks_repeat_after_as_many_passes_as_the_dupe_factor(
    data: PreparedData, vocabulary: Vocabulary
) -> None:
    epochs = [one_epoch(data, vocabulary, epoch=e, max_seq_length=24, dupe_factor=2) for e in range(4)]
    assert_equal(epochs[0], epochs[2])
    assert_equal(epochs[1], epochs[3])
    assert len(epochs[0]) != len(epochs[1]) or not np.array_equal(epochs[0].input_ids, epochs[1].input_ids)


def test_stored_word_starts_take_precedence_over_the_rule(vocabulary: Vocabulary, tmp_path: Path) -> None:
    data = write_data(tmp_path, starts=True)
    starts = {
        int(token): bool(opens)
        for number in range(len(data.shards["train"]))
        for shard in [data.read_shard("train", number)]
        for token, opens in zip(shard.tokens, shard.word_starts, strict=True)
    }
    batch = one_epoch(data, vocabulary, max_seq_length=64)
    ids = unmasked(batch)
    ordinary = ids >= FIRST_ID
    assert batch.word_starts[ordinary].tolist() == [starts[token] for token in ids[ordinary].tolist()]
    assert batch.word_starts[~ordinary].all()
    masked = np.zeros(len(ids), bool)
    masked[batch.masked_positions] = True
    inside = np.flatnonzero(~batch.word_starts & np.append(False, ordinary[:-1]))
    assert np.array_equal(masked[inside], masked[inside - 1])


def test_permutation_shuffles_as_many_other_tokens_and_predicts_them(
    data: PreparedData, vocabulary: Vocabulary
) -> None:
    options = {"max_seq_length": 128, "whole_words": False, "short_seq_prob": 0.0}
    batch = one_epoch(data, vocabulary, permutation=True, **options)
    plain = one_epoch(data, vocabulary, **options)
    assert np.array_equal(unmasked(batch), unmasked(plain))
    assert set(plain.masked_positions.tolist()) <= set(batch.masked_positions.tolist())
    # A candidate that meets a covered token is skipped, so a few budgets are not used up.
    assert 1.98 < len(batch.masked_positions) / len(plain.masked_positions) <= 2
    moved = np.setdiff1d(batch.masked_positions, plain.masked_positions)
    sequence = np.searchsorted(np.cumsum(batch.lengths), moved, side="right")
    for number in range(len(batch)):
        own = moved[sequence == number]
        assert sorted(batch.input_ids[own]) == sorted(unmasked(batch)[own])
    assert np.mean(batch.input_ids[moved] != unmasked(batch)[moved]) > 0.8


def test_span_makes_one_decision_for_an_ngram(data: PreparedData, vocabulary: Vocabulary) -> None:
    options = {"max_seq_length": 128, "max_ngram": 1}
    shares, count = [], 0
    for unit in ("token", "span"):
        batch = one_epoch(data, vocabulary, mask_unit=unit, **options)
        continues = ~batch.word_starts[batch.masked_positions]
        as_mask = batch.input_ids[batch.masked_positions] == MASK
        inside = np.flatnonzero(continues[1:] & (np.diff(batch.masked_positions) == 1)) + 1
        shares.append(np.mean(as_mask[inside] == as_mask[inside - 1]))
        count = len(inside)
    alike = 0.8**2 + 0.2**2
    assert abs(shares[0] - alike) < 4 * np.sqrt(alike * (1 - alike) / count) < 0.1
    assert shares[1] == 1


def test_original_style_also_draws_special_tokens_as_replacements(
    data: PreparedData, vocabulary: Vocabulary
) -> None:
    few = Vocabulary(**vars(vocabulary) | {"size": 5})
    batch = one_epoch(data, few, style="original", max_seq_length=64)
    shown, labels = batch.input_ids[batch.masked_positions], batch.masked_labels
    assert set(shown[shown != labels].tolist()) == {0, 1, 2, 3, 4}
    assert NO_ORDER_LABEL not in batch.sentence_order_labels


def test_style_gives_the_defaults() -> None:
    recommended = ExampleSettings().filled()
    original = ExampleSettings(style="original", max_predictions_per_seq=77).filled()
    names = ("sentence_loss", "max_predictions_per_seq", "word_rule", "dupe_factor")
    assert [getattr(recommended, name) for name in names] == ["sop", 0, "unicode", None]
    assert [getattr(original, name) for name in names] == ["sop-random", 77, "english", 40]


@pytest.mark.parametrize("start", [0, 700, 1500, 2900])
def test_reading_from_a_position_opens_nothing_before_it(
    data: PreparedData,
    vocabulary: Vocabulary,
    reference: PretrainingBatch,
    monkeypatch: pytest.MonkeyPatch,
    start: int,
) -> None:
    first = stream(data, vocabulary)
    next(first.batches(2950))
    position = first.position_before(start)
    assert start - position.examples <= 600
    opened = 0

    def count(*args: Any) -> Any:
        nonlocal opened
        opened += 1
        return open_window(*args)

    monkeypatch.setattr(masked_text, "open_window", count)
    again = stream(data, vocabulary)
    assert_equal(next(again.batches(20, start=start, position=position)), reference.take(start, start + 20))
    assert opened <= 2
    assert again.position_before(start) == position
