"""The settings of a tokenizer folder: honoured, known to change nothing, named in a warning, or refused.

transformers writes dozens of settings into `tokenizer_config.json` and `special_tokens_map.json`. Those that
change ids are honoured; where that is not possible the folder is refused, because a model would read other
tokens than in its training. What nobody knows here is named in one warning.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from albert.console import warn
from albert.errors import TokenizerError
from albert.text.options import side_of
from albert.text.pieces import Kind
from albert.text.truncation import Side

CONFIG_NAME = "tokenizer_config.json"
SPECIAL_NAME = "special_tokens_map.json"
ADDED_NAME = "added_tokens.json"
TOKENIZER_NAME = "tokenizer.json"
DEFAULT_MAX_LENGTH = 512
"""Positions of every published ALBERT."""

# transformers writes 1e30 for "not known".
_LARGEST_MAX_LENGTH = 1_000_000

_CLASSES = {"Albert", "Bert", "PreTrained", "TokenizersBackend"}
"""Classes whose cleaning is known, without the endings Tokenizer and Fast."""
_ONLY_VALUES: Mapping[str, tuple[object, ...]] = {
    "remove_space": (True,),
    "add_prefix_space": (True,),
    "tokenize_chinese_chars": (True,),
    "do_basic_tokenize": (True,),
    "never_split": (None, []),
    "add_bos_token": (False, None),
    "add_eos_token": (False, None),
    "extra_ids": (0, None),
    "sp_model_kwargs": (None, {}),
    "wordpieces_prefix": ("##",),
    "subword_prefix": ("##",),
    "clean_text": (True,),
    "word_tokenizer_type": ("basic",),
    "subword_tokenizer_type": ("wordpiece",),
}
"""Settings that change ids, with the values for which they are those of ALBERT."""
_READ = {
    "do_lower_case",
    "keep_accents",
    "strip_accents",
    "split_special_tokens",
    "model_max_length",
    "max_len",
    "padding_side",
    "truncation_side",
}
_HARMLESS = {
    "added_tokens_decoder",
    "auto_map",
    "backend",
    "bos_token",
    "cls_token",
    "chat_template",
    "clean_up_tokenization_spaces",
    "eos_token",
    "extra_special_tokens",
    "full_tokenizer_file",
    "init_inputs",
    "is_local",
    "legacy",
    "local_files_only",
    "max_length",
    "mask_token",
    "merges_file",
    "model_input_names",
    "model_specific_special_tokens",
    "name_or_path",
    "pad_to_multiple_of",
    "pad_token",
    "pad_token_type_id",
    "processor_class",
    "sep_token",
    "special_tokens",
    "special_tokens_map_file",
    "stride",
    "tokenizer_class",
    "tokenizer_file",
    "trim_offsets",
    "truncation_strategy",
    "unk_token",
    "use_fast",
    "verbose",
    "vocab_file",
    "_spm_precompiled_charsmap",
    "additional_special_tokens",
}
"""Settings that change no ids, or are read elsewhere."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenizerSettings:
    """What a tokenizer folder says about cleaning and lengths."""

    lower_case: bool = True
    """Whether texts are lower-cased."""
    keep_accents: bool | None = None
    """Whether accents stay; None for the rule of the kind of vocabulary."""
    split_special_tokens: bool = False
    """Whether special tokens spelled in a text are plain text."""
    model_max_length: int = DEFAULT_MAX_LENGTH
    """Tokens of the longest sequence."""
    padding_side: Side = "right"
    """Where padding goes."""
    truncation_side: Side = "right"
    """Where texts are cut."""
    adds_tokens: bool = False
    """Whether the folder declares added tokens, which may be those of the vocabulary."""


