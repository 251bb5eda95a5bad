"""The models of transformers with our weights, if transformers is installed.

transformers is not a dependency of this package, only of its tests. Without it, `albert bench` measures our
candidates and the lower bound.
"""

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch

from albert.benchmarks.workload import Workload
from albert.model.pretrained import Pretrained


class Peer(NamedTuple):
    """One way to run a model of transformers."""

    attention: str
    """Name of its attention implementation."""
    compiled: bool
    """Whether the model is compiled with torch.compile."""
    padded_to: int | None = None
    """Tokens to which all batches are padded; None pads each batch to its longest sequence."""

    @property
    def is_default(self) -> bool:
        """Whether these are the defaults of transformers."""
        return self.attention == "sdpa" and not self.compiled and self.padded_to is None

    @property
    def name(self) -> str:
        """Display name."""
        padding = "" if self.padded_to is None else f", padded to {self.padded_to}"
        return f"transformers, {self.attention}{', compiled' if self.compiled else ''}{padding}"


def is_installed() -> bool:
    """Return whether transformers is installed."""
    return find_spec("transformers") is not None


def library() -> Any:
    """Return the module `transformers` with its messages switched off."""
    transformers = import_module("transformers")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


def find_peers(work: Workload, *, compiled: bool, full_length: int | None = None) -> Iterator[Peer]:
    """Yield the variants to measure; none if transformers is not installed.

    Args:
        work: What is measured.
        compiled: Whether compiling makes sense for this job.
        full_length: Tokens to which the examples of transformers pad every batch; None if they do not.
    """
    if not is_installed():
        return
    yield Peer("sdpa", compiled=False)
    if work.all_peers:
        yield Peer("eager", compiled=False)
    if work.all_peers and full_length is not None:
        yield Peer("sdpa", compiled=False, padded_to=full_length)
    if compiled and work.compiled:
        yield Peer("sdpa", compiled=True)


def open_peer(work: Workload, model_class: type[Pretrained], peer: Peer) -> Any:
    """Return the model of transformers with the name and the weights of our `model_class`."""
    theirs = getattr(library(), model_class.__name__)
    model = theirs.from_pretrained(work.weights(model_class), attn_implementation=peer.attention)
    model.to(work.device)
    # Default settings: torch switches to dynamic shapes by itself when shapes vary.
    return torch.compile(model) if peer.compiled else model
