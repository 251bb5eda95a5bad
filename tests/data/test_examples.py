"""Laws of the example stream, on corpora in which every piece has an id of its own.

There a segment can be read off its ids: ascending by one, and a swapped pair by its order.
"""

from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from albert.data.batches import PretrainingBatch
from albert.data.encoding import EncodedDocument
from albert.data.examples import Examples, ExampleSettings
from albert.data.masking import Vocabulary
from albert.data.shards import PreparedData, ShardWriter, TokenizerInfo, open_prepared, write_meta
from albert.errors import ConfigError, DataError

NUM_PIECES = 20_000
FIRST_ID = 5
CLS, SEP, MASK = 2, 3, 4


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    """Returns documents of random sentences whose pieces count up from `FIRST_ID`, in many small shards."""
    folder = tmp_path_factory.mktemp("shards")
    random = np.random.default_rng(7)
    writer = ShardWriter(folder, "train", vocab_size=NUM_PIECES + FIRST_ID, shard_pieces=1500)
    held_out = ShardWriter(folder, "held-out", vocab_size=NUM_PIECES + FIRST_ID, shard_pieces=1500)
    begin = 0
    while begin < NUM_PIECES:
        ends = np.cumsum(random.geometric(0.12, random.geometric(0.2)))
        ends = np.unique(np.minimum(ends, NUM_PIECES - begin)).astype(np.uint32)
        pieces = np.arange(begin, begin + ends[-1]).astype(np.uint32) + FIRST_ID
        document = EncodedDocument(pieces=pieces, sentence_ends=ends, hash_share=0, unknown_pieces=0)
        (held_out if begin > 0.9 * NUM_PIECES else writer).add(document)
        begin += int(ends[-1])
    writer.finish()
    held_out.finish()
    tokenizer = TokenizerInfo(
        fingerprint="ab", kind="wordpiece", do_lower_case=True, vocab_size=FIRST_ID + NUM_PIECES
    )
    shards = {"train": writer.shards, "held-out": held_out.shards}
    write_meta(folder, shards=shards, tokenizer=tokenizer, counts={})
    return open_prepared(folder)


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    opens = np.random.default_rng(8).random(NUM_PIECES + FIRST_ID) < 0.7
    return Vocabulary(
        cls_id=CLS,
        sep_id=SEP,
        mask_id=MASK,
        ordinary_ids=np.arange(FIRST_ID, FIRST_ID + NUM_PIECES),
        opens_word=opens,
    )


def assert_equal(first: PretrainingBatch, second: PretrainingBatch) -> None:
    for name, array in vars(first).items():
        np.testing.assert_array_equal(array, vars(second)[name], err_msg=name)


def unmasked(batch: PretrainingBatch) -> npt.NDArray[np.int64]:
    """Returns the ids with the labels put back."""
    ids = batch.input_ids.copy()
    ids[batch.masked_positions] = batch.masked_labels
    return ids


