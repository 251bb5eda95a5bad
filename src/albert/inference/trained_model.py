"""A fine-tuned model opened with all that predicting takes: its task, solver, tokenizer and lengths."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from albert.checkpoint.folder import read_architecture, read_config
from albert.checkpoint.layout import written_record
from albert.choices import Dtype
from albert.config import AlbertConfig
from albert.console import warn
from albert.conversion.conversion import model_folder
from albert.conversion.depth import recorded_depths
from albert.errors import CheckpointError, ConfigError
from albert.inference.early_exit import ExitRule, check_early_exit, predict_early
from albert.inference.opening import open_model, sequence_length
from albert.model.pretrained import Pretrained
from albert.model.task_models import AlbertForSequenceClassification
from albert.tasks import catalogue
from albert.tasks.catalogue import find_task, solver_of
from albert.tasks.held_out import HeldOut
from albert.tasks.labels import with_given_labels
from albert.tasks.similarity.form import in_form, is_sentence_encoder
from albert.tasks.solver import Solver
from albert.tasks.task import ColumnSettings, Lengths, Task, columns_of, with_columns
from albert.text.tokenizer import AlbertTokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedModel:
    """A fine-tuned model that is ready to predict."""

    task: Task
    """The task, with its labels in the order of the model's outputs."""
    solver: Solver
    """The solver of the task's kind."""
    model: Pretrained
    """The model on its device, dropout off, prepared for inference in its number type."""
    tokenizer: AlbertTokenizer
    """The model's."""
    lengths: Lengths
    """Lengths to which examples are cut, those of its training."""
    scores: dict[str, float]
    """Scores on dev recorded in the folder, null thresholds among them."""
    held_out: HeldOut | None
    """Which examples of the training file were dev; None if dev had a file of its own."""
    early_exit: ExitRule | None = None
    """When a text is done before the last layer; None for never."""

    def predict(self, examples: Sequence[Any], features: Any) -> Any:
        """Return the prediction for each example, as the solver of its kind does, with early exits."""
        if self.early_exit is None:
            return self.solver.predict(self.task, self.model, examples, features)
        assert isinstance(self.model, AlbertForSequenceClassification)  # check_early_exit
        return predict_early(self.model, features, self.early_exit).logits


def open_trained(
    model: str,
    *,
    task: str | None,
    columns: ColumnSettings = ColumnSettings(),
    labels: str | None = None,
    max_seq_length: int | None = None,
    depth: int | None = None,
    early_exit: ExitRule | None = None,
    device: str = "auto",
    dtype: Dtype = "float32",
) -> TrainedModel:
    """Open a fine-tuned model for a task.

    Args:
        model: Folder, Hub id, or anything that can be converted.
        task: Name of the task; None for own data of the model's kind.
        columns: Which columns of the data hold what.
        labels: Names of the model's outputs, in their order, separated by commas; None: as in its folder.
        max_seq_length: Tokens to which an example is cut; None for as many as in training.
        depth: Number of layers that are used, from the first on; None for all.
        early_exit: When a text is done before the last layer; None for never.
        device: Name for `find_device`.
        dtype: Type of the matrix products; call `ensure_agreement` before predicting in int8.

    Raises:
        AlbertError: There is no such model, or it was trained for another task.
    """
    folder = model_folder(model)
    config = read_config(folder)
    record = written_record(folder)
    named = in_form(find_task(task or kind_of_model(folder, config)), folder)
    named = with_columns(with_columns(named, _trained_columns(record, named)), columns)
    solver = solver_of(named)
    if task is None and named.kind == "regression" and config.problem_type is None:
        warn(
            f"{model}: config.json does not say (problem_type) whether the one output is a number or the "
            "logit of a probability; it is written as it is, while pipelines apply a sigmoid, as in "
            "transformers"
        )
    if labels is not None:
        config = with_given_labels(config, [name.strip() for name in labels.split(",")])
    catalogue.check_kind(named, read_architecture(folder), config)
    trained, tokenizer = open_model(
        folder, solver.model_classes(), device=device, dtype=dtype, trained_by=named.name, depth=depth
    )
    if early_exit is not None:
        check_early_exit(trained, kind=named.kind, depths={*recorded_depths(folder)}, name=model)
    known = {field.name for field in fields(Lengths)}
    stored = {name: value for name, value in record.get("lengths", {}).items() if name in known}
    stored["max_seq_length"] = sequence_length(max_seq_length, config, default=tokenizer.model_max_length)
    scores = record.get("scores", {})
    named = solver.with_labels_of(named, config)
    if labels is not None and not named.labels:
        raise ConfigError(f"--labels {labels}: task {named.name!r} has no labels; drop the flag")
    return TrainedModel(
        task=named,
        solver=solver,
        model=trained,
        tokenizer=tokenizer,
        lengths=Lengths(**stored),
        scores=scores if isinstance(scores, dict) else {},
        held_out=_held_out(record),
        early_exit=early_exit,
    )


def _trained_columns(record: dict[str, Any], task: Task) -> ColumnSettings:
    """Return the columns of the examples on which the model was trained, if it was for the same task."""
    return columns_of(record) if record.get("task") == task.name else ColumnSettings()


def _held_out(record: dict[str, Any]) -> HeldOut | None:
    stored = record.get("held_out")
    known = {field.name for field in fields(HeldOut)}
    return HeldOut(**stored) if isinstance(stored, dict) and set(stored) == known else None


def kind_of_model(folder: Path, config: AlbertConfig) -> str:
    """Return the kind of task for which the model in a folder was fine-tuned.

    Raises:
        CheckpointError: It was not fine-tuned.
    """
    if is_sentence_encoder(folder):
        return "similarity"
    architecture = read_architecture(folder)
    kind = None if architecture is None else catalogue.kind_of_model(architecture, config)
    if kind is None:
        raise CheckpointError(
            f"{folder}: the model is an {architecture or 'encoder'}, not fine-tuned for any task; "
            f"train it first: albert finetune --model {folder}"
        )
    return kind
