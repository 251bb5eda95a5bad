"""`albert pretrain --dry-run`: the length, memory, time and price of a run, before it starts.

Examples are counted on the real stream, memory and work are computed by formula, and speed is measured by a
few seconds of real steps on a throwaway model. Nothing is written.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Literal

import numpy as np
import torch

from albert.config import AlbertConfig
from albert.console import human_count
from albert.data.batches import IntArray, PretrainingBatch
from albert.data.examples.settings import ExampleSettings
from albert.data.examples.stream import Examples, ExampleSource
from albert.model.flops import StepMemory, matrix_peak, num_parameters, step_memory
from albert.model.language_models import AlbertForPreTraining
from albert.optim.schedules import Schedule
from albert.pretraining.data import PretrainingData
from albert.pretraining.meter import trial_steps
from albert.pretraining.objective import PretrainingObjective
from albert.pretraining.settings import PretrainSettings, schedule_of
from albert.training.devices import autocast_dtype, find_device
from albert.training.passes import warning_of_passes
from albert.training.settings import LoopSettings, OptimizerSettings

SAMPLE_EXAMPLES = 512
TRIAL_SECONDS = 5.0
CURVE_POINTS = 11
SKETCH_COLUMNS, SKETCH_LINES = 60, 8
FAR_OFF = 3.0
"""Smallest factor between the chosen and the proposed learning rate that is reported."""
RULE_WIDTH = 768
"""Smallest hidden size for that: the rule is from wide models, narrow ones train at higher rates."""


def proposed_rate(batch_size: int, optimizer: Literal["lamb", "adamw"]) -> float:
    """Return a peak learning rate for a batch size, by the square-root rule.

    LAMB: the paper's 1.76e-3 at 4096, times the root of the ratio (You et al. 2020, section 4). AdamW: 1e-4
    at 256, BERT base's (Devlin et al. 2019, appendix A.2), likewise; narrower models train at higher rates.
    """
    at, rate = (4096, 1.76e-3) if optimizer == "lamb" else (256, 1e-4)
    return rate * math.sqrt(batch_size / at)


def make_plan(
    settings: PretrainSettings,
    data: PretrainingData,
    config: AlbertConfig,
    objective: PretrainingObjective,
    *,
    world_size: int = 1,
) -> dict[str, Any]:
    """Return the plan of a run, with a `report` for people.

    Args:
        settings: What to do.
        data: What to train on.
        config: The model's shape.
        objective: What to minimise.
        world_size: Processes that will train together.

    Raises:
        ConfigError: The settings contradict each other.
        DataError: The data cannot be read.
    """
    loop = settings.loop
    schedule = schedule_of(settings)
    sample = _Sample.of(settings.examples, loop, data)
    flops_per_example = sample.flops(config, objective)
    memory = _Memory.of(sample, config, objective, loop)
    trial = _Trial(
        source=data.train(settings.examples, seed=0),
        objective=objective,
        optimizer=settings.optimizer,
        loop=loop,
    )
    flops_per_token = flops_per_example / sample.mean_length
    speed = trial.measure(config, flops_per_token, largest=memory.largest_that_fits)
    plan: dict[str, Any] = {
        "world_size": world_size,
        "steps": loop.max_steps,
        "warmup_steps": settings.optimizer.warmup(loop.max_steps),
        "batch_size": loop.batch_size,
        "micro_batch_size": min(loop.micro_size, math.ceil(loop.batch_size / world_size)),
        **sample.as_json(loop.max_steps * loop.batch_size),
        "learning_rate": _rate(loop, settings.optimizer, schedule),
        "parameters": num_parameters(config),
        "memory": memory.as_json(),
        "flops": round(flops_per_example * loop.max_steps * loop.batch_size),
        "speed": speed,
        "hours": None,
        "price": None,
    }
    if speed is not None:
        evaluated = _evaluated_examples(data.held_out(settings.examples), loop, settings.eval_examples)
        tokens = plan["pieces"] + evaluated * sample.mean_length / 3  # forward only
        hours = tokens / speed["pieces_per_second"] / world_size / 3600
        plan["hours"] = hours
        price = settings.price_per_hour
        plan["price"] = None if price is None else hours * world_size * price
    passes = warning_of_passes(loop, sample.per_epoch)
    remarks = _remarks(plan, settings.optimizer.optimizer, loop.micro_size, config)
    plan["remarks"] = [*([passes] if passes else []), *remarks]
    return {"report": "\n".join(_report(plan, settings.examples.max_seq_length)), **plan}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    """The first examples of the stream."""

    lengths: IntArray
    """Tokens of each example, (B,)."""
    num_masked: int
    """Masked tokens in all of them."""
    padding_share: float
    """Share that padding would take, if micro-batches were padded to their longest."""
    per_epoch: int
    """Estimated number of examples in an epoch."""

    @classmethod
    def of(cls, examples: ExampleSettings, loop: LoopSettings, data: PretrainingData) -> "_Sample":
        stream = Examples(data.train(examples, seed=loop.seed))
        batch: PretrainingBatch = next(stream.one_pass(SAMPLE_EXAMPLES, limit=SAMPLE_EXAMPLES))
        size = loop.micro_size
        groups = [batch.lengths[begin : begin + size] for begin in range(0, len(batch), size)]
        cells = sum(len(group) * int(group.max()) for group in groups)
        return cls(
            lengths=batch.lengths,
            num_masked=len(batch.masked_positions),
            padding_share=1 - int(batch.lengths.sum()) / cells,
            per_epoch=stream.estimate_per_epoch(),
        )

    @property
    def mean_length(self) -> float:
        """Mean number of tokens of an example."""
        return float(self.lengths.mean())

    def flops(self, config: AlbertConfig, objective: PretrainingObjective) -> float:
        """Return the matrix FLOPs of training on one example."""
        return objective.flops(config, self.lengths, self.num_masked) / len(self.lengths)

    def as_json(self, examples: int) -> dict[str, Any]:
        """Return, as JSON, facts of an epoch and of a run of so many examples."""
        return {
            "examples_per_epoch": self.per_epoch,
            "pieces_per_epoch": round(self.per_epoch * self.mean_length),
            "pieces_per_example": self.mean_length,
            "masked_share": self.num_masked / int(self.lengths.sum()),
            "padding_share": 0.0,
            "padding_share_if_padded": self.padding_share,
            "epochs": examples / self.per_epoch,
            "examples": examples,
            "pieces": round(examples * self.mean_length),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Memory:
    """Memory that a process will need on its device."""

    step: StepMemory
    """Memory of a step with the chosen micro-batch."""
    free_bytes: int | None
    """Free memory of the device; None if unknown."""
    largest_that_fits: int
    """The chosen micro-batch, halved until it fits; 0 if not even one example fits."""

    @classmethod
    def of(
        cls,
        sample: _Sample,
        config: AlbertConfig,
        objective: PretrainingObjective,
        loop: LoopSettings,
    ) -> "_Memory":
        device = find_device(loop.device)
        dtype = autocast_dtype(loop.precision, device) or torch.float32

        def needed(size: int) -> StepMemory:
            lengths = np.resize(sample.lengths, size)
            # The longest example may be in any micro-batch, whatever their mean.
            lengths[0] = sample.lengths.max()
            step = step_memory(
                config,
                lengths,
                math.ceil(size * sample.num_masked / len(sample.lengths)),
                device=device,
                dtype=dtype,
                activation_checkpointing=loop.activation_checkpointing,
            )
            return replace(step, parameters=step.parameters + objective.teacher_bytes)

        size = loop.micro_size
        step, free_bytes = needed(size), _free_bytes(device)
        while free_bytes is not None and size and needed(size).total > free_bytes:
            size //= 2
        return cls(step=step, free_bytes=free_bytes, largest_that_fits=size)

    def as_json(self) -> dict[str, Any]:
        """Return the memory as JSON."""
        return {
            "bytes": self.step.total,
            "parameters_bytes": self.step.parameters,
            "activations_bytes": self.step.activations,
            "free_bytes": self.free_bytes,
            "largest_micro_batch_size": self.largest_that_fits,
        }


def _free_bytes(device: torch.device) -> int | None:
    """Return the free memory of the device; None if unknown."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    meminfo = Path("/proc/meminfo")
    if not meminfo.is_file():
        return None
    values = dict(line.split(":", 1) for line in meminfo.read_text(encoding="ascii").splitlines())
    return int(values["MemAvailable"].split()[0]) * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    """A few steps of the run, to measure its speed."""

    source: ExampleSource
    """Examples to train on."""
    objective: PretrainingObjective
    """What to minimise."""
    optimizer: OptimizerSettings
    """How weights are updated."""
    loop: LoopSettings
    """Device and precision."""

    def measure(self, config: AlbertConfig, flops_per_token: float, *, largest: int) -> dict[str, Any] | None:
        """Return the speed of one process at `largest` examples at once, or as many as a second allows.

        None if not even one example fits.
        """
        if not largest:
            return None
        device = find_device(self.loop.device)
        model, size = AlbertForPreTraining(config).to(device), 1
        while size < largest and self._medians(model, size, 0.0, 1)[0] < TRIAL_SECONDS / 20:
            size = min(largest, 4 * size)
        seconds, tokens_per_second = self._medians(model, size, TRIAL_SECONDS, 2)
        dtype = autocast_dtype(self.loop.precision, device) or torch.float32
        peak = matrix_peak(device, dtype)
        flops_per_second = tokens_per_second * flops_per_token
        return {
            "device": str(device),
            "precision": str(dtype).removeprefix("torch."),
            "examples_at_once": size,
            "seconds_at_once": seconds,
            "pieces_per_second": tokens_per_second,
            "flops_per_second": flops_per_second,
            "peak_flops_per_second": peak,
            "utilisation": flops_per_second / peak,
        }

    def _medians(
        self, model: AlbertForPreTraining, size: int, seconds: float, warm_up_steps: int
    ) -> tuple[float, float]:
        """Return the median seconds and tokens per second of steps of `size` examples."""
        steps = trial_steps(
            model,
            self.source,
            self.objective,
            self.optimizer,
            replace(self.loop, batch_size=size, micro_batch_size=None),
            seconds=seconds,
            warm_up_steps=warm_up_steps,
        )
        return median(step.seconds for step in steps), median(step.tokens / step.seconds for step in steps)


