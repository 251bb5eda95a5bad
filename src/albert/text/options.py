"""The options of a call of the tokenizer: checked, and settled once for all texts of the call.

Names, values and defaults are those of transformers.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypedDict, cast, get_args

from albert.console import warn
from albert.errors import TokenizerError, did_you_mean
from albert.text.truncation import Side, Truncation

Padding = Literal["longest", "max_length", "do_not_pad"]
Tensors = Literal["np", "pt"]

_TRUNCATIONS = (*get_args(Truncation), "do_not_truncate")


REFUSED: dict[str, str] = {
    "max_target_length": "encode targets in a call of their own",
    "text_pair_target": "encode targets in a call of their own",
    "text_target": "encode targets in a call of their own",
    "tokenizer_kwargs": "give the options themselves",
}
"""Options of transformers that would change something, and what to do instead."""
WITHOUT_EFFECT: dict[str, str] = {"verbose": "warnings are lines on stderr"}
"""Options that change nothing here, and why."""


class CallOptions(TypedDict, total=False):
    """The options of a call, as a caller gives them; see `AlbertTokenizer.__call__`."""

    add_special_tokens: bool
    padding: bool | Padding
    truncation: bool | Truncation | Literal["do_not_truncate"] | None
    max_length: int | None
    stride: int
    is_split_into_words: bool
    pad_to_multiple_of: int | None
    padding_side: Side | None
    return_tensors: Tensors | None
    return_token_type_ids: bool | None
    return_attention_mask: bool | None
    return_overflowing_tokens: bool
    return_special_tokens_mask: bool
    return_offsets_mapping: bool
    return_length: bool
    split_special_tokens: bool | None
    verbose: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of a call, settled."""

    special: bool
    """Whether [CLS] and [SEP] are added."""
    padding: Padding
    """Up to which length rows are padded."""
    padding_side: Side
    """Where padding goes."""
    multiple: int | None
    """Number of which the padded length is a multiple."""
    truncation: Truncation | None
    """Which text is shortened; None for none."""
    length: int
    """Tokens of a row, where it is cut or padded to a length."""
    stride: int
    """Tokens that neighbouring windows share, where a text is cut into windows."""
    split_words: bool
    """Whether texts are lists of words."""
    tensors: Tensors | None
    """Form of the result; None for lists."""
    fields: frozenset[str]
    """Fields of the result besides `input_ids`."""
    windows: bool
    """Whether what is cut off becomes further rows."""

    @classmethod
    def of(cls, given: CallOptions, *, model_max_length: int, padding_side: Side) -> "Options":
        """Check the options of a call; the same ones only once.

        Raises:
            TokenizerError: There is no such option or value, or two contradict each other.
        """
        key = tuple((name, getattr(value, "value", value)) for name, value in given.items())
        try:
            return _settled(key, model_max_length, padding_side)
        except TypeError:  # a value that cannot be hashed, and so is none of those below
            return cls.settle(given, model_max_length=model_max_length, padding_side=padding_side)

    @classmethod
    def settle(cls, given: CallOptions, *, model_max_length: int, padding_side: Side) -> "Options":
        """Do what `of` does, every time."""
        check_names(given)
        max_length, multiple = given.get("max_length"), given.get("pad_to_multiple_of")
        padding, truncation = given.get("padding", False), given.get("truncation")
        if max_length is not None and padding is False and truncation is None:
            truncation = "longest_first"  # as in transformers: a length alone is one to cut to
        strategy = _choice("truncation", truncation, _TRUNCATIONS, "longest_first", "do_not_truncate")
        how = padding_of(padding)
        length = model_max_length if max_length is None else max_length
        cuts = strategy != "do_not_truncate"
        if padding is True and max_length is not None and not cuts:
            warn("max_length is not used: padding=True pads to the longest row; truncation=True cuts to it")
        if cuts and how != "do_not_pad" and multiple and max_length is not None and max_length % multiple:
            raise TokenizerError(
                f"max_length {max_length} is no multiple of pad_to_multiple_of {multiple}; choose one that is"
            )
        return cls(
            special=given.get("add_special_tokens", True),
            padding=how,
            padding_side=side_of("padding_side", given.get("padding_side") or padding_side),
            multiple=multiple,
            truncation=cast(Truncation, strategy) if cuts else None,
            length=length,
            stride=given.get("stride", 0),
            split_words=given.get("is_split_into_words", False),
            tensors=tensors_of(given.get("return_tensors")),
            fields=_fields(given),
            windows=given.get("return_overflowing_tokens", False),
        )


@lru_cache
def _settled(given: tuple[tuple[str, Any], ...], model_max_length: int, padding_side: Side) -> Options:
    options = cast(CallOptions, dict(given))
    return Options.settle(options, model_max_length=model_max_length, padding_side=padding_side)


def check_names(given: CallOptions) -> None:
    """Refuse options that do not exist.

    Raises:
        TokenizerError: There is one.
    """
    known = [*CallOptions.__annotations__]
    for name, value in given.items():
        if name in REFUSED and value is not None:
            raise TokenizerError(f"the tokenizer has no option {name!r}: {REFUSED[name]}")
        if name not in known and name not in REFUSED:
            raise TokenizerError(f"the tokenizer has no option {name!r}{did_you_mean(name, known)}")


def padding_of(value: object) -> Padding:
    """Return a strategy of padding, given as True, False or by its name."""
    return cast(Padding, _choice("padding", value, get_args(Padding), "longest", "do_not_pad"))


def side_of(name: str, value: object) -> Side:
    """Return a side.

    Raises:
        TokenizerError: It is neither left nor right.
    """
    if value not in get_args(Side):
        raise TokenizerError(f"{name} is {value!r}; expected 'right' or 'left'")
    return cast(Side, value)


def tensors_of(value: Any) -> Tensors | None:
    """Return the form of a result, given by its name or as a member of transformers' enumeration.

    Raises:
        TokenizerError: It is a form of another library.
    """
    name = getattr(value, "value", value)
    if name is not None and name not in get_args(Tensors):
        raise TokenizerError(
            f"return_tensors is {name!r}; expected 'pt' for tensors of PyTorch, 'np' for arrays of NumPy, or "
            "None for lists"
        )
    return cast(Tensors | None, name)


def _choice(name: str, value: object, known: tuple[str, ...], if_true: str, otherwise: str) -> str:
    if value is None or value is False:
        return otherwise
    found = if_true if value is True else str(getattr(value, "value", value))
    if found not in known:
        hint = did_you_mean(found, list(known))
        raise TokenizerError(f"{name} is {found!r}; known are True, False, {', '.join(known)}{hint}")
    return found


def _fields(given: CallOptions) -> frozenset[str]:
    wanted = {
        "token_type_ids": given.get("return_token_type_ids") is not False,
        "attention_mask": given.get("return_attention_mask") is not False,
        "special_tokens_mask": given.get("return_special_tokens_mask", False),
        "offset_mapping": given.get("return_offsets_mapping", False),
        "length": given.get("return_length", False),
    }
    return frozenset(name for name, is_wanted in wanted.items() if is_wanted)
