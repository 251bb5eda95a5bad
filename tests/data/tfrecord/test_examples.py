"""The source of examples from TFRecord files: every record once per epoch, from any start, in any process."""

import pickle
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from albert.data.batches import PretrainingBatch
from albert.data.examples.stream import Examples
from albert.data.tfrecord.examples import (
    WINDOW_FILES,
    TfrecordExamples,
    TfrecordWriter,
    find_record_files,
)
from albert.errors import ConfigError, DataError

VOCAB_SIZE = 1000


def make_batch(ids: range) -> PretrainingBatch:
    """Return sequences [CLS] number [SEP], so that each is different from all others."""
    return PretrainingBatch(
        input_ids=np.array([[2, number, 3] for number in ids]).ravel(),
        token_type_ids=np.zeros(3 * len(ids), np.int64),
        lengths=np.full(len(ids), 3),
        masked_positions=np.arange(len(ids)) * 3 + 1,
        masked_labels=np.array(ids),
        sentence_order_labels=np.zeros(len(ids), np.int64),
        word_starts=np.ones(3 * len(ids), bool),
    )


def write_files(folder: Path, *, num_files: int, num_records: int) -> list[Path]:
    paths = [folder / f"train-{number:05}.tfrecord" for number in range(num_files)]
    with TfrecordWriter(paths, max_seq_length=5, max_predictions=2) as writer:
        for begin in range(0, num_records, 7):
            writer.add(make_batch(range(begin, min(begin + 7, num_records))))
    return paths


def make_source(paths: list[Path], *, seed: int = 0, max_seq_length: int = 5) -> TfrecordExamples:
    return TfrecordExamples(paths=paths, vocab_size=VOCAB_SIZE, max_seq_length=max_seq_length, seed=seed)


def numbers_of(batch: PretrainingBatch) -> list[int]:
    return batch.masked_labels.tolist()


def epoch_of(source: TfrecordExamples, epoch: int, *, block: int = 256) -> list[int]:
    numbers: list[int] = []
    for window in source.windows(epoch):
        for begin in range(0, len(window), block):
            numbers += numbers_of(source.make(window.job(begin, min(begin + block, len(window)))))
    return numbers


@pytest.mark.parametrize(("num_files", "num_records"), [(1, 300), (9, 300), (5, 3)])
def test_every_record_occurs_once_per_epoch(tmp_path: Path, num_files: int, num_records: int) -> None:
    source = make_source(write_files(tmp_path, num_files=num_files, num_records=num_records))
    epochs = [epoch_of(source, epoch) for epoch in range(3)]
    assert [sorted(numbers) for numbers in epochs] == [list(range(num_records))] * 3
    if num_records > 3:
        assert epochs[0] != epochs[1] != epochs[2]


def test_records_go_to_the_files_in_turn(tmp_path: Path) -> None:
    paths = write_files(tmp_path, num_files=3, num_records=50)
    dealt = [sorted(epoch_of(make_source([path]), 0)) for path in paths]
    assert dealt == [list(range(50))[turn::3] for turn in range(3)]


def test_order_depends_on_the_seed_and_on_nothing_else(tmp_path: Path) -> None:
    paths = write_files(tmp_path, num_files=6, num_records=200)
    expected = epoch_of(make_source(paths), 1)
    source = make_source(paths)
    source.estimate_per_epoch()
    assert epoch_of(source, 1, block=13) == expected
    assert epoch_of(make_source(paths, seed=1), 1) != expected


