"""The teacher's outputs on disk: computed once, continued, refused if they are another teacher's."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from albert.distillation import batches, cache
from albert.distillation.batches import DistillationBatch, held_out_batches, shuffled_batches
from albert.distillation.cache import Cache, fill_cache, open_cache
from albert.errors import DataError, RunError

DEPENDS_ON = {"teacher": "abc", "texts": {"a.txt": "1"}}
TEXTS = [f"text {number}" for number in range(95)]


def number_of(text: str) -> int:
    return int(text.split()[1])


def compute(texts: list[Any]) -> dict[str, Any]:
    """Text n has n % 7 + 1 tokens n; its output a text is n, and n and its place for a token."""
    lengths = np.array([number_of(text) % 7 + 1 for text in texts], np.int32)
    ids = np.repeat([number_of(text) for text in texts], lengths).astype(np.int32)
    return {
        "input_ids": ids,
        "token_type_ids": np.zeros(len(ids), np.int8),
        "lengths": lengths,
        "vectors": np.array([[number_of(text)] for text in texts], np.float16),
        "states": np.stack([ids, np.arange(len(ids))], 1).astype(np.float16),
    }


def fill(folder: Path, compute: Callable[[list[Any]], Any] = compute, texts: list[str] = TEXTS) -> Cache:
    outputs = ["states", "vectors"]
    return fill_cache(folder, DEPENDS_ON, outputs, texts, compute, held_out=0.1, advance=lambda _: None)


def learnt_from(found: Cache, size: int) -> Iterator[DistillationBatch]:
    """Yield the texts to learn from once, in their order."""
    return held_out_batches(replace(found, held_out=found.train), size)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "TEXTS_PER_SHARD", 10)
    monkeypatch.setattr(batches, "SHARDS_AT_ONCE", 3)


def test_every_text_is_learnt_from_or_held_out(tmp_path: Path) -> None:
    found = fill(tmp_path / "cache")
    everything = [*learnt_from(found, 8), *held_out_batches(found, 8)]
    seen = [int(number) for batch in everything for number in batch.outputs["vectors"][:, 0]]
    assert sorted(seen) == list(range(95))
    assert found.num_texts == 95 - sum(map(len, found.held_out))
    assert 2 <= sum(map(len, found.held_out)) <= 25


def test_copies_of_a_text_are_all_learnt_from_or_none(tmp_path: Path) -> None:
    found = fill(tmp_path / "cache", texts=TEXTS + TEXTS)
    held_out = {int(n) for b in held_out_batches(found, 8) for n in b.input_ids}
    learnt = {int(n) for b in learnt_from(found, 8) for n in b.input_ids}
    assert not held_out & learnt


def test_a_batch_has_the_outputs_of_its_texts(tmp_path: Path) -> None:
    found = fill(tmp_path / "cache")
    for batch in learnt_from(found, 7):
        assert list(batch.lengths) == sorted(batch.lengths)
        np.testing.assert_array_equal(batch.outputs["states"][:, 0], batch.input_ids)
        np.testing.assert_array_equal(
            np.repeat(batch.outputs["vectors"][:, 0], batch.lengths), batch.input_ids
        )
        part = batch.take(1, 3)
        np.testing.assert_array_equal(np.repeat(part.outputs["vectors"][:, 0], part.lengths), part.input_ids)


def test_an_epoch_has_every_text_once_and_starts_where_it_is_told(tmp_path: Path) -> None:
    found = fill(tmp_path / "cache")
    total = found.num_texts

    def texts_of(start: int, count: int) -> list[list[int]]:
        stream = shuffled_batches(found, 6, seed=1, start=start)
        return [sorted(next(stream).outputs["vectors"][:, 0].astype(int).tolist()) for _ in range(count)]

    whole = texts_of(0, 40)
    first = [n for batch in whole for n in batch][:total]
    assert len(whole[0]) == 6
    assert sorted(n for batch in whole[: total // 6] for n in batch) != first, "the order is shuffled"
    assert len(set(first[: total // 6 * 6])) == total // 6 * 6, "no text comes twice in an epoch"
    for done in (1, 7, 20):
        assert texts_of(6 * done, 5) == whole[done : done + 5]


def test_a_stopped_job_continues_with_the_shards_that_it_lacks(tmp_path: Path) -> None:
    calls: list[int] = []

    def stopping(texts: list[Any]) -> dict[str, Any]:
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(len(texts))
        return compute(texts)

    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path / "cache", stopping)
    assert open_cache(tmp_path / "cache", DEPENDS_ON, ["vectors"]) is None

    def counting(texts: list[Any]) -> dict[str, Any]:
        calls.append(len(texts))
        return compute(texts)

    continued, unbroken = fill(tmp_path / "cache", counting), fill(tmp_path / "other")
    assert len(calls) == len(unbroken.train) + len(unbroken.held_out)
    for ours, theirs in zip(continued.train, unbroken.train, strict=True):
        for name in theirs.arrays:
            np.testing.assert_array_equal(ours.arrays[name], theirs.arrays[name])


def test_outputs_of_another_teacher_are_refused(tmp_path: Path) -> None:
    fill(tmp_path / "cache")
    with pytest.raises(RunError, match=r"the outputs of another teacher, .*teacher differ"):
        open_cache(tmp_path / "cache", DEPENDS_ON | {"teacher": "other"}, ["vectors"])


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "thesis.tex").write_text("all my work")
    with pytest.raises(RunError, match="holds no teacher's outputs; name another --cache"):
        open_cache(tmp_path / "cache", DEPENDS_ON, ["vectors"])


def test_fewer_outputs_than_are_kept_can_be_used_and_no_others(tmp_path: Path) -> None:
    fill(tmp_path / "cache")
    found = open_cache(tmp_path / "cache", DEPENDS_ON, ["vectors"])
    assert found is not None
    assert [*next(held_out_batches(found, 4)).outputs] == ["vectors"]
    with pytest.raises(RunError, match="has the teacher's states, vectors, but not its relations"):
        open_cache(tmp_path / "cache", DEPENDS_ON, ["relations"])


def test_no_text_is_an_error_that_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no text to learn from"):
        fill(tmp_path / "cache", texts=[])
