"""FLOPs and memory of a step, against torch's own counter and the memory of real processes."""

import json
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from albert.config import AlbertConfig
from albert.model.flops import (
    encoder_flops,
    matrix_peak,
    num_parameters,
    pretraining_flops,
    step_memory,
)
from albert.model.language_models import AlbertForPreTraining
from albert.model.packing import Packing

CPU = torch.device("cpu")
CONFIG = AlbertConfig(
    vocab_size=97,
    embedding_size=8,
    hidden_size=20,
    num_hidden_layers=3,
    num_attention_heads=2,
    intermediate_size=44,
    max_position_embeddings=64,
)
SHAPES = {
    "shared": CONFIG,
    "wide embeddings": replace(CONFIG, embedding_size=20),
    "two groups of two blocks": replace(CONFIG, num_hidden_layers=4, num_hidden_groups=2, inner_group_num=2),
}


def counted_by_torch(config: AlbertConfig, lengths: list[int], num_masked: int) -> int:
    """FLOPs of one step; in bf16 on a CPU attention is plain products, which the counter supports."""
    model = AlbertForPreTraining(config)
    tokens = sum(lengths)
    ids = torch.randint(5, config.vocab_size, (tokens,))
    with FlopCounterMode(display=False) as counter:
        with torch.autocast("cpu", torch.bfloat16):
            masked_lm, order = model.packed_logits(
                ids, torch.zeros_like(ids), torch.tensor(lengths), torch.arange(num_masked)
            )
        (masked_lm.sum() + order.sum()).backward()  # type: ignore[no-untyped-call]
    return int(counter.get_total_flops())


@pytest.mark.parametrize("name", SHAPES)
def test_a_step_without_filling_or_padding_costs_what_torch_counts(name: str) -> None:
    lengths = [16] * 8  # 128 tokens, 64 masked ones and 72 rows are buckets, so there is no filling.
    ours = pretraining_flops(SHAPES[name], np.array(lengths), 64)
    assert ours == counted_by_torch(SHAPES[name], lengths, 64)


def test_with_uneven_lengths_torch_counts_the_same_for_nothing_is_padded() -> None:
    lengths = [24, 8, 8, 20, 24, 8, 8, 28]
    ours = pretraining_flops(CONFIG, np.array(lengths), 64)
    assert counted_by_torch(CONFIG, lengths, 64) == ours


@pytest.mark.parametrize("name", SHAPES)
def test_the_flops_of_the_encoder_are_those_torch_counts_with_and_without_chosen_rows(name: str) -> None:
    config, lengths = SHAPES[name], [64, 64]
    model = AlbertForPreTraining(config).albert.encoder
    x = torch.randn(128, config.embedding_size)
    packing = Packing.of_lengths(torch.tensor(lengths))
    for rows in (None, torch.arange(24)):
        with (
            torch.no_grad(),
            torch.autocast("cpu", torch.bfloat16),
            FlopCounterMode(display=False) as counter,
        ):
            model(x, packing, rows=rows)
        num_rows = None if rows is None else len(rows)
        assert encoder_flops(config, np.array(lengths), num_rows=num_rows) == counter.get_total_flops()


def test_the_count_of_a_batch_is_the_sum_of_those_of_its_sequences() -> None:
    whole = pretraining_flops(CONFIG, np.array([7, 31, 64]), 9)
    parts = [pretraining_flops(CONFIG, np.array([length]), 3) for length in (7, 31, 64)]
    assert whole == sum(parts)


@pytest.mark.parametrize("name", SHAPES)
def test_parameters_are_counted_as_the_model_has_them(name: str) -> None:
    model = AlbertForPreTraining(SHAPES[name])
    assert num_parameters(SHAPES[name]) == sum(parameter.numel() for parameter in model.parameters())


def test_the_peak_is_the_rate_of_a_large_product() -> None:
    size = 1024
    peak = matrix_peak(CPU, torch.float32)
    x, seconds = torch.randn(size, size), []
    for _ in range(9):
        start = time.perf_counter()
        x @ x
        seconds.append(time.perf_counter() - start)
    assert 0.2 < peak / (2 * size**3 / min(seconds)) < 5


MEASURE = Path(__file__).parent / "measure_step_memory.py"

MEASURED = {
    "equal lengths, float32": ([128] * 32, torch.float32, {}),
    "uneven lengths, bf16": ([128, 60] * 16, torch.bfloat16, {}),
    "dropout, float32": (
        [128] * 8,
        torch.float32,
        {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "num_hidden_layers": 8},
    ),
}


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize("name", MEASURED)
def test_the_estimated_memory_is_within_30_percent_of_what_a_process_needs(name: str) -> None:
    lengths, dtype, changes = MEASURED[name]
    config = AlbertConfig(
        vocab_size=8000,
        embedding_size=64,
        hidden_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=1024,
    )
    config = replace(config, **changes)
    job = {
        "config": asdict(config),
        "lengths": lengths,
        "num_masked": 500,
        "bf16": dtype == torch.bfloat16,
    }
    done = subprocess.run(
        [sys.executable, str(MEASURE), json.dumps(job)], capture_output=True, text=True, check=True
    )
    estimate = step_memory(config, np.array(lengths), 500, device=CPU, dtype=dtype)
    assert estimate.total == pytest.approx(int(done.stdout), rel=0.3)


def test_activation_checkpointing_keeps_less_the_deeper_the_model() -> None:
    def share(layers: int) -> float:
        config = replace(CONFIG, num_hidden_layers=layers)
        plain, saving = (
            step_memory(
                config,
                np.full(64, 64),
                100,
                device=CPU,
                dtype=torch.float32,
                activation_checkpointing=checkpointing,
            )
            for checkpointing in (False, True)
        )
        return saving.activations / plain.activations

    assert share(24) < 0.5 * share(3)
