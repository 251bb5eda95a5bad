"""The shape of an ALBERT model: its fields, the published sizes, and the two JSON dialects it is stored in.

Fields have the names of both dialects. These differ in one meaning: "gelu" is the tanh form in the original's
`albert_config.json` and the erf form in a Hugging Face `config.json`, where the tanh form is "gelu_new". In
this package the Hugging Face meaning holds.
A configuration can be changed until a model is made of it; every value is checked when it is set.
Source: `AlbertConfig` of the original (modeling.py); Lan et al. (2020), table 1.
"""

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import MISSING, asdict, fields
from functools import cache
from pathlib import Path
from typing import Any, Self

from albert.config_fields import Settings, checked, checked_labels, setting_defaults, setting_names
from albert.config_keys import (
    ACTIVATION_NAMES,
    CONSTANTS,
    HARMLESS,
    HUGGING_FACE_MARKS,
    ONLY_VALUES,
    WRITTEN_MARKS,
    unused_keys,
)
from albert.console import say
from albert.errors import CheckpointError, ConfigError, did_you_mean
from albert.hub import HubOptions, local_path
from albert.writing import write_json

CONFIG_FILE = "config.json"
PUBLISHED_VOCAB_SIZE = 30_000
"""Pieces of the published English vocabulary."""


