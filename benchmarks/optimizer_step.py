"""One optimiser step against torch's AdamW on the same parameters and gradients, interleaved.

The parameters are those of a published size with 30 000 pieces. LAMB computes two norms a tensor that Adam
does without; torch's AdamW corrects biases that the original's does not.
usage: python benchmarks/optimizer_step.py [--size base] [--rounds 25]
"""

import argparse
import json
import statistics
import time
from typing import Any

import torch

from albert import AlbertConfig, AlbertForPreTraining
from albert.optim.optimizers import make_optimizer, parameter_groups


def measure(*, size: str, rounds: int) -> dict[str, Any]:
    """Returns median milliseconds of each, and the ratios to torch's round by round."""
    torch.manual_seed(0)
    model = AlbertForPreTraining(AlbertConfig.of_size(size, vocab_size=30000))
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    groups = [
        {key: group[key] for key in ("params", "weight_decay")}
        for group in parameter_groups(model, weight_decay=0.01)
    ]
    optimizers: dict[str, torch.optim.Optimizer] = {
        "torch.optim.AdamW(foreach=True)": torch.optim.AdamW(groups, lr=1e-4, foreach=True),
        "lamb": make_optimizer("lamb", model, weight_decay=0.01),
        "adamw": make_optimizer("adamw", model, weight_decay=0.01),
    }
    seconds: dict[str, list[float]] = {name: [] for name in optimizers}
    for number in range(rounds + 2):
        for name, optimizer in optimizers.items():
            start = time.perf_counter()
            optimizer.step()
            if number >= 2:  # The first rounds make the moments and warm up.
                seconds[name].append(time.perf_counter() - start)
    (_, theirs), *ours = seconds.items()
    return {
        "job": "optimiser step, float32, CPU",
        "size": size,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "threads": torch.get_num_threads(),
        "rounds": rounds,
        "milliseconds": {name: 1000 * statistics.median(values) for name, values in seconds.items()},
        "ratio to torch.optim.AdamW": {
            name: statistics.median(mine / other for mine, other in zip(values, theirs, strict=True))
            for name, values in ours
        },
    }


def main() -> None:
    """Prints the measurement as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", default="base")
    parser.add_argument("--rounds", type=int, default=25)
    print(json.dumps(measure(**vars(parser.parse_args())), indent=2))


if __name__ == "__main__":
    main()
