"""`albert prepare --format tfrecord`, and pretraining on the files it writes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from albert.commands.prepare import PrepareSettings, prepare
from albert.commands.pretrain import pretrain
from albert.data.batches import PretrainingBatch
from albert.data.examples.masked_text import MaskedText
from albert.data.examples.masking import vocabulary_of
from albert.data.examples.settings import ExampleSettings
from albert.data.examples.stream import Examples
from albert.data.shards.folder import open_prepared
from albert.data.tfrecord.examples import TfrecordExamples, find_record_files
from albert.data.tfrecord.files import RecordFile
from albert.errors import ConfigError, RunError
from albert.pretraining.settings import PretrainSettings
from albert.text.tokenizer import AlbertTokenizer
from albert.training.settings import LoopSettings, OptimizerSettings

EXAMPLES = ExampleSettings(style="original", max_seq_length=32, dupe_factor=3)


@pytest.fixture
def settings(corpus_file: Path, tokenizer_folder: Path, tmp_path: Path) -> PrepareSettings:
    return PrepareSettings(
        input=(str(corpus_file),),
        tokenizer=tokenizer_folder,
        output=str(tmp_path / "records"),
        workers=1,
        splitting="lines",
        held_out=0.2,
        format="tfrecord",
        tfrecord_files=2,
        examples=EXAMPLES,
    )


def read_in_order(path: Path) -> list[bytes]:
    file = RecordFile(path)
    return [bytes(file.read(start)) for start in file.find_starts().tolist()]


def test_records_are_the_examples_of_all_passes_and_go_to_the_files_in_turn(
    settings: PrepareSettings,
) -> None:
    counts = prepare(settings)
    output = Path(settings.output)
    files = sorted(output.glob("train-*.tfrecord"))
    assert [file.name for file in files] == [f"train-0000{n}-of-00002.tfrecord" for n in range(2)]
    sizes = [len(read_in_order(file)) for file in files]
    assert sum(sizes) == counts["examples"]
    assert sizes[0] - sizes[1] in (0, 1)

    tokenizer = AlbertTokenizer.from_pretrained(output / "shards")
    source = MaskedText(
        data=open_prepared(output / "shards"),
        vocabulary=vocabulary_of(tokenizer, EXAMPLES),
        settings=EXAMPLES,
    )
    made = PretrainingBatch.join(
        [b for epoch in range(3) for b in Examples(source).one_pass(64, epoch=epoch)]
    )
    stored = TfrecordExamples(paths=files, vocab_size=tokenizer.vocab_size, max_seq_length=32)
    read = PretrainingBatch.join(list(Examples(stored).one_pass(64)))
    assert len(read) == len(made) == counts["examples"]

    def rows(batch: PretrainingBatch) -> list[tuple[bytes, int]]:
        parts = [batch.take(n, n + 1) for n in range(len(batch))]
        return sorted(
            (b"|".join(np.ascontiguousarray(array).tobytes() for array in vars(part).values()), len(part))
            for part in parts
        )

    assert rows(read) == rows(made)


def test_finished_records_are_left_alone_and_other_settings_refused(settings: PrepareSettings) -> None:
    first = prepare(settings)
    file = next(Path(settings.output).glob("train-*.tfrecord"))
    before = file.stat().st_mtime_ns
    again = prepare(settings)
    assert again["examples"] == first["examples"]
    assert file.stat().st_mtime_ns == before
    with pytest.raises(RunError, match=r"other settings .*seed"):
        prepare(replace(settings, seed=1))


def test_finished_records_of_the_previous_version_are_left_alone(settings: PrepareSettings) -> None:
    first = prepare(settings)
    record = Path(settings.output) / "tfrecords.json"
    text = record.read_text()
    for name, value in {"sentence_loss": "sop-random", "word_rule": "english"}.items():
        assert f'"{name}": "{value}"' in text
        text = text.replace(f'"{name}": "{value}"', f'"{name}": "original"')
    record.write_text(text)
    file = next(Path(settings.output).glob("train-*.tfrecord"))
    before = file.stat().st_mtime_ns
    assert prepare(settings)["examples"] == first["examples"]
    assert file.stat().st_mtime_ns == before


def test_files_without_their_record_are_written_again(settings: PrepareSettings) -> None:
    prepare(settings)
    output = Path(settings.output)
    whole = {file.name: file.read_bytes() for file in output.glob("*.tfrecord")}
    (output / "tfrecords.json").unlink()
    (output / "train-00001-of-00002.tfrecord").unlink()
    prepare(settings)
    assert {file.name: file.read_bytes() for file in output.glob("*.tfrecord")} == whole


def test_records_cannot_be_written_to_a_url(settings: PrepareSettings) -> None:
    with pytest.raises(ConfigError, match="local folder"):
        prepare(replace(settings, output="memory://records"))


def test_a_model_is_pretrained_on_records_and_evaluated_on_others(
    settings: PrepareSettings, tiny_config: Path, tmp_path: Path
) -> None:
    prepare(settings)
    output = Path(settings.output)
    run = PretrainSettings(
        data=tuple(sorted(output.glob("train-*"))),
        tokenizer=output / "shards",
        eval_data=(output / "held-out.tfrecord",),
        output=tmp_path / "run",
        config=tiny_config,
        examples=ExampleSettings(max_seq_length=32),
        optimizer=OptimizerSettings(warmup_steps=1),
        loop=LoopSettings(max_steps=4, batch_size=8, save_steps=2, eval_steps=4, log_steps=2, device="cpu"),
    )
    result = pretrain(run)
    assert result["steps"] == 4
    assert 0 < result["masked_lm_loss"] < 10
    with pytest.raises(ConfigError, match="--tokenizer"):
        pretrain(replace(run, tokenizer=None))


def test_a_folder_of_records_names_its_files(settings: PrepareSettings) -> None:
    prepare(settings)
    found = find_record_files([settings.output])
    assert [path.name for path in found] == ["held-out.tfrecord"] + [
        f"train-0000{n}-of-00002.tfrecord" for n in range(2)
    ]
