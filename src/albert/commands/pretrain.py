"""`albert pretrain`: prepared data to a pretrained model, on one process or many, resumable at any time."""

from dataclasses import replace
from typing import Any

import torch

from albert import console
from albert.errors import ConfigError, RunError
from albert.pretraining.data import PretrainingData, open_pretraining_data
from albert.pretraining.objective import make_objective
from albert.pretraining.plan import make_plan
from albert.pretraining.run import Pretraining
from albert.pretraining.settings import Leniency, ObjectiveSettings, PretrainSettings, schedule_of
from albert.pretraining.start import find_config, make_model, open_teacher, with_micro_batch
from albert.training.distributed import World, join_world, local_device
from albert.training.runs import Run, settings_as_json
from albert.training.settings import find_device


def pretrain(settings: PretrainSettings, allow: Leniency = Leniency()) -> dict[str, Any]:
    """Pretrain a model and return its scores on held-out text.

    Args:
        settings: What to do.
        allow: What is not refused.

    Raises:
        AlbertError: The data cannot be read, the settings contradict each other, or the loss diverged.
    """
    device = local_device(find_device(settings.loop.device))
    with join_world(device) as world:
        if not world.is_first:
            console.mute()
        if settings.loop.batch_size < world.size:
            raise ConfigError(
                f"--batch-size {settings.loop.batch_size} has no example for each of {world.size} processes"
            )
        data = open_pretraining_data(
            settings.data,
            tokenizer=settings.tokenizer,
            eval_data=settings.eval_data,
            vocab_size=allow.vocab_size,
        )
        config = find_config(settings, data)
        length = settings.examples.max_seq_length
        teacher = open_teacher(settings.objective.teacher, config, max_seq_length=length, device=device)
        objective = make_objective(settings.objective, config, teacher)
        if settings.dry_run:
            is_first = world.is_first  # One process plans for all.
            return make_plan(settings, data, config, objective, world_size=world.size) if is_first else {}
        schedule_of(settings, allow)
        model = make_model(
            config,
            settings.loop,
            device,
            init_from=settings.init_from,
            from_first_group=settings.init_from_group0,
        )
        # The folder is made only now, after everything that could be refused.
        run = _open_run(settings, data, world, allow)
        if world.any(run is not None and run.result is not None):
            console.say(f"{settings.output}: already finished")
            return {} if run is None or run.result is None else run.result
        if settings.loop.micro_batch_size == "auto":
            loop = with_micro_batch(settings.loop, model, objective, max_seq_length=length, world=world)
            settings = replace(settings, loop=loop)
        parameters = sum(p.numel() for p in model.parameters())
        place = str(device) if world.size == 1 else f"{world.size} processes, this one on {device}"
        console.say(
            f"{parameters:,} parameters on {place}; {data.summary}; {settings.loop.max_steps:,} steps of "
            f"{settings.loop.batch_size} examples of up to {length} tokens"
        )
        try:
            return Pretraining.of(
                settings, data, model, objective, run=run, world=world, allow=allow
            ).to_the_end()
        except torch.OutOfMemoryError as error:
            micro = settings.loop.micro_size
            raise RunError(
                f"out of memory on {device} with {micro} examples at once; "
                f"try --micro-batch-size {max(1, micro // 2)}, or --activation-checkpointing"
            ) from error


def _open_run(settings: PretrainSettings, data: PretrainingData, world: World, allow: Leniency) -> Run | None:
    """Open the folder of the run; only the first process has it."""
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
