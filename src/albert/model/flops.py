"""The cost of a pretraining step: matrix FLOPs, the speed at which a device computes them, and memory.

Counted is the work that the model requires, however it is computed: real tokens only, attention within each
sequence, the last block's linear layers and the heads only at the rows that heads use. A multiplication and
an addition are two FLOPs; elementwise work and embedding lookups are none. Filling, the padded grid of
attention, and whatever is recomputed (inside fused attention, or with activation checkpointing) are not
counted, so they lower the utilisation that is derived from this.
Letters: B sequences of N tokens in all, T the longest, M masked tokens, A attention heads, E, H, F, V sizes
of embeddings, encoder, feed-forward part and vocabulary. Heads use B + M rows.
"""

import time
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn

from albert.config import AlbertConfig
from albert.data.batches import IntArray
from albert.model.linear import PreparedWeights, linear, prepare
from albert.model.losses import ROWS_AT_ONCE
from albert.model.packing import round_up_to_bucket

PEAK_SECONDS = 0.5
PEAK_SIZES = (256, 512, 1024, 2048, 4096, 8192)
PEAK_PRODUCT_SECONDS = 0.02

CPU_SLACK_SHARE = 0.25
"""Resident memory beyond live tensors, due to the C library: 10 to 50 % were measured at twelve shapes."""


def encoder_flops(config: AlbertConfig, lengths: IntArray, *, num_rows: int | None = None) -> int:
    """Return the FLOPs of the encoder on some sequences, forward.

    The mapping from E to H costs 2 N E H. A block costs 8 N H^2 for query, key, value and the layer after
    attention, 4 H times the sum of the squared lengths for attention, and 4 N H F for the feed-forward part.

    Args:
        config: The shape.
        lengths: Tokens of each sequence, (B,).
        num_rows: Rows needed of the last block; all if not given.
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
    count of a batch is the sum of the counts of its sequences.

    Args:
        config: The shape.
        lengths: Tokens of each sequence, (B,).
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
    """Return the number of blocks that a token passes."""
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
    """Estimated bytes of a training step at its peak, by purpose."""

    parameters: int
    """Weights, their gradients and the two moments of either optimiser, float32."""
    activations: int
    """What forward keeps for backward, plus the largest temporary tensors of backward."""
    update: int
    """The update inside the optimiser, when the activations are already freed."""
    slack_share: float
    """Memory that the allocator holds but does not use, as a share of what is used."""

    @property
    def total(self) -> int:
        """All bytes."""
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
    """Return an estimate of the memory of a training step, in addition to the program and its libraries.

    P parameters need 16 P bytes, and 4 P in the update. For backward a block keeps per token 3 H for query,
    key and value (H more on a CPU if lengths differ, and 4 H per cell where a GPU must pad for attention) and
    5 H + 2 F after them: the output of attention, the inputs of two normalisations and of two linear layers,
    and the feed-forward part twice; 2 H more with dropout. Where attention is not fused (bf16 or dropout on a
    CPU), it also keeps the probabilities, A T per token, three times with dropout. Forward ends with 8 V
    bytes for each masked token of a slice, its logits and their gradient, and 8 V E for the table's gradient.
    With activation checkpointing every block keeps only its input, and one block at a time all of the above.

    Args:
        config: The shape.
        lengths: Tokens of each sequence of the micro-batch, (B,).
        num_masked: Masked tokens in all of them, M.
        device: Where the step runs.
        dtype: Type of matrix products: float32, or bfloat16 under autocast.
        activation_checkpointing: Whether blocks are recomputed in backward.
    """
    tokens = round_up_to_bucket(int(np.sum(lengths)))
    rows = round_up_to_bucket(len(lengths) + num_masked)
    hidden, blocks = config.hidden_size, num_blocks(config)
    between = _attention_bytes(config, lengths, device, dtype)
    after = _row_bytes(config, device, dtype)
    # Autocast keeps normalisations in float32 on a GPU only.
    stream = tokens * hidden * (4 if device.type == "cuda" else dtype.itemsize)
    kept = blocks * between + ((blocks - 1) * tokens + rows) * after
    if activation_checkpointing:
        kept = blocks * stream + between + tokens * after
    kept += 12 * tokens * config.embedding_size + stream
    gradients = tokens * (2 * config.intermediate_size + 2 * hidden) * dtype.itemsize
    masked_rows = min(round_up_to_bucket(num_masked), ROWS_AT_ONCE)
    momentary = max(gradients, 8 * config.vocab_size * (masked_rows + config.embedding_size))
    # Prepared weights: query, key and value joined, all transposed or cast, and their gradients.
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
    """Measure for about half a second the FLOP/s of large matrix products with the model's kernels.

    Products grow until one takes 20 ms; the median of the largest size counts. The model's utilisation is its
    own FLOP/s over these. Vendors state rates that no product reaches.
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
def _product_seconds(x: Tensor, weights: PreparedWeights) -> float:
    """Return the seconds of one product."""
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
    """Return the bytes that the attention of one block keeps for backward."""
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
    """Return the bytes that one block keeps per token after attention."""
    hidden, item = config.hidden_size, dtype.itemsize
    on_gpu = device.type == "cuda"
    kept = (hidden + 2 * config.intermediate_size) * item + 4 * hidden * (4 if on_gpu else item)
    if on_gpu and dtype != torch.float32:
        kept += 2 * hidden * item
    if config.hidden_dropout_prob > 0:
        kept += 2 * hidden * (1 if on_gpu else item)
    return kept