class AlbertConfig(Settings):
    """The shape of an ALBERT model.

    No field that decides the shape has a default: the original silently filled missing ones with the values
    of xxlarge.

    Args:
        num_labels: Number of outputs of a classification head, where `id2label` does not name them.
        label2id: In place of `id2label`.
        settings: The fields; other names are kept and stored with the model, unless they resemble a field.

    Raises:
        ConfigError: A value cannot be used; the message names it.
    """

    model_type = "albert"

    def __init__(
        self, *, num_labels: int | None = None, label2id: dict[str, int] | None = None, **settings: Any
    ) -> None:
        names = setting_names()
        others = {name: settings.pop(name) for name in [*settings] if name not in names}
        for name, value in others.items():  # first, because a misspelt field is also a missing one
            setattr(self, name, value)
        if missing := [f.name for f in fields(self) if f.default is MISSING and f.name not in settings]:
            raise ConfigError(f"missing {', '.join(missing)}; these decide the shape and have no default")
        super().__init__(**settings)
        given = {"id2label": self.id2label, "label2id": label2id, "num_labels": num_labels}
        self.update({name: value for name, value in given.items() if value is not None})

    def __getattr__(self, name: str) -> Any:
        """Return what other libraries ask for and nobody has set."""
        if name in CONSTANTS:
            return deepcopy(CONSTANTS[name])
        raise AttributeError(f"a configuration has no {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        names = setting_names()
        if name in ONLY_VALUES and value not in ONLY_VALUES[name]:
            raise ConfigError(
                f"{name} is {value!r}, which is not supported; expected {ONLY_VALUES[name][0]!r}"
            )
        if name in names:
            value = checked(name, value)
        elif not hasattr(type(self), name) and name not in HARMLESS | HUGGING_FACE_MARKS | CONSTANTS.keys():
            hint = "" if name.startswith("_") else did_you_mean(name, [*names, "num_labels", "label2id"])
            if hint:
                raise ConfigError(f"a configuration has no {name!r}{hint}")
        super().__setattr__(name, value)

    def check(self) -> None:
        """Check that the settings fit each other.

        Raises:
            ConfigError: The heads do not divide the width.
        """
        if self.hidden_size % self.num_attention_heads:
            raise ConfigError(
                f"num_attention_heads is {self.num_attention_heads}, which does not divide "
                f"hidden_size {self.hidden_size}"
            )

    @property
    def has_map(self) -> bool:
        """Whether a linear layer maps the embeddings from E to H; where E equals H there is none."""
        return self.embedding_size != self.hidden_size

    @property
    def num_labels(self) -> int:
        """Number of outputs of a classification head; setting it to another number names them LABEL_0, ..."""
        return len(self.id2label) if self.id2label else 2

    @num_labels.setter
    def num_labels(self, number: int) -> None:
        if type(number) is not int or number < 1:
            raise ConfigError(f"num_labels is {number!r}; expected a whole number of at least 1")
        if not self.id2label or len(self.id2label) != number:
            self.id2label = {index: f"LABEL_{index}" for index in range(number)}

    @property
    def label2id(self) -> dict[str, int]:
        """Class numbers by name; setting it sets `id2label`."""
        return {label: index for index, label in (self.id2label or {}).items()}

    @label2id.setter
    def label2id(self, numbers: dict[str, int]) -> None:
        self.id2label = {index: label for label, index in numbers.items()}

    @property
    def use_return_dict(self) -> bool:
        """The same as `return_dict`, under transformers' name for the effective value."""
        return self.return_dict

    @property
    def others(self) -> dict[str, Any]:
        """Settings that are none of this model, kept as they were given."""
        names = setting_names()
        own = {*names, *CONSTANTS}
        return {name: value for name, value in vars(self).items() if name not in own and name[0] != "_"}

    def get_text_config(self, **_: Any) -> Self:
        """Return this configuration: there is no other part than text."""
        return self

    def changed(self, **changes: Any) -> Self:
        """Return a copy with other values of some settings.

        Raises:
            ConfigError: One of them cannot be used.
        """
        config = deepcopy(self)
        config.update(changes)
        return config

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
            config = cls.from_dict(content, **changes)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error
        if unused := unused_keys(content, setting_names()):
            _report_unused(path, tuple(unused))
        return config

    @classmethod
    def from_json_file(cls, path: str | Path) -> Self:
        """Read a configuration file; the name of transformers and of the original for `from_json`."""
        return cls.from_json(Path(path))

    @classmethod
    def from_pretrained(cls, folder: str | Path, **changes: Any) -> Self:
        """Read the configuration of a model folder, of a file, or of a model on the Hub.

        Args:
            folder: Path or Hub id.
            changes: Fields that replace those of the file, and how a model is fetched (`HubOptions`).

        Raises:
            CheckpointError: There is no such file.
            ConfigError: It cannot be used.
        """
        fetching = {name: changes.pop(name) for name in HubOptions.__annotations__ if name in changes}
        path = local_path(folder, **fetching)
        return cls.from_json(path / CONFIG_FILE if path.is_dir() else path, **changes)

    def to_diff_dict(self) -> dict[str, Any]:
        """Return `to_dict`, whole."""
        return self.to_dict()

    def to_json_file(self, path: str | Path) -> None:
        """Write the configuration to a file."""
        write_json(Path(path), json.loads(self.to_json_string()))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write `config.json` into a folder, which is made if missing.

        Raises:
            ConfigError: A setting that is none of this model's cannot be stored as JSON.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / CONFIG_FILE, json.loads(self.to_json_string()))

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], **changes: Any) -> Self:
        """Make a configuration from the keys and values of either JSON dialect.

        In files that transformers wrote, keys that are not known are skipped, because it stores settings of
        every kind there, and users add their own; `unused_keys` lists them. In other files they are errors.

        Args:
            content: Keys and values.
            changes: Fields that replace them.

        Raises:
            ConfigError: A key that decides the shape is missing, or has a value that is not supported.
        """
        original = not HUGGING_FACE_MARKS & set(content)
        if content.get("model_type", "albert") != "albert":
            found = content["model_type"]
            remedy = "; make an ALBERT of it: albert convert MODEL OUTPUT" if found == "bert" else ""
            raise ConfigError(f"model_type is {found!r}; expected 'albert'{remedy}")
        names, others = setting_names(), unused_keys(content, setting_names())
        for key in others:
            hint = did_you_mean(key, names)
            if original or (hint and not WRITTEN_MARKS & set(content)):
                raise ConfigError(f"unknown key {key!r}{hint}")
        for key, allowed in ONLY_VALUES.items():
            if key in content and content[key] not in allowed:
                raise ConfigError(
                    f"{key} is {content[key]!r}, which is not supported; expected {allowed[0]!r}"
                )
        values: dict[str, Any] = {key: value for key, value in content.items() if key in names}
        values["hidden_act"] = ACTIVATION_NAMES.get(
            str(values.get("hidden_act")), values.get("hidden_act", "gelu_new")
        )
        if original and values.get("hidden_act") == "gelu":
            values["hidden_act"] = "gelu_new"
        if original and values["hidden_act"] in {None, ""}:
            values["hidden_act"] = "linear"
        values["id2label"] = _labels(content)
        config = cls(**values)
        # Kept as they are: in files that a library wrote, a name that resembles a field is no misspelling.
        vars(config).update({key: content[key] for key in others})
        config.update(changes)
        return config

    def update(self, changes: Mapping[str, Any]) -> None:
        """Set several settings.

        Raises:
            ConfigError: One of them cannot be used, or names and number of the classes contradict each other.
        """
        for name, value in changes.items():
            setattr(self, name, value)
        labels = sorted({"id2label", "label2id", "num_labels"} & set(changes))
        for name in labels:
            given = changes[name]
            if given is not None and getattr(self, name) != _labels_as_stored(name, given):
                raise ConfigError(f"{name} is {given!r}, which contradicts another of {', '.join(labels)}")
        self.check()

    def to_dict(self) -> dict[str, Any]:
        """Return the keys and values of a Hugging Face `config.json`."""
        content: dict[str, Any] = {"model_type": "albert", **asdict(self), **self.others}
        for name in _LEFT_OUT:
            if content[name] == setting_defaults()[name]:
                del content[name]
        if self.id2label:
            content["id2label"] = {str(index): label for index, label in self.id2label.items()}
            content["label2id"] = self.label2id
        return content

    def to_json_string(self, *, use_diff: bool = True) -> str:  # noqa: ARG002  # transformers' name
        """Return the content of `config.json`; `use_diff` is without effect, the whole is returned.

        Raises:
            ConfigError: A setting that is none of this model's cannot be stored as JSON.
        """
        content = self.to_dict()
        for name, value in self.others.items():
            try:
                json.dumps(value)
            except (TypeError, ValueError) as error:
                raise ConfigError(
                    f"{name} is {value!r}, which cannot be stored as JSON; remove it"
                ) from error
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


_LEFT_OUT = ("problem_type", "id2label", "output_hidden_states", "output_attentions", "return_dict")
"""Fields that are not stored where they have their default."""


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


def _labels_as_stored(name: str, value: Any) -> Any:
    """Return a setting of the classes in the form in which it is read back."""
    if name == "id2label":
        return checked_labels(value)
    return {str(label): int(index) for label, index in value.items()} if name == "label2id" else value


@cache
def _report_unused(path: Path, keys: tuple[str, ...]) -> None:
    """Report keys that are skipped, once a process: commands read a configuration several times."""
    say(f"{path}: not used, because it is no setting of the model: {', '.join(keys)}")


def _labels(content: Mapping[str, Any]) -> dict[int, str] | None:
    """Return the class names of a Hugging Face configuration, which may contain only their number."""
    if content.get("id2label"):
        return checked_labels(content["id2label"])
    number = content.get("num_labels", content.get("_num_labels"))
    return None if number is None else {index: f"LABEL_{index}" for index in range(int(number))}
