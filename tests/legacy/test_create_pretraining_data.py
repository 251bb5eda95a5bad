"""`python -m albert.create_pretraining_data`: raw text to the named TFRecord files."""

from pathlib import Path

import numpy as np
import pytest

from albert.data.batches import PretrainingBatch
from albert.data.tfrecord.files import RecordFile
from albert.data.tfrecord.masked_records import parse_records, room_of_record
from albert.legacy.scripts import script_main

main = script_main("create_pretraining_data")
MASK_ID = 4


@pytest.fixture
def spm_model(golden: Path) -> Path:
    return golden / "tokenization" / "30k-clean.model"


def command(text: Path, output: str, model: Path, *more: str) -> list[str]:
    """The README's command, with smaller numbers appended."""
    return [
        f"--input_file={text}",
        f"--output_file={output}",
        f"--spm_model_file={model}",
        "--vocab_file=30k-clean.vocab",
        "--max_seq_length=32",
        "--dupe_factor=2",
        *more,
    ]


def messages_in(path: Path) -> list[bytes]:
    file = RecordFile(path)
    return [file.read(start) for start in file.find_starts().tolist()]


def read(path: Path) -> PretrainingBatch:
    return parse_records(messages_in(path), vocab_size=2000, max_seq_length=32)


def test_examples_are_in_the_named_file_and_follow_the_flags(
    corpus_file: Path, spm_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "made" / "train.tf_record"
    assert main(command(corpus_file, str(output), spm_model, "--max_predictions_per_seq=4")) == 0
    assert capsys.readouterr().out == ""
    assert [path.name for path in output.parent.iterdir()] == ["train.tf_record"]
    assert room_of_record(messages_in(output)[0]) == (32, 4)
    examples = read(output)
    counts = np.diff(np.searchsorted(examples.masked_positions, np.append(0, np.cumsum(examples.lengths))))
    assert examples.lengths.max() == 32
    assert counts.max() == 4
    assert 0.5 < np.mean(examples.input_ids[examples.masked_positions] == MASK_ID) < 0.95
    assert set(examples.sentence_order_labels.tolist()) == {0, 1}


def test_examples_alternate_between_several_files(corpus_file: Path, spm_model: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", [tmp_path / "a" / "one", tmp_path / "b" / "two"]
    assert main(command(corpus_file, str(whole), spm_model)) == 0
    assert main(command(corpus_file, ",".join(map(str, parts)), spm_model)) == 0
    first, second = map(messages_in, parts)
    assert [*first, *second] == [*messages_in(whole)[::2], *messages_in(whole)[1::2]]


def test_the_seed_determines_the_examples_and_an_old_file_is_replaced(
    corpus_file: Path, spm_model: Path, tmp_path: Path
) -> None:
    output = tmp_path / "examples"
    contents = []
    for seed in (1, 2, 1):
        assert main(command(corpus_file, str(output), spm_model, f"--random_seed={seed}")) == 0
        contents.append(output.read_bytes())
    assert contents[0] == contents[2] != contents[1]


def test_files_are_read_as_text_whatever_their_names(
    corpus_file: Path, spm_model: Path, tmp_path: Path
) -> None:
    named, plain = tmp_path / "named", tmp_path / "plain"
    assert main(command(corpus_file, str(plain), spm_model)) == 0
    (tmp_path / "wiki_00").write_bytes(corpus_file.read_bytes())
    assert main(command(tmp_path / "wiki_*", str(named), spm_model)) == 0
    assert named.read_bytes() == plain.read_bytes()


def test_without_a_sentencepiece_model_the_vocabulary_is_wordpiece(corpus_file: Path, tmp_path: Path) -> None:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "a", "value", "type", "is", "not", "."]
    vocabulary = tmp_path / "vocab_chinese.txt"
    vocabulary.write_text("\n".join(pieces) + "\n")
    output = tmp_path / "examples"
    arguments = [f"--input_file={corpus_file}", f"--output_file={output}", f"--vocab_file={vocabulary}"]
    assert main([*arguments, "--max_seq_length=32", "--dupe_factor=1"]) == 0
    assert read(output).input_ids.max() < len(pieces)


def test_other_flags_reach_the_examples(corpus_file: Path, spm_model: Path, tmp_path: Path) -> None:
    output = tmp_path / "examples"
    assert main(command(corpus_file, str(output), spm_model, "--masked_lm_prob=0")) == 0
    assert len(read(output).masked_positions) == 0
    assert main(command(corpus_file, str(output), spm_model, "--do_permutation")) == 0
    assert room_of_record(messages_in(output)[0]) == (32, 40)
    few = len(messages_in(output))
    assert main(command(corpus_file, str(output), spm_model, "--dupe_factor=4")) == 0
    assert len(messages_in(output)) > 1.5 * few
    assert main(command(corpus_file, str(output), spm_model, "--short_seq_prob=1")) == 0
    assert read(output).lengths.mean() < 25


def test_bytes_that_are_not_utf_8_are_an_error_or_replaced_depending_on_the_mode(
    spm_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "old"
    text.write_bytes(b"the value is one.\nthe type is \xff two.\n\n" * 4)
    output = tmp_path / "examples"
    assert main(command(text, str(output), spm_model)) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"error: {text}:2")
    assert not output.exists()
    assert main(command(text, str(output), spm_model, "--input_file_mode=rb")) == 0


def test_wrong_input_is_a_one_line_error_and_leaves_no_file(
    corpus_file: Path, spm_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "made" / "examples"
    cases = {
        "matches no file": command(tmp_path / "nothing*", str(output), spm_model),
        "no such file": command(corpus_file, str(output), tmp_path / "no.model"),
        "is a folder": command(corpus_file, str(tmp_path), spm_model),
        "names a file twice": command(corpus_file, f"{output},{output}", spm_model),
        "expected at least 1": command(corpus_file, str(output), spm_model, "--max_predictions_per_seq=0"),
        "max_seq_length is 3": command(corpus_file, str(output), spm_model, "--max_seq_length=3"),
    }
    for message, arguments in cases.items():
        assert main(arguments) == 1, message
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert not output.parent.exists() or not any(output.parent.iterdir())
