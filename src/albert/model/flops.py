"""What a pretraining step costs: matrix FLOPs, the speed at which a device does them, and memory.

Counted is the work that the model asks for, whoever does it: real tokens only, attention inside each
sequence, the last block's maps and the heads only where a head looks. A multiplication and an addition are
two FLOPs; elementwise work and looking up embeddings are none. Filling, the padded grid of attention, and
what is computed a second time (inside fused attention, or with activation checkpointing) are left out: they
lower the utilisation that is derived from this.
Letters: B sequences of N tokens in all, T the longest, M hidden pieces, K = B + M rows that heads look at,
E, H, F, V widths of embeddings, encoder, feed-forward part and vocabulary, A heads.
"""

import time
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn

from albert.config import AlbertConfig
from albert.data.batches import IntArray
from albert.model.linear import LinearWeights, linear, prepare
from albert.model.losses import ROWS_AT_ONCE
from albert.model.packing import round_up_to_bucket

PEAK_SECONDS = 0.5
PEAK_SIZES = (256, 512, 1024, 2048, 4096, 8192)
PEAK_PRODUCT_SECONDS = 0.02

CPU_SLACK_SHARE = 0.25
"""Resident memory beyond live tensors: 10 to 50 % were measured at twelve shapes, the C library's doing."""


def encoder_flops(config: AlbertConfig, lengths: IntArray, *, num_rows: int | None = None) -> int:
    """Return the FLOPs of sending sequences through the encoder once, forward.

    The map from E to H costs 2 N E H; a block 8 N H^2 for query, key, value and the map behind attention,
    4 H times the sum of the squared lengths for attention, 4 N H F for the feed-forward part.

    Args:
        config: The shape.
        lengths: Pieces of each sequence, (B,).
        num_rows: Rows wanted of the last block, K; all if not given.
    """
    tokens, squares = int(np.sum(lengths)), int(np.sum(np.square(lengths, dtype=np.int64)))
    hidden, blocks = config.hidden_size, num_blocks(config)
    rows = (blocks - 1) * tokens + (tokens if num_rows is None else num_rows)
    mapping = 2 * tokens * config.embedding_size * hidden if config.has_map else 0
    attention = blocks * (6 * tokens * hidden**2 + 4 * hidden * squares)
    return mapping + attention + rows * (2 * hidden**2 + 4 * hidden * config.intermediate_size)


def pretraining_flops(
    config: AlbertConfig, lengths: IntArray, num_masked: int, *, num_depths: int = 1
) -> int:
    """Return the FLOPs of a training step on some sequences, forward and backward.

    Backward costs exactly twice as much as forward: a product has two factors, each with a gradient. The
    count is additive: that of a batch is the sum of those of its sequences.

    Args:
        config: The shape.
        lengths: Pieces of each sequence, (B,).
        num_masked: Masked tokens in all of them, M.
        num_depths: Numbers of layers after which the heads compute their losses.
    """
    sequences, hidden = len(lengths), config.hidden_size
    order = sequences * (2 * hidden**2 + 2 * hidden * 2)
    heads = num_depths * (order + masked_lm_flops(config, num_masked))
    return 3 * (encoder_flops(config, lengths, num_rows=sequences + num_masked) + heads)


def masked_lm_flops(config: AlbertConfig, num_masked: int) -> int:
    """Return the FLOPs of the masked LM head on `num_masked` tokens, forward."""
    return 2 * num_masked * config.embedding_size * (config.hidden_size + config.vocab_size)


def num_blocks(config: AlbertConfig) -> int:
    """Return how many blocks a token goes through."""
    return config.num_hidden_layers * config.inner_group_num


def num_parameters(config: AlbertConfig) -> int:
    """Return the number of parameters of the encoder with both heads of pretraining."""
    embedding, hidden, vocabulary = config.embedding_size, config.hidden_size, config.vocab_size
    rows = vocabulary + config.max_position_embeddings + config.type_vocab_size
    mapping = (embedding + 1) * hidden if config.has_map else 0
    block = _block_weights(config) + 9 * hidden + config.intermediate_size
    unique = config.num_hidden_groups * config.inner_group_num
    pooler_and_order = (hidden + 1) * hidden + (hidden + 1) * 2
    masked_lm = (hidden + 1) * embedding + 2 * embedding + vocabulary
    return (rows + 2) * embedding + mapping + unique * block + pooler_and_order + masked_lm


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMemory:
    """Bytes that a training step holds at its peak, by what they are for; an estimate."""

    parameters: int
    """Weights, their gradients and the two moments of either optimiser, float32."""
    activations: int
    """What forward leaves for backward, on top of which the largest of what backward makes for a moment."""
    update: int
    """The update while the optimiser works; the activations are gone by then."""
    slack_share: float
    """What the allocator holds beyond what is in use, as a share of that."""

    @property
    def total(self) -> int:
        """Bytes in all."""
        return int((1 + self.slack_share) * (self.parameters + max(self.activations, self.update)))


