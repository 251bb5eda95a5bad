"""Folders for the library sentence-transformers: a model folder with files that describe the pooling.

The type names are those of the library's first releases: later ones still read them, and other embedding
servers look for them.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save_file

from albert.checkpoint.layout import RUN_FILE
from albert.checkpoint.sentence_modules import LENGTHS_FILE, MODULES_FILE, PROMPTS_FILE
from albert.choices import Pooling
from albert.conversion.release import model_card, replacing_folder
from albert.errors import CheckpointError
from albert.hub import WEIGHT_FILES
from albert.inference.embedding import Embedder
from albert.model.pooling import Dense
from albert.model.sentence_folders import LEGACY_POOLING, POOLING_FOLDER, read_sentence_folder
from albert.text.tokenizer import AlbertTokenizer
from albert.writing import write_json

_NAMES = {
    "mean": "mean of the last hidden states",
    "cls": "last hidden state of [CLS]",
    "max": "maximum of the last hidden states",
    "mean_sqrt_len_tokens": "sum of the last hidden states over the root of their number",
    "weightedmean": "mean of the last hidden states, weighted by position",
    "lasttoken": "last hidden state of [SEP]",
}
_PROBES = ("A sentence.", "ÉTÉ 中文 1,990 [MASK]", "a long text " * 300)
_MOST_DIFFERENCE = 1e-5
_TYPES = "sentence_transformers.models."


def write_sentence_transformers(folder: Path, embedder: Embedder, *, record: dict[str, Any]) -> None:
    """Write a folder with which sentence-transformers returns the vectors of `embedder`.

    Args:
        folder: Created, or replaced if this function wrote it.
        embedder: Encoder, tokenizer and pooling.
        record: Content of `run.json`.

    Raises:
        CheckpointError: The folder holds something else, or what was written gives other vectors.
    """
    if folder.exists() and not (folder / "modules.json").is_file() and any(folder.iterdir()):
        raise CheckpointError(
            f"{folder}: exists and is not a sentence-transformers folder; choose another one"
        )
    with replacing_folder(folder) as temporary:
        embedder.model.save_pretrained(temporary)
        embedder.tokenizer.save_pretrained(temporary)
        for number, layer in enumerate(embedder.layers, start=2):
            if isinstance(layer, Dense):
                (temporary / f"{number}_Dense").mkdir()
                save_file(layer.state_dict(), temporary / f"{number}_Dense" / WEIGHT_FILES[0])
        for name, content in _files(embedder).items():
            path = temporary / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        (temporary / "README.md").write_text(_card(embedder, record), encoding="utf-8")
        write_json(temporary / RUN_FILE, record)
        _check(temporary, embedder)


def _check(folder: Path, embedder: Embedder) -> None:
    """Compare the vectors of a written folder with those of `embedder`; the encoder is the same.

    Raises:
        CheckpointError: They differ.
    """
    found = read_sentence_folder(folder)
    assert found is not None
    again = replace(
        embedder,
        tokenizer=AlbertTokenizer.from_pretrained(folder),
        pooling=found.pooling,
        layers=tuple(layer.to(embedder.model.device) for layer in found.layers),
        max_seq_length=found.max_seq_length or 0,
        prompt=found.prompts.get(found.default_prompt or "", ""),
        lower_case=found.lower_case,
    )
    difference = np.abs(again.embed(_PROBES) - embedder.embed(_PROBES)).max()
    if not difference <= _MOST_DIFFERENCE:
        raise CheckpointError(
            f"{folder}: read again, it gives vectors that differ by up to {difference:.2g}, so it is not used"
        )


def _files(embedder: Embedder) -> dict[str, Any]:
    """Return the content of each file that the library reads in addition to the model's."""
    modules = [("", "Transformer"), (POOLING_FOLDER, "Pooling")]
    configs: dict[str, Any] = {}
    for number, layer in enumerate(embedder.layers, start=2):
        name = type(layer).__name__
        modules.append((f"{number}_{name}", name))
        configs[f"{number}_{name}/config.json"] = _dense(layer) if isinstance(layer, Dense) else {}
    return {
        MODULES_FILE: [
            {"idx": number, "name": str(number), "path": path, "type": _TYPES + name}
            for number, (path, name) in enumerate(modules)
        ],
        LENGTHS_FILE: {
            "max_seq_length": embedder.max_seq_length,
            "do_lower_case": embedder.lower_case,  # The tokenizer lower-cases in addition.
        },
        f"{POOLING_FOLDER}/config.json": {
            "word_embedding_dimension": embedder.model.config.hidden_size,
            **_modes(embedder.pooling),
        },
        PROMPTS_FILE: {
            "similarity_fn_name": "cosine",
            "prompts": {"default": embedder.prompt} if embedder.prompt else {},
            "default_prompt_name": "default" if embedder.prompt else None,
        },
        **configs,
    }


def _modes(pooling: Sequence[Pooling]) -> dict[str, Any]:
    """Return the pooling as all releases read it, or, in another order than theirs, as those since 6 do."""
    if [mode for mode in LEGACY_POOLING.values() if mode in pooling] == list(pooling):
        return {name: mode in pooling for name, mode in LEGACY_POOLING.items()}
    return {"pooling_mode": list(pooling)}


def _dense(layer: Dense) -> dict[str, Any]:
    place = "linear" if layer.activation_name == "Identity" else "activation"
    return {
        "in_features": layer.linear.in_features,
        "out_features": layer.linear.out_features,
        "bias": layer.linear.bias is not None,
        "activation_function": f"torch.nn.modules.{place}.{layer.activation_name}",
    }


def _card(embedder: Embedder, record: dict[str, Any]) -> str:
    how = " and ".join(_NAMES[mode] for mode in embedder.pooling)
    card = model_card(
        "ALBERT, for sentence-transformers",
        description=f"An ALBERT encoder whose vectors are the {how}"
        + (", of length 1." if embedder.is_normalized else "."),
        task="sentence-similarity",
        scores={},
        record=record,
    )
    return card.replace("library_name: transformers", "library_name: sentence-transformers", 1)
