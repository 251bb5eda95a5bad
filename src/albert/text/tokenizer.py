"""Text to the ids an ALBERT model takes, and back: one class for both kinds of vocabulary.

Names and arguments are those of transformers, ids those of the original, and `token_type_ids` are always
returned. Cleaning is part of it, so no caller can forget it.

Special tokens in a text: a call reads them unless `split_special_tokens` is True, as in transformers; the
methods for corpora (`encode_sentences` and its relatives) always take them for plain text.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from albert.errors import TokenizerError
from albert.hub import local_path
from albert.text.chinese import ChineseWords
from albert.text.encoding import OFFSETS, WORDS, Encoding, Padding, Tensors, pad, pair_up, stack
from albert.text.files import read_folder
from albert.text.pieces import Kind, Piece, PieceEncoder
from albert.text.settings import DEFAULT_MAX_LENGTH, accent_settings
from albert.text.truncation import Truncation, truncate
from albert.text.words import word_rule

# A token's id, its range in the raw text, which an added special token lacks, and the number of its word in a
# text that is split into words.
_Located = tuple[int, tuple[int, int], int | None]
_NOWHERE = (0, 0)


class AlbertTokenizer:
    """A vocabulary with its cleaning, its special tokens and its longest sequence.

    Args:
        encoder: The vocabulary, which cleans and cuts texts.
        model_max_length: Tokens of the longest sequence.
        split_special_tokens: Whether special tokens spelled in a text are plain text; see `__call__`.
    """

    def __init__(
        self,
        encoder: PieceEncoder,
        *,
        model_max_length: int = DEFAULT_MAX_LENGTH,
        split_special_tokens: bool = False,
    ) -> None:
        self._encoder = encoder
        self.model_max_length = model_max_length
        self.split_special_tokens = split_special_tokens
        special = encoder.special_pieces
        self.pad_token, self.pad_token_id = self._special(special["pad_token"])
        self.unk_token, self.unk_token_id = self._special(special["unk_token"])
        self.cls_token, self.cls_token_id = self._special(special["cls_token"])
        self.sep_token, self.sep_token_id = self._special(special["sep_token"])
        self.mask_token, self.mask_token_id = self._special(special["mask_token"])
        # The mask includes the space before it, because it replaces a token that starts with one.
        self._mask_pattern = re.compile(rf"\s*({re.escape(self.mask_token)})")
        others = "|".join(re.escape(x) for x in special.values() if x != self.mask_token)
        self._special_pattern = re.compile(rf"{self._mask_pattern.pattern}|({others})")

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        *,
        do_lower_case: bool | None = None,
        split_special_tokens: bool | None = None,
    ) -> "AlbertTokenizer":
        """Read the tokenizer of a model folder.

        Args:
            folder: Holds `spiece.model` (or one `*.model`), `vocab.txt` or `tokenizer.json`, and maybe
                `tokenizer_config.json` and `added_tokens.json`; or the id of a model on the Hub.
            do_lower_case: Overrides the folder's setting; without either, texts are lower-cased.
            split_special_tokens: Overrides the folder's setting; without either it is False.

        Raises:
            TokenizerError: The folder has no vocabulary, several, or one that cannot be used.
            CheckpointError: There is no such folder, here or on the Hub.
        """
        folder = local_path(folder)
        encoder, settings = read_folder(folder, lower_case=do_lower_case)
        if split_special_tokens is None:
            split_special_tokens = settings.split_special_tokens
        limit = settings.model_max_length
        return cls(encoder, model_max_length=limit, split_special_tokens=split_special_tokens)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the vocabulary, `tokenizer.json` and `tokenizer_config.json` into a folder.

        transformers reads the folder unchanged and returns the same ids and segment ids.

        Raises:
            TokenizerError: The folder holds another vocabulary, which would be read instead of this one.
        """
        # Imported here: only writing needs the library `tokenizers`.
        from albert.text.transformers_files import write_transformers_files

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        name, content = self._encoder.file()
        (folder / name).write_bytes(content)
        write_transformers_files(
            folder,
            self._encoder,
            model_max_length=self.model_max_length,
            split_special_tokens=self.split_special_tokens,
        )
        if AlbertTokenizer.from_pretrained(folder).fingerprint != self.fingerprint:
            raise TokenizerError(
                f"{folder}: holds another vocabulary, which is read instead of the {name} just written; "
                "choose another folder, or remove the files of the other"
            )

    @property
    def kind(self) -> Kind:
        """The kind of the vocabulary."""
        return self._encoder.kind

    @property
    def do_lower_case(self) -> bool:
        """Whether texts are lower-cased before they are cut into pieces."""
        return self._encoder.lower_case

    @property
    def keep_accents(self) -> bool:
        """Whether accents and other combining marks stay."""
        return self._encoder.keep_accents

    @property
    def vocab_size(self) -> int:
        """The number of pieces, V."""
        return len(self._encoder.vocabulary)

    def __len__(self) -> int:
        return self.vocab_size

    @property
    def all_special_tokens(self) -> list[str]:
        """The special tokens, in the order of `all_special_ids`."""
        return [self._encoder.vocabulary[id_] for id_ in self.all_special_ids]

    @property
    def all_special_ids(self) -> list[int]:
        """The ids of the special tokens, ascending."""
        return sorted(map(self._encoder.id_of, self._encoder.special_pieces.values()))

    @property
    def fingerprint(self) -> str:
        """The hex digest of everything that determines the ids of a corpus."""
        _, content = self._encoder.file()
        accents = accent_settings(self.kind, lower_case=self.do_lower_case, keep_accents=self.keep_accents)
        settings = "".join(f"{name} {value} " for name, value in accents.items())
        digest = hashlib.sha256(f"{self.kind} {self.do_lower_case} {settings}".encode())
        digest.update(content)
        return digest.hexdigest()

    @property
    def word_start_table(self) -> npt.NDArray[np.bool_]:
        """Whether each piece starts a word when whole words are masked, (V,)."""
        return np.array([self._encoder.opens_word(piece) for piece in self._encoder.vocabulary])

    def get_vocab(self) -> dict[str, int]:
        """Return the id of every piece."""
        return {piece: id_ for id_, piece in enumerate(self._encoder.vocabulary)}

    def encode_sentences(self, sentences: list[str]) -> list[list[int]]:
        """Return the ids of many texts without adding special tokens; faster than calling the tokenizer.

        For corpora and all other user data: a special token spelled in the text is plain text.
        """
        return self._encoder.encode(sentences)

    def encode_flat(self, sentences: list[str]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Return the ids of `encode_sentences` end to end, (N,), and the length of each text, (B,)."""
        return self._encoder.encode_flat(sentences)

    def encode_sentences_with_offsets(self, sentences: list[str]) -> list[list[Piece]]:
        """Return the pieces of many texts with their ranges in the raw text; ids as by `encode_sentences`."""
        return [self._encoder.encode_aligned(sentence) for sentence in sentences]

    def encode_sentences_with_words(self, sentences: list[str]) -> tuple[list[list[int]], list[list[bool]]]:
        """Return the ids of `encode_sentences`, and for every piece whether it starts a word.

        In Chinese a segmenter finds the words, elsewhere the rule "unicode" of `words`.

        Raises:
            ConfigError: The segmenter is not installed.
        """
        return self._chinese_words.encode(sentences)

    def encode_with_masks(self, text: str) -> list[int]:
        """Return the ids of a text without adding special tokens; only the mask is read, for fill-mask."""
        return [id_ for id_, _, _ in self._locate(text, self._mask_pattern, offsets=False)]

    def tokenize(self, text: str, *, split_special_tokens: bool | None = None) -> list[str]:
        """Return the tokens of a text; see `__call__` for `split_special_tokens`."""
        return [piece.text for piece in self._pieces(text, self._pattern(split_special_tokens))]

    def encode(
        self,
        text: str,
        text_pair: str | None = None,
        *,
        add_special_tokens: bool = True,
        split_special_tokens: bool | None = None,
    ) -> list[int]:
        """Return the ids of a text or a pair; the arguments are those of `__call__`."""
        encoding = self(
            text,
            text_pair,
            add_special_tokens=add_special_tokens,
            split_special_tokens=split_special_tokens,
        )
        ids: list[int] = encoding["input_ids"]
        return ids

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
        """Return the text of ids; what cleaning removed is not restored."""
        special = set(self.all_special_ids) if skip_special_tokens else set()
        kept = [int(id_) for id_ in token_ids]
        return self._encoder.join([self._piece(id_) for id_ in kept if id_ not in special])

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """Return the text of tokens."""
        return self._encoder.join(list(tokens))

    @overload
    def convert_ids_to_tokens(self, ids: int) -> str: ...
    @overload
    def convert_ids_to_tokens(self, ids: Sequence[int]) -> list[str]: ...
    def convert_ids_to_tokens(self, ids: int | Sequence[int]) -> str | list[str]:
        """Return the token of an id, or of every id of a list."""
        if isinstance(ids, int):
            return self._piece(ids)
        return [self._piece(int(id_)) for id_ in ids]

    @overload
    def convert_tokens_to_ids(self, tokens: str) -> int: ...
    @overload
    def convert_tokens_to_ids(self, tokens: list[str]) -> list[int]: ...
    def convert_tokens_to_ids(self, tokens: str | list[str]) -> int | list[int]:
        """Return the id of a token, or of every token of a list; the unknown token's if there is none."""
        if isinstance(tokens, str):
            return self._encoder.id_of(tokens)
        return [self._encoder.id_of(token) for token in tokens]

    def __call__(
        self,
        text: str | Sequence[Any],
        text_pair: str | Sequence[Any] | None = None,
        *,
        add_special_tokens: bool = True,
        is_split_into_words: bool = False,
        truncation: bool | Truncation = False,
        padding: bool | Padding = False,
        max_length: int | None = None,
        return_tensors: Tensors | None = None,
        return_offsets_mapping: bool = False,
        split_special_tokens: bool | None = None,
    ) -> Encoding:
        """Encode one text, one pair, or a list of either.

        Args:
            text: First text, or a list of first texts.
            text_pair: Second text, or a list of as many.
            add_special_tokens: Whether to add [CLS] and [SEP]: `[CLS] text [SEP]` and
                `[CLS] text [SEP] pair [SEP]`.
            is_split_into_words: Whether a text is a list of words, which are encoded one by one; then
                `word_ids` of the result gives the word of each token, and offsets are those in the word.
            truncation: Whether to shorten to `max_length`; True is `longest_first`, which removes tokens from
                the end of the longer text, or of the second if they are equal, like the original.
            padding: True is `longest`: up to the longest row; `max_length`: up to `max_length`.
            max_length: Tokens of a sequence; `model_max_length` by default.
            return_tensors: `np` for int64 arrays, `pt` for torch tensors, (B, T).
            return_offsets_mapping: Adds `offset_mapping`: the raw characters `(start, end)` of every
                token; `(0, 0)` for an added special token, and `start == end` for a lone space.
            split_special_tokens: Whether a special token spelled in a text, such as "[SEP]", is plain text;
                otherwise it becomes the special token. None for the tokenizer's setting.

        Returns:
            `input_ids`, `token_type_ids`, `attention_mask`: lists of numbers for one text without
            `return_tensors`, otherwise with a row for every text.

        Raises:
            TokenizerError: The lists differ in length, or `max_length` leaves no room for text.
        """
        special = self._pattern(split_special_tokens)
        pairs, single = pair_up(text, text_pair, is_split_into_words=is_split_into_words)
        strategy = "longest_first" if truncation is True else truncation or None
        length = self.model_max_length if max_length is None else max_length
        rows = []
        for first_text, second_text in pairs:
            first = self._locate(first_text, special, offsets=return_offsets_mapping)
            second = None
            if second_text is not None:
                second = self._locate(second_text, special, offsets=return_offsets_mapping)
            if strategy:
                added = (2 if second is None else 3) if add_special_tokens else 0
                truncate(first, second, room=length - added, strategy=strategy)
            row = self._row(first, second, add_special_tokens=add_special_tokens)
            if not is_split_into_words:
                del row[WORDS]
            if not return_offsets_mapping:
                del row[OFFSETS]
            rows.append(row)
        if padding:
            longest = max((len(row["input_ids"]) for row in rows), default=0)
            width = length if padding == "max_length" else longest
            pad(rows, length=width, pad_token_id=self.pad_token_id)
        words = [row.pop(WORDS) for row in rows] if is_split_into_words else None
        result = rows[0] if single and return_tensors is None else stack(rows, return_tensors)
        return result.with_words(words)

    @cached_property
    def _chinese_words(self) -> ChineseWords:
        return ChineseWords(self._encoder, word_rule(self, "unicode"))

    def _special(self, token: str) -> tuple[str, int]:
        return token, self._encoder.id_of(token)

    def _piece(self, id_: int) -> str:
        if not 0 <= id_ < self.vocab_size:
            raise TokenizerError(
                f"expected ids from 0 to {self.vocab_size - 1}, found {id_}; "
                "the ids come from another vocabulary"
            )
        return self._encoder.vocabulary[id_]

    def _pattern(self, split_special_tokens: bool | None) -> re.Pattern[str] | None:
        """Return what finds the special tokens to be read in a text; None if all are plain text."""
        split = self.split_special_tokens if split_special_tokens is None else split_special_tokens
        return None if split else self._special_pattern

    def _pieces(self, text: str, special: re.Pattern[str] | None) -> list[Piece]:
        """Return the pieces of a raw text with their ranges in it; `special` finds the special tokens."""
        pieces: list[Piece] = []
        for part, begin, is_special in _split(text, special):
            if is_special:
                pieces.append(Piece(part, self._encoder.id_of(part), begin, begin + len(part)))
            else:
                found = self._encoder.encode_aligned(part)
                pieces.extend(Piece(x.text, x.id, x.start + begin, x.end + begin) for x in found)
        return pieces

    def _locate(
        self, text: str | Sequence[str], special: re.Pattern[str] | None, *, offsets: bool
    ) -> list[_Located]:
        """Return ids with their raw ranges; without `offsets` these are (0, 0), which is much faster."""
        if not isinstance(text, str):
            words = [self._locate(word, special, offsets=offsets) for word in text]
            return [(id_, span, index) for index, word in enumerate(words) for id_, span, _ in word]
        if offsets:
            return [(piece.id, (piece.start, piece.end), None) for piece in self._pieces(text, special)]
        located: list[_Located] = []
        for part, _, is_special in _split(text, special):
            ids = [self._encoder.id_of(part)] if is_special else self._encoder.encode([part])[0]
            located.extend((id_, _NOWHERE, None) for id_ in ids)
        return located

    def _row(
        self, first: list[_Located], second: list[_Located] | None, *, add_special_tokens: bool
    ) -> Encoding:
        opening: list[_Located] = [(self.cls_token_id, _NOWHERE, None)] if add_special_tokens else []
        closing: list[_Located] = [(self.sep_token_id, _NOWHERE, None)] if add_special_tokens else []
        head = opening + first + closing
        tail = [] if second is None else second + closing
        return Encoding(
            input_ids=[id_ for id_, _, _ in head + tail],
            token_type_ids=[0] * len(head) + [1] * len(tail),
            attention_mask=[1] * (len(head) + len(tail)),
            offset_mapping=[offset for _, offset, _ in head + tail],
            word_ids=[word for _, _, word in head + tail],
        )


def _split(text: str, special: re.Pattern[str] | None) -> Iterator[tuple[str, int, bool]]:
    """Yield the parts of a raw text, where they start, and whether each is a special token.

    The text between two special tokens is encoded by itself, as in transformers.
    """
    position = 0
    for match in special.finditer(text) if special is not None else ():
        token = match.group(match.lastindex or 0)
        yield text[position : match.start()], position, False
        position = match.end()
        yield token, position - len(token), True
    yield text[position:], position, False
