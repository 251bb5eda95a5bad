"""What the public models return: mappings with attributes, which also count like tuples.

Names and order are those of transformers. A part that was not computed is None as an attribute, and is not
among the keys.
Letters: B sequences, T padded length, H hidden size, A heads, V vocabulary, K labels or choices.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from torch import Tensor


class Output(dict[str, Any]):
    """Named parts of a result: `out.logits`, `out["logits"]`, `out[0]`, `out[:2]`, `out.to_tuple()`.

    Args:
        values: Parts by name.
        parts: The same, as arguments.

    Raises:
        TypeError: There is no such part.
    """

    _names: ClassVar[tuple[str, ...]] = ()

    hidden_states: tuple[Tensor, ...] | None
    """If asked for: the input of the first block and the output of every block, (B, T, H) each."""
    attentions: tuple[Tensor, ...] | None
    """If asked for: the attention probabilities of every block, (B, A, T, T) each."""

    def __init_subclass__(cls) -> None:
        own = [name for name in cls.__annotations__ if name not in Output.__annotations__]
        cls._names = (*own, "hidden_states", "attentions")

    def __init__(
        self, values: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None, **parts: Any
    ) -> None:
        given = {**dict(values or ()), **parts}
        for name in given:
            self._check(name)
        super().__init__({name: given[name] for name in self._names if given.get(name) is not None})

    def to_tuple(self) -> tuple[Any, ...]:
        """Return the parts that there are, in order."""
        return tuple(self.values())

    def __getitem__(self, key: str | int | slice) -> Any:
        return super().__getitem__(key) if isinstance(key, str) else self.to_tuple()[key]

    def __getattr__(self, name: str) -> Any:
        if name not in self._names:
            raise AttributeError(f"{type(self).__name__} has no {name!r}; it has {', '.join(self._names)}")
        return self.get(name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._check(name)
        self[name] = value

    def _check(self, name: str) -> None:
        if name not in self._names:
            raise TypeError(f"{type(self).__name__} has no {name!r}; it has {', '.join(self._names)}")


class ModelOutput(Output):
    """Output of `AlbertModel`."""

    last_hidden_state: Tensor
    """(B, T, H)"""
    pooler_output: Tensor | None
    """tanh of a dense layer on [CLS], (B, H)."""


class PreTrainingOutput(Output):
    """Output of `AlbertForPreTraining`."""

    loss: Tensor | None
    """Masked LM plus sentence order, as far as labels were given."""
    prediction_logits: Tensor
    """(B, T, V)"""
    sop_logits: Tensor
    """(B, 2): 0 in order, 1 swapped."""


class LogitsOutput(Output):
    """Output of a model with one head."""

    loss: Tensor | None
    """Mean over the labels, if labels were given."""
    logits: Tensor
    """(B, T, V) for masked LM, (B, K) for texts and choices, (B, T, K) for tokens."""


class QuestionAnsweringOutput(Output):
    """Output of `AlbertForQuestionAnswering`."""

    loss: Tensor | None
    """Mean of the cross-entropies of start and end, if both positions were given."""
    start_logits: Tensor
    """(B, T); -1e30 at padding."""
    end_logits: Tensor
    """(B, T); -1e30 at padding."""


class BeamSearchOutput(Output):
    """Output of `AlbertForQuestionAnsweringBeamSearch`: a loss, or the best starts and their best ends.

    Names are those of transformers' XLNet, where the ends of one start are not adjacent and the values are
    probabilities.
    """

    loss: Tensor | None
    """Loss of the span and, if `is_impossible` was given, of answerability."""
    start_top_log_probs: Tensor | None
    """(B, start_n_top), descending."""
    start_top_index: Tensor | None
    """Columns, (B, start_n_top)."""
    end_top_log_probs: Tensor | None
    """Given the start, (B, start_n_top * end_n_top): those of start i begin at i * end_n_top."""
    end_top_index: Tensor | None
    """Columns, (B, start_n_top * end_n_top)."""
    cls_logits: Tensor
    """(B,); above 0 where no answer is more probable than one."""
