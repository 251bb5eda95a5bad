"""A vocabulary seen from outside: its tokens and special tokens, ids and tokens of each other, corpora.

`AlbertTokenizer` adds the calls that models are fed with, and the files.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from albert.errors import TokenizerError, did_you_mean
from albert.text.chinese import ChineseWords
from albert.text.encoding import plain
from albert.text.options import side_of
from albert.text.pieces import Kind, Piece, PieceEncoder
from albert.text.rows import NOWHERE, Located
from albert.text.settings import DEFAULT_MAX_LENGTH, accent_settings
from albert.text.special_tokens import SPECIAL_NAMES, SpecialTokens, split_at
from albert.text.truncation import Side
from albert.text.words import word_rule

_CLEANED_UP = (" .", " ?", " !", " ,", " n't", " 'm", " 's", " 've", " 're")


class BaseTokenizer(SpecialTokens):
    """A vocabulary with its cleaning, its special tokens and its longest sequence.

    Args:
        encoder: The vocabulary, which cleans and cuts texts.
        model_max_length: Tokens of the longest sequence.
        split_special_tokens: Whether special tokens spelled in a text are plain text.
        padding_side: Where padding goes.
        truncation_side: Where texts are cut.
    """

    model_input_names = ("input_ids", "token_type_ids", "attention_mask")
    is_fast = True
    """Whether tokens can be found in the texts, as transformers asks."""
    pad_token_type_id = 0

    def __init__(
        self,
        encoder: PieceEncoder,
        *,
        model_max_length: int = DEFAULT_MAX_LENGTH,
        split_special_tokens: bool = False,
        padding_side: Side = "right",
        truncation_side: Side = "right",
    ) -> None:
        self.model_max_length = model_max_length
        self.split_special_tokens = split_special_tokens
        self.padding_side = padding_side
        self.truncation_side = truncation_side
        self.name_or_path = ""
        """Where the tokenizer was read from."""
        self._use(encoder)

    def _use(self, encoder: PieceEncoder) -> None:
        """Take another encoder, which may have more tokens."""
        self._encoder = encoder
        special = encoder.special_pieces
        mask = special["mask_token"]
        # The mask includes the space before it, because it replaces a token that starts with one.
        self._mask_pattern = re.compile(rf"\s*({re.escape(mask)})")
        others = "|".join(re.escape(x) for x in special.values() if x != mask)
        self._special_pattern = re.compile(rf"{self._mask_pattern.pattern}|({others})")
        self.__dict__.pop("_chinese_words", None)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.removesuffix("_id") in SPECIAL_NAMES:
            if value != getattr(self, name):
                raise TokenizerError(
                    f"{name} is {getattr(self, name)!r} and belongs to the vocabulary; it cannot be "
                    f"{value!r}: further tokens are added with add_tokens"
                )
            return
        if name in {"padding_side", "truncation_side"}:
            side_of(name, value)
        if name == "model_max_length" and not (isinstance(value, int) and value > 0):
            raise TokenizerError(f"model_max_length is {value!r}; expected a whole number of at least 1")
        if not name.startswith("_") and not hasattr(self, name):
            known = [known for known in vars(self) if not known.startswith("_")]
            if known and (hint := did_you_mean(name, known)):
                raise TokenizerError(f"a tokenizer has no {name!r}{hint}")
        super().__setattr__(name, value)

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
        """The number of pieces without added tokens; `len` counts these, too."""
        return self._encoder.base_size

    def __len__(self) -> int:
        """Return the number of pieces and added tokens, V: the rows that a model needs."""
        return len(self._encoder.vocabulary)

    def __contains__(self, token: str) -> bool:
        """Return whether a token is a piece of the vocabulary or an added token."""
        return token == self.unk_token or self._encoder.id_of(token) != self.unk_token_id

    @property
    def vocab(self) -> dict[str, int]:
        """The id of every piece and added token."""
        return self.get_vocab()

    def get_vocab(self) -> dict[str, int]:
        """Return the id of every piece and added token."""
        return {piece: id_ for id_, piece in enumerate(self._encoder.vocabulary)}

    def get_added_vocab(self) -> dict[str, int]:
        """Return the ids of special tokens and of added tokens, as transformers does."""
        return self.added_tokens_encoder

    @property
    def added_tokens_encoder(self) -> dict[str, int]:
        """The ids of special tokens and of added tokens."""
        return {token: id_ for id_, token in self.added_tokens_decoder.items()}

    @property
    def added_tokens_decoder(self) -> dict[int, str]:
        """The special tokens and added tokens by their ids."""
        ids = sorted({*self.all_special_ids, *range(self.vocab_size, len(self))})
        return {id_: self._encoder.vocabulary[id_] for id_ in ids}

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

    def decode(
        self,
        token_ids: Any,
        skip_special_tokens: bool = False,
        *,
        clean_up_tokenization_spaces: bool | None = None,
    ) -> Any:
        """Return the text of ids, or the texts of rows of ids; what cleaning removed is not restored.

        Args:
            token_ids: A number, a list, an array or a tensor; or rows of them.
            skip_special_tokens: Whether special tokens are left out.
            clean_up_tokenization_spaces: Whether spaces before punctuation and English endings are removed.
        """
        ids = plain(token_ids)
        if isinstance(ids, list) and ids and isinstance(plain(ids[0]), list):
            options = {"clean_up_tokenization_spaces": clean_up_tokenization_spaces}
            return [self.decode(row, skip_special_tokens, **options) for row in ids]
        ids = [ids] if isinstance(ids, int) else ids
        special = set(self.all_special_ids) if skip_special_tokens else set()
        text = self._encoder.join([self._piece(int(id_)) for id_ in ids if int(id_) not in special])
        return self.clean_up_tokenization(text) if clean_up_tokenization_spaces else text

    def batch_decode(
        self,
        sequences: Any,
        skip_special_tokens: bool = False,
        *,
        clean_up_tokenization_spaces: bool | None = None,
    ) -> list[str]:
        """Return the texts of rows of ids; the arguments are those of `decode`."""
        options = {"clean_up_tokenization_spaces": clean_up_tokenization_spaces}
        return [self.decode(row, skip_special_tokens, **options) for row in sequences]

    @staticmethod
    def clean_up_tokenization(out_string: str) -> str:
        """Return a text without spaces before punctuation and English endings."""
        text = out_string
        for ending in _CLEANED_UP:
            text = text.replace(ending, ending[1:])
            if ending == " ,":
                text = text.replace(" ' ", "'")
        return text

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """Return the text of tokens."""
        return self._encoder.join(list(tokens))

    @overload
    def convert_ids_to_tokens(self, ids: int, skip_special_tokens: bool = False) -> str: ...
    @overload
    def convert_ids_to_tokens(self, ids: Sequence[int], skip_special_tokens: bool = False) -> list[str]: ...
    def convert_ids_to_tokens(self, ids: Any, skip_special_tokens: bool = False) -> Any:
        """Return the token of an id, or of every id of a list, an array or a tensor."""
        given = plain(ids)
        if isinstance(given, int):
            return self._piece(given)
        special = set(self.all_special_ids) if skip_special_tokens else set()
        return [self._piece(int(id_)) for id_ in given if int(id_) not in special]

    @overload
    def convert_tokens_to_ids(self, tokens: str) -> int: ...
    @overload
    def convert_tokens_to_ids(self, tokens: list[str] | tuple[str, ...]) -> list[int]: ...
    def convert_tokens_to_ids(self, tokens: str | list[str] | tuple[str, ...]) -> int | list[int]:
        """Return the id of a token, or of every token of a list; the unknown token's if there is none."""
        if isinstance(tokens, str):
            return self._encoder.id_of(tokens)
        return [self._encoder.id_of(token) for token in tokens]

    @property
    def max_len_single_sentence(self) -> int:
        """Tokens of the longest text that fits, alone."""
        return self.model_max_length - self.num_special_tokens_to_add()

    @property
    def max_len_sentences_pair(self) -> int:
        """Tokens of the longest pair that fits, both texts together."""
        return self.model_max_length - self.num_special_tokens_to_add(pair=True)

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """Return how many special tokens a text, or a pair, gets."""
        return 3 if pair else 2

    def build_inputs_with_special_tokens(
        self, token_ids_0: Sequence[int], token_ids_1: Sequence[int] | None = None
    ) -> list[int]:
        """Return `[CLS] text [SEP]`, or `[CLS] text [SEP] pair [SEP]`."""
        tail = [] if token_ids_1 is None else [*token_ids_1, self.sep_token_id]
        return [self.cls_token_id, *token_ids_0, self.sep_token_id, *tail]

    def create_token_type_ids_from_sequences(
        self, token_ids_0: Sequence[int], token_ids_1: Sequence[int] | None = None
    ) -> list[int]:
        """Return 0 for the tokens of the first text with its special tokens, 1 for those of the second."""
        tail = 0 if token_ids_1 is None else len(token_ids_1) + 1
        return [0] * (len(token_ids_0) + 2) + [1] * tail

    def get_special_tokens_mask(
        self,
        token_ids_0: Sequence[int],
        token_ids_1: Sequence[int] | None = None,
        already_has_special_tokens: bool = False,
    ) -> list[int]:
        """Return 1 for special tokens, 0 for others.

        Args:
            token_ids_0: Ids of a sequence.
            token_ids_1: Ids of a second text, without special tokens.
            already_has_special_tokens: Whether `token_ids_0` is the whole sequence; otherwise the mask is
                that of the sequence which `build_inputs_with_special_tokens` makes.
        """
        if already_has_special_tokens:
            if token_ids_1 is not None:
                raise TokenizerError(
                    "with already_has_special_tokens, token_ids_0 is the whole; drop token_ids_1"
                )
            special = set(self.all_special_ids)
            return [int(int(id_) in special) for id_ in token_ids_0]
        tail = [] if token_ids_1 is None else [*[0] * len(token_ids_1), 1]
        return [1, *[0] * len(token_ids_0), 1, *tail]

    @property
    def init_kwargs(self) -> dict[str, Any]:
        """The settings with which this tokenizer could be made again."""
        return {
            "do_lower_case": self.do_lower_case,
            **accent_settings(self.kind, lower_case=self.do_lower_case, keep_accents=self.keep_accents),
            "model_max_length": self.model_max_length,
            "padding_side": self.padding_side,
            "truncation_side": self.truncation_side,
            "split_special_tokens": self.split_special_tokens,
            **self.special_tokens_map,
        }

    def __repr__(self) -> str:
        """Return the facts that matter when a tokenizer is printed."""
        settings: Mapping[str, Any] = self.init_kwargs
        shown = ", ".join(f"{name}={value!r}" for name, value in settings.items())
        return f"{type(self).__name__}(kind={self.kind!r}, tokens={len(self)}, {shown})"

    @cached_property
    def _chinese_words(self) -> ChineseWords:
        return ChineseWords(self._encoder, word_rule(self, "unicode"))

    def _piece(self, id_: int) -> str:
        if not 0 <= id_ < len(self):
            raise TokenizerError(
                f"expected ids from 0 to {len(self) - 1}, found {id_}; the ids come from another vocabulary"
            )
        return self._encoder.vocabulary[id_]

    def _pattern(self, split_special_tokens: bool | None) -> re.Pattern[str] | None:
        """Return what finds the special tokens to be read in a text; None if all are plain text."""
        split = self.split_special_tokens if split_special_tokens is None else split_special_tokens
        return None if split else self._special_pattern

    def _pieces(self, text: str, special: re.Pattern[str] | None) -> list[Piece]:
        """Return the pieces of a raw text with their ranges in it; `special` finds the special tokens."""
        pieces: list[Piece] = []
        for part, begin, is_special in split_at(text, special):
            if is_special:
                pieces.append(Piece(part, self._encoder.id_of(part), begin, begin + len(part)))
            else:
                found = self._encoder.encode_aligned(part)
                pieces.extend(Piece(x.text, x.id, x.start + begin, x.end + begin) for x in found)
        return pieces

    def _locate(
        self, text: str | Sequence[str], special: re.Pattern[str] | None, *, offsets: bool
    ) -> list[Located]:
        """Return ids with their raw ranges; without `offsets` these are (0, 0), which is much faster."""
        if not isinstance(text, str):
            words = [self._locate(word, special, offsets=offsets) for word in text]
            return [(id_, span, index) for index, word in enumerate(words) for id_, span, _ in word]
        if offsets:
            return self._number_words(text, self._pieces(text, special))
        [ids] = self._encode_many([text], special)
        return [(id_, NOWHERE, None) for id_ in ids]

    def _encode_many(self, texts: list[str], special: re.Pattern[str] | None) -> list[list[int]]:
        """Return the ids of many raw texts, encoded all at once; `special` finds the special tokens."""
        parts = [[*split_at(text, special)] for text in texts]
        found = iter(self._encoder.encode([part for row in parts for part, _, special in row if not special]))
        rows: list[list[int]] = []
        for row in parts:
            ids: list[int] = []
            for part, _, is_special in row:
                ids += [self._encoder.id_of(part)] if is_special else next(found)
            rows.append(ids)
        return rows

    def _number_words(self, text: str, pieces: list[Piece]) -> list[Located]:
        """Return pieces with the number of their word.

        A word is what stands between spaces; with WordPiece also each punctuation mark, and each special
        token, as the library `tokenizers` counts.
        """
        located: list[Located] = []
        special, number, end = set(self.all_special_ids), -1, 0
        for piece in pieces:
            opens = not located or piece.id in special or located[-1][0] in special
            if self.kind == "wordpiece":
                opens = opens or self._encoder.opens_word(self._encoder.vocabulary[piece.id])
            else:
                opens = opens or any(map(str.isspace, text[end : piece.start]))
            number += opens
            located.append((piece.id, (piece.start, piece.end), number))
            end = max(end, piece.end)
        return located
