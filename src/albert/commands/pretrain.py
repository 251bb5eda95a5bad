"""`albert pretrain`: prepared data to a pretrained model, on one process or many, resumable at any moment."""

from dataclasses import replace
from typing import Any

import torch

from albert import console
from albert.checkpoint.folder import load_weights, read_config
from albert.config import AlbertConfig
from albert.conversion.conversion import model_folder
from albert.conversion.release import check_tokenizer
from albert.errors import ConfigError, RunError
from albert.model.pretrained import AlbertForPreTraining
from albert.pretraining.data import PretrainingData, open_pretraining_data
from albert.pretraining.micro_batches import largest_micro_batch
from albert.pretraining.objective import PretrainingObjective, longest_examples
from albert.pretraining.plan import make_plan
from albert.pretraining.run import Pretraining
from albert.pretraining.settings import Leniency, PretrainSettings, schedule_of
from albert.training.distributed import World, join_world, local_device
from albert.training.loop import autocast_of
from albert.training.runs import Run, settings_as_json
from albert.training.settings import find_device
from albert.training.speed import apply_switches


def pretrain(settings: PretrainSettings, allow: Leniency = Leniency()) -> dict[str, Any]:
    """Pretrain a model and returns its scores on held-out text.

    Args:
        settings: What is asked for.
        allow: What is not refused.

    Raises:
        AlbertError: The data cannot be read, the settings do not go together, or the run went astray.
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
        config = _find_config(settings, data)
        if settings.dry_run:
            return _plan(settings, data, config, world)
        schedule_of(settings, allow)
        model = _make_model(settings, config, device)
        # From here on there is a folder; what cannot work was said before.
        run = _open_run(settings, data, world, allow)
        if world.any(run is not None and run.result is not None):
            console.say(f"{settings.output}: already finished")
            return {} if run is None or run.result is None else run.result
        if settings.loop.micro_batch_size == "auto":
            settings = _with_micro_batch(settings, model, world)
        _announce(model, data, settings, world)
        try:
            return Pretraining.of(settings, data, model, run=run, world=world, allow=allow).to_the_end()
        except torch.OutOfMemoryError as error:
            micro = settings.loop.micro_size
            raise RunError(
                f"out of memory on {device} with {micro} examples at once; "
                f"try --micro-batch-size {max(1, micro // 2)}, or --activation-checkpointing"
            ) from error


def _plan(
    settings: PretrainSettings, data: PretrainingData, config: AlbertConfig, world: World
) -> dict[str, Any]:
    """Return the plan of the run; one process makes it for all."""
    if not world.is_first:
        return {}
    return make_plan(
        settings,
        data,
        config,
        world_size=world.size,
        price_per_hour=settings.price_per_hour,
        activation_checkpointing=settings.loop.activation_checkpointing,
    )


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
    )


def _make_model(
    settings: PretrainSettings, config: AlbertConfig, device: torch.device
) -> AlbertForPreTraining:
    """Return the model at its start: random weights, or those to begin with."""
    torch.manual_seed(settings.loop.seed)
    model = AlbertForPreTraining(config).to(device)
    if settings.init_from is not None:
        load_weights(
            model,
            model_folder(settings.init_from),
            has_map=config.has_map,
            from_first_group=settings.init_from_group0,
        )
    apply_switches(
        model,
        compile=settings.loop.compile,
        activation_checkpointing=settings.loop.activation_checkpointing,
        tf32=settings.loop.tf32,
    )
    return model


def _find_config(settings: PretrainSettings, data: PretrainingData) -> AlbertConfig:
    """Return the model's shape from --size, --config or --init-from, with the vocabulary of the data."""
    if settings.size is not None and settings.config is not None:
        raise ConfigError("--size and --config both give a shape; choose one")
    if settings.config is not None:
        config = AlbertConfig.from_json(settings.config)
    elif settings.size is None and settings.init_from is not None:
        config = read_config(model_folder(settings.init_from))
    else:
        config = AlbertConfig.of_size(settings.size or "base", vocab_size=data.vocab_size)
    source = settings.config or settings.init_from or "--size"
    where = settings.tokenizer or settings.data[0]
    if data.tokenizer is not None:
        check_tokenizer(data.tokenizer, config.vocab_size, source=f"{source} and {where}")
    if settings.examples.max_seq_length > config.max_position_embeddings:
        raise ConfigError(
            f"--max-seq-length {settings.examples.max_seq_length} exceeds the model's "
            f"{config.max_position_embeddings} positions"
        )
    return config


def _with_micro_batch(
    settings: PretrainSettings, model: AlbertForPreTraining, world: World
) -> PretrainSettings:
    """Return the settings with the number of examples that go through the model at once."""
    length, vocab_size = settings.examples.max_seq_length, model.config.vocab_size
    objective, precision = PretrainingObjective(), settings.loop

    def try_examples(count: int) -> None:
        batch = longest_examples(count, length, vocab_size=vocab_size)
        with autocast_of(precision, model.device):
            sums = objective.sums(model, batch)
        total = torch.stack([part.total for part in sums.values()]).sum()
        total.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        model.zero_grad(set_to_none=True)

    size = largest_micro_batch(
        try_examples, batch_size=settings.loop.batch_size, device=model.device, world=world
    )
    console.say(f"--micro-batch-size auto: {size} examples at once")
    return replace(settings, loop=replace(settings.loop, micro_batch_size=size))


def _announce(
    model: AlbertForPreTraining, data: PretrainingData, settings: PretrainSettings, world: World
) -> None:
    """Print what is about to happen."""
    parameters = sum(p.numel() for p in model.parameters())
    loop = settings.loop
    place = str(model.device) if world.size == 1 else f"{world.size} processes, this one on {model.device}"
    console.say(
        f"{parameters:,} parameters on {place}; {data.summary}; "
        f"{loop.max_steps:,} steps of {loop.batch_size} examples of up to "
        f"{settings.examples.max_seq_length} pieces"
    )
