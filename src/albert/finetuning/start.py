"""The model before the first step of a fine-tuning: a pretrained encoder, and a head that may be new."""

from pathlib import Path

from albert.checkpoint.folder import WEIGHTS_FILE, load_weights, read_architecture, read_config
from albert.config import AlbertConfig
from albert.console import warn
from albert.conversion.depth import at_depth
from albert.errors import CheckpointError, ConfigError
from albert.inference.opening import has_head
from albert.model.pretrained import Pretrained
from albert.tasks.catalogue import check_kind, solver_of
from albert.tasks.solver import Solver
from albert.tasks.task import Task


def start_model(
    solver: Solver,
    task: Task,
    folder: Path,
    *,
    hidden_dropout_prob: float | None,
    depth: int | None = None,
    from_scratch: bool,
) -> Pretrained:
    """Return a model to be fine-tuned for `task`, with the encoder in `folder`.

    The folder's head is kept if it fits the task and has its labels; otherwise it starts at random. With
    `from_scratch`, all weights start at random, and only the configuration is read.

    Args:
        solver: The solver of the task's kind.
        task: The task with its labels.
        folder: A model folder.
        hidden_dropout_prob: Dropout inside the encoder, on hidden states and attention; None for the model's.
        depth: Layers of the folder's model that are used; None for all.
        from_scratch: Whether to ignore the weights of the folder.

    Raises:
        CheckpointError: There are no weights, or only a part of the encoder's.
    """
    changes = solver.config_changes(task)
    if hidden_dropout_prob is not None:
        changes |= dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), hidden_dropout_prob)
    config = at_depth(read_config(folder, **changes), depth, folder)
    model_class = solver.model_class(task)
    model = model_class.of_folder(config, folder)
    if from_scratch:
        return model
    if not (folder / WEIGHTS_FILE).is_file():
        raise CheckpointError(
            f"{folder}: holds no {WEIGHTS_FILE}, so all weights would be random; give a pretrained model, or "
            "--from-scratch if you want random weights"
        )
    keeps_head = has_head(folder, model_class, config) and read_config(folder).id2label == config.id2label
    part = model if keeps_head else model.get_submodule("albert")
    load_weights(part, folder, has_map=config.has_map)
    return model


def refuse_another_kind(task: Task, folder: Path, config: AlbertConfig) -> None:
    """Refuse a model with the head of another kind of task, which is seldom a good start.

    A model with a head of the same class, such as one for labels where numbers are asked for, is a common
    start, and is reported.

    Raises:
        ConfigError: It has such a head.
    """
    architecture = read_architecture(folder)
    try:
        check_kind(task, architecture, config)
    except ConfigError as error:
        problem = f"{folder}: {error.args[0].partition(';')[0]}"
        if architecture in {model_class.__name__ for model_class in solver_of(task).model_classes()}:
            warn(f"{problem}; its encoder is used, and a new head starts at random")
            return
        raise ConfigError(
            f"{problem}; give the pretrained model, and --init-from {folder} if its encoder is to be used "
            "all the same"
        ) from error