def step_memory(
    config: AlbertConfig,
    lengths: IntArray,
    num_masked: int,
    *,
    device: torch.device,
    dtype: torch.dtype,
    activation_checkpointing: bool = False,
) -> StepMemory:
    """Return about how much memory a training step needs on top of the program and its libraries.

    Of P parameters: 16 P bytes, and 4 P in the update. A block keeps for backward, for each token, 3 H for
    query, key and value (where lengths differ H more on a CPU, and 4 H of each cell where a GPU must pad for
    attention) and 5 H + 2 F behind them: what attention read, the inputs of two normalisations and of two
    maps, and twice the feed-forward part; 2 H with dropout. Where attention is not fused (bf16 or dropout on
    a CPU), also its probabilities, A T a token, three times with dropout. Forward ends with 8 V bytes for
    each of some hidden pieces, their logits and gradients, and 8 V E of the table's. With activation
    checkpointing every block keeps its input, and one at a time all of the above.

    Args:
        config: The shape.
        lengths: Pieces of each sequence that goes through the model at once, (B,).
        num_masked: Hidden pieces in all of them, M.
        device: Where it runs.
        dtype: Type of matrix products: float32, or bfloat16 under autocast.
        activation_checkpointing: Whether blocks are computed again in backward.
    """
    tokens = round_up_to_bucket(int(np.sum(lengths)))
    rows = round_up_to_bucket(len(lengths) + num_masked)
    hidden, blocks = config.hidden_size, num_blocks(config)
    between = _attention_bytes(config, lengths, device, dtype)
    behind = _row_bytes(config, device, dtype)
    # Autocast leaves normalisations float32 on a GPU alone.
    stream = tokens * hidden * (4 if device.type == "cuda" else dtype.itemsize)
    kept = blocks * between + ((blocks - 1) * tokens + rows) * behind
    if activation_checkpointing:
        kept = blocks * stream + between + tokens * behind
    kept += 12 * tokens * config.embedding_size + stream
    gradients = tokens * (2 * config.intermediate_size + 2 * hidden) * dtype.itemsize
    hidden_pieces = min(round_up_to_bucket(num_masked), ROWS_AT_ONCE)
    momentary = max(gradients, 8 * config.vocab_size * (hidden_pieces + config.embedding_size))
    # Query, key and value joined, everything transposed or cast, and a gradient of each.
    unique = config.num_hidden_groups * config.inner_group_num
    ready = 2 * unique * _block_weights(config) * dtype.itemsize
    parameters = num_parameters(config)
    return StepMemory(
        parameters=16 * parameters,
        activations=kept + momentary + ready,
        update=4 * parameters,
        slack_share=CPU_SLACK_SHARE if device.type == "cpu" else 0.0,
    )


def matrix_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Measure for about half a second how many FLOP/s large matrix products reach, by the model's kernels.

    Products grow until one takes 20 ms; the median of the largest counts. What the model reaches as a share
    of it is its utilisation. The rate that a vendor prints is higher than any product reaches.
    """
    for size in PEAK_SIZES:
        x = torch.randn(size, size, device=device, dtype=dtype)
        weights = prepare((nn.Linear(size, size, device=device, dtype=dtype),), dtype)
        _product_seconds(x, weights)
        times = [_product_seconds(x, weights)]
        if times[0] >= PEAK_PRODUCT_SECONDS:
            break
    while len(times) < 5 or sum(times) < PEAK_SECONDS:
        times.append(_product_seconds(x, weights))
    return 2 * size**3 / median(times)


@torch.no_grad()
def _product_seconds(x: Tensor, weights: LinearWeights) -> float:
    """Return how long the map of `x` takes."""
    _wait(x.device)
    start = time.perf_counter()
    linear(x, weights)
    _wait(x.device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _block_weights(config: AlbertConfig) -> int:
    """Return the number of weights of a block, without biases and normalisations."""
    return 4 * config.hidden_size**2 + 2 * config.hidden_size * config.intermediate_size


def _attention_bytes(
    config: AlbertConfig, lengths: IntArray, device: torch.device, dtype: torch.dtype
) -> int:
    """Return what one block's attention keeps for backward."""
    tokens, cells = round_up_to_bucket(int(np.sum(lengths))), len(lengths) * int(np.max(lengths))
    on_cpu = device.type == "cpu"
    dropout = config.attention_probs_dropout_prob > 0
    elements = 3 * tokens * config.hidden_size
    if cells != np.sum(lengths):
        if on_cpu:
            elements += tokens * config.hidden_size
        elif dropout or dtype == torch.float32:
            elements += 4 * cells * config.hidden_size
    if on_cpu and (dtype == torch.bfloat16 or dropout):
        squares = int(np.square(lengths).sum())
        elements += (3 if dropout else 1) * squares * config.num_attention_heads
    return elements * dtype.itemsize


def _row_bytes(config: AlbertConfig, device: torch.device, dtype: torch.dtype) -> int:
    """Return what one block keeps of a token behind attention."""
    hidden, item = config.hidden_size, dtype.itemsize
    on_gpu = device.type == "cuda"
    kept = (hidden + 2 * config.intermediate_size) * item + 4 * hidden * (4 if on_gpu else item)
    if on_gpu and dtype != torch.float32:
        kept += 2 * hidden * item
    if config.hidden_dropout_prob > 0:
        kept += 2 * hidden * (1 if on_gpu else item)
    return kept
