"""Data to pretrain on: what is opened, and what is refused with the command to type instead."""

import shutil
from pathlib import Path

import pytest

from albert.errors import AlbertError, ConfigError, DataError
from albert.pretraining.data import open_pretraining_data
from samples.command_flags import parse_line


def refusal(error: type[AlbertError], *paths: Path, tokenizer: Path | None = None) -> str:
    with pytest.raises(error) as caught:
        open_pretraining_data(paths, tokenizer=tokenizer)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_shards_are_refused_with_a_tokenizer_or_other_paths(
    prepared_data: Path, tokenizer_folder: Path
) -> None:
    message = refusal(ConfigError, prepared_data, tokenizer=tokenizer_folder)
    assert message.startswith(
        f"{prepared_data}: shards that albert prepare wrote, which have their tokenizer"
    )
    assert message.endswith(f"leave out --tokenizer {tokenizer_folder}")
    assert "expected one such folder alone" in refusal(ConfigError, prepared_data, prepared_data)
    shard = next(prepared_data.glob("*.arrow"))
    assert refusal(ConfigError, shard).endswith(f"give its folder: {prepared_data}")
    assert open_pretraining_data((prepared_data,)).tokenizer is not None


@pytest.mark.parametrize("with_tokenizer", [False, True])
def test_raw_text_is_refused_with_the_command_that_prepares_it(
    corpus_file: Path, tokenizer_folder: Path, *, with_tokenizer: bool
) -> None:
    tokenizer = tokenizer_folder if with_tokenizer else None
    for path in (corpus_file, corpus_file.parent):
        message, _, advice = refusal(DataError, path, tokenizer=tokenizer).partition("prepare it first: ")
        assert message.startswith(f"{path}: raw text; expected a folder")
        prepare = parse_line(advice)
        assert prepare.input == (str(path),)
        assert prepare.tokenizer == (tokenizer or Path("TOKENIZER"))


def test_a_model_and_a_tokenizer_are_refused_with_the_flags_that_take_them(
    tokenizer_folder: Path, tmp_path: Path
) -> None:
    message, _, advice = refusal(DataError, tokenizer_folder).partition("prepare text with it: ")
    assert message.startswith(f"{tokenizer_folder}: a tokenizer; expected")
    assert parse_line(advice).tokenizer == tokenizer_folder
    model = Path(shutil.copytree(tokenizer_folder, tmp_path / "model"))
    (model / "config.json").write_text("{}")
    message, _, advice = refusal(DataError, model).partition("to start from this model: ")
    assert message.startswith(f"{model}: a model; expected")
    assert parse_line(advice).init_from == str(model)


def test_records_are_read_whatever_their_name_and_need_a_tokenizer(
    golden: Path, tokenizer_folder: Path, tmp_path: Path
) -> None:
    records = golden / "pretrain_data" / "first_records.tfrecord"
    named = Path(shutil.copy(records, tmp_path / "examples.txt"))
    assert open_pretraining_data((named,), tokenizer=tokenizer_folder).tokenizer is not None
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.copy(records, folder)
    for path in (named, folder):
        assert "give the tokenizer that made them with --tokenizer" in refusal(ConfigError, path)
