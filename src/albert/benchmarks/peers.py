"""The models of transformers with our weights, as far as transformers is installed.

It is no dependency of this package but an oracle of its development; without it ours is measured alone.
"""

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch

from albert.benchmarks.workload import Workload
from albert.model.pretrained import Pretrained


class Peer(NamedTuple):
    """One way in which a user of transformers runs a model."""

    attention: str
    """Name of its attention."""
    compiled: bool
    """Whether the model goes through torch.compile."""
    padded_to: int | None = None
    """Pieces to which all batches are padded; None: each to its longest sequence."""

    @property
    def is_default(self) -> bool:
        """Whether it is what a user gets who asks for nothing."""
        return self.attention == "sdpa" and not self.compiled and self.padded_to is None

    @property
    def name(self) -> str:
        """For people."""
        padding = "" if self.padded_to is None else f", padded to {self.padded_to}"
        return f"transformers, {self.attention}{', compiled' if self.compiled else ''}{padding}"


def is_installed() -> bool:
    """Tells whether transformers is."""
    return find_spec("transformers") is not None


def library() -> Any:
    """Returns transformers, silent."""
    transformers = import_module("transformers")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


def find_peers(work: Workload, *, compiled: bool, full_length: int | None = None) -> Iterator[Peer]:
    """Yields the ways that take part; none without transformers.

    Args:
        work: What is measured.
        compiled: Whether compiling makes sense in this job.
        full_length: Pieces to which its users pad every batch unless they ask for less, if they do.
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
    """Returns the model of transformers of the same name as `model_class`, with the same weights."""
    theirs = getattr(library(), model_class.__name__)
    model = theirs.from_pretrained(work.weights(model_class), attn_implementation=peer.attention)
    model.to(work.device)
    # Shapes may vary from call to call; one dynamic graph is what its users ask for then.
    return torch.compile(model) if peer.compiled else model
