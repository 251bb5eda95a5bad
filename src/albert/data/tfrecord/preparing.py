"""Prepared text as the original's files of masked examples: `albert prepare --format tfrecord`.

OUTPUT/shards/ is the prepared text, as without --format, with the tokenizer. OUTPUT/train-*.tfrecord have
the examples of all passes over the text, which go to the files in turn, OUTPUT/held-out.tfrecord has one
pass over the documents kept for evaluation. OUTPUT/tfrecords.json, with settings and counts, is written
last. Ten
passes take over ten times the room of the shards, so this is for programs that need such files.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from albert import console
from albert.choices import SplitName
from albert.data.corpus import storage
from albert.data.examples.masked_text import MaskedText
from albert.data.examples.masking import vocabulary_of
from albert.data.examples.settings import ExampleSettings
from albert.data.examples.stream import Examples
from albert.data.shards.folder import PreparedData, open_prepared
from albert.data.tfrecord.examples import TfrecordWriter
from albert.errors import ConfigError, RunError
from albert.renamed import rename_settings
from albert.text.tokenizer import AlbertTokenizer

SHARDS_FOLDER = "shards"
RECORD_NAME = "tfrecords.json"
DEFAULT_PASSES = 10
"""Ten passes did as well as the original's forty: google-research/albert, issue 84."""
BATCH_EXAMPLES = 256


def write_tfrecords(
    output: Path, settings: ExampleSettings, *, num_files: int, seed: int, workers: int
) -> dict[str, Any]:
    """Write the examples of the prepared text in OUTPUT/shards, unless they exist, and return their counts.

    Raises:
        DataError: A shard is damaged, or a file cannot be written.
        RunError: The folder has examples made with other settings.
    """
    settings = settings.filled()
    data = open_prepared(output / SHARDS_FOLDER)
    tokenizer = AlbertTokenizer.from_pretrained(output / SHARDS_FOLDER)
    passes = settings.dupe_factor or DEFAULT_PASSES
    job = {
        "data": data.fingerprint,
        "examples": asdict(settings),
        "passes": passes,
        "files": num_files,
        "seed": seed,
    }
    earlier = _read_record(output, job)
    if earlier is not None:
        console.say(f"{output}: already finished, nothing to do")
        return earlier
    train = train_files(output, num_files)
    counts = {"passes": passes}
    counts |= _write_split(
        data, tokenizer, settings, train, split="train", passes=passes, seed=seed, workers=workers
    )
    if data.tokens("held-out"):
        held_out = [output / "held-out.tfrecord"]
        counts["held_out_examples"] = _write_split(
            data, tokenizer, settings, held_out, split="held-out", passes=1, seed=seed, workers=1
        )["examples"]
    content = json.dumps({"job": job, "counts": counts}, indent=1).encode() + b"\n"
    storage.write_whole(output / RECORD_NAME, content)
    return counts


def train_files(output: Path, num_files: int) -> list[Path]:
    """Return the paths of the files with the examples to train on."""
    return [output / f"train-{number:05}-of-{num_files:05}.tfrecord" for number in range(num_files)]


def max_predictions(settings: ExampleSettings) -> int:
    """Return the number of predictions for which a record has room."""
    cap = settings.max_predictions_per_seq or max(1, round(settings.max_seq_length * settings.masked_lm_prob))
    return cap * (2 if settings.permutation else 1)


def _write_split(
    data: PreparedData,
    tokenizer: AlbertTokenizer,
    settings: ExampleSettings,
    paths: Sequence[Path],
    *,
    split: SplitName,
    passes: int,
    seed: int,
    workers: int,
) -> dict[str, int]:
    """Write all passes over one split, and return the number of examples and tokens."""
    vocabulary = vocabulary_of(tokenizer, settings)
    source = MaskedText(data=data, vocabulary=vocabulary, settings=settings, seed=seed, split=split)
    examples = Examples(source, workers=workers)
    expected = passes * examples.estimate_per_epoch()
    found = {"examples": 0, "tokens": 0, "predictions": 0}
    with (
        console.progress(f"writing {split} examples", total=expected) as progress,
        TfrecordWriter(
            paths, max_seq_length=settings.max_seq_length, max_predictions=max_predictions(settings)
        ) as writer,
    ):
        for epoch in range(passes):
            for batch in examples.one_pass(BATCH_EXAMPLES, epoch=epoch):
                writer.add(batch)
                progress.advance(len(batch))
                found["examples"] += len(batch)
                found["tokens"] += len(batch.input_ids)
                found["predictions"] += len(batch.masked_positions)
    return found


def _read_record(output: Path, job: dict[str, Any]) -> dict[str, Any] | None:
    """Return the counts of this very job if it is finished; refuse a folder of another one."""
    path = output / RECORD_NAME
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_bytes())
        earlier, counts = rename_settings(dict(record["job"])), dict(record["counts"])
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path}: damaged ({error!r}); remove it to write the examples again") from error
    differing = [name for name in job if earlier.get(name) != json.loads(json.dumps(job[name]))]
    if differing:
        raise RunError(
            f"{output}: has examples made with other settings ({', '.join(differing)}); choose another "
            "--output, or remove the .tfrecord files and tfrecords.json to make them again from the shards"
        )
    return counts


def check_output(output: str) -> None:
    """Raise ConfigError unless the folder is on a local disk."""
    if storage.is_url(output):
        raise ConfigError(
            f"{output}: examples are made from shards that are mapped into memory; write TFRecord files to "
            "a local folder and copy them"
        )
