"""Fine-tuning steps against transformers over the lengths of SST-2: same weights, same batches, interleaved.

Ours is what `albert finetune` runs: batches in its shuffled order, packed, through the objective of the
task's solver and `albert.training.loop.train` with AdamW. Theirs is its AlbertForSequenceClassification
(sdpa), clipping and torch's AdamW, the batch padded to 128, as its run_glue example does unless told
otherwise, or to its longest text (`pad_to_max_length=False` there). float32, weights of `--size` at random,
dropout off. The losses of the first batch are compared before anything is timed, to 1e-4. Every round is one
new batch for each; ratios are taken round by round, of wall-clock time, and of CPU time, which other work on
the machine disturbs less.

With `--data` and `--tokenizer` the texts are those of SST-2 in that folder; else random pieces whose lengths
are distributed as SST-2's are. A step of 12 layers padded to 128 takes a minute on one slow core, so the
rounds are of fewer `--layers`; `--full-rounds` of all layers of the size, against padding to the longest
alone, check that they tell the same: with few layers the embeddings weigh more, and so does the last layer,
where ours computes [CLS] alone.
usage: python benchmarks/finetuning_epoch.py [--data GLUE --tokenizer DIR] [--layers 2] [--rounds 7]
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor

from albert import AlbertConfig, AlbertForSequenceClassification, AlbertTokenizer
from albert.optim.optimizers import make_optimizer
from albert.tasks.batches import shuffled_batches
from albert.tasks.catalogue import find_task, solver_of
from albert.tasks.features import TextFeatures
from albert.tasks.files import require_files
from albert.tasks.task import Lengths
from albert.training.loop import train
from albert.training.settings import LoopSettings

TASK = find_task("sst2")
MAX_SEQ_LENGTH = 128
NUM_EXAMPLES = 67_349
LENGTH_QUANTILES = {
    0: 3, 5: 4, 10: 4, 20: 6, 30: 7, 40: 9, 50: 11, 60: 13, 70: 17, 80: 22, 90: 30, 95: 37, 99: 49,
    99.9: 62, 100: 81,
}  # fmt: skip
"""Pieces of a text of SST-2's training file under the original's English vocabulary, by percent of texts."""
LEARNING_RATE = 1e-5
TOLERANCE = 1e-4
PADDED_TO = {"padded to 128": MAX_SEQ_LENGTH, "padded to the longest": None}
TARGETS = {"padded to 128": 0.5, "padded to the longest": 0.85}
CLOCKS = {"wall-clock": time.perf_counter, "CPU": time.process_time}


def read_features(data: Path, tokenizer: Path) -> TextFeatures:
    """Returns the training texts of SST-2."""
    solver = solver_of(TASK)
    examples = list(solver.read(TASK, require_files(TASK, data, "train"), split="train"))
    lengths = Lengths(max_seq_length=MAX_SEQ_LENGTH)
    return solver.encode(TASK, examples, AlbertTokenizer.from_pretrained(tokenizer), lengths=lengths)


def generate_features() -> TextFeatures:
    """Returns random texts as many and as long as those of SST-2."""
    random = np.random.default_rng(0)
    places, quantiles = zip(*LENGTH_QUANTILES.items(), strict=True)
    lengths = np.rint(np.interp(random.random(NUM_EXAMPLES) * 100, places, quantiles)).astype(np.int64)
    count = int(lengths.sum())
    return TextFeatures(
        input_ids=random.integers(5, 30000, count),
        token_type_ids=np.zeros(count, np.int64),
        lengths=lengths,
        labels=random.integers(0, 2, NUM_EXAMPLES).astype(np.float64),
    )


def collate(batch: TextFeatures, length: int) -> dict[str, Tensor]:
    """Returns the texts padded to `length` pieces."""
    mask = np.arange(length) < batch.lengths[:, None]
    input_ids, token_type_ids = np.zeros((2, *mask.shape), np.int64)
    input_ids[mask], token_type_ids[mask] = batch.input_ids, batch.token_type_ids
    arrays = {
        "input_ids": input_ids,
        "token_type_ids": token_type_ids,
        "attention_mask": mask.astype(np.int64),
        "labels": batch.labels.astype(np.int64),
    }
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def our_steps(model: AlbertForSequenceClassification, batches: Iterator[TextFeatures]) -> Iterator[float]:
    """Yields the loss of step after step."""
    steps = train(
        model,
        batches,
        solver_of(TASK).objective(TASK),
        make_optimizer("adamw", model, weight_decay=0.01),
        learning_rate=lambda _: LEARNING_RATE,
        settings=LoopSettings(max_steps=10**9, batch_size=TASK.recipe.batch_size, precision="float32"),
    )
    return (step.loss for step in steps)


def their_steps(model: Any, batches: Iterator[TextFeatures], *, length: int | None) -> Iterator[float]:
    """Yields the loss of step after step, on batches padded to `length`, or to their longest text."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    for batch in batches:
        loss = model(**collate(batch, length or int(batch.lengths.max()))).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        yield loss.item()


