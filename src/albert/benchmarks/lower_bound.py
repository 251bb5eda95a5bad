"""The lower bound of a job: its matrix products alone, each by the fastest kernel we know.

Every exact implementation of these models has to compute these products; everything else comes on top. Two
thirds of the products of a training step are for gradients, one for each of the two factors. The operands are
random and already in the layout the kernel prefers, so a real implementation cannot quite reach this time.
Letters: B sequences, N packed tokens; E embedding, H hidden, F feed-forward and V vocabulary size; A heads.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from albert.benchmarks.timing import Candidate, Outcome, Run
from albert.benchmarks.workload import Workload
from albert.config import AlbertConfig
from albert.data.batches import IntArray
from albert.model.flops import num_blocks
from albert.model.linear import linear, prepare

LOWER_BOUND = "matrix products alone"


@dataclass(frozen=True, slots=True)
class Product:
    """(rows, inner) times (inner, outer)."""

    rows: int
    inner: int
    outer: int
    times: int = 1
    """How often the model computes it; once per layer, for instance."""
    count: int = 0
    """Size of a batched product without parameters, as in attention; 0: a linear layer."""

    @property
    def flops(self) -> int:
        """Operations; a multiplication and an addition count as two."""
        return 2 * self.rows * self.inner * self.outer * self.times * max(1, self.count)


def encoder_products(config: AlbertConfig, lengths: IntArray, *, num_rows: int) -> Iterator[Product]:
    """Yield the products of the encoder, forward.

    Args:
        config: Shape of the model.
        lengths: Tokens of each sequence, (B,).
        num_rows: Tokens whose last hidden state a head reads; the last layer computes only these.
    """
    tokens, hidden, blocks = int(lengths.sum()), config.hidden_size, num_blocks(config)
    if config.has_map:
        yield Product(tokens, config.embedding_size, hidden)
    yield Product(tokens, hidden, 3 * hidden, times=blocks)
    heads = config.num_attention_heads
    for length, sequences in zip(
        *map(np.ndarray.tolist, np.unique(lengths, return_counts=True)), strict=True
    ):
        count = sequences * heads
        yield Product(length, hidden // heads, length, times=blocks, count=count)
        yield Product(length, length, hidden // heads, times=blocks, count=count)
    for rows, times in ((tokens, blocks - 1), (num_rows, 1)):
        yield Product(rows, hidden, hidden, times=times)
        yield Product(rows, hidden, config.intermediate_size, times=times)
        yield Product(rows, config.intermediate_size, hidden, times=times)


def pretraining_products(config: AlbertConfig, lengths: IntArray, num_masked: int) -> Iterator[Product]:
    """Yield the products of the encoder and both heads of pretraining, forward."""
    yield from encoder_products(config, lengths, num_rows=len(lengths) + num_masked)
    yield from _pooled(config, len(lengths), outputs=2)
    yield Product(num_masked, config.hidden_size, config.embedding_size)
    yield Product(num_masked, config.embedding_size, config.vocab_size)


def classifier_products(config: AlbertConfig, lengths: IntArray) -> Iterator[Product]:
    """Yield the products of the encoder and a classifier's head, forward."""
    yield from encoder_products(config, lengths, num_rows=len(lengths))
    yield from _pooled(config, len(lengths), outputs=config.num_labels)


def flops_of(products: Sequence[Product], *, backward: bool) -> int:
    """Return the operations of `products`, including those of their gradients if `backward`."""
    return sum(product.flops for product in products) * (3 if backward else 1)


def lower_bound_candidate(work: Workload, products: Sequence[Product], *, backward: bool) -> Candidate:
    """Return the candidate that computes nothing but the products."""

    def make() -> Run:
        # Do not advance the global random state: the weights of later candidates depend on it.
        with torch.random.fork_rng(devices=[]):
            steps = [(p.times, _calls(work, p, backward=backward)) for p in products if p.times and p.rows]
        return lambda: _run(steps)

    return Candidate(
        name=LOWER_BOUND, make=make, tolerance=None, note="the lower bound: nothing else is computed"
    )


def _pooled(config: AlbertConfig, sequences: int, *, outputs: int) -> Iterator[Product]:
    yield Product(sequences, config.hidden_size, config.hidden_size)
    yield Product(sequences, config.hidden_size, outputs)


@torch.no_grad()
def _run(steps: Sequence[tuple[int, Sequence[Callable[[], object]]]]) -> Outcome:
    """Compute all products, layer by layer, as a model would."""
    for number in range(max(times for times, _ in steps)):
        for times, calls in steps:
            if number < times:
                for call in calls:
                    call()
    return np.zeros(0)


@torch.no_grad()
def _calls(work: Workload, product: Product, *, backward: bool) -> list[Callable[[], object]]:
    """Return the calls that compute a product and, if `backward`, the gradients of its two factors."""
    rows, inner, outer = product.rows, product.inner, product.outer
    if product.count:
        shapes = [(rows, inner, outer), (rows, outer, inner), (inner, rows, outer)]
        calls = [_batched(work, product.count, *shape) for shape in shapes]
    else:
        gradient = [_mapped(work, outer, rows, inner), _plain(work, outer, rows, inner)]
        calls = [_mapped(work, rows, inner, outer)]
        calls += [_mapped(work, rows, outer, inner), _fastest(gradient)] if backward else []
    return calls if backward else calls[:1]


def _batched(work: Workload, count: int, rows: int, inner: int, outer: int) -> Callable[[], object]:
    x = torch.randn(count, rows, inner, device=work.device, dtype=work.dtype)
    y = torch.randn(count, inner, outer, device=work.device, dtype=work.dtype)
    return lambda: x @ y


def _mapped(work: Workload, rows: int, inner: int, outer: int) -> Callable[[], object]:
    """Return a product computed by the model's own kernel."""
    x = torch.randn(rows, inner, device=work.device, dtype=work.dtype)
    weights = prepare((nn.Linear(inner, outer, device=work.device),), work.dtype)
    return lambda: linear(x, weights)


def _plain(work: Workload, rows: int, inner: int, outer: int) -> Callable[[], object]:
    """Return a product with a transposed factor by torch's kernel, as in the gradient of a weight."""
    x = torch.randn(inner, rows, device=work.device, dtype=work.dtype)
    y = torch.randn(inner, outer, device=work.device, dtype=work.dtype)
    return lambda: x.t() @ y


def _fastest(calls: Sequence[Callable[[], object]]) -> Callable[[], object]:
    """Return the fastest call, by the time of two runs after a warm-up."""

    def seconds(call: Callable[[], object]) -> float:
        call()
        start = time.perf_counter()
        call()
        call()
        return time.perf_counter() - start

    return min(calls, key=seconds)
