"""Model folders with weights, tokenizer, model card and run record, replaced as a whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from albert.console import say
from albert.errors import CheckpointError, TokenizerError
from albert.text.tokenizer import AlbertTokenizer
from albert.writing import write_json

if TYPE_CHECKING:
    from albert.model.pretrained import Pretrained


def refuse_filled(output: Path) -> None:
    """Refuse an output folder with files in it.

    Raises:
        CheckpointError: It has some, or is a file.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise CheckpointError(f"{output}: exists and is not empty; choose another output folder")


def refuse_larger_tokenizer(tokenizer: AlbertTokenizer, vocab_size: int, *, source: str) -> None:
    """Check that a tokenizer fits a model with `vocab_size` embeddings.

    Raises:
        TokenizerError: The tokenizer has tokens without an embedding.
    """
    if len(tokenizer) > vocab_size:
        raise TokenizerError(
            f"{source}: the model has {vocab_size} embeddings, its tokenizer {len(tokenizer)} tokens; "
            "they do not fit: use the tokenizer with which the model was trained"
        )


def check_tokenizer(tokenizer: AlbertTokenizer, vocab_size: int, *, source: str) -> None:
    """Check that a tokenizer fits a model with `vocab_size` embeddings; report embeddings without a token.

    Tables are often padded, to a multiple of 64 for instance.

    Raises:
        TokenizerError: The tokenizer has tokens without an embedding.
    """
    refuse_larger_tokenizer(tokenizer, vocab_size, source=source)
    if len(tokenizer) < vocab_size:
        say(
            f"{source}: the model has {vocab_size} embeddings, its tokenizer {len(tokenizer)} tokens; "
            f"the last {vocab_size - len(tokenizer)} embeddings are not used"
        )


def write_model_folder(
    folder: Path, model: Pretrained, tokenizer: AlbertTokenizer | None, *, card: str, record: dict[str, Any]
) -> None:
    """Write a model folder as transformers expects it, and replace an older one.

    Args:
        folder: Path of the folder; an old one is replaced when the new one is complete.
        model: Weights and configuration.
        tokenizer: The vocabulary; None if it is not known.
        card: Text of README.md.
        record: Content of run.json.
    """
    from albert.checkpoint.layout import RUN_FILE

    with replacing_folder(folder) as temporary:
        model.save_pretrained(temporary)
        if tokenizer is not None:
            tokenizer.save_pretrained(temporary)
        (temporary / "README.md").write_text(card, encoding="utf-8")
        write_json(temporary / RUN_FILE, record)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder next to `folder`, which replaces `folder` after the block."""
    temporary, old = folder.with_name(f".{folder.name}.tmp"), folder.with_name(f".{folder.name}.old")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    yield temporary
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    temporary.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def model_card(
    title: str, *, description: str, task: str, scores: dict[str, float], record: dict[str, Any]
) -> str:
    """Return the text of a model card.

    Args:
        title: Heading.
        description: A sentence about the model.
        task: Name of the pipeline on the Hub, such as `fill-mask`.
        scores: Results on held-out data.
        record: Settings and versions of the run.
    """
    rows = [f"| {name.replace('_', ' ')} | {value:.4f} |" for name, value in scores.items()]
    return "\n".join(
        [
            "---",
            "library_name: transformers",
            f"pipeline_tag: {task}",
            "tags: [albert]",
            "---",
            "",
            f"# {title}",
            "",
            description,
            "",
            *(["| held-out score | value |", "|---|---|", *rows, ""] if rows else []),
            "Made with this command and these settings:",
            "",
            "```json",
            json.dumps({"command": record["command"], "settings": record["settings"]}, indent=2),
            "```",
            "",
        ]
    )
