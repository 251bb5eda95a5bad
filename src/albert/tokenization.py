"""Names of the original's module `tokenization` that other people's code imports."""

from pathlib import Path
from typing import Any

from albert.legacy.moved import refuse
from albert.text.tokenizer import AlbertTokenizer

_MOVED = {
    "BasicTokenizer": "albert.AlbertTokenizer cleans and splits words",
    "WordpieceTokenizer": "albert.AlbertTokenizer splits words into pieces",
    "encode_ids": "AlbertTokenizer.encode_sentences",
    "encode_pieces": "AlbertTokenizer.tokenize",
    "load_vocab": "AlbertTokenizer.get_vocab",
    "preprocess_text": "AlbertTokenizer cleans every text that it encodes",
    "validate_case_matches_checkpoint": "a model folder says whether texts are lower-cased",
}


class FullTokenizer(AlbertTokenizer):
    """The tokenizer of a vocabulary, with the arguments of the original's; tokens spelled in a text are text.

    Args:
        vocab_file: WordPiece vocabulary; not read if `spm_model_file` is given.
        do_lower_case: Whether texts are lower-cased.
        spm_model_file: SentencePiece model.
    """

    def __init__(
        self,
        vocab_file: str | Path | None,
        do_lower_case: bool = True,
        spm_model_file: str | Path | None = None,
    ) -> None:
        file = spm_model_file or vocab_file
        super().__init__(str(file), do_lower_case=do_lower_case, split_special_tokens=True)


def convert_to_unicode(text: str | bytes) -> str:
    """Return a text, or bytes in UTF-8 without what is none, as text."""
    return text if isinstance(text, str) else text.decode("utf-8", "ignore")


printable_text = convert_to_unicode


def __getattr__(name: str) -> Any:
    return refuse(__name__, name, _MOVED)