def _evaluated_examples(source: ExampleSource | None, loop: LoopSettings, eval_examples: int) -> int:
    """Return the number of examples in all evaluations of the run, repeated ones included."""
    if source is None or not eval_examples:
        return 0
    evaluations = loop.max_steps // loop.eval_steps + 1
    return evaluations * min(eval_examples, source.estimate_per_epoch())


def _rate(loop: LoopSettings, optimizer: OptimizerSettings, schedule: Schedule) -> dict[str, Any]:
    """Return the learning rate over the run, and what the square-root rule proposes."""
    steps = np.linspace(0, loop.max_steps - 1, CURVE_POINTS).round().astype(int).tolist()
    return {
        "schedule": optimizer.schedule,
        "peak": optimizer.learning_rate,
        "proposed": proposed_rate(loop.batch_size, optimizer.optimizer),
        "curve": [{"step": step, "rate": schedule(step)} for step in steps],
        "sketch": sketch([schedule(step) for step in _columns(loop.max_steps)]),
    }


def _columns(num_steps: int) -> list[int]:
    """Return the step that each column of the sketch shows."""
    return [round(step) for step in np.linspace(0, num_steps - 1, SKETCH_COLUMNS).tolist()]


def sketch(values: Sequence[float]) -> list[str]:
    """Return values of at least 0 as lines of text, one column per value, the top line first."""
    top = max(values) or 1.0
    heights = [math.ceil(SKETCH_LINES * value / top) for value in values]
    lines = range(SKETCH_LINES, 0, -1)
    return ["".join("*" if height == line else " " for height in heights).rstrip() for line in lines]