@pytest.mark.parametrize("start", [1, 90, 199, 200, 333])
def test_reading_can_start_anywhere(tmp_path: Path, start: int) -> None:
    paths = write_files(tmp_path, num_files=6, num_records=200)

    def stream(batch_size: int, *, start: int, count: int) -> list[int]:
        batches = Examples(make_source(paths)).batches(batch_size, start=start)
        return [number for batch in islice(batches, count // batch_size) for number in numbers_of(batch)]

    expected = epoch_of(make_source(paths), 0) + epoch_of(make_source(paths), 1)
    assert stream(10, start=0, count=400) == expected
    assert stream(1, start=start, count=60) == expected[start : start + 60]


def test_another_process_makes_the_same_examples_of_a_job(tmp_path: Path) -> None:
    source = make_source(write_files(tmp_path, num_files=2, num_records=40))
    job = next(source.windows(0)).job(3, 17)
    made = numbers_of(source.make(job))
    there, job = pickle.loads(pickle.dumps((source, job)))
    assert numbers_of(there.make(job)) == made


def test_window_takes_few_files_and_a_large_one_is_a_window_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_source(write_files(tmp_path, num_files=10, num_records=100))
    windows = [window.files for window in source.windows(0)]
    assert [len(files) for files in windows] == [WINDOW_FILES, WINDOW_FILES, 2]
    assert sorted(file for files in windows for file in files) == list(range(10))
    size = source.paths[0].stat().st_size
    monkeypatch.setattr("albert.data.tfrecord.examples.WINDOW_BYTES", 2 * size)
    assert [len(window.files) for window in source.windows(0)] == [2] * 5
    monkeypatch.setattr("albert.data.tfrecord.examples.WINDOW_BYTES", size - 1)
    assert [len(window.files) for window in source.windows(0)] == [1] * 10


def test_skipped_windows_are_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_source(write_files(tmp_path, num_files=6, num_records=60))
    assert sum(len(window) for window in source.windows(0)) == 60
    monkeypatch.setattr("albert.data.tfrecord.files.RecordFile.find_starts", None)
    assert sum(len(window) for window in source.windows(7)) == 60


def test_number_of_records_is_estimated_from_the_first_file_that_has_any(tmp_path: Path) -> None:
    paths = write_files(tmp_path, num_files=4, num_records=600)
    (tmp_path / "empty.tfrecord").touch()
    source = make_source([tmp_path / "empty.tfrecord", *paths])
    assert source.estimate_per_epoch() == pytest.approx(600, rel=0.02)


def test_fingerprint_changes_with_the_files_but_not_with_their_folder(tmp_path: Path) -> None:
    for name, count in (("a", 40), ("b", 40), ("c", 41)):
        (tmp_path / name).mkdir()
        write_files(tmp_path / name, num_files=2, num_records=count)
    one, same, other = (make_source(find_record_files([tmp_path / name])).fingerprint for name in "abc")
    assert one == same != other
    path = tmp_path / "b" / "train-00001.tfrecord"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert make_source(find_record_files([tmp_path / "b"])).fingerprint != one


def test_damaged_record_is_named_with_its_place(tmp_path: Path) -> None:
    (path,) = write_files(tmp_path, num_files=1, num_records=10)
    content = bytearray(path.read_bytes())
    content[len(content) * 55 // 100] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        DataError, match=r"train-00000.tfrecord: record at byte [\d,]+: damaged: the checksum"
    ):
        epoch_of(make_source([path]), 0)


def test_record_of_another_vocabulary_or_length_is_named_with_its_place(tmp_path: Path) -> None:
    paths = write_files(tmp_path, num_files=2, num_records=40)
    source = TfrecordExamples(paths=paths, vocab_size=37, max_seq_length=5)
    with pytest.raises(
        DataError, match=r"record at byte [\d,]+: input_ids has 3[789], the vocabulary has ids 0"
    ):
        epoch_of(source, 0)
    with pytest.raises(DataError, match=r"record at byte [\d,]+: its sequence has 3 tokens, expected 1 to 2"):
        epoch_of(make_source(paths, max_seq_length=2), 0)


def test_files_without_a_record_and_seeds_below_zero_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tfrecord").touch()
    with pytest.raises(DataError, match=r"a.tfrecord: no record found"):
        make_source([tmp_path / "a.tfrecord"])
    with pytest.raises(DataError, match=r"b.tfrecord: cannot be read \(No such file"):
        make_source([tmp_path / "b.tfrecord"])
    with pytest.raises(ConfigError, match="--seed is -1; expected 0 or more"):
        make_source(write_files(tmp_path, num_files=1, num_records=1), seed=-1)


def test_record_files_are_found_in_folders_and_by_any_name(tmp_path: Path) -> None:
    for name in ("b.tfrecord", "a.tf_record", "other.txt"):
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    assert [path.name for path in find_record_files([tmp_path])] == ["a.tf_record", "b.tfrecord"]
    assert find_record_files([tmp_path / "other.txt"]) == [tmp_path / "other.txt"]
    with pytest.raises(DataError, match="empty: no TFRecord file in it"):
        find_record_files([tmp_path / "empty"])
    with pytest.raises(DataError, match="absent: no such file or folder"):
        find_record_files([tmp_path / "absent"])


def test_record_that_does_not_fit_leaves_no_file(tmp_path: Path) -> None:
    def write() -> None:
        with TfrecordWriter([tmp_path / "a.tfrecord"], max_seq_length=2, max_predictions=2) as writer:
            writer.add(make_batch(range(3)))

    with pytest.raises(ConfigError, match="a sequence has 3 tokens, the records have room for 2"):
        write()
    assert not list(tmp_path.iterdir())
