"""What a path holds, for the messages about paths in the wrong place."""

import shutil
from pathlib import Path

import pytest

from albert.data.recognition import find_raw_files, recognise
from albert.errors import DataError
from samples.command_flags import parse_line


def test_what_a_path_holds_is_seen_by_its_files(
    golden: Path, tokenizer_folder: Path, corpus_file: Path, prepared_data: Path, tmp_path: Path
) -> None:
    records = golden / "pretrain_data" / "first_records.tfrecord"
    assert recognise(tokenizer_folder) == "tokenizer"
    assert recognise(corpus_file) == recognise(corpus_file.parent) == "text"
    assert recognise(prepared_data) == recognise(next(prepared_data.glob("*.arrow"))) == "shards"
    assert recognise(records) == recognise(shutil.copy(records, tmp_path / "named.txt")) == "records"
    assert recognise(tmp_path / "absent") == "other"
    (tmp_path / "model").mkdir()
    shutil.copytree(tokenizer_folder, tmp_path / "model", dirs_exist_ok=True)
    (tmp_path / "model" / "config.json").write_text("{}")
    assert recognise(tmp_path / "model") == "model"


def test_a_folder_of_shards_that_is_not_finished_is_recognised(prepared_data: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(prepared_data, tmp_path / "data"))
    (folder / "meta.json").unlink()
    assert recognise(folder) == "shards"


def test_prepared_data_is_no_raw_text_and_the_message_has_the_command_for_it(
    golden: Path, prepared_data: Path, corpus_file: Path
) -> None:
    shards = next(prepared_data.glob("*.arrow"))
    records = golden / "pretrain_data" / "first_records.tfrecord"
    for path, expected in ((prepared_data, prepared_data), (shards, prepared_data), (records, records)):
        with pytest.raises(
            DataError, match=r"that albert prepare wrote|TFRecord files of examples"
        ) as caught:
            find_raw_files([str(corpus_file), str(path)])
        message, _, advice = str(caught.value).partition("they are ready: ")
        assert message.startswith(f"{path}: ")
        assert parse_line(advice).data == (expected,)
    assert find_raw_files([str(corpus_file)]) == [str(corpus_file)]