def make_steps(
    features: TextFeatures, config: AlbertConfig, others: Sequence[str]
) -> dict[str, Iterator[float]]:
    """Returns the steps of ours and of `others`, from the same weights over the same batches."""

    def batches() -> Iterator[TextFeatures]:
        return shuffled_batches(features, TASK.recipe.batch_size, seed=0)

    torch.manual_seed(0)
    model = AlbertForSequenceClassification(config)
    steps = {"albert": our_steps(model, batches())}
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        for name in others:
            theirs = transformers.AlbertForSequenceClassification.from_pretrained(folder)
            assert theirs.config._attn_implementation == "sdpa"
            steps[name] = their_steps(theirs, batches(), length=PADDED_TO[name])
    return steps


def compare(
    features: TextFeatures, config: AlbertConfig, *, others: Sequence[str], rounds: int
) -> dict[str, Any]:
    """Returns median seconds of a step of each, and the ratios of ours to `others`."""
    steps = make_steps(features, config, others)
    losses = {name: next(step) for name, step in steps.items()}
    assert max(losses.values()) - min(losses.values()) < TOLERANCE, losses
    seconds: dict[str, dict[str, list[float]]] = {clock: {name: [] for name in steps} for clock in CLOCKS}
    for _ in range(rounds):
        for name, step in steps.items():
            start = [clock() for clock in CLOCKS.values()]
            next(step)
            for (kind, clock), begin in zip(CLOCKS.items(), start, strict=True):
                seconds[kind][name].append(clock() - begin)
    return {
        "rounds": rounds,
        "tokens": count_tokens(features, num_batches=rounds, start=1),
        "losses of the first batch": losses,
        **{kind: timing(found) for kind, found in seconds.items()},
    }


def timing(seconds: dict[str, list[float]]) -> dict[str, Any]:
    """Returns the median seconds of each, and what part ours takes of the others', beside the target."""
    mine = seconds["albert"]
    others = {name: found for name, found in seconds.items() if name != "albert"}
    return {
        "seconds": {name: statistics.median(found) for name, found in seconds.items()},
        "ratios": {name: ratio(mine, found) | {"target": TARGETS[name]} for name, found in others.items()},
    }


def ratio(ours: list[float], theirs: list[float]) -> dict[str, float]:
    """Returns what part of the seconds of theirs ours takes, round by round and of all rounds together."""
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    found = {"min": min(ratios), "median": statistics.median(ratios), "max": max(ratios)}
    return found | {"of all": sum(ours) / sum(theirs)}


def count_tokens(features: TextFeatures, *, num_batches: int, start: int = 0) -> dict[str, int]:
    """Returns how many tokens go through each model in so many batches, from batch `start` on."""
    size = TASK.recipe.batch_size
    batches = shuffled_batches(features, size, seed=0, start=start * size)
    lengths = [batch.lengths for batch in islice(batches, num_batches)]
    return {
        "albert": int(sum(batch.sum() for batch in lengths)),
        "padded to 128": num_batches * size * MAX_SEQ_LENGTH,
        "padded to the longest": int(sum(size * batch.max() for batch in lengths)),
    }


def main() -> None:
    """Prints the measurement as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, help="folder of GLUE, or of SST-2")
    parser.add_argument("--tokenizer", type=Path, help="folder of the tokenizer for --data")
    parser.add_argument("--size", default="base")
    parser.add_argument("--layers", type=int, default=2, help="layers of the model that is timed")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--full-rounds", type=int, default=3, help="rounds with all layers of the size")
    arguments = parser.parse_args()
    if (arguments.data is None) != (arguments.tokenizer is None):
        parser.error("--data and --tokenizer belong together")
    features = read_features(arguments.data, arguments.tokenizer) if arguments.data else generate_features()
    config = replace(
        AlbertConfig.of_size(arguments.size, vocab_size=30000),
        classifier_dropout_prob=0.0,
        id2label={0: "0", 1: "1"},
        problem_type="single_label_classification",
    )
    cases = {arguments.layers: (tuple(PADDED_TO), arguments.rounds)}
    if arguments.full_rounds:
        cases[config.num_hidden_layers] = (("padded to the longest",), arguments.full_rounds)
    result = {
        "job": "fine-tuning step, float32, CPU, lengths of SST-2: albert's packed, transformers' padded",
        "texts": "SST-2" if arguments.data else "generated",
        "size": arguments.size,
        "batch_size": TASK.recipe.batch_size,
        "threads": torch.get_num_threads(),
        "tokens of an epoch": count_tokens(features, num_batches=len(features) // TASK.recipe.batch_size),
        "layers": {
            str(layers): compare(
                features, replace(config, num_hidden_layers=layers), others=others, rounds=rounds
            )
            for layers, (others, rounds) in cases.items()
        },
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
