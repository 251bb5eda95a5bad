"""A fine-tuned model with what its use takes: task, solver, tokenizer, lengths."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from albert.checkpoint.folder import read_architecture, read_config
from albert.checkpoint.layout import RUN_FILE
from albert.config import AlbertConfig
from albert.conversion.conversion import model_folder
from albert.errors import CheckpointError, ConfigError
from albert.inference.precision import prepare_for_inference
from albert.model.linear import Dtype
from albert.model.pretrained import Pretrained
from albert.tasks.catalogue import SOLVERS, find_task, solver_of
from albert.tasks.classification.solver import kind_of_classifier
from albert.tasks.solver import Solver, check_length, read_trained
from albert.tasks.task import ColumnSettings, Kind, Lengths, Task, with_columns
from albert.text.tokenizer import AlbertTokenizer
from albert.training.settings import find_device


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedModel:
    """A model that can be asked."""

    task: Task
    """What it answers, with its labels in the order of its outputs."""
    solver: Solver
    """Of the task's kind."""
    model: Pretrained
    """On its device, dropout off, its weights frozen in the type it computes in."""
    tokenizer: AlbertTokenizer
    """Of the model."""
    lengths: Lengths
    """How examples are cut, as they were in training."""
    scores: dict[str, float]
    """Scores it had on dev, as far as the folder tells; null thresholds among them."""


def open_trained(
    model: str,
    *,
    task: str | None,
    columns: ColumnSettings = ColumnSettings(),
    max_seq_length: int | None = None,
    device: str = "auto",
    dtype: Dtype = "float32",
) -> TrainedModel:
    """Reads a fine-tuned model.

    Args:
        model: Folder, Hub id, or anything that can be converted.
        task: Name of the task; None for own data of the model's kind.
        columns: Which columns of the data hold what.
        max_seq_length: Pieces an example is cut to; None for as many as in training.
        device: As of `find_device`.
        dtype: Type of the matrix products; answers in int8 want `ensure_agreement` first.

    Raises:
        AlbertError: There is no such model, or it is one for another task.
    """
    folder = model_folder(model)
    config = read_config(folder)
    asked = with_columns(find_task(task or kind_of_model(folder, config)), columns)
    solver = solver_of(asked)
    _check_kind(folder, config, asked)
    trained, tokenizer = read_trained(solver, folder)
    prepare_for_inference(trained.to(find_device(device)), dtype)
    record = _read_record(folder)
    known = {field.name for field in fields(Lengths)}
    stored = {name: value for name, value in record.get("lengths", {}).items() if name in known}
    stored["max_seq_length"] = check_length(max_seq_length, config, default=tokenizer.model_max_length)
    scores = record.get("scores", {})
    return TrainedModel(
        task=solver.with_labels_of(asked, config),
        solver=solver,
        model=trained,
        tokenizer=tokenizer,
        lengths=Lengths(**stored),
        scores=scores if isinstance(scores, dict) else {},
    )


def kind_of_model(folder: Path, config: AlbertConfig) -> Kind:
    """Returns what a fine-tuned model folder predicts.

    Raises:
        CheckpointError: It is no fine-tuned model.
    """
    architecture = read_architecture(folder)
    for kind, solver in SOLVERS.items():
        if architecture in {model_class.__name__ for model_class in solver.model_classes()}:
            return kind_of_classifier(config) if kind in {"classification", "regression"} else kind
    raise CheckpointError(
        f"{folder}: the model is an {architecture or 'encoder'}, not fine-tuned for any task; "
        f"train it first: albert finetune --model {folder}"
    )


def _check_kind(folder: Path, config: AlbertConfig, task: Task) -> None:
    """Refuses a model whose configuration says that it does something else than `task` asks for."""
    if read_architecture(folder) is None:
        return  # Its head will tell.
    kind = kind_of_model(folder, config)
    if kind != task.kind:
        raise ConfigError(
            f"{folder}: the model was trained for {kind}, but task {task.name!r} is {task.kind}; "
            "give the model that was fine-tuned for it"
        )


def _read_record(folder: Path) -> dict[str, Any]:
    """Returns what the run that made a model folder left there; nothing for folders of other origin."""
    try:
        record = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}
