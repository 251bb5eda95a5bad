"""Text to the ids an ALBERT model takes, and back: one class for both kinds of vocabulary.

Names and arguments are those of transformers, ids those of the original, and `token_type_ids` are always
returned. Cleaning is part of it, so no caller can forget it.

Special tokens in a text: a call reads them unless `split_special_tokens` is True, as in transformers; the
methods for corpora (`encode_sentences` and its relatives) always take them for plain text.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

from albert.errors import TokenizerError
from albert.hub import local_path
from albert.text.base_tokenizer import BaseTokenizer
from albert.text.batching import OFFSETS, Text, columns_of, joined, pad_rows, padded_length, pair_up
from albert.text.encoding import Encoding, Origin
from albert.text.files import read_encoder, read_folder
from albert.text.loading import LoadOptions
from albert.text.options import CallOptions, Options, Padding, padding_of, side_of, tensors_of
from albert.text.pieces import PieceEncoder
from albert.text.rows import NOWHERE, Located, Marks, Row, fields_of, origins_of
from albert.text.settings import DEFAULT_MAX_LENGTH
from albert.text.special_tokens import SPECIAL_NAMES
from albert.text.truncation import Side, truncate, windows


class AlbertTokenizer(BaseTokenizer):
    """A vocabulary with its cleaning, its special tokens and its longest sequence.

    Args:
        vocab_file: `spiece.model`, another `*.model`, or `vocab.txt`; or an encoder that was read already.
        do_lower_case: Whether texts are lower-cased; True if not given.
        keep_accents: Whether accents stay; None for the rule of the kind of vocabulary.
        model_max_length: Tokens of the longest sequence.
        split_special_tokens: Whether special tokens spelled in a text are plain text; see `__call__`.
        padding_side: Where padding goes.
        truncation_side: Where texts are cut.

    Raises:
        TokenizerError: The vocabulary cannot be used.
    """

    def __init__(
        self,
        vocab_file: str | Path | PieceEncoder,
        *,
        do_lower_case: bool = True,
        keep_accents: bool | None = None,
        model_max_length: int = DEFAULT_MAX_LENGTH,
        split_special_tokens: bool = False,
        padding_side: Side = "right",
        truncation_side: Side = "right",
    ) -> None:
        if isinstance(vocab_file, str | Path):
            path = Path(vocab_file)
            if not path.is_file():
                raise TokenizerError(
                    f"{path}: no such file; expected spiece.model or vocab.txt: a folder, or a model on the "
                    "Hub, is read with from_pretrained"
                )
            vocab_file = read_encoder(path, lower_case=do_lower_case, keep_accents=keep_accents)
        super().__init__(
            vocab_file,
            model_max_length=model_max_length,
            split_special_tokens=split_special_tokens,
            padding_side=padding_side,
            truncation_side=truncation_side,
        )

    @classmethod
    def from_pretrained(cls, folder: str | Path, **options: Any) -> "AlbertTokenizer":
        """Read the tokenizer of a model folder.

        Args:
            folder: Holds `spiece.model` (or one `*.model`), `vocab.txt` or `tokenizer.json`, and maybe
                `tokenizer_config.json` and `added_tokens.json`; or the id of a model on the Hub.
            options: In place of the folder's settings: `do_lower_case` (without either, texts are
                lower-cased), `split_special_tokens`, `model_max_length`, `padding_side`, `truncation_side`,
                `extra_special_tokens`. How it is fetched: `revision`, `cache_dir`, `token`,
                `local_files_only`, `force_download`, `subfolder`. docs/api.md lists the others.

        Raises:
            TokenizerError: The folder has no vocabulary, several, or one that cannot be used; or an option is
                not supported.
            CheckpointError: There is no such folder, here or on the Hub.
        """
        how = LoadOptions.of(options)
        place = local_path(folder, **how.hub) / how.subfolder
        encoder, settings = read_folder(place, lower_case=how.lower_case)
        values: dict[str, Any] = {
            "model_max_length": settings.model_max_length,
            "split_special_tokens": settings.split_special_tokens,
            "padding_side": settings.padding_side,
            "truncation_side": settings.truncation_side,
        }
        tokenizer = cls(encoder, **values | how.settings)
        tokenizer.name_or_path = str(folder)
        if how.special_tokens:
            tokenizer.add_special_tokens({"extra_special_tokens": how.special_tokens})
        how.check_special_tokens(tokenizer.special_tokens_map)
        return tokenizer

    def save_pretrained(self, save_directory: str | Path, **others: Any) -> tuple[str, ...]:
        """Write the vocabulary, `tokenizer.json` and `tokenizer_config.json` into a folder.

        transformers reads the folder unchanged and returns the same ids and segment ids.

        Args:
            save_directory: The folder; made if missing.
            others: `legacy_format`, `filename_prefix` and `push_to_hub` are only accepted unset.

        Returns:
            The paths of the files.

        Raises:
            TokenizerError: The folder holds another vocabulary, which would be read instead of this one.
        """
        # Imported here: only writing needs the library `tokenizers`.
        from albert.text.transformers_files import write_transformers_files

        if given := [name for name, value in others.items() if value]:
            raise TokenizerError(f"save_pretrained has no argument {given[0]!r} here")
        folder = Path(save_directory)
        [vocabulary] = self.save_vocabulary(folder)
        sides = {"padding_side": self.padding_side, "truncation_side": self.truncation_side}
        write_transformers_files(
            folder,
            self._encoder,
            model_max_length=self.model_max_length,
            split_special_tokens=self.split_special_tokens,
            sides=sides,
        )
        if AlbertTokenizer.from_pretrained(folder).fingerprint != self.fingerprint:
            raise TokenizerError(
                f"{folder}: holds another vocabulary, which is read instead of the {Path(vocabulary).name} "
                "just written; choose another folder, or remove the files of the other"
            )
        names = dict.fromkeys([Path(vocabulary).name, "tokenizer.json", "tokenizer_config.json"])
        return tuple(str(folder / name) for name in names if (folder / name).is_file())

    def save_vocabulary(self, save_directory: str | Path, filename_prefix: str | None = None) -> tuple[str]:
        """Write the file of the vocabulary into a folder, and return its path.

        Args:
            save_directory: The folder; made if missing.
            filename_prefix: Stands before the name, with a hyphen.
        """
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        name, content = self._encoder.file()
        path = folder / (f"{filename_prefix}-{name}" if filename_prefix else name)
        path.write_bytes(content)
        return (str(path),)

    def add_tokens(self, new_tokens: Any, special_tokens: bool = False) -> int:
        """Add tokens that texts are searched for before they are cut, and return how many are new.

        The model then needs as many rows: `model.resize_token_embeddings(len(tokenizer))`.

        Args:
            new_tokens: A token, or a list of them: text, or `AddedToken` of the library `tokenizers`.
            special_tokens: Whether `decode` can leave them out, and masking leaves them alone.

        Raises:
            TokenizerError: Something is no token.
        """
        # Imported here: few tokenizers need the library `tokenizers`.
        from albert.text.added_tokens import add_tokens

        encoder, count = add_tokens(self._encoder, new_tokens, special=special_tokens)
        self._use(encoder)
        return count

    def add_special_tokens(self, special_tokens_dict: Mapping[str, Any], **others: Any) -> int:
        """Add special tokens, and return how many are new.

        Args:
            special_tokens_dict: `extra_special_tokens` or `additional_special_tokens`, lists of tokens; other
                names such as `pad_token` must be given the token that the vocabulary has.
            others: `replace_extra_special_tokens` is without effect: tokens are never removed.

        Raises:
            TokenizerError: A named token is another one than the vocabulary's.
        """
        lists = ("extra_special_tokens", "additional_special_tokens")
        for name in set(others) - {f"replace_{name}" for name in lists}:
            raise TokenizerError(f"add_special_tokens has no argument {name!r}")
        for name, value in special_tokens_dict.items():
            if name not in lists:
                if name not in SPECIAL_NAMES:
                    known = ", ".join([*SPECIAL_NAMES, *lists])
                    raise TokenizerError(f"there is no special token {name!r}; known are {known}")
                setattr(self, name, str(value))
        new = [token for name in lists for token in special_tokens_dict.get(name) or ()]
        return self.add_tokens(new, special_tokens=True) if new else 0

    def tokenize(
        self,
        text: str,
        pair: str | None = None,
        add_special_tokens: bool = False,
        *,
        split_special_tokens: bool | None = None,
    ) -> list[str]:
        """Return the tokens of a text, or of a pair; see `__call__` for `split_special_tokens`."""
        special = self._pattern(split_special_tokens)
        parts = [
            [piece.text for piece in self._pieces(given, special)]
            for given in (text, pair)
            if given is not None
        ]
        if not add_special_tokens:
            return [token for part in parts for token in part]
        return [self.cls_token, *[token for part in parts for token in [*part, self.sep_token]]]

    def encode(
        self,
        text: str | Sequence[str],
        text_pair: str | Sequence[str] | None = None,
        **options: Unpack[CallOptions],
    ) -> Any:
        """Return the ids of a text or a pair; the arguments are those of `__call__`.

        A list, or a batch of one row where `return_tensors` is given.
        """
        return self(text, text_pair, **options)["input_ids"]

    def __call__(
        self,
        text: str | Sequence[Any],
        text_pair: str | Sequence[Any] | None = None,
        **options: Unpack[CallOptions],
    ) -> Encoding:
        """Encode one text, one pair, or a list of either.

        Args:
            text: First text, or a list of first texts; or a list of pairs.
            text_pair: Second text, or a list of as many.
            options: By the names of transformers:

                - `add_special_tokens`: Whether to add [CLS] and [SEP], True: `[CLS] text [SEP]` and
                  `[CLS] text [SEP] pair [SEP]`.
                - `padding`: True or `longest`: up to the longest row; `max_length`: up to `max_length`.
                - `pad_to_multiple_of`, `padding_side`: Round up the padded length; where padding goes.
                - `truncation`: Whether to shorten to `max_length`; True is `longest_first`, which removes
                  tokens from the longer text, or from the second if they are equal, like the original;
                  `only_first` and `only_second` shorten one text.
                - `max_length`: Tokens of a row; `model_max_length` by default. Alone, texts are cut to it.
                - `return_overflowing_tokens`, `stride`: Whether what is cut off becomes further rows, and how
                  many tokens neighbouring rows share; `overflow_to_sample_mapping` has the text of each row.
                - `is_split_into_words`: Whether a text is a list of words, which are encoded one by one.
                - `return_tensors`: `np` for int64 arrays, `pt` for torch tensors, (B, T).
                - `return_offsets_mapping`: Adds `offset_mapping`: the raw characters `(start, end)` of every
                  token; `(0, 0)` for an added special token, and `start == end` for a lone space.
                - `return_special_tokens_mask`, `return_length`: Add these fields.
                - `return_token_type_ids`, `return_attention_mask`: False leaves them out.
                - `split_special_tokens`: Whether a special token spelled in a text, such as "[SEP]", is plain
                  text; otherwise it becomes the special token. None for the tokenizer's setting.
                - `verbose` is without effect.

        Returns:
            `input_ids`, `token_type_ids`, `attention_mask`: lists of numbers for one text without
            `return_tensors`, otherwise with a row for every text.

        Raises:
            TokenizerError: There is no such option, the lists differ in length, something is no text, or
                `max_length` leaves no room for text.
        """
        how = Options.of(options, model_max_length=self.model_max_length, padding_side=self.padding_side)
        pairs, single = pair_up(text, text_pair, is_split_into_words=how.split_words)
        split = options.get("split_special_tokens")
        rows, samples = self._rows(pairs, how, offsets=OFFSETS in how.fields, split=split)
        fields = fields_of(rows, how, self._marks)
        words = fields.pop("word_ids")
        if how.windows:
            fields["overflow_to_sample_mapping"] = samples
        is_one = single and how.tensors is None and not how.windows

        def origins() -> list[list[Origin]]:
            located, _ = self._rows(pairs, how, offsets=True, split=split)
            return origins_of(located, how, self._marks, self._piece)

        return Encoding(
            {name: values[0] if is_one and name != "length" else values for name, values in fields.items()},
            origins=origins,
            words=words if how.split_words else None,
        ).convert_to_tensors(how.tensors)

    def pad(
        self,
        encoded_inputs: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        padding: bool | Padding = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        *,
        padding_side: Side | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: Any = None,
        verbose: bool = True,  # noqa: ARG002  # without effect
    ) -> Encoding:
        """Pad encodings to one length, as the data collators of transformers do.

        Args:
            encoded_inputs: An encoding, or a list of encodings. Fields that the tokenizer does not make, such
                as labels, stay as they are.
            padding: True or `longest`, `max_length`, or False.
            max_length: Tokens of a row for `max_length`; `model_max_length` if not given.
            pad_to_multiple_of: Round up the length.
            padding_side: Where padding goes; the tokenizer's setting if not given.
            return_attention_mask: Whether `attention_mask` is made if the encodings lack it.
            return_tensors: `np` or `pt`; without it the form of the ids stays.
            verbose: Without effect.

        Raises:
            TokenizerError: The encodings have no `input_ids`, or rows that cannot become an array.
        """
        how, kind = padding_of(padding), tensors_of(return_tensors)
        columns, is_single, form = columns_of(encoded_inputs)
        lengths = [len(row) for row in columns["input_ids"]]
        if not lengths:
            return joined(columns, is_single=False)
        if return_attention_mask is not False and "attention_mask" not in columns:
            columns["attention_mask"] = [[1] * length for length in lengths]
        if how != "do_not_pad":
            limit = (max_length or self.model_max_length) if how == "max_length" else None
            pad_rows(
                {name: columns[name] for name in columns if name != OFFSETS},
                length=padded_length(lengths, length=limit, multiple=pad_to_multiple_of),
                pad_token_id=self.pad_token_id,
                side=side_of("padding_side", padding_side or self.padding_side),
            )
        return joined(columns, is_single=is_single).convert_to_tensors(kind or form)

    def _located(
        self, pairs: list[tuple[Text, Text | None]], special: re.Pattern[str] | None, *, offsets: bool
    ) -> Iterator[Row]:
        """Yield the tokens of every pair; whole texts are encoded all at once, if no places are needed."""
        texts = [text for pair in pairs for text in pair if text is not None]
        whole = [text for text in texts if isinstance(text, str)]
        if offsets or len(whole) < len(texts):
            for first, second in pairs:
                tail = None if second is None else self._locate(second, special, offsets=offsets)
                yield self._locate(first, special, offsets=offsets), tail
            return
        found = iter(self._encode_many(whole, special))
        for _, second in pairs:
            head: list[Located] = [(id_, NOWHERE, None) for id_ in next(found)]
            yield head, None if second is None else [(id_, NOWHERE, None) for id_ in next(found)]

    @property
    def _marks(self) -> Marks:
        return Marks(self.cls_token_id, self.sep_token_id, self.pad_token_id)

    def _rows(
        self, pairs: list[tuple[Text, Text | None]], how: Options, *, offsets: bool, split: bool | None
    ) -> tuple[list[Row], list[int]]:
        """Return the tokens of the texts of every row, and the number of the pair that each row is from."""
        special, side = self._pattern(split), self.truncation_side
        rows: list[Row] = []
        samples: list[int] = []
        for number, (first, second) in enumerate(self._located(pairs, special, offsets=offsets)):
            parts: list[Row] = [(first, second)]
            if how.truncation is not None:
                room = how.length - self.num_special_tokens_to_add(second is not None) * how.special
                if how.windows:
                    parts = windows(
                        first, second, room=room, strategy=how.truncation, stride=how.stride, side=side
                    )
                else:
                    truncate(first, second, room=room, strategy=how.truncation, side=side)
            rows += parts
            samples += [number] * len(parts)
        return rows, samples