def _remarks(plan: dict[str, Any], optimizer: str, micro_size: int, config: AlbertConfig) -> list[str]:
    """Return what one should reconsider."""
    remarks = []
    rate, proposed = plan["learning_rate"]["peak"], plan["learning_rate"]["proposed"]
    factor = max(rate, proposed) / max(min(rate, proposed), 1e-12)
    if factor > FAR_OFF and config.hidden_size >= RULE_WIDTH:
        remarks.append(
            f"--learning-rate {rate:g} is {factor:.3g} times {'above' if rate > proposed else 'below'} the "
            f"{proposed:.2g} of the square-root rule for {optimizer} at --batch-size {plan['batch_size']}; "
            "above it runs tend to diverge, below it they are slow"
        )
    memory = plan["memory"]
    if not memory["largest_micro_batch_size"]:
        remarks.append("not even one example at once fits into the free memory; nothing was timed")
    elif memory["largest_micro_batch_size"] < micro_size:
        remarks.append(
            f"the free memory is too small; --micro-batch-size {memory['largest_micro_batch_size']} would fit"
        )
    if plan["speed"] is not None and plan["world_size"] > 1:
        remarks.append("one process was timed alone; summing gradients over processes takes additional time")
    return remarks


def _report(plan: dict[str, Any], max_seq_length: int) -> Iterator[str]:
    """Yield the lines of the report."""
    rate, memory, speed = plan["learning_rate"], plan["memory"], plan["speed"]
    yield from (
        f"data      {plan['examples_per_epoch']:,} examples per epoch, "
        f"{human_count(plan['pieces_per_epoch'])} tokens; {plan['pieces_per_example']:.0f} of "
        f"{max_seq_length} tokens per example, {plan['masked_share']:.1%} masked",
        f"padding   none ({plan['padding_share_if_padded']:.1%} if micro-batches were padded)",
        f"run       {plan['steps']:,} steps of {plan['batch_size']:,} examples, {plan['warmup_steps']:,} of "
        f"them warm-up: {human_count(plan['pieces'])} tokens, {plan['epochs']:.3g} epochs",
        f"split     {plan['world_size']} process{'es' * (plan['world_size'] > 1)}, "
        f"{plan['micro_batch_size']:,} examples at once",
        f"model     {plan['parameters']:,} parameters",
        f"memory    about {memory['bytes'] / 1e9:.3g} GB per process"
        + (f", {memory['free_bytes'] / 1e9:.3g} GB free" if memory["free_bytes"] is not None else ""),
        f"rate      {rate['schedule']}, peak {rate['peak']:g}; the square-root rule of wide models gives "
        f"{rate['proposed']:.2g}",
        *(f"          {line}" for line in rate["sketch"]),
        "          " + ", ".join(f"{human_count(p['step'])}: {p['rate']:.2g}" for p in rate["curve"]),
        f"work      {plan['flops']:.3g} FLOPs",
    )
    if speed is not None:
        yield (
            f"speed     {human_count(speed['pieces_per_second'])} tokens/s on one {speed['device']} "
            f"({speed['precision']}, {speed['examples_at_once']} at once); "
            f"{speed['flops_per_second'] / 1e12:.3g} TFLOP/s, {speed['utilisation']:.0%} of what large "
            "products reach"
        )
        yield f"time      {_duration(plan['hours'])}, evaluations included"
    if plan["price"] is not None:
        yield f"price     {plan['price']:,.2f}"
    yield from (f"remark    {remark}" for remark in plan["remarks"])


def _duration(hours: float) -> str:
    """Return a duration in a readable unit."""
    if hours < 1:
        return f"{60 * hours:.2g} minutes"
    return f"{hours:.3g} hours" + (f" ({hours / 24:.3g} days)" if hours >= 48 else "")
