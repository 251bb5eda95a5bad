"""The files of a tokenizer folder, in Hugging Face's layout.

The layout is `spiece.model` or `vocab.txt`, and `tokenizer_config.json`. `tokenizer.json` is written for
transformers and never read, so there is one source of truth.
"""

import json
from pathlib import Path
from typing import Any

from albert.errors import TokenizerError
from albert.text.pieces import Kind, PieceEncoder
from albert.text.sentencepiece import SentencePieceEncoder
from albert.text.wordpiece import WordPieceEncoder, read_vocabulary

CONFIG_NAME = "tokenizer_config.json"


def find_vocabulary(folder: Path) -> Path:
    """Return the path of the one vocabulary in a folder.

    It is `spiece.model`, the only other `*.model`, or `vocab.txt`.

    Raises:
        TokenizerError: There is no folder, no vocabulary, or more than one.
    """
    if not folder.is_dir():
        raise TokenizerError(f"{folder}: expected a folder with a tokenizer, found none")
    models = sorted(folder.glob("*.model"))
    if folder / "spiece.model" in models:
        models = [folder / "spiece.model"]
    found = [*models, *folder.glob("vocab.txt")]
    if not found:
        raise TokenizerError(
            f"{folder}: expected spiece.model (SentencePiece) or vocab.txt (WordPiece), found "
            "neither; copy it from where the model came from, or make one with `albert vocab`"
        )
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise TokenizerError(
            f"{folder}: expected one vocabulary, found {names}; keep the one that the model was trained with"
        )
    return found[0]


def read_encoder(path: Path, *, lower_case: bool, kind: Kind | None = None) -> PieceEncoder:
    """Read a vocabulary file into an encoder of its kind.

    Args:
        path: The file.
        lower_case: Whether texts are lower-cased.
        kind: Kind of the vocabulary; None: decide by the name of the file.

    Raises:
        TokenizerError: The file cannot be used, or lacks one of the special pieces.
    """
    encoder: PieceEncoder
    if kind is None:
        kind = "wordpiece" if path.name == "vocab.txt" else "sentencepiece"
    try:
        if kind == "wordpiece":
            encoder = WordPieceEncoder(read_vocabulary(path), lower_case=lower_case)
        else:
            encoder = SentencePieceEncoder(path.read_bytes(), lower_case=lower_case)
    except TokenizerError as error:
        where = "" if str(error).startswith(str(path)) else f"{path}: "
        raise TokenizerError(f"{where}{error}") from error
    known = set(encoder.vocabulary)
    missing = [piece for piece in encoder.special_pieces.values() if piece not in known]
    if missing:
        raise TokenizerError(
            f"{path}: expected the special pieces {', '.join(encoder.special_pieces.values())}, "
            f"found no {', '.join(missing)}; use an ALBERT vocabulary, or make one with "
            "`albert vocab`"
        )
    return encoder


def read_config(folder: Path) -> dict[str, Any]:
    """Return the content of `tokenizer_config.json`; empty if there is no such file.

    Raises:
        TokenizerError: The file is not a JSON object.
    """
    path = folder / CONFIG_NAME
    try:
        config = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise TokenizerError(f"{path}: expected JSON, found {error}; restore the file") from error
    if not isinstance(config, dict):
        raise TokenizerError(f"{path}: expected a JSON object; restore the file")
    return config
