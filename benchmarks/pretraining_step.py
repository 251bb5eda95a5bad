"""One pretraining step against transformers doing the same work: same weights, same batch, interleaved.

Both models get the same packed or padded examples, predict the same masked pieces, and add up both
losses. Transformers' heads see every position, as its model does it. The losses are compared before
anything is timed.
usage: python benchmarks/pretraining_step.py [--size base] [--batch-size 8] [--length 128] [--masked 20]
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable

import torch
import transformers
from torch import Tensor

from albert import AlbertConfig, AlbertForPreTraining
from albert.model.losses import cross_entropy_sum

ROUNDS = 7


def measure(*, size: str, batch_size: int, length: int, masked: int) -> dict[str, object]:
    """Returns median seconds of both, and their ratio pair by pair."""
    config = AlbertConfig.of_size(size, vocab_size=30000)
    torch.manual_seed(0)
    ours = AlbertForPreTraining(config)
    with tempfile.TemporaryDirectory() as folder:
        ours.save_pretrained(folder)
        theirs = transformers.AlbertForPreTraining.from_pretrained(folder)
    batch = make_batch(batch_size=batch_size, length=length, masked=masked)
    steps = {"albert": lambda: our_step(ours, batch), "transformers": lambda: their_step(theirs, batch)}
    losses = {name: step() for name, step in steps.items()}
    torch.testing.assert_close(losses["albert"], losses["transformers"], atol=1e-4, rtol=0)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            seconds[name].append(timed(step))
    ratios = [mine / other for mine, other in zip(seconds["albert"], seconds["transformers"], strict=True)]
    return {
        "job": "pretraining step (forward and backward), float32, CPU",
        "size": size,
        "batch_size": batch_size,
        "length": length,
        "masked": masked,
        "threads": torch.get_num_threads(),
        "rounds": ROUNDS,
        "attention of transformers": theirs.config._attn_implementation,
        "seconds": {name: statistics.median(values) for name, values in seconds.items()},
        "ratio": {"min": min(ratios), "median": statistics.median(ratios), "max": max(ratios)},
    }


def make_batch(*, batch_size: int, length: int, masked: int) -> dict[str, Tensor]:
    """Returns random full-length examples, padded form, with labels of -100 where nothing is masked."""
    generator = torch.Generator().manual_seed(0)
    input_ids = torch.randint(5, 30000, (batch_size, length), generator=generator)
    labels = torch.full_like(input_ids, -100)
    for row in labels:
        positions = torch.randperm(length - 1, generator=generator)[:masked] + 1
        row[positions] = torch.randint(5, 30000, (masked,), generator=generator)
    return {
        "input_ids": input_ids,
        "token_type_ids": (torch.arange(length) >= length // 2).long().expand(batch_size, length),
        "labels": labels,
        "sentence_order_label": torch.arange(batch_size) % 2,
    }


def our_step(model: AlbertForPreTraining, batch: dict[str, Tensor]) -> Tensor:
    """Runs forward and backward through the packed door."""
    model.zero_grad(set_to_none=True)
    batch_size, length = batch["input_ids"].shape
    labels = batch["labels"].flatten()
    positions = (labels >= 0).nonzero().flatten()
    masked_lm, order = model.packed_logits(
        batch["input_ids"].flatten(),
        batch["token_type_ids"].flatten(),
        torch.full((batch_size,), length),
        positions,
    )
    loss = cross_entropy_sum(masked_lm, labels[positions]).total / len(positions)
    loss = loss + cross_entropy_sum(order, batch["sentence_order_label"]).total / batch_size
    loss.backward()
    return loss.detach()


def their_step(model: transformers.AlbertForPreTraining, batch: dict[str, Tensor]) -> Tensor:
    """Runs forward and backward as transformers' own training does."""
    model.zero_grad(set_to_none=True)
    loss = model(attention_mask=torch.ones_like(batch["input_ids"]), **batch).loss
    loss.backward()
    return loss.detach()


def timed(step: Callable[[], Tensor]) -> float:
    """Returns the wall-clock seconds of one call."""
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def main() -> None:
    """Prints the measurement as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", default="base")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--masked", type=int, default=20)
    print(json.dumps(measure(**vars(parser.parse_args())), indent=2))


if __name__ == "__main__":
    main()
