"""`albert info`: what a model folder holds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tyro.conf import Positional

from albert.checkpoint.folder import WEIGHTS_FILE, read_config, read_tensors
from albert.checkpoint.names import from_hugging_face
from albert.checkpoint.release import check_tokenizer
from albert.model.config import AlbertConfig, size_names
from albert.text.tokenizer import AlbertTokenizer

PROBE = "The quick brown fox jumps over 1,234 lazy dogs."


@dataclass(frozen=True, slots=True, kw_only=True)
class InfoSettings:
    """Shows what a model folder holds."""

    model: Positional[Path]
    """Model folder."""


def info(settings: InfoSettings) -> dict[str, Any]:
    """Returns shape, parameters and tokenizer of a model folder."""
    folder = settings.model
    config = read_config(folder)
    stored = read_tensors(folder / WEIGHTS_FILE)
    tensors = from_hugging_face(stored, has_map=config.embedding_size != config.hidden_size)
    sizes = {name: tensor.numel() for name, tensor in tensors.items()}
    tokenizer = AlbertTokenizer.from_pretrained(folder)
    check_tokenizer(tokenizer, config.vocab_size, source=str(folder))
    ids = tokenizer.encode(PROBE, add_special_tokens=False)
    return {
        "size": _size_name(config),
        "config": {name: value for name, value in config.to_dict().items() if name != "model_type"},
        "parameters": {
            "total": sum(sizes.values()),
            "embeddings": _sum_of(sizes, "albert.embeddings."),
            "layers": _sum_of(sizes, "albert.encoder."),
            "heads": sum(n for name, n in sizes.items() if not name.startswith("albert.")),
        },
        "tensors": len(tensors),
        "bytes": (folder / WEIGHTS_FILE).stat().st_size,
        "tokenizer": {
            "kind": tokenizer.kind,
            "vocab_size": tokenizer.vocab_size,
            "lower_case": tokenizer.do_lower_case,
            "probe": " ".join(tokenizer.convert_ids_to_tokens(ids)),
            "unknown_share": ids.count(tokenizer.unk_token_id) / len(ids),
        },
    }


def _size_name(config: AlbertConfig) -> str:
    """Returns the published size with this shape, or "own"."""
    shape = (
        config.num_hidden_layers,
        config.hidden_size,
        config.num_attention_heads,
        config.intermediate_size,
    )
    for name in size_names():
        size = AlbertConfig.of_size(name, vocab_size=config.vocab_size)
        if shape == (
            size.num_hidden_layers,
            size.hidden_size,
            size.num_attention_heads,
            size.intermediate_size,
        ):
            return name
    return "own"


def _sum_of(sizes: dict[str, int], prefix: str) -> int:
    return sum(size for name, size in sizes.items() if name.startswith(prefix))
