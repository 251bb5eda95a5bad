"""What a pretraining needs before its first step: data, shape, objective, model, folder, micro-batch size."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from albert.checkpoint.folder import load_weights, read_config
from albert.choices import NewPositions
from albert.config import AlbertConfig
from albert.console import say
from albert.conversion.conversion import model_folder
from albert.errors import ConfigError
from albert.model.language_models import AlbertForPreTraining
from albert.pretraining.data import PretrainingData, open_pretraining_data
from albert.pretraining.objective import PretrainingObjective, Teacher, longest_examples, make_objective
from albert.pretraining.settings import Leniency, ObjectiveSettings, PretrainSettings
from albert.pretraining.shape import check_positions, find_config
from albert.training.distributed import World
from albert.training.loop import autocast_of
from albert.training.record import settings_as_json
from albert.training.runs import Run
from albert.training.settings import LoopSettings
from albert.training.speed import apply_switches

CPU_MICRO_BATCH = 64
"""A CPU gains nothing from more, and trying is no option: the system would kill the process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What a pretraining reads before anything is written."""

    data: PretrainingData
    """What to train on."""
    config: AlbertConfig
    """Shape of the model."""
    objective: PretrainingObjective
    """What to minimise."""


def open_inputs(settings: PretrainSettings, device: torch.device, allow: Leniency = Leniency()) -> Inputs:
    """Open the data and the teacher, and find the shape.

    Raises:
        AlbertError: The data or the teacher cannot be read, or the settings contradict each other.
    """
    data = open_pretraining_data(
        settings.data,
        tokenizer=settings.tokenizer,
        eval_data=settings.eval_data,
        vocab_size=allow.vocab_size,
    )
    config = find_config(settings, data)
    teacher = open_teacher(
        settings.objective.teacher,
        config,
        max_seq_length=settings.examples.max_seq_length,
        device=device,
    )
    return Inputs(data=data, config=config, objective=make_objective(settings.objective, config, teacher))


def make_model(
    config: AlbertConfig,
    loop: LoopSettings,
    device: torch.device,
    *,
    init_from: str | None,
    from_first_group: bool,
    new_positions: NewPositions,
) -> AlbertForPreTraining:
    """Return the model before its first step, with random weights or those of `init_from`.

    Raises:
        CheckpointError: `init_from` cannot be read, or does not fit the shape.
        ConfigError: A switch of speed is not possible on this device.
    """
    torch.manual_seed(loop.seed)
    model = AlbertForPreTraining(config).to(device)
    if init_from is not None:
        load_weights(
            model,
            model_folder(init_from),
            has_map=config.has_map,
            from_first_group=from_first_group,
            new_positions=new_positions,
        )
    apply_switches(
        model,
        compile=loop.compile,
        activation_checkpointing=loop.activation_checkpointing,
        tf32=loop.tf32,
    )
    return model


def open_teacher(
    name: str | None, student: AlbertConfig, *, max_seq_length: int, device: torch.device
) -> Teacher | None:
    """Return the model `name` as a teacher; None if there is no name.

    Args:
        name: A model in any form.
        student: Its vocabulary must be the teacher's.
        max_seq_length: Tokens of the longest example.
        device: Where the student is.

    Raises:
        CheckpointError: The model cannot be read.
        ConfigError: It has no masked LM head, another vocabulary, or too few positions.
    """
    if name is None:
        return None
    folder = model_folder(name)
    config = read_config(folder)
    if config.vocab_size != student.vocab_size:
        raise ConfigError(
            f"--teacher {name}: has a vocabulary of {config.vocab_size} tokens, the model one of "
            f"{student.vocab_size}; both must use the same tokenizer"
        )
    check_positions(config, max_seq_length, f"--teacher {name}")
    model = AlbertForPreTraining(config)
    missing = load_weights(model, folder, has_map=config.has_map)
    if any(tensor.startswith("predictions.") for tensor in missing):
        raise ConfigError(
            f"--teacher {name}: has no masked LM head, so it predicts no tokens; take a pretrained model"
        )
    return Teacher.of(model.to(device))


def open_run(
    settings: PretrainSettings, data: PretrainingData, world: World, allow: Leniency = Leniency()
) -> Run | None:
    """Open the folder of the run; only the first process has it.

    Raises:
        RunError: The folder contains something else, or a run with other settings.
    """
    if not world.is_first:
        return None
    return Run.open(
        settings.output,
        command="pretrain",
        settings=settings_as_json(settings),
        inputs={"data": data.fingerprint},
        shared=allow.shared_folder,
        # Runs of older versions lack these settings.
        defaults=settings_as_json(ObjectiveSettings()),
    )


def with_micro_batch(
    loop: LoopSettings,
    model: AlbertForPreTraining,
    objective: PretrainingObjective,
    *,
    max_seq_length: int,
    world: World,
) -> LoopSettings:
    """Return `loop` with a micro-batch size; for `auto` the largest that fits into memory, found by trial.

    Raises:
        torch.OutOfMemoryError: Not even one example fits.
    """
    if loop.micro_batch_size != "auto":
        return loop

    def try_examples(count: int) -> None:
        batch = longest_examples(count, max_seq_length, vocab_size=model.config.vocab_size)
        with autocast_of(loop, model.device):
            sums = objective.sums(model, batch)
        total = torch.stack([part.total for part in sums.values()]).sum()
        total.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        model.zero_grad(set_to_none=True)

    size = largest_micro_batch(try_examples, batch_size=loop.batch_size, device=model.device, world=world)
    say(f"--micro-batch-size auto: {size} examples at once")
    return replace(loop, micro_batch_size=size)


def largest_micro_batch(
    try_examples: Callable[[int], object], *, batch_size: int, device: torch.device, world: World
) -> int:
    """Return the largest divisor of the batch size that fits into memory on every rank.

    Args:
        try_examples: Runs this many of the longest examples forward and backward.
        batch_size: Examples per step, on all ranks.
        device: On a CPU nothing is tried.
        world: All ranks; the smallest size that they find counts.

    Raises:
        torch.OutOfMemoryError: Not even one example fits.
    """
    limit = -(-batch_size // world.size)
    fitting = min(limit, CPU_MICRO_BATCH) if device.type == "cpu" else _probe(try_examples, limit)
    fitting = world.least(fitting)
    return max(size for size in range(1, fitting + 1) if batch_size % size == 0)


def _probe(try_examples: Callable[[int], object], limit: int) -> int:
    """Double the number of examples until they no longer fit."""
    try_examples(1)
    fitting = 1
    while fitting < limit:
        tried = min(limit, 2 * fitting)
        try:
            try_examples(tried)
        except torch.OutOfMemoryError:
            break
        finally:
            torch.cuda.empty_cache()
        fitting = tried
    return fitting


def announce(
    model: AlbertForPreTraining,
    data: PretrainingData,
    loop: LoopSettings,
    *,
    max_seq_length: int,
    world: World,
) -> None:
    """Print the size of the model, of the data and of the run."""
    parameters = sum(p.numel() for p in model.parameters())
    device = str(model.device)
    where = device if world.size == 1 else f"{world.size} processes, this one on {device}"
    say(
        f"{parameters:,} parameters on {where}; {data.summary}; {loop.max_steps:,} steps of "
        f"{loop.batch_size} examples of up to {max_seq_length} tokens"
    )
