"""What `albert pretrain --dry-run` tells: how long a run is, what it needs, what it costs, before it starts.

Examples are counted on the real stream, memory and work by formula, speed by a few seconds of real steps on
a throwaway model. Nothing is written.
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
from albert.data.examples.stream import Examples
from albert.model.flops import StepMemory, matrix_peak, num_parameters, pretraining_flops, step_memory
from albert.model.pretrained import AlbertForPreTraining
from albert.optim.schedules import Schedule
from albert.pretraining.data import PretrainingData
from albert.pretraining.meter import trial_steps
from albert.pretraining.settings import PretrainSettings, schedule_of
from albert.training.settings import autocast_dtype, find_device

SAMPLE_EXAMPLES = 512
TRIAL_SECONDS = 5.0
CURVE_POINTS = 11
SKETCH_COLUMNS, SKETCH_LINES = 60, 8
FAR_OFF = 3.0
"""Factor between the chosen and the proposed learning rate from which on it is mentioned."""
RULE_WIDTH = 768
"""Hidden size from which on; the rule comes from `base` and wider models, narrow ones stand far more."""


def proposed_rate(batch_size: int, optimizer: Literal["lamb", "adamw"]) -> float:
    """Return the peak learning rate that goes with a batch size, by the square-root rule.

    LAMB: the paper's 1.76e-3 at 4096, times the root of the ratio (You et al. 2020, section 4). AdamW: 1e-4
    at 256, BERT base's (Devlin et al. 2019, appendix A.2), likewise; narrower models stand more.
    """
    at, rate = (4096, 1.76e-3) if optimizer == "lamb" else (256, 1e-4)
    return rate * math.sqrt(batch_size / at)


def make_plan(
    settings: PretrainSettings,
    data: PretrainingData,
    config: AlbertConfig,
    *,
    world_size: int = 1,
    price_per_hour: float | None = None,
    activation_checkpointing: bool = False,
) -> dict[str, Any]:
    """Return the plan of a run, with a `report` for people.

    Args:
        settings: What was asked for.
        data: What is trained on.
        config: The model's shape.
        world_size: Processes that will train together.
        price_per_hour: Of one process with its device, in any currency.
        activation_checkpointing: Whether blocks will be computed again in backward.

    Raises:
        ConfigError: The settings do not go together.
        DataError: The data cannot be read.
    """
    loop = settings.loop
    device = find_device(loop.device)
    schedule = schedule_of(settings)
    sample = _Sample.of(settings, data)
    memory = _Memory.of(
        sample, config, settings, device=device, activation_checkpointing=activation_checkpointing
    )
    speed = _measure(settings, data, config, sample, largest=memory.largest_that_fits)
    plan: dict[str, Any] = {
        "world_size": world_size,
        "steps": loop.max_steps,
        "warmup_steps": settings.optimizer.warmup_steps,
        "batch_size": loop.batch_size,
        "micro_batch_size": min(loop.micro_size, math.ceil(loop.batch_size / world_size)),
        **sample.as_json(loop.max_steps * loop.batch_size),
        "learning_rate": _rate(settings, schedule),
        "parameters": num_parameters(config),
        "memory": memory.as_json(),
        "flops": round(sample.flops(config) * loop.max_steps * loop.batch_size),
        "speed": speed,
        "hours": None,
        "price": None,
    }
    if speed is not None:
        evaluated = _evaluated_examples(settings, data)
        pieces = plan["pieces"] + evaluated * sample.mean_length / 3  # forward alone
        hours = pieces / speed["pieces_per_second"] / world_size / 3600
        plan["hours"] = hours
        plan["price"] = None if price_per_hour is None else hours * world_size * price_per_hour
    plan["remarks"] = _remarks(plan, settings, config)
    return {"report": "\n".join(_report(plan, settings)), **plan}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    """The first examples of the stream."""

    lengths: IntArray
    """Pieces of each example, (B,)."""
    num_masked: int
    """Hidden pieces in all of them."""
    padding_share: float
    """Share that padding would be, if micro-batches were padded to their longest."""
    per_epoch: int
    """About how many examples an epoch has."""

    @classmethod
    def of(cls, settings: PretrainSettings, data: PretrainingData) -> "_Sample":
        stream = Examples(data.train(settings.examples, seed=settings.loop.seed))
        batch: PretrainingBatch = next(stream.one_pass(SAMPLE_EXAMPLES, limit=SAMPLE_EXAMPLES))
        size = settings.loop.micro_size
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
        """Pieces of an example."""
        return float(self.lengths.mean())

    def flops(self, config: AlbertConfig) -> float:
        """Return the operations that training on one example takes."""
        return pretraining_flops(config, self.lengths, self.num_masked) / len(self.lengths)

    def as_json(self, examples: int) -> dict[str, Any]:
        """Return what it tells of an epoch, and of a run of so many examples."""
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
    """What a process will need of its device."""

    step: StepMemory
    """At the chosen micro-batch."""
    free_bytes: int | None
    """What the device has left; None where that is unknown."""
    largest_that_fits: int
    """Largest micro-batch, the chosen one or that halved a few times, that fits; 0 if none does."""

    @classmethod
    def of(
        cls,
        sample: _Sample,
        config: AlbertConfig,
        settings: PretrainSettings,
        *,
        device: torch.device,
        activation_checkpointing: bool,
    ) -> "_Memory":
        dtype = autocast_dtype(settings.loop.precision, device) or torch.float32

        def needed(size: int) -> StepMemory:
            lengths = np.resize(sample.lengths, size)
            # A mean hides that the longest example may stand in any micro-batch.
            lengths[0] = sample.lengths.max()
            return step_memory(
                config,
                lengths,
                math.ceil(size * sample.num_masked / len(sample.lengths)),
                device=device,
                dtype=dtype,
                activation_checkpointing=activation_checkpointing,
            )

        size = settings.loop.micro_size
        step, free_bytes = needed(size), _free_bytes(device)
        while free_bytes is not None and size and needed(size).total > free_bytes:
            size //= 2
        return cls(step=step, free_bytes=free_bytes, largest_that_fits=size)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "bytes": self.step.total,
            "parameters_bytes": self.step.parameters,
            "activations_bytes": self.step.activations,
            "free_bytes": self.free_bytes,
            "largest_micro_batch_size": self.largest_that_fits,
        }


def _free_bytes(device: torch.device) -> int | None:
    """Return how much memory the device has left."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    meminfo = Path("/proc/meminfo")
    if not meminfo.is_file():
        return None
    values = dict(line.split(":", 1) for line in meminfo.read_text(encoding="ascii").splitlines())
    return int(values["MemAvailable"].split()[0]) * 1024


