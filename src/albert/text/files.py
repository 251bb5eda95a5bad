"""The files of a tokenizer folder, in Hugging Face's layout.

The layout is `spiece.model` or `vocab.txt`, and `tokenizer_config.json`. `tokenizer.json` is written for
transformers, and read only where there is no vocabulary, so there is one source of truth.
`settings` reads the configuration.
"""

from pathlib import Path

from albert.errors import TokenizerError
from albert.text.pieces import Kind, PieceEncoder
from albert.text.sentencepiece import SentencePieceEncoder
from albert.text.settings import (
    TOKENIZER_NAME,
    TokenizerSettings,
    check_special_tokens,
    read_settings,
)
from albert.text.wordpiece import WordPieceEncoder, read_vocabulary


def find_vocabulary(folder: Path) -> Path:
    """Return the path of the one vocabulary in a folder.

    It is `spiece.model`, the only other `*.model`, or `vocab.txt`; without these, `tokenizer.json`.

    Raises:
        TokenizerError: There is no folder, no vocabulary, or more than one.
    """
    if not folder.is_dir():
        raise TokenizerError(
            f"{folder}: expected a folder with a tokenizer, found {'a file' if folder.is_file() else 'none'}"
            "; make one with `albert vocab`"
        )
    found = _vocabularies(folder)
    if not found:
        raise TokenizerError(
            f"{folder}: expected spiece.model (SentencePiece), vocab.txt (WordPiece) or {TOKENIZER_NAME}, "
            "found none; copy it from where the model came from, or make one with `albert vocab`"
        )
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise TokenizerError(
            f"{folder}: expected one vocabulary, found {names}; keep the one that the model was trained with"
        )
    return found[0]


def has_vocabulary(folder: Path) -> bool:
    """Whether there is a file that can be a vocabulary in the folder."""
    return bool(_vocabularies(folder))


def _vocabularies(folder: Path) -> list[Path]:
    """Return the files that can be the vocabulary of the folder; the preferred one alone, if it is there."""
    models = sorted(folder.glob("*.model"))
    if folder / "spiece.model" in models:
        models = [folder / "spiece.model"]
    return [*models, *folder.glob("vocab.txt")] or [*folder.glob(TOKENIZER_NAME)]


def read_folder(folder: Path, *, lower_case: bool | None = None) -> tuple[PieceEncoder, TokenizerSettings]:
    """Read the encoder of a tokenizer folder, added tokens included, and its settings.

    Args:
        folder: The folder.
        lower_case: Whether texts are lower-cased; None: as the folder says.

    Raises:
        TokenizerError: The folder has no vocabulary, several, or a setting that is not supported.
    """
    path = find_vocabulary(folder)
    settings = read_settings(folder, kind_of(path))
    lower = settings.lower_case if lower_case is None else lower_case
    encoder = read_encoder(path, lower_case=lower, keep_accents=settings.keep_accents)
    if lower_case not in {None, encoder.lower_case}:
        raise TokenizerError(
            f"{path}: lower-casing is a part of the file and cannot be changed; drop do_lower_case"
        )
    check_special_tokens(folder, encoder.special_pieces)
    if settings.adds_tokens and path.name != TOKENIZER_NAME:
        # Imported here: few folders need the library `tokenizers`.
        from albert.text.added_tokens import with_added_tokens

        encoder = with_added_tokens(encoder, folder)
    return encoder, settings


def kind_of(path: Path) -> Kind:
    """Return the kind of a vocabulary by the name of its file."""
    return "wordpiece" if path.suffix == ".txt" else "sentencepiece"


def read_encoder(
    path: Path, *, lower_case: bool, keep_accents: bool | None = None, kind: Kind | None = None
) -> PieceEncoder:
    """Read a vocabulary file into an encoder of its kind.

    Args:
        path: The file.
        lower_case: Whether texts are lower-cased.
        keep_accents: Whether accents stay; None: as in the original, only in WordPiece without lower-casing.
        kind: Kind of the vocabulary; None: decide by the name of the file.

    Raises:
        TokenizerError: The file cannot be used, or lacks one of the special pieces.
    """
    encoder: PieceEncoder
    if path.name == TOKENIZER_NAME:
        return _read_tokenizers_encoder(path)
    if kind is None:
        kind = kind_of(path)
    try:
        if kind == "wordpiece":
            encoder = WordPieceEncoder(
                read_vocabulary(path), lower_case=lower_case, keep_accents=keep_accents
            )
        else:
            encoder = SentencePieceEncoder(
                path.read_bytes(), lower_case=lower_case, keep_accents=bool(keep_accents)
            )
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


def _read_tokenizers_encoder(path: Path) -> PieceEncoder:
    # Imported here: few folders need the library `tokenizers`.
    from albert.text.tokenizers_encoder import TokenizersEncoder

    try:
        return TokenizersEncoder.read(path.read_bytes())
    except TokenizerError as error:
        raise TokenizerError(f"{path}: {error}") from error
