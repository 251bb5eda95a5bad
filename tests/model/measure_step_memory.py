"""Print by how many bytes a few training steps of a shape raise the peak memory of this process."""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import torch

from albert.config import AlbertConfig
from albert.model.language_models import AlbertForPreTraining
from albert.model.losses import cross_entropy_sum, vocabulary_loss
from albert.optim.optimizers import make_optimizer


def status_bytes(name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


def train(config: AlbertConfig, job: dict[str, Any]) -> None:
    model = AlbertForPreTraining(config).train()
    optimizer = make_optimizer("lamb", model, weight_decay=0.01)
    lengths = torch.tensor(job["lengths"])
    for _ in range(3):
        ids = torch.randint(5, config.vocab_size, (int(lengths.sum()),))
        masked = torch.randperm(len(ids))[: job["num_masked"]].sort().values
        with torch.autocast("cpu", torch.bfloat16, enabled=job["bf16"]):
            inputs = (ids, torch.zeros_like(ids), lengths)
            (states,) = model.packed_states(inputs, masked)
            masked_lm = vocabulary_loss(*model.masked_lm_projection(states.masked), ids[masked])
            order = model.sentence_order_logits(states.first)
            order_loss = cross_entropy_sum(order, torch.zeros(len(lengths), dtype=torch.long))
        (masked_lm.total + order_loss.total).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def main() -> None:
    torch.set_num_threads(1)
    job = json.loads(sys.argv[1])
    small = AlbertConfig(
        vocab_size=100,
        embedding_size=8,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
    )
    train(small, {"lengths": [16, 16], "num_masked": 4, "bf16": job["bf16"]})
    before = status_bytes("VmRSS")
    train(AlbertConfig(**job["config"]), job)
    print(status_bytes("VmHWM") - before)


main()