def _measure(
    settings: PretrainSettings,
    data: PretrainingData,
    config: AlbertConfig,
    sample: _Sample,
    *,
    largest: int,
) -> dict[str, Any] | None:
    """Return the speed of one process at `largest` examples at once, or as many as a second allows.

    None where not even one example fits.
    """
    if not largest:
        return None
    device = find_device(settings.loop.device)
    model = AlbertForPreTraining(config).to(device)

    def median_seconds(size: int, seconds: float, warm_up_steps: int) -> tuple[float, float]:
        steps = trial_steps(
            model,
            data,
            settings.examples,
            settings.optimizer,
            replace(settings.loop, batch_size=size, micro_batch_size=None),
            seconds=seconds,
            warm_up_steps=warm_up_steps,
        )
        return median(step.seconds for step in steps), median(step.tokens / step.seconds for step in steps)

    size = 1
    while size < largest and median_seconds(size, 0.0, 1)[0] < TRIAL_SECONDS / 20:
        size = min(largest, 4 * size)
    seconds, pieces_per_second = median_seconds(size, TRIAL_SECONDS, 2)
    dtype = autocast_dtype(settings.loop.precision, device) or torch.float32
    peak = matrix_peak(device, dtype)
    flops_per_second = pieces_per_second * sample.flops(config) / sample.mean_length
    return {
        "device": str(device),
        "precision": str(dtype).removeprefix("torch."),
        "examples_at_once": size,
        "seconds_at_once": seconds,
        "pieces_per_second": pieces_per_second,
        "flops_per_second": flops_per_second,
        "peak_flops_per_second": peak,
        "utilisation": flops_per_second / peak,
    }


def _evaluated_examples(settings: PretrainSettings, data: PretrainingData) -> int:
    """Return how many held-out examples the run looks at, the same ones again and again."""
    source = data.held_out(settings.examples)
    if source is None:
        return 0
    evaluations = settings.loop.max_steps // settings.loop.eval_steps + 1
    return evaluations * min(settings.eval_examples, source.estimate_per_epoch())


def _rate(settings: PretrainSettings, schedule: Schedule) -> dict[str, Any]:
    """Return the learning rate over the run, and what the square-root rule proposes."""
    steps = np.linspace(0, settings.loop.max_steps - 1, CURVE_POINTS).round().astype(int).tolist()
    return {
        "schedule": settings.optimizer.schedule,
        "peak": settings.optimizer.learning_rate,
        "proposed": proposed_rate(settings.loop.batch_size, settings.optimizer.optimizer),
        "curve": [{"step": step, "rate": schedule(step)} for step in steps],
        "sketch": sketch([schedule(step) for step in _columns(settings.loop.max_steps)]),
    }