def read_settings(folder: Path, kind: Kind) -> TokenizerSettings:
    """Read the settings of a tokenizer folder, defaults where it has none.

    Args:
        folder: The folder.
        kind: Kind of its vocabulary: `keep_accents` is SentencePiece's setting, `strip_accents` WordPiece's.

    Raises:
        TokenizerError: A file is not a JSON object, or a setting would change ids in a way that is not
            supported; the message names file and setting.
    """
    path = folder / CONFIG_NAME
    config = read_object(path)
    _check_class(config.get("tokenizer_class"), path)
    for name, allowed in _ONLY_VALUES.items():
        if name in config and config[name] not in allowed:
            raise TokenizerError(
                f"{path}: {name} is {json.dumps(config[name])}, which changes what a model reads and is not "
                f"supported; expected {json.dumps(allowed[0])}: retrain with it, or use transformers"
            )
    unknown = sorted(set(config) - {*_READ, *_HARMLESS, *_ONLY_VALUES})
    if unknown:
        warn(f"{path}: not used, because nothing is known about it: {', '.join(unknown)}")
    limit = config.get("model_max_length", config.get("max_len"))
    if isinstance(limit, bool) or not isinstance(limit, int) or not 0 < limit <= _LARGEST_MAX_LENGTH:
        limit = DEFAULT_MAX_LENGTH
    return TokenizerSettings(
        lower_case=_switch(config, "do_lower_case", path) is not False,
        keep_accents=_keep_accents(config, kind, path),
        split_special_tokens=_switch(config, "split_special_tokens", path) is True,
        model_max_length=limit,
        padding_side=_side(config, "padding_side", path),
        truncation_side=_side(config, "truncation_side", path),
        adds_tokens=bool(config.get("added_tokens_decoder") or named_special_tokens(folder))
        or (folder / ADDED_NAME).is_file(),
    )


def check_special_tokens(folder: Path, special_pieces: Mapping[str, str]) -> None:
    """Refuse a folder that declares other special tokens than the `special_pieces` of its vocabulary.

    Raises:
        TokenizerError: It does; the message names file and token.
    """
    for path in (folder / CONFIG_NAME, folder / SPECIAL_NAME):
        config = read_object(path)
        for name, piece in special_pieces.items():
            value = config.get(name)
            text = value.get("content") if isinstance(value, dict) else value
            if text is not None and text != piece:
                raise TokenizerError(
                    f"{path}: {name} is {json.dumps(text, ensure_ascii=False)}, but the vocabulary's is "
                    f"{piece!r}; restore the vocabulary that belongs to the folder: other special tokens are "
                    "not supported"
                )


def named_special_tokens(folder: Path) -> list[str]:
    """Return the special tokens that a folder names besides those that every ALBERT has."""
    found: list[str] = []
    for name in (CONFIG_NAME, SPECIAL_NAME):
        config = read_object(folder / name)
        for key in ("additional_special_tokens", "extra_special_tokens"):
            values = config.get(key) or []
            listed = list(values.values()) if isinstance(values, dict) else values
            if not isinstance(listed, list):
                raise TokenizerError(
                    f"{folder / name}: {key} is {json.dumps(values)}; expected a list of tokens"
                )
            found += [
                str(value.get("content")) if isinstance(value, dict) else str(value) for value in listed
            ]
    return list(dict.fromkeys(found))


def accent_settings(kind: Kind, *, lower_case: bool, keep_accents: bool) -> dict[str, bool]:
    """Return what `tokenizer_config.json` says about accents; empty for the rule of the kind."""
    if kind == "sentencepiece":
        return {"keep_accents": True} if keep_accents else {}
    return {} if keep_accents != lower_case else {"strip_accents": not keep_accents}


def _keep_accents(config: dict[str, Any], kind: Kind, path: Path) -> bool | None:
    if kind == "sentencepiece":
        return _switch(config, "keep_accents", path) is True
    strip = _switch(config, "strip_accents", path)
    return None if strip is None else not strip


def _switch(config: dict[str, Any], name: str, path: Path) -> bool | None:
    """Return a setting that is true, false, or not set (null)."""
    value = config.get(name)
    if value is not None and not isinstance(value, bool):
        raise TokenizerError(f"{path}: {name} is {json.dumps(value)}; expected true or false")
    return value


def _side(config: dict[str, Any], name: str, path: Path) -> Side:
    try:
        return side_of(name, config.get(name) or "right")
    except TokenizerError as error:
        raise TokenizerError(f"{path}: {error}") from error


def _check_class(name: object, path: Path) -> None:
    known = isinstance(name, str) and name.removesuffix("Fast").removesuffix("Tokenizer") in _CLASSES
    if name is not None and not known:
        raise TokenizerError(
            f"{path}: tokenizer_class is {json.dumps(name)}, which cleans texts in another way; "
            "expected AlbertTokenizer or BertTokenizer, or no tokenizer_class"
        )


def read_object(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file; empty if there is none.

    Raises:
        TokenizerError: It is not a JSON object.
    """
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise TokenizerError(f"{path}: expected JSON, found {error}; restore the file") from error
    if not isinstance(content, dict):
        raise TokenizerError(f"{path}: expected a JSON object; restore the file")
    return content
