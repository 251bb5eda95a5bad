"""The shape of an ALBERT model: its fields, the published sizes, and the two JSON dialects it is stored in.

Fields have the names of both dialects. These differ in one meaning: "gelu" is the tanh form in the original's
`albert_config.json` and the erf form in a Hugging Face `config.json`, where the tanh form is "gelu_new". In
this package the Hugging Face meaning holds.
Source: `AlbertConfig` of the original (modeling.py); Lan et al. (2020), table 1.
"""

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self, get_args

from albert.console import say
from albert.errors import CheckpointError, ConfigError, did_you_mean

Activation = Literal["gelu", "gelu_new", "relu", "tanh", "linear"]

ProblemType = Literal["regression", "single_label_classification", "multi_label_classification"]

# Keys of the original's JSON that its model never reads, nor does transformers' ALBERT.
_UNUSED_ORIGINAL_KEYS = {
    "down_scale_factor", "gap_size", "layers_to_keep", "net_structure_type", "num_memory_blocks",
    "directionality", "pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers",
    "pooler_size_per_head", "pooler_type",
}  # fmt: skip
# Keys that every release of transformers writes, and none writes into the original's JSON.
_HUGGING_FACE_MARKS = {
    "_num_labels", "architectures", "id2label", "label2id", "model_type", "num_labels", "output_attentions",
    "problem_type", "torchscript", "transformers_version",
}  # fmt: skip
# Keys that nearly every file of transformers has, and that change nothing; not worth a line.
_HARMLESS = {
    "_attn_implementation_autoset", "_name_or_path", "add_cross_attention", "attn_implementation", "auto_map",
    "bos_token_id", "chunk_size_feed_forward", "dtype", "eos_token_id", "finetuning_task",
    "gradient_checkpointing", "is_decoder", "is_encoder_decoder", "output_hidden_states", "output_past",
    "return_dict", "sep_token_id", "task_specific_params", "tokenizer_class", "torch_dtype",
    "transformers.js_config", "use_cache",
}  # fmt: skip
# Keys that nobody writes by hand: in such a file a key that resembles a known one is no misspelling.
_WRITTEN_MARKS = {"_num_labels", "architectures", "output_attentions", "torchscript", "transformers_version"}
# Keys of transformers that change numbers, with the values for which the model is the one built here.
_ONLY_VALUES: dict[str, tuple[object, ...]] = {
    "position_embedding_type": ("absolute", None),
    "tie_word_embeddings": (True, None),
    "pruned_heads": ({}, [], None),
    "quantization_config": (None, {}),
}
# Other names of the same functions in transformers.
_ACTIVATION_NAMES = {"gelu_pytorch_tanh": "gelu_new", "gelu_fast": "gelu_new", "gelu_python": "gelu"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AlbertConfig:
    """The shape of an ALBERT model.

    No field that decides the shape has a default: the original silently filled missing ones with the values
    of xxlarge.

    Raises:
        ConfigError: A value cannot be used; the message names it.
    """

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

    def __post_init__(self) -> None:
        if self.hidden_act not in get_args(Activation):
            known = list(get_args(Activation))
            raise ConfigError(
                f"hidden_act is {self.hidden_act!r}; known are {', '.join(known)}"
                f"{did_you_mean(str(self.hidden_act), known)}"
            )
        if self.problem_type is not None and self.problem_type not in get_args(ProblemType):
            known = list(get_args(ProblemType))
            raise ConfigError(
                f"problem_type is {self.problem_type!r}; known are {', '.join(known)}"
                f"{did_you_mean(str(self.problem_type), known)}"
            )
        for name in (
            "vocab_size", "embedding_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
            "intermediate_size", "num_hidden_groups", "inner_group_num", "max_position_embeddings",
            "type_vocab_size",
        ):  # fmt: skip
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ConfigError(f"{name} is {value!r}; expected a whole number of at least 1")
        if self.hidden_size % self.num_attention_heads:
            raise ConfigError(
                f"num_attention_heads is {self.num_attention_heads}, which does not divide "
                f"hidden_size {self.hidden_size}"
            )
        for name in (
            "hidden_dropout_prob",
            "attention_probs_dropout_prob",
            "classifier_dropout_prob",
        ):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; expected 0 <= p < 1")

    @property
    def has_map(self) -> bool:
        """Whether a linear layer maps the embeddings from E to H; where E equals H there is none."""
        return self.embedding_size != self.hidden_size

    @property
    def num_labels(self) -> int:
        """Number of outputs of a classification head."""
        return len(self.id2label) if self.id2label else 2

    @property
    def label2id(self) -> dict[str, int]:
        """Class numbers by name."""
        return {label: index for index, label in (self.id2label or {}).items()}

    def group_of_layer(self, layer: int) -> int:
        """Return the group whose weights layer `layer` uses."""
        return layer * self.num_hidden_groups // self.num_hidden_layers

    @classmethod
    def of_size(cls, name: str, *, vocab_size: int) -> Self:
        """Return the published configuration `name` with a vocabulary of `vocab_size` tokens.

        Names are `base`, `large`, `xlarge`, `xxlarge` (alone or with -v2: no dropout; with -v1: the dropout
        of the first release), albert_zh's `tiny` and `small`, and our own `mini`: one layer of width 256,
        with initial weights large enough to learn within minutes on a CPU (docs/pretraining.md).

        Raises:
            ConfigError: There is no such size.
        """
        size, _, version = name.partition("-")
        if size not in _SIZES or version not in {"", "v1", "v2"} or (version and size in _UNVERSIONED):
            known = size_names()
            raise ConfigError(f"no size {name!r}; known are {', '.join(known)}{did_you_mean(name, known)}")
        layers, hidden_size, heads = _SIZES[size]
        dropout = 0.1 if version == "v1" and size != "xxlarge" else 0.0
        return cls(
            vocab_size=vocab_size,
            embedding_size=128,
            hidden_size=hidden_size,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=4 * hidden_size,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
            initializer_range=0.05 if size == "mini" else 0.02,
        )

    @classmethod
    def from_json(cls, path: Path, **changes: Any) -> Self:
        """Read a Hugging Face `config.json` or the original's `albert_config.json`.

        The former has keys that only transformers writes, such as `model_type` or `architectures`.

        Args:
            path: The file.
            changes: Fields that replace those of the file.

        Raises:
            CheckpointError: There is no such file.
            ConfigError: The file is not such JSON, lacks a key that decides the shape, or has an unknown key.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise CheckpointError(f"{path}: no such file; expected a model configuration") from error
        except (ValueError, OSError) as error:
            raise ConfigError(f"{path}: not a JSON file: {error}") from error
        if not isinstance(content, dict):
            raise ConfigError(f"{path}: expected a JSON object, found {type(content).__name__}")
        try:
            config = cls.from_dict(content)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error
        if unused := unused_keys(content):
            _report_unused(path, tuple(unused))
        return replace(config, **changes) if changes else config

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Make a configuration from the keys and values of either JSON dialect.

        In files that transformers wrote, keys that are not known are skipped, because it stores settings of
        every kind there, and users add their own; `unused_keys` lists them. In other files they are errors.

        Raises:
            ConfigError: A key that decides the shape is missing, or has a value that is not supported.
        """
        original = not _HUGGING_FACE_MARKS & set(content)
        if content.get("model_type", "albert") != "albert":
            raise ConfigError(f"model_type is {content['model_type']!r}; expected 'albert'")
        names = [field.name for field in fields(cls)]
        for key in unused_keys(content):
            hint = did_you_mean(key, names)
            if original or (hint and not _WRITTEN_MARKS & set(content)):
                raise ConfigError(f"unknown key {key!r}{hint}")
        for key, allowed in _ONLY_VALUES.items():
            if key in content and content[key] not in allowed:
                raise ConfigError(
                    f"{key} is {content[key]!r}, which is not supported; expected {allowed[0]!r}"
                )
        values: dict[str, Any] = {key: value for key, value in content.items() if key in names}
        values["hidden_act"] = _ACTIVATION_NAMES.get(
            str(values.get("hidden_act")), values.get("hidden_act", "gelu_new")
        )
        missing = [f.name for f in fields(cls) if f.default is MISSING and f.name not in values]
        if missing:
            raise ConfigError(f"missing {', '.join(missing)}; these decide the shape and have no default")
        if original and values.get("hidden_act") == "gelu":
            values["hidden_act"] = "gelu_new"
        if original and values["hidden_act"] in {None, ""}:
            values["hidden_act"] = "linear"
        values["id2label"] = _labels(content)
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return the keys and values of a Hugging Face `config.json`."""
        content: dict[str, Any] = {"model_type": "albert", **asdict(self)}
        for name in ("problem_type", "id2label"):
            if content[name] is None:
                del content[name]
        if self.id2label:
            content["id2label"] = {str(index): label for index, label in self.id2label.items()}
            content["label2id"] = self.label2id
        return content


_SIZES = {  # layers, hidden size, attention heads
    "mini": (1, 256, 4),
    "tiny": (4, 312, 12),
    "small": (6, 384, 12),
    "base": (12, 768, 12),
    "large": (24, 1024, 16),
    "xlarge": (24, 2048, 16),  # The released weights have 16 heads; the paper's rule H / 64 gives 32.
    "xxlarge": (12, 4096, 64),
}
_UNVERSIONED = ("mini", "tiny", "small")


def size_names() -> list[str]:
    """Return the names that `AlbertConfig.of_size` knows."""
    versions = [f"{size}-{v}" for size in _SIZES if size not in _UNVERSIONED for v in ("v1", "v2")]
    return [*_SIZES, *versions]


def size_name(config: AlbertConfig) -> str:
    """Return the published size of this shape, or "own"."""
    fields = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size")
    for name in size_names():
        size = AlbertConfig.of_size(name, vocab_size=config.vocab_size)
        if all(getattr(size, field) == getattr(config, field) for field in fields):
            return name
    return "own"


def unused_keys(content: Mapping[str, Any]) -> list[str]:
    """Return the keys of a configuration that are no setting of the model, sorted.

    Those that nearly every file has, and that are known to change nothing, are left out.
    """
    known = {field.name for field in fields(AlbertConfig)} | _UNUSED_ORIGINAL_KEYS | _ONLY_VALUES.keys()
    return sorted(set(content) - known - _HUGGING_FACE_MARKS - _HARMLESS)


@cache
def _report_unused(path: Path, keys: tuple[str, ...]) -> None:
    """Report keys that are skipped, once a process: commands read a configuration several times."""
    say(f"{path}: not used, because it is no setting of the model: {', '.join(keys)}")


def _labels(content: dict[str, Any]) -> dict[int, str] | None:
    """Return the class names of a Hugging Face configuration, which may contain only their number."""
    if content.get("id2label"):
        return {int(index): str(label) for index, label in content["id2label"].items()}
    number = content.get("num_labels", content.get("_num_labels"))
    return None if number is None else {index: f"LABEL_{index}" for index in range(int(number))}
