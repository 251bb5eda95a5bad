"""The settings of a model's configuration: their names, their meaning, and which values they take."""

from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Literal, get_args

from albert.errors import ConfigError, did_you_mean

Activation = Literal["gelu", "gelu_new", "relu", "tanh", "linear"]

ProblemType = Literal["regression", "single_label_classification", "multi_label_classification"]


@dataclass(kw_only=True)
class Settings:
    """The fields of `AlbertConfig`."""

    vocab_size: int
    """Size of the vocabulary (V)."""
    embedding_size: int
    """Width of the word, position and type embeddings (E)."""
    hidden_size: int
    """Width of the encoder (H)."""
    num_hidden_layers: int
    """Number of layers; the layers of a group share their weights (L)."""
    num_attention_heads: int
    """Attention heads; must divide `hidden_size` (A)."""
    intermediate_size: int
    """Width of the feed-forward part (F)."""
    num_hidden_groups: int = 1
    """Groups of layers with weights of their own; layer l uses group l * num_hidden_groups // L."""
    inner_group_num: int = 1
    """Blocks with weights of their own inside each layer of a group."""
    hidden_act: Activation = "gelu_new"
    """Activation; gelu_new is the tanh form, which the original calls gelu."""
    hidden_dropout_prob: float = 0.0
    """Dropout after the embeddings, the attention and the feed-forward part."""
    attention_probs_dropout_prob: float = 0.0
    """Dropout on attention probabilities."""
    max_position_embeddings: int = 512
    """Tokens of the longest sequence."""
    type_vocab_size: int = 2
    """Number of segments."""
    initializer_range: float = 0.02
    """Standard deviation of the truncated normal that kernels and embeddings start from."""
    layer_norm_eps: float = 1e-12
    """Added to the variance in layer normalisation."""
    classifier_dropout_prob: float = 0.1
    """Dropout before a classification head."""
    pad_token_id: int = 0
    """Id of the padding token."""
    problem_type: ProblemType | None = None
    """What a classification head was trained for."""
    id2label: dict[int, str] | None = None
    """Names of the classes of a classification head."""
    output_hidden_states: bool = False
    """Whether models return hidden states where a call does not say."""
    output_attentions: bool = False
    """Whether models return attention probabilities where a call does not say."""
    return_dict: bool = True
    """Whether models return mappings, or tuples, where a call does not say."""


_COUNTS = {
    "vocab_size", "embedding_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
    "intermediate_size", "num_hidden_groups", "inner_group_num", "max_position_embeddings", "type_vocab_size",
}  # fmt: skip
_PROBABILITIES = {"hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout_prob"}
_SMALL = {"initializer_range", "layer_norm_eps"}
_CHOICES = {"hidden_act": get_args(Activation), "problem_type": (*get_args(ProblemType), None)}


@cache
def setting_names() -> list[str]:
    """Return the names of the settings."""
    return [field.name for field in fields(Settings)]


@cache
def setting_defaults() -> dict[str, Any]:
    """Return the default of each setting; `MISSING` for those that have none."""
    return {field.name: field.default for field in fields(Settings)}


def checked(name: str, value: Any) -> Any:
    """Return the value of a setting, in its form.

    Raises:
        ConfigError: It cannot be used.
    """
    if name in _CHOICES and value not in _CHOICES[name]:
        known = [str(choice) for choice in _CHOICES[name] if choice is not None]
        raise ConfigError(
            f"{name} is {value!r}; known are {', '.join(known)}{did_you_mean(str(value), known)}"
        )
    if name in _COUNTS and (not isinstance(value, int) or value < 1):
        raise ConfigError(f"{name} is {value!r}; expected a whole number of at least 1")
    if name in _PROBABILITIES and not (isinstance(value, int | float) and 0 <= value < 1):
        raise ConfigError(f"{name} is {value!r}; expected 0 <= p < 1")
    if name in _SMALL and not (isinstance(value, int | float) and value >= 0):
        raise ConfigError(f"{name} is {value!r}; expected a number of at least 0")
    if name == "id2label" and value is not None:
        return checked_labels(value)
    return value


def checked_labels(value: Any) -> dict[int, str]:
    """Return names of classes by number, whose numbers may be spelled as text, as in JSON."""
    try:
        labels = {int(index): str(label) for index, label in dict(value).items()}
    except (TypeError, ValueError) as error:
        raise ConfigError(f"id2label is {value!r}; expected class names by number, {{0: 'no'}}") from error
    if sorted(labels) != list(range(len(labels))):
        raise ConfigError(f"id2label has the numbers {sorted(labels)}; expected 0, 1, ... without a gap")
    return labels