def rows(batch: PretrainingBatch, array: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    return np.split(array, np.cumsum(batch.lengths)[:-1])


def one_epoch(
    data: PreparedData, vocabulary: Vocabulary, *, epoch: int = 0, seed: int = 0, **options: float | None
) -> PretrainingBatch:
    examples = Examples(data, vocabulary, ExampleSettings(**options), seed=seed)
    return PretrainingBatch.join(list(examples.one_pass(1000, epoch=epoch)))


@pytest.fixture(scope="module")
def reference(data: PreparedData, vocabulary: Vocabulary) -> PretrainingBatch:
    """Returns the stream's first 3000 examples, nearly three epochs, read in one go."""
    return next(Examples(data, vocabulary, ExampleSettings(max_seq_length=24)).batches(3000))


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
    examples = Examples(data, vocabulary, ExampleSettings(max_seq_length=24))
    batches = list(islice(examples.batches(batch_size, start=start), num_batches))
    assert [len(batch) for batch in batches] == [batch_size] * num_batches
    end = min(3000, start + batch_size * num_batches)
    assert_equal(PretrainingBatch.join(batches).take(0, end - start), reference.take(start, end))


def test_stream_is_the_epochs_one_behind_the_other(
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
def test_sequence_is_two_runs_of_the_text_between_special_pieces(
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


def test_what_is_not_masked_is_the_text(data: PreparedData, vocabulary: Vocabulary) -> None:
    batch = one_epoch(data, vocabulary, max_seq_length=24)
    shown = np.ones(len(batch.input_ids), bool)
    shown[batch.masked_positions] = False
    assert np.all(batch.input_ids[shown] != MASK)
    assert np.all(np.diff(batch.masked_positions) > 0)
    assert batch.masked_labels.min() >= FIRST_ID
    assert not set(batch.input_ids[batch.masked_positions]) & {0, 1, CLS, SEP}


def test_epoch_without_truncation_holds_every_piece_once(data: PreparedData, vocabulary: Vocabulary) -> None:
    sequence = max(len(x) for x in [data.read_shard("train", 0).pieces]) + 3000
    batch = one_epoch(data, vocabulary, max_seq_length=sequence, short_seq_prob=0.0)
    ids = unmasked(batch)
    assert np.sort(ids[ids >= FIRST_ID]).tolist() == list(range(FIRST_ID, FIRST_ID + data.pieces("train")))


def test_truncation_alone_loses_pieces(data: PreparedData, vocabulary: Vocabulary) -> None:
    batch = one_epoch(data, vocabulary, max_seq_length=24)
    ids = unmasked(batch)
    ordinary = ids[ids >= FIRST_ID]
    assert len(np.unique(ordinary)) == len(ordinary)
    full = batch.lengths == 24
    missing = data.pieces("train") - len(ordinary)
    assert 0 < missing < 24 * full.sum()


def test_every_hidden_word_is_hidden_whole(data: PreparedData, vocabulary: Vocabulary) -> None:
    batch = one_epoch(data, vocabulary, max_seq_length=64)
    ids = unmasked(batch)
    hidden = np.zeros(len(ids), bool)
    hidden[batch.masked_positions] = True
    continues = (ids >= FIRST_ID) & ~vocabulary.opens_word[ids]
    continues[1:] &= ids[:-1] >= FIRST_ID  # behind a special piece a word begins
    inside = np.flatnonzero(continues)
    assert np.array_equal(hidden[inside], hidden[inside - 1])


@pytest.mark.parametrize("cap", [None, 3])
def test_budget_is_met_exactly_where_words_are_single_pieces(
    data: PreparedData, vocabulary: Vocabulary, cap: int | None
) -> None:
    single = Vocabulary(**vars(vocabulary) | {"opens_word": np.ones_like(vocabulary.opens_word)})
    batch = one_epoch(data, single, max_seq_length=64, max_predictions_per_seq=cap)
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
    examples = Examples(data, vocabulary, ExampleSettings(max_seq_length=24), split="held-out")
    whole = PretrainingBatch.join(list(examples.one_pass(7)))
    limited = list(examples.one_pass(16, limit=40))
    assert [len(batch) for batch in limited] == [16, 16, 8]
    assert_equal(PretrainingBatch.join(limited), whole.take(0, 40))
    ids = unmasked(whole)
    assert ids[ids >= FIRST_ID].min() > FIRST_ID + data.pieces("train") - 1


def test_estimate_of_an_epoch_is_near_its_number_of_examples(
    data: PreparedData, vocabulary: Vocabulary
) -> None:
    examples = Examples(data, vocabulary, ExampleSettings(max_seq_length=24))
    number = len(one_epoch(data, vocabulary, max_seq_length=24))
    assert abs(examples.estimate_per_epoch() - number) < 0.1 * number


def test_split_without_documents_is_refused(
    data: PreparedData, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    write_meta(tmp_path, shards={"train": [], "held-out": []}, tokenizer=data.tokenizer, counts={})
    with pytest.raises(DataError, match=r"no document in the split 'held-out'; .*--held-out"):
        Examples(open_prepared(tmp_path), vocabulary, ExampleSettings(), split="held-out")


def test_negative_seed_is_refused(data: PreparedData, vocabulary: Vocabulary) -> None:
    with pytest.raises(ConfigError, match="--seed is -1; expected 0 or more"):
        Examples(data, vocabulary, ExampleSettings(), seed=-1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_seq_length": 4},
        {"short_seq_prob": 1.5},
        {"masked_lm_prob": 0.0},
        {"max_ngram": 0},
        {"max_predictions_per_seq": 0},
    ],
)
def test_settings_that_make_no_examples_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))}.*expected"):
        ExampleSettings(**wrong)
