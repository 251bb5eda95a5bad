"""Finished model folders: weights, tokenizer, model card and run record together, replaced as a whole."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from albert.checkpoint.folder import write_json
from albert.checkpoint.layout import RUN_FILE
from albert.errors import TokenizerError
from albert.model.pretrained import Pretrained
from albert.text.tokenizer import AlbertTokenizer


def check_tokenizer(tokenizer: AlbertTokenizer, vocab_size: int, *, source: str) -> None:
    """Checks that a model with `vocab_size` embeddings and a tokenizer belong together.

    Raises:
        TokenizerError: They do not.
    """
    if tokenizer.vocab_size != vocab_size:
        raise TokenizerError(
            f"{source}: the model has {vocab_size} embeddings, its tokenizer {tokenizer.vocab_size} pieces; "
            "they do not belong together: use the tokenizer the model was trained with"
        )


def write_model_folder(
    folder: Path, model: Pretrained, tokenizer: AlbertTokenizer | None, *, card: str, record: dict[str, Any]
) -> None:
    """Writes a model folder as transformers expects it, in place of an older one.

    Args:
        folder: Replaced only when the new one is whole.
        model: Weights and configuration.
        tokenizer: Vocabulary; None for a model whose vocabulary nobody named.
        card: README.md.
        record: run.json.
    """
    with replacing_folder(folder) as temporary:
        model.save_pretrained(temporary)
        if tokenizer is not None:
            tokenizer.save_pretrained(temporary)
        (temporary / "README.md").write_text(card, encoding="utf-8")
        write_json(temporary / RUN_FILE, record)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Gives an empty folder beside `folder`; after the block it takes the place of `folder`."""
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
    """Returns the text of a model card.

    Args:
        title: Heading.
        description: A sentence on what the model is.
        task: Name of the Hub's pipeline, such as `fill-mask`.
        scores: Results on held-out data.
        record: The run's settings and versions.
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
            "Made by this command's settings:",
            "",
            "```json",
            json.dumps({"command": record["command"], "settings": record["settings"]}, indent=2),
            "```",
            "",
        ]
    )
