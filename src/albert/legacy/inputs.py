"""What the scripts' flags name: files, by lists of globs, and a vocabulary."""

import glob
from pathlib import Path

from absl.flags import FlagValues

from albert.data.corpus.storage import is_url
from albert.errors import DataError, TokenizerError
from albert.text.files import read_encoder
from albert.text.pieces import Kind
from albert.text.tokenizer import AlbertTokenizer


def names_in(text: str) -> list[str]:
    """Return the parts of a comma-separated list."""
    return [name for part in text.split(",") if (name := part.strip())]


def find_inputs(patterns: str, *, flag: str) -> list[str]:
    """Return the files of a comma-separated list of paths and globs, in its order; those of a glob by name.

    Raises:
        DataError: A path or a glob matches no file.
    """
    found: list[str] = []
    for pattern in names_in(patterns):
        # Path.glob refuses absolute patterns.
        matches = [pattern] if is_url(pattern) else sorted(glob.glob(pattern))  # noqa: PTH207
        matches = [match for match in matches if not Path(match).is_dir()]
        if not matches:
            raise DataError(f"--{flag}: {pattern} matches no file")
        found += matches
    if not found:
        raise DataError(f"--{flag} is empty; name files or globs, separated by commas")
    return found


def read_tokenizer(flags: FlagValues) -> AlbertTokenizer:
    """Return the tokenizer of --spm_model_file or, without it, of --vocab_file.

    Raises:
        TokenizerError: The file is missing, or is not such a vocabulary.
    """
    name = flags.spm_model_file or flags.vocab_file
    path, flag = Path(name), "spm_model_file" if flags.spm_model_file else "vocab_file"
    if not path.is_file():
        raise TokenizerError(f"--{flag}: {path}: no such file")
    kind: Kind = "sentencepiece" if flags.spm_model_file else "wordpiece"
    return AlbertTokenizer(read_encoder(path, lower_case=flags.do_lower_case, kind=kind))
