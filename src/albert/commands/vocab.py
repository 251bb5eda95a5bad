"""`albert vocab`: a vocabulary from text, in a folder that all other commands take as tokenizer."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain, islice
from pathlib import Path
from typing import Any

from albert import console
from albert.commands.settings.vocab import VocabSettings
from albert.data.corpus.files import fewest_names
from albert.data.corpus.storage import write_whole
from albert.data.sentences import read_sentences
from albert.errors import RunError
from albert.text.cleaning import LEAST_LOST_MARKS, lost_marks
from albert.text.pieces import PieceEncoder
from albert.text.tokenizer import AlbertTokenizer
from albert.text.vocabulary import train_sentencepiece, train_wordpiece

__all__ = ["VocabSettings", "vocab"]

RECORD_NAME = "run.json"
"""File with the settings."""
_CHECKED_SENTENCES = 10_000
_READING_SETTINGS = ("splitting", "language", "column", "errors", "skip_bad")
"""Settings that `albert prepare` needs as well, to read the same text."""


def vocab(settings: VocabSettings) -> dict[str, Any]:
    """Make a vocabulary, unless the output folder already has it, and describe it, with the `next` command.

    Raises:
        DataError: The text cannot be read.
        TokenizerError: The text is empty, or too small for that many pieces.
        RunError: The output folder has another tokenizer, or other files.
    """
    record = {"command": "vocab", "settings": json.loads(json.dumps(asdict(settings), default=str))}
    if _is_finished(settings.output, record):
        console.say(f"{settings.output}: already finished, nothing to do")
        return _describe(AlbertTokenizer.from_pretrained(settings.output), settings)
    tokenizer = AlbertTokenizer(_train(settings))
    _write(settings.output, tokenizer, record)
    return _describe(tokenizer, settings)


def _write(output: Path, tokenizer: AlbertTokenizer, record: dict[str, Any]) -> None:
    """Write the folder under a temporary name first, so that an interrupted one does not look finished."""
    temporary = output.with_name(f".{output.name}.tmp")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        tokenizer.save_pretrained(temporary)
        write_whole(temporary / RECORD_NAME, json.dumps(record, indent=1).encode() + b"\n")
        temporary.rename(output)  # also replaces an empty folder
    except OSError as error:
        raise RunError(
            f"{output}: cannot be written ({error.strerror}); free space or choose another --output"
        ) from error


def _train(settings: VocabSettings) -> PieceEncoder:
    sentences = _announcing_choice(read_sentences(settings), settings)
    if not settings.keep_accents and (settings.kind == "sentencepiece" or settings.lower_case):
        sentences = _warning_of_lost_marks(sentences)
    if settings.kind == "wordpiece":
        return train_wordpiece(
            sentences,
            vocab_size=settings.vocab_size,
            lower_case=settings.lower_case,
            keep_accents=settings.keep_accents or None,
        )
    return train_sentencepiece(
        sentences,
        vocab_size=settings.vocab_size,
        lower_case=settings.lower_case,
        keep_accents=settings.keep_accents,
        sample_sentences=settings.sample_sentences,
        seed=settings.seed,
    )


def _announcing_choice(sentences: Iterator[str], settings: VocabSettings) -> Iterator[str]:
    """Yield the sentences; say what happens after the last one, which takes a while."""
    yield from sentences
    console.say(f"choosing {settings.vocab_size} pieces")


def _warning_of_lost_marks(sentences: Iterator[str]) -> Iterator[str]:
    """Yield the sentences; warn if cleaning takes many marks from the first of them."""
    first = list(islice(sentences, _CHECKED_SENTENCES))
    characters: Counter[str] = Counter()
    for sentence in first:
        characters.update(sentence)
    lost = lost_marks(characters)
    share = sum(lost.values()) / max(1, characters.total())
    if share >= LEAST_LOST_MARKS:
        examples = ", ".join(list(lost)[:10])
        console.warn(
            f"{share:.1%} of the characters lose an accent or another mark, as in the original: {examples}; "
            "if they tell words apart, use --keep-accents"
        )
    yield from chain(first, sentences)


def _is_finished(output: Path, record: dict[str, Any]) -> bool:
    """Whether the output folder has this very vocabulary; refuse a folder with anything else."""
    if output.exists() and not output.is_dir():
        raise RunError(f"{output}: is a file; choose a folder for --output")
    if not output.exists() or not any(output.iterdir()):
        return False
    try:
        earlier = json.loads((output / RECORD_NAME).read_bytes())["settings"]
    except FileNotFoundError:
        raise RunError(
            f"{output}: has other files in it; choose a new or empty folder for --output"
        ) from None
    except (ValueError, LookupError, TypeError) as error:
        raise RunError(f"{output / RECORD_NAME}: damaged ({error}); choose another --output") from error
    now = record["settings"]
    differing = [name for name in now if name != "output" and earlier.get(name) != now[name]]
    if differing:
        changes = ", ".join(f"{name} was {earlier.get(name)}, now {now[name]}" for name in differing)
        raise RunError(
            f"{output}: has a vocabulary made with other settings ({changes}); choose another --output or "
            "remove the folder"
        )
    return True


def _describe(tokenizer: AlbertTokenizer, settings: VocabSettings) -> dict[str, Any]:
    changed = console.changed_settings(settings)
    return {
        "output": str(settings.output),
        "kind": tokenizer.kind,
        "vocab_size": len(tokenizer),
        "lower_case": tokenizer.do_lower_case,
        "keep_accents": tokenizer.keep_accents,
        "fingerprint": tokenizer.fingerprint,
        "next": console.command_line(
            "prepare",
            input=fewest_names(settings.input),
            tokenizer=settings.output,
            output=settings.output.with_name("data"),
            **{name: changed[name] for name in _READING_SETTINGS if name in changed},
        ),
    }
