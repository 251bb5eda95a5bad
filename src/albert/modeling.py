"""Names of the original's module `modeling` that other people's code imports."""

from typing import Any

from albert.config import AlbertConfig
from albert.legacy.moved import refuse

__all__ = ["AlbertConfig"]
_MOVED = {
    "AlbertModel": "it built a graph of TensorFlow; albert.AlbertModel is a module of PyTorch",
    "get_activation": "albert.AlbertConfig.hidden_act names the activation of a model",
    "get_assignment_map_from_checkpoint": "albert.AlbertModel.from_pretrained reads weights",
}


def __getattr__(name: str) -> Any:
    return refuse(__name__, name, _MOVED)
