"""`python -m albert.create_pretraining_data`: `albert prepare --format tfrecord --style original`."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from absl.flags import FlagValues

from albert.commands.prepare import PrepareSettings, prepare
from albert.console import say
from albert.data.corpus.files import TEXT_SUFFIXES, has_suffix, total_bytes
from albert.data.corpus.storage import is_url
from albert.data.examples.settings import ExampleSettings, SentenceLoss
from albert.data.preparing import BYTES_PER_WORKER
from albert.data.settings import available_cores
from albert.errors import ConfigError, DataError, UsageError
from albert.legacy.inputs import find_inputs, names_in, read_tokenizer


def create_pretraining_data(flags: FlagValues) -> None:
    """Write masked examples of --input_file to --output_file.

    Raises:
        AlbertError: Text or vocabulary cannot be used, a file cannot be written, or a flag is wrong.
    """
    if _is_chinese(flags):
        say(
            "taken for albert_zh's script: whole words by jieba, no n-grams, its defaults; give --ngram for "
            "the original's"
        )
    outputs = _find_outputs(flags)
    inputs = find_inputs(flags.input_file, flag="input_file")
    if flags.max_predictions_per_seq < 1:
        raise ConfigError(
            f"--max_predictions_per_seq is {flags.max_predictions_per_seq}; expected at least 1"
        )
    outputs[0].parent.mkdir(parents=True, exist_ok=True)
    tokenizer = read_tokenizer(flags)
    # Next to the output, which has the space: the system's temporary folder may be in memory.
    with tempfile.TemporaryDirectory(dir=outputs[0].parent, prefix=f".{outputs[0].name}.") as name:
        work = Path(name)
        tokenizer.save_pretrained(work / "tokenizer")
        with _as_text(inputs, work / "text") as texts:
            counts = prepare(_settings(flags, texts, work, num_files=len(outputs)))
        made = sorted((work / "records").glob("train-*.tfrecord"))
        for path, output in zip(made, outputs, strict=True):
            output.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, output)
    say(f"wrote {counts['examples']:,} examples to {', '.join(map(str, outputs))}")


def _find_outputs(flags: FlagValues) -> list[Path]:
    """Return the files to write."""
    names = names_in(flags.output_file)
    if not names:
        raise UsageError("--output_file is empty; name the files to write, separated by commas")
    if remote := [name for name in names if is_url(name)]:
        raise ConfigError(f"--output_file: {remote[0]}: write to a local disk and copy the files")
    if folders := [name for name in names if Path(name).is_dir()]:
        raise ConfigError(f"--output_file: {folders[0]} is a folder; name a file")
    if len(set(names)) < len(names):
        raise ConfigError("--output_file names a file twice")
    return list(map(Path, names))


def _settings(flags: FlagValues, texts: list[str], work: Path, *, num_files: int) -> PrepareSettings:
    return PrepareSettings(
        input=tuple(texts),
        tokenizer=work / "tokenizer",
        output=str(work / "records"),
        workers=_workers(texts, flags.dupe_factor),
        splitting="lines",
        words="jieba" if _is_chinese(flags) and flags.do_whole_word_mask else "vocabulary",
        errors="replace" if "b" in flags.input_file_mode else "strict",
        held_out=0.0,
        format="tfrecord",
        tfrecord_files=num_files,
        seed=flags.random_seed,
        examples=ExampleSettings(
            style="original",
            max_seq_length=flags.max_seq_length,
            short_seq_prob=flags.short_seq_prob,
            sentence_loss=_sentence_loss(flags),
            masked_lm_prob=flags.masked_lm_prob,
            max_predictions_per_seq=flags.max_predictions_per_seq,
            max_ngram=flags.ngram,
            favor_shorter_ngram=flags.favor_shorter_ngram,
            whole_words=flags.do_whole_word_mask,
            permutation=flags.do_permutation,
            dupe_factor=flags.dupe_factor,
        ),
    )


def _is_chinese(flags: FlagValues) -> bool:
    """Return whether the flags are those of albert_zh, for Chinese text."""
    return "non_chinese" in flags and not flags.non_chinese


def _sentence_loss(flags: FlagValues) -> SentenceLoss:
    if flags.random_next_sentence:
        return "nsp"
    # albert_zh made no pairs of lone sentences and random ones.
    return "sop" if "non_chinese" in flags else "sop-random"


def _workers(texts: list[str], passes: int) -> int:
    """Return the number of processes: at most one a core, and fewer for small texts."""
    worth = (total_bytes(texts) or 0) * passes // BYTES_PER_WORKER
    return min(available_cores(), 1 + worth)


@contextmanager
def _as_text(paths: list[str], folder: Path) -> Iterator[list[str]]:
    """Yield the files under names that mark them as text; errors in the block name the real files.

    The original read every file as text, `wiki_00` as well as `part.jsonl`.
    """
    links: dict[str, str] = {}
    texts = []
    for number, path in enumerate(paths):
        if is_url(path) or has_suffix(path, TEXT_SUFFIXES):
            texts.append(path)
            continue
        folder.mkdir(exist_ok=True)
        link = folder / f"{number:05}.txt"
        link.symlink_to(Path(path).resolve())
        links[str(link)] = path
        texts.append(str(link))
    try:
        yield texts
    except DataError as error:
        message = str(error)
        for link_name, path in links.items():
            message = message.replace(link_name, path)
        raise DataError(message) from error
