"""The files of a folder that belong to a split of a task."""

import hashlib
from pathlib import Path

import pytest

from albert.errors import DataError
from albert.tasks.catalogue import find_task
from albert.tasks.files import digest_of, find_files, require_files, split_files


def write(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def test_a_benchmark_file_is_found_in_its_own_folder_and_without_it(tmp_path: Path) -> None:
    inner = write(tmp_path, "RTE/dev.tsv", "")
    assert find_files(find_task("rte"), tmp_path, "dev") == (inner,)
    assert find_files(find_task("rte"), tmp_path / "RTE", "dev") == (inner,)
    assert find_files(find_task("rte"), tmp_path, "test") == ()


def test_the_error_for_a_missing_split_names_the_expected_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no dev file of task 'rte'; expected RTE/dev\.tsv or dev\.tsv"):
        require_files(find_task("rte"), tmp_path, "dev")


def test_the_data_of_a_split_may_be_a_folder_or_its_only_file(tmp_path: Path) -> None:
    path = write(tmp_path, "RTE/dev.tsv", "")
    own = write(tmp_path, "held_out.tsv", "")
    assert split_files(find_task("rte"), tmp_path, "dev") == (path,)
    assert split_files(find_task("rte"), own, "dev") == (own,)
    with pytest.raises(DataError, match="no test file"):
        split_files(find_task("rte"), tmp_path, "test")


def test_a_missing_data_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="absent: no such file or folder"):
        find_files(find_task("rte"), tmp_path / "absent", "dev")


def test_a_split_stored_twice_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "train.tsv", "")
    write(tmp_path, "train.csv", "")
    with pytest.raises(DataError, match=r"both train\.tsv and train\.csv"):
        find_files(find_task("classification"), tmp_path, "train")


def test_the_first_pattern_with_files_decides(tmp_path: Path) -> None:
    small = write(tmp_path, "train.3k.json", "")
    assert find_files(find_task("ocnli"), tmp_path, "train") == (small,)
    large = write(tmp_path, "train.10k.json", "")
    assert find_files(find_task("ocnli"), tmp_path, "train") == (large,)
    whole = write(tmp_path, "train.json", "")
    assert find_files(find_task("ocnli"), tmp_path, "train") == (whole,)


def test_both_dev_sets_of_mnli_are_found(tmp_path: Path) -> None:
    matched = write(tmp_path, "MNLI/dev_matched.tsv", "")
    mismatched = write(tmp_path, "MNLI/dev_mismatched.tsv", "")
    assert find_files(find_task("mnli"), tmp_path, "dev") == (matched,)
    assert find_files(find_task("mnli-mm"), tmp_path, "dev") == (mismatched,)


def test_the_error_for_an_unknown_split_names_those_of_the_task(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="task 'ax' has no train split; it has test"):
        require_files(find_task("ax"), tmp_path, "train")


def test_the_digest_of_files_depends_on_their_content_and_order(tmp_path: Path) -> None:
    one, two = write(tmp_path, "a", "1"), write(tmp_path, "b", "2")
    parts = [hashlib.sha256(text).digest() for text in (b"1", b"2")]
    assert digest_of([one, two]) == hashlib.sha256(b"".join(parts)).hexdigest()
    assert digest_of([]) == ""


def test_a_missing_split_names_one_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "dev.tsv").write_text("text\tlabel\n")
    with pytest.raises(DataError, match=r"found no test file .*; there is one of another split: --split dev"):
        split_files(find_task("classification"), tmp_path, "test")
    (tmp_path / "dev.tsv").unlink()
    with pytest.raises(DataError, match=r"found no test file (?!.*--split)"):
        split_files(find_task("classification"), tmp_path, "test")
