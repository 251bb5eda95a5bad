"""Folders for the library sentence-transformers: a model folder with files that describe the pooling.

The type names are those of the library's first releases: later ones still read them, and other embedding
servers look for them.
"""

import json
from pathlib import Path
from typing import Any

from albert.checkpoint.folder import write_json
from albert.checkpoint.layout import RUN_FILE
from albert.conversion.release import model_card, replacing_folder
from albert.errors import CheckpointError
from albert.inference.embedding import Embedder

_TYPES = "sentence_transformers.models."


def write_sentence_transformers(folder: Path, embedder: Embedder, *, record: dict[str, Any]) -> None:
    """Write a folder with which sentence-transformers returns the vectors of `embedder`.

    Args:
        folder: Created, or replaced if this function wrote it.
        embedder: Encoder, tokenizer and pooling.
        record: Content of `run.json`.

    Raises:
        CheckpointError: The folder holds something else.
    """
    if folder.exists() and not (folder / "modules.json").is_file() and any(folder.iterdir()):
        raise CheckpointError(
            f"{folder}: exists and is not a sentence-transformers folder; choose another one"
        )
    with replacing_folder(folder) as temporary:
        embedder.model.save_pretrained(temporary)
        embedder.tokenizer.save_pretrained(temporary)
        for name, content in _files(embedder).items():
            path = temporary / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        (temporary / "README.md").write_text(_card(embedder, record), encoding="utf-8")
        write_json(temporary / RUN_FILE, record)


def _files(embedder: Embedder) -> dict[str, Any]:
    """Return the content of each file that the library reads in addition to the model's."""
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
    if embedder.normalize:
        modules.append(("2_Normalize", "Normalize"))
    files: dict[str, Any] = {
        "modules.json": [
            {"idx": number, "name": str(number), "path": path, "type": _TYPES + name}
            for number, (path, name) in enumerate(modules)
        ],
        "sentence_bert_config.json": {
            "max_seq_length": embedder.max_seq_length,
            "do_lower_case": False,  # The tokenizer lower-cases.
        },
        "1_Pooling/config.json": {
            "word_embedding_dimension": embedder.dimension,
            "pooling_mode_cls_token": embedder.pooling == "cls",
            "pooling_mode_mean_tokens": embedder.pooling == "mean",
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
        },
        "config_sentence_transformers.json": {"similarity_fn_name": "cosine"},
    }
    return files | ({"2_Normalize/config.json": {}} if embedder.normalize else {})


def _card(embedder: Embedder, record: dict[str, Any]) -> str:
    how = "mean of the last hidden states" if embedder.pooling == "mean" else "last hidden state of [CLS]"
    card = model_card(
        "ALBERT, for sentence-transformers",
        description=f"An ALBERT encoder whose vectors are the {how}"
        + (", of length 1." if embedder.normalize else "."),
        task="sentence-similarity",
        scores={},
        record=record,
    )
    return card.replace("library_name: transformers", "library_name: sentence-transformers", 1)
