"""The arguments of `AlbertTokenizer.from_pretrained`: each honoured, without effect, or refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from albert.errors import TokenizerError, did_you_mean
from albert.hub import HubOptions
from albert.text.special_tokens import SPECIAL_NAMES

HONOURED = ("model_max_length", "split_special_tokens", "padding_side", "truncation_side")
WITHOUT_EFFECT: dict[str, str] = {
    "fix_mistral_regex": "concerns other models",
    "legacy": "concerns other models",
    "proxies": "huggingface_hub reads the usual environment variables",
    "tokenizer_type": "the files tell the kind of vocabulary",
    "trust_remote_code": "code in a model folder is never run",
    "use_fast": "there is one tokenizer, which finds tokens in texts as the fast ones do",
    "verbose": "warnings are lines on stderr",
}
"""Arguments that change nothing here, and why."""
ONLY: dict[str, tuple[object, str]] = {
    "add_prefix_space": (True, "texts always start with a space, as in the original"),
    "clean_up_tokenization_spaces": (False, "give it to decode"),
}
"""Arguments with the one value that is accepted, and why."""
_ACCENTS = "accents are a part of the folder: albert vocab --keep-accents makes one that keeps them"
REFUSED: dict[str, str] = {
    "gguf_file": "only the files of a tokenizer folder are read",
    "keep_accents": _ACCENTS,
    "remove_space": "spaces are cleaned as in the original",
    "sp_model_kwargs": "texts are cut as the model says, without sampling",
    "strip_accents": _ACCENTS,
    "tokenize_chinese_chars": "Chinese characters are words of their own, as in the original",
}
"""Arguments that would change something, and what holds instead."""


@dataclass(slots=True, kw_only=True)
class LoadOptions:
    """How a tokenizer is read."""

    hub: HubOptions
    """How it is fetched."""
    subfolder: str
    """Folder inside of the given one."""
    lower_case: bool | None
    """Whether texts are lower-cased; None for the folder's setting."""
    settings: dict[str, Any]
    """Settings in place of the folder's."""
    special_tokens: list[Any]
    """Special tokens to add."""
    named: dict[str, str]
    """Special tokens that the vocabulary must have, by name."""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "LoadOptions":
        """Sort the arguments of `from_pretrained`.

        Raises:
            TokenizerError: One is refused, or does not exist.
        """
        rest = {name: value for name, value in given.items() if name not in WITHOUT_EFFECT}
        for name, reason in REFUSED.items():
            if rest.pop(name, None) is not None:
                raise TokenizerError(f"{name} is not supported: {reason}")
        for name, (accepted, reason) in ONLY.items():
            if rest.pop(name, accepted) not in {accepted, None}:
                raise TokenizerError(f"{name}={not accepted} is not supported: {reason}")
        hub: dict[str, Any] = {name: rest.pop(name) for name in HubOptions.__annotations__ if name in rest}
        if "max_len" in rest:
            rest.setdefault("model_max_length", rest.pop("max_len"))
        extra = [*(rest.pop("extra_special_tokens", None) or ())]
        options = cls(
            hub=HubOptions(**hub),  # type: ignore[typeddict-item]  # the keys are its own
            subfolder=rest.pop("subfolder", None) or "",
            lower_case=rest.pop("do_lower_case", None),
            settings={name: rest.pop(name) for name in HONOURED if rest.get(name) is not None},
            special_tokens=[*extra, *(rest.pop("additional_special_tokens", None) or ())],
            named={name: str(rest.pop(name)) for name in SPECIAL_NAMES if rest.get(name) is not None},
        )
        unknown = [name for name, value in rest.items() if value is not None]
        if unknown:
            known = [
                *HONOURED,
                *HubOptions.__annotations__,
                "do_lower_case",
                "extra_special_tokens",
                "subfolder",
            ]
            raise TokenizerError(
                f"from_pretrained of the tokenizer has no argument {unknown[0]!r}"
                f"{did_you_mean(unknown[0], known)}"
            )
        return options

    def check_special_tokens(self, found: Mapping[str, Any]) -> None:
        """Check that the special tokens which were named are those of the vocabulary.

        Raises:
            TokenizerError: One is another.
        """
        for name, token in self.named.items():
            if found.get(name) != token:
                raise TokenizerError(f"{name} is {token!r}, but the vocabulary's is {found.get(name)!r}")
