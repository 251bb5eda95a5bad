"""Folders of sentence-transformers, read: pooling, layers after it, lengths and prompts are honoured.

Every release since the first is read; modules that are not known are refused, because vectors without them
would be others.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from torch import nn

from albert.checkpoint.sentence_modules import LENGTHS_FILE, MODULES_FILE, PROMPTS_FILE
from albert.checkpoint.weight_files import find_weights
from albert.checkpoint.weights import read_hugging_face_tensors
from albert.choices import Pooling
from albert.console import warn
from albert.errors import CheckpointError
from albert.hub import WEIGHT_FILES
from albert.model.pooling import ACTIVATIONS, Dense, Normalize

POOLING_FOLDER = "1_Pooling"

LEGACY_POOLING: dict[str, Pooling] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""Switches of releases before 6, in the order in which their vectors are laid end to end."""
_SIZES = {"word_embedding_dimension", "embedding_dimension"}
_LENGTH_KEYS = {
    "max_seq_length",
    "do_lower_case",
    "transformer_task",
    "modality_config",
    "module_output_name",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceFolder:
    """What a folder of sentence-transformers says about vectors."""

    encoder: Path
    """Folder of the encoder, the folder itself in all but the oldest."""
    pooling: tuple[Pooling, ...]
    """How states become a vector; several vectors are laid end to end."""
    layers: tuple[nn.Module, ...] = ()
    """What follows the pooling."""
    max_seq_length: int | None = None
    """Tokens to which a text is truncated; None for what model and tokenizer take."""
    lower_case: bool = False
    """Whether texts are lower-cased before the tokenizer cleans them."""
    prompts: dict[str, str] = field(default_factory=dict)
    """Texts that go before a text, by name."""
    default_prompt: str | None = None
    """Name of the prompt that is used if none is asked for."""
    include_prompt: bool = True
    """Whether the tokens of a prompt are pooled, too."""


def read_sentence_folder(folder: Path) -> SentenceFolder | None:
    """Read a folder of sentence-transformers; None if it is not one.

    Raises:
        CheckpointError: A file is damaged, or names a module or a setting that is not supported.
    """
    path = folder / MODULES_FILE
    if not path.is_file():
        return None
    modules = _read(path, list)
    names = [_name_of(module, path) for module in modules]
    if names[:2] != ["Transformer", "Pooling"]:
        raise CheckpointError(
            f"{path}: expected the modules Transformer and Pooling first, found {', '.join(names) or 'none'}"
        )
    encoder, pooling, *rest = (folder / str(module.get("path", "")) for module in modules)
    lengths = _lengths(encoder / LENGTHS_FILE)
    prompts = _read(folder / PROMPTS_FILE, dict)
    modes, include_prompt = _pooling(pooling / "config.json")
    return SentenceFolder(
        encoder=encoder,
        pooling=modes,
        include_prompt=include_prompt,
        layers=tuple(
            layer
            for name, place in zip(names[2:], rest, strict=True)
            if (layer := _layer(name, place, path)) is not None
        ),
        max_seq_length=lengths.get("max_seq_length"),
        lower_case=bool(lengths.get("do_lower_case")),
        prompts={str(name): str(text) for name, text in (prompts.get("prompts") or {}).items()},
        default_prompt=prompts.get("default_prompt_name"),
    )


def _name_of(module: object, path: Path) -> str:
    if not isinstance(module, dict) or not isinstance(module.get("type"), str):
        raise CheckpointError(f"{path}: expected a list of modules with path and type; restore the file")
    return str(module["type"]).rsplit(".", 1)[-1]


def _layer(name: str, folder: Path, path: Path) -> nn.Module | None:
    """Return a layer after the pooling; None for one that changes nothing in prediction."""
    match name:
        case "Normalize":
            return Normalize()
        case "Dropout":
            return None
        case "Dense":
            return _dense(folder)
    raise CheckpointError(
        f"{path}: the module {name} is not supported, and vectors without it would be others; expected "
        "Dense, Normalize or Dropout after Pooling"
    )


def _dense(folder: Path) -> Dense:
    path = folder / "config.json"
    config = _read(path, dict)
    activation = str(config.get("activation_function") or "Tanh").rsplit(".", 1)[-1]
    inputs = {config.get("module_input_name"), config.get("module_output_name")}
    unusual = [name for name in ("use_residual",) if config.get(name)]
    unusual += ["module_input_name"] if inputs - {None, "sentence_embedding"} else []
    unusual += [] if activation in ACTIVATIONS else ["activation_function"]
    if unusual:
        raise CheckpointError(
            f"{path}: {unusual[0]} is {json.dumps(config[unusual[0]])}, which is not supported; expected a "
            f"plain dense layer with one of the activations {', '.join(ACTIVATIONS)}"
        )
    weights = find_weights(folder)
    if weights is None:
        raise CheckpointError(
            f"{folder}: expected the weights of the dense layer, {' or '.join(WEIGHT_FILES)}"
        )
    stored = read_hugging_face_tensors(weights)
    matrix = stored.get("linear.weight")
    if matrix is None or matrix.dim() != 2:
        raise CheckpointError(
            f"{weights}: expected linear.weight, a matrix, found {', '.join(stored) or 'none'}"
        )
    layer = Dense(matrix.shape[1], matrix.shape[0], bias="linear.bias" in stored, activation=activation)
    try:
        layer.load_state_dict(stored)
    except RuntimeError as error:
        raise CheckpointError(f"{weights}: not the weights of a dense layer: {error}") from error
    return layer.eval().requires_grad_(requires_grad=False)


def _pooling(path: Path) -> tuple[tuple[Pooling, ...], bool]:
    """Return the pooling modes, and whether the tokens of a prompt are pooled."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; expected the settings of the pooling")
    config = _read(path, dict)
    unknown = sorted(set(config) - {*LEGACY_POOLING, *_SIZES, "pooling_mode", "include_prompt"})
    if unknown:
        warn(f"{path}: not used, because nothing is known about it: {', '.join(unknown)}")
    given = config.get("pooling_mode")
    legacy = [mode for name, mode in LEGACY_POOLING.items() if config.get(name)] or ["mean"]
    named = [given] if isinstance(given, str) else given or legacy
    modes = tuple(mode for name in named for mode in get_args(Pooling) if mode == name)
    if len(modes) != len(named):
        raise CheckpointError(
            f"{path}: pooling_mode is {json.dumps(given)}; expected {', '.join(get_args(Pooling))}, or a list"
        )
    return modes, config.get("include_prompt") is not False


def _lengths(path: Path) -> dict[str, Any]:
    """Return the settings of the encoder's module."""
    config = _read(path, dict)
    unknown = sorted(set(config) - _LENGTH_KEYS)
    if unknown:
        warn(f"{path}: not used, because nothing is known about it: {', '.join(unknown)}")
    text = (config.get("modality_config") or {}).get("text") or {}
    output = text.get("method_output_name") or "last_hidden_state"
    task = config.get("transformer_task") or "feature-extraction"
    if output != "last_hidden_state" or task != "feature-extraction":
        raise CheckpointError(
            f"{path}: expected the last hidden states of the task feature-extraction, found {output} of "
            f"{task}, which is not supported"
        )
    length = config.get("max_seq_length")
    if length is not None and (isinstance(length, bool) or not isinstance(length, int) or length < 1):
        raise CheckpointError(f"{path}: max_seq_length is {json.dumps(length)}; expected a number of tokens")
    return config


def _read(path: Path, kind: type) -> Any:
    """Return the content of a JSON file of a kind, list or dict; empty if there is none."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return kind()
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: expected JSON, found {error}; restore the file") from error
    if not isinstance(content, kind):
        raise CheckpointError(
            f"{path}: expected a JSON {'list' if kind is list else 'object'}; restore the file"
        )
    return content
