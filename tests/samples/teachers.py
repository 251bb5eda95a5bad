"""Small teachers and their students, for the tests of distillation."""

from typing import Any

from albert.config import AlbertConfig


def teacher_config(**changes: Any) -> AlbertConfig:
    """Return the shape of a teacher with four layers of their own, without a map."""
    shape: dict[str, Any] = {
        "vocab_size": 2000,
        "embedding_size": 32,
        "hidden_size": 32,
        "num_hidden_layers": 4,
        "num_hidden_groups": 4,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "initializer_range": 0.2,
    }
    return AlbertConfig(**(shape | changes))
