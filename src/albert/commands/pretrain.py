"""`albert pretrain`: prepared data to a pretrained model, on one process or many, resumable at any time."""

from dataclasses import replace
from typing import Any

import torch

from albert import console
from albert.commands.following import finetuning
from albert.errors import ConfigError, RunError
from albert.pretraining.plan import make_plan
from albert.pretraining.run import Pretraining
from albert.pretraining.settings import Leniency, PretrainSettings, schedule_of
from albert.pretraining.start import announce, make_model, open_inputs, open_run, with_micro_batch
from albert.training.devices import find_device
from albert.training.distributed import join_world, local_device
from albert.training.passes import warning_of_passes


def pretrain(settings: PretrainSettings, allow: Leniency = Leniency()) -> dict[str, Any]:
    """Pretrain a model and return its scores on held-out text.

    Args:
        settings: What to do.
        allow: What is not refused.

    Raises:
        AlbertError: The data cannot be read, the settings contradict each other, or the loss diverged.
    """
    loop, length = settings.loop, settings.examples.max_seq_length
    device = local_device(find_device(loop.device))
    with join_world(device) as world:
        if not world.is_first:
            console.mute()
        if loop.batch_size < world.size:
            raise ConfigError(
                f"--batch-size {loop.batch_size} has no example for each of {world.size} processes"
            )
        inputs = open_inputs(settings, device, allow)
        data, objective = inputs.data, inputs.objective
        if settings.dry_run and not world.is_first:
            return {}
        if settings.dry_run:
            return make_plan(settings, data, inputs.config, objective, world_size=world.size)
        schedule_of(settings, allow)
        model = make_model(
            inputs.config,
            loop,
            device,
            init_from=settings.init_from,
            from_first_group=settings.init_from_group0,
            new_positions=settings.new_positions,
        )
        # The folder is made only now, after everything that could be refused.
        run = open_run(settings, data, world, allow)
        if world.any(run is not None and run.result is not None):
            console.say(f"{settings.output}: already finished")
            return {} if run is None or run.result is None else _with_following(run.result)
        loop = with_micro_batch(loop, model, objective, max_seq_length=length, world=world)
        announce(model, data, loop, max_seq_length=length, world=world)
        if world.is_first:
            examples = data.train(settings.examples, seed=loop.seed)
            if warning := warning_of_passes(loop, examples.estimate_per_epoch()):
                console.warn(warning)
        settings = replace(settings, loop=loop)
        try:
            pretraining = Pretraining.of(settings, data, model, objective, run=run, world=world, allow=allow)
            return _with_following(pretraining.to_the_end())
        except torch.OutOfMemoryError as error:
            raise RunError(
                f"out of memory on {device} with {loop.micro_size} examples at once; "
                f"try --micro-batch-size {max(1, loop.micro_size // 2)}, or --activation-checkpointing"
            ) from error


def _with_following(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result with the command to type next; that of a rank without one stays empty."""
    return result | {"next": finetuning(result["model"])} if result else result