def _columns(num_steps: int) -> list[int]:
    """Return the steps whose rate the columns of the sketch show."""
    return [round(step) for step in np.linspace(0, num_steps - 1, SKETCH_COLUMNS).tolist()]


def sketch(values: Sequence[float]) -> list[str]:
    """Return values of at least 0, a column each, as lines of text, the highest on top."""
    top = max(values) or 1.0
    heights = [math.ceil(SKETCH_LINES * value / top) for value in values]
    lines = range(SKETCH_LINES, 0, -1)
    return ["".join("*" if height == line else " " for height in heights).rstrip() for line in lines]


def _remarks(plan: dict[str, Any], settings: PretrainSettings, config: AlbertConfig) -> list[str]:
    """Return what should give pause."""
    remarks = []
    rate, proposed = plan["learning_rate"]["peak"], plan["learning_rate"]["proposed"]
    factor = max(rate, proposed) / max(min(rate, proposed), 1e-12)
    if factor > FAR_OFF and config.hidden_size >= RULE_WIDTH:
        remarks.append(
            f"--learning-rate {rate:g} is {factor:.3g} times {'above' if rate > proposed else 'below'} the "
            f"{proposed:.2g} that {settings.optimizer.optimizer} at --batch-size {plan['batch_size']} would "
            "have by the square-root rule; above it runs tend to diverge, below it they are slow"
        )
    memory = plan["memory"]
    if not memory["largest_micro_batch_size"]:
        remarks.append("not even one example at once fits into the memory that is free; nothing was timed")
    elif memory["largest_micro_batch_size"] < settings.loop.micro_size:
        remarks.append(
            "the memory that is free is too small; --micro-batch-size "
            f"{memory['largest_micro_batch_size']} would fit"
        )
    if plan["speed"] is not None and plan["world_size"] > 1:
        remarks.append("one process was timed alone; adding up gradients between them comes on top")
    return remarks


def _report(plan: dict[str, Any], settings: PretrainSettings) -> Iterator[str]:
    """Yield the lines for people."""
    rate, memory, speed = plan["learning_rate"], plan["memory"], plan["speed"]
    yield from (
        f"data      {plan['examples_per_epoch']:,} examples an epoch, "
        f"{human_count(plan['pieces_per_epoch'])} pieces; {plan['pieces_per_example']:.0f} of "
        f"{settings.examples.max_seq_length} pieces an example, {plan['masked_share']:.1%} hidden",
        f"padding   none ({plan['padding_share_if_padded']:.1%} if micro-batches were padded)",
        f"run       {plan['steps']:,} steps of {plan['batch_size']:,} examples, {plan['warmup_steps']:,} of "
        f"them warm-up: {human_count(plan['pieces'])} pieces, {plan['epochs']:.3g} epochs",
        f"split     {plan['world_size']} process{'es' * (plan['world_size'] > 1)}, "
        f"{plan['micro_batch_size']:,} examples at once",
        f"model     {plan['parameters']:,} parameters",
        f"memory    about {memory['bytes'] / 1e9:.3g} GB a process"
        + (f", {memory['free_bytes'] / 1e9:.3g} GB free" if memory["free_bytes"] is not None else ""),
        f"rate      {rate['schedule']}, peak {rate['peak']:g}; the square-root rule of wide models gives "
        f"{rate['proposed']:.2g}",
        *(f"          {line}" for line in rate["sketch"]),
        "          " + ", ".join(f"{human_count(p['step'])}: {p['rate']:.2g}" for p in rate["curve"]),
        f"work      {plan['flops']:.3g} FLOPs",
    )
    if speed is not None:
        yield (
            f"speed     {human_count(speed['pieces_per_second'])} pieces/s on one {speed['device']} "
            f"({speed['precision']}, {speed['examples_at_once']} at once); "
            f"{speed['flops_per_second'] / 1e12:.3g} TFLOP/s, {speed['utilisation']:.0%} of what large "
            "products reach"
        )
        yield f"time      {_duration(plan['hours'])}, evaluations included"
    if plan["price"] is not None:
        yield f"price     {plan['price']:,.2f}"
    yield from (f"remark    {remark}" for remark in plan["remarks"])


def _duration(hours: float) -> str:
    """Return a duration in the unit people would say it in."""
    if hours < 1:
        return f"{60 * hours:.2g} minutes"
    return f"{hours:.3g} hours" + (f" ({hours / 24:.3g} days)" if hours >= 48 else "")
