"""A tiny model in the original's shape, and its TensorFlow checkpoints."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import torch

from albert import AlbertConfig, AlbertForPreTraining
from albert.checkpoint.names import to_original

WRITER = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "checkpoint" / "bundle_writer.py")))
SHAPE = {
    "vocab_size": 2000,
    "embedding_size": 6,
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "max_position_embeddings": 128,
    "hidden_act": "gelu",
    "net_structure_type": 0,
}


def random_model(seed: int = 0, **changes: object) -> AlbertForPreTraining:
    """Return a random model whose weights are large enough to distinguish examples."""
    torch.manual_seed(seed)
    model = AlbertForPreTraining(AlbertConfig.from_dict({**SHAPE, **changes})).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def write_tensorflow(prefix: Path, model: AlbertForPreTraining, *, step: int = 0) -> Path:
    """Write a model as TensorFlow does; return the prefix of its files."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    variables = to_original({name: p.detach() for name, p in model.named_parameters()})
    WRITER.write_bundle(prefix, {**variables, "global_step": torch.tensor(step)})
    return prefix
