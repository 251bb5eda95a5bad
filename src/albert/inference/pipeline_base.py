"""What all pipelines have in common: a model with its tokenizer, and options when made or when called."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch

from albert.errors import ConfigError, did_you_mean
from albert.model.pretrained import Pretrained
from albert.text.tokenizer import AlbertTokenizer

WITHOUT_EFFECT: dict[str, str] = {
    "clean_up_tokenization_spaces": "texts are returned as they were given, or as tokens spell them",
    "framework": "models are those of PyTorch",
    "num_workers": "texts are encoded in this process, while the model computes",
    "padding": "inputs are computed end to end, without padding",
    "use_fast": "there is one tokenizer",
}
"""Options of transformers that change nothing here, and why."""
REFUSED: dict[str, str] = {
    "grouped_entities": 'give aggregation_strategy="simple"',
    "ignore_subwords": 'give aggregation_strategy="first"',
    "offset_mapping": "places of tokens are found here; give texts, or words with is_split_into_words=True",
    "return_all_scores": "give top_k=None",
    "stopping_criteria": "these models do not generate text",
}
"""Options of transformers that would change something, and what to do instead."""
ONLY: dict[str, tuple[object, str]] = {
    "add_special_tokens": (True, "models are always given their special tokens, as in their training"),
}
"""Options with the one value that is accepted, and why."""
_NESTED = ("tokenize_kwargs", "tokenizer_kwargs")


class Pipeline:
    """A model with its tokenizer, from inputs to predictions.

    Args:
        model: The model.
        tokenizer: The model's.
        options: Options of the calls, which a call can replace.

    Raises:
        ConfigError: There is no such option.
    """

    task: ClassVar[str]
    """Name of the pipeline."""
    predict: Callable[..., Any]
    """Returns the predictions; its arguments are the options."""

    def __init__(self, model: Pretrained, tokenizer: AlbertTokenizer, **options: Any) -> None:
        self.model: Any = model
        self.tokenizer = tokenizer
        self._options = self._checked(options)

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Return the predictions for inputs; the options are those of `predict`.

        Raises:
            ConfigError: There is no such option, or it has a wrong value.
            DataError: An input cannot be used.
        """
        return self.predict(*inputs, **{**self._options, **self._checked(options)})

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        place: torch.device = self.model.device
        return place

    @property
    def dtype(self) -> torch.dtype:
        """Type of the model's parameters."""
        found: torch.dtype = self.model.dtype
        return found

    def save_pretrained(self, save_directory: str | Path) -> None:
        """Write the folder of the model with its tokenizer."""
        self.model.save_pretrained(save_directory)
        self.tokenizer.save_pretrained(save_directory)

    def _checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return options by the names of `predict`."""
        given = dict(options)
        for name in _NESTED:
            given |= given.pop(name, None) or {}
        known = [name for name in inspect.signature(self.predict).parameters if name != "inputs"]
        for name in [*given]:
            if name in known:
                continue
            if name in REFUSED:
                raise ConfigError(f"{self.task} has no option {name!r}: {REFUSED[name]}")
            if name in ONLY and given[name] != ONLY[name][0]:
                raise ConfigError(f"{self.task} has no option {name}={given[name]!r}: {ONLY[name][1]}")
            if name not in {**WITHOUT_EFFECT, **ONLY}:
                raise ConfigError(
                    f"{self.task} has no option {name!r}{did_you_mean(name, known)}; "
                    f"known are {', '.join(known)}"
                )
            del given[name]
        return given
