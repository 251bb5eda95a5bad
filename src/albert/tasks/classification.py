"""Classifying texts and rating them with a number: loss, logits, scores, and a trained model's folder.

Stands on `features` and the model with one linear head; what `finetune`, `evaluate` and `predict` share.
Letters: B examples, K labels (1 for regression).
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from albert.checkpoint.folder import WEIGHTS_FILE, load_weights, read_config
from albert.checkpoint.release import check_tokenizer
from albert.checkpoint.task_models import AlbertForSequenceClassification
from albert.errors import CheckpointError, ConfigError
from albert.metrics.scores import score
from albert.model.config import AlbertConfig
from albert.model.losses import LossSum, cross_entropy_sum, squared_error_sum
from albert.tasks.features import Features
from albert.tasks.task import Kind, Task
from albert.text.tokenizer import AlbertTokenizer

PIECES_AT_ONCE = 8192


@dataclass(frozen=True, slots=True)
class ClassificationObjective:
    """What fine-tuning minimises: cross-entropy over the labels, or the squared error of the number."""

    kind: Kind

    def counts(self, batch: Features) -> dict[str, int]:
        """Returns the number of examples."""
        return {"task": len(batch)}

    def sums(self, model: AlbertForSequenceClassification, batch: Features) -> dict[str, LossSum]:
        """Returns the summed loss of the examples of `batch`."""
        logits = _packed_logits(model, batch)
        labels = torch.from_numpy(batch.labels).to(logits.device)
        return {"task": _loss_sum(self.kind, logits, labels)}


def classify(model: AlbertForSequenceClassification, features: Features) -> NDArray[np.float32]:
    """Returns the logits (B, K) of `features`, in their order; computed in groups of similar length."""
    order = np.argsort(features.lengths, kind="stable")
    group = features.lengths[order].cumsum() // PIECES_AT_ONCE
    logits = np.zeros((len(features), model.config.num_labels), np.float32)
    model.eval()
    with torch.inference_mode():
        for indices in np.split(order, np.flatnonzero(np.diff(group)) + 1):
            if len(indices):
                logits[indices] = _packed_logits(model, features.take(indices)).float().cpu().numpy()
    return logits


def scores_of(task: Task, model: AlbertForSequenceClassification, features: Features) -> dict[str, float]:
    """Returns the scores of `task` for labelled `features`, and the mean `loss`."""
    logits = classify(model, features)
    predictions = logits[:, 0] if task.kind == "regression" else logits.argmax(-1)
    loss = _loss_sum(task.kind, torch.from_numpy(logits), torch.from_numpy(features.labels)).total
    named = score(task.metrics, labels=features.labels, predictions=predictions)
    return {**named, "loss": float(loss) / len(features)}


def read_classifier(folder: Path) -> tuple[AlbertForSequenceClassification, AlbertTokenizer]:
    """Reads a fine-tuned model folder.

    Raises:
        CheckpointError: The folder holds no model, or one without a classifier.
        TokenizerError: Its tokenizer belongs to another model.
    """
    config = read_config(folder)
    if not has_classifier(folder):
        raise CheckpointError(
            f"{folder}: the model has no classifier; train one first: albert finetune --model {folder}"
        )
    tokenizer = AlbertTokenizer.from_pretrained(folder)
    check_tokenizer(tokenizer, config.vocab_size, source=str(folder))
    return AlbertForSequenceClassification.from_pretrained(folder), tokenizer


def new_classifier(
    task: Task, folder: Path, *, hidden_dropout_prob: float, from_scratch: bool
) -> AlbertForSequenceClassification:
    """Makes a model to be fine-tuned for `task` from the encoder in `folder`.

    A classifier that is there already stays if it has the task's labels; else it starts at random.
    With `from_scratch` everything does, and only the configuration is read.

    Raises:
        CheckpointError: There are no weights, or only a part of the encoder's.
    """
    labels = task.labels or ("score",)
    config = read_config(
        folder,
        hidden_dropout_prob=hidden_dropout_prob,
        attention_probs_dropout_prob=hidden_dropout_prob,
        classifier_dropout_prob=task.recipe.classifier_dropout_prob,
        problem_type="regression" if task.kind == "regression" else "single_label_classification",
        id2label=dict(enumerate(labels)),
    )
    model = AlbertForSequenceClassification(config)
    if from_scratch:
        return model
    if not (folder / WEIGHTS_FILE).is_file():
        raise CheckpointError(
            f"{folder}: holds no {WEIGHTS_FILE}, and random weights are rarely wanted; give a pretrained "
            "model, or --from-scratch if they are"
        )
    has_map = config.embedding_size != config.hidden_size
    keeps = has_classifier(folder) and label_names(read_config(folder)) == labels
    load_weights(model if keeps else model.albert, folder, has_map=has_map)
    return model


def has_classifier(folder: Path) -> bool:
    """Tells whether a model folder has the weights of a classifier.

    Raises:
        CheckpointError: It has no weights at all, or damaged ones.
    """
    path = folder / WEIGHTS_FILE
    try:
        with safe_open(path, framework="np") as file:
            return "classifier.weight" in file.keys()  # noqa: SIM118  # not a dict: no membership test
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: missing or not a safetensors file: {error}") from error


def sequence_length(asked: int | None, config: AlbertConfig, *, default: int) -> int:
    """Returns to how many pieces examples are cut: `asked`, else `default` as far as the model goes.

    Raises:
        ConfigError: More is asked than the model has positions.
    """
    positions = config.max_position_embeddings
    if asked is not None and asked > positions:
        raise ConfigError(f"--max-seq-length is {asked}, but the model has {positions} positions; lower it")
    return min(default, positions) if asked is None else asked


def model_kind(config: AlbertConfig) -> Kind:
    """Returns what a classifier with `config` predicts."""
    regression = config.problem_type == "regression" or config.num_labels == 1
    return "regression" if regression else "classification"


def label_names(config: AlbertConfig) -> tuple[str, ...]:
    """Returns the labels of a classifier in the order of its outputs."""
    names = config.id2label or {}
    return tuple(names.get(index, f"LABEL_{index}") for index in range(config.num_labels))


def with_labels_of_model(task: Task, config: AlbertConfig) -> Task:
    """Returns `task` with its labels in the order of the model's outputs.

    A model that does not name its labels (LABEL_0, LABEL_1, ...) is taken to have the task's order.

    Raises:
        ConfigError: The model predicts something else than the task asks for.
    """
    kind = model_kind(config)
    if kind != task.kind:
        raise ConfigError(
            f"the model was trained for {kind}, but task {task.name!r} is {task.kind}; "
            "give the model that was fine-tuned for it"
        )
    names = label_names(config)
    unnamed = names == tuple(f"LABEL_{index}" for index in range(len(names)))
    if kind == "regression" or (unnamed and len(names) == len(task.labels)):
        return task
    if task.labels and set(names) != set(task.labels):
        raise ConfigError(
            f"the model knows the labels {', '.join(names[:20])}, but task {task.name!r} has "
            f"{', '.join(task.labels[:20])}; give the model that was fine-tuned for it"
        )
    return replace(task, labels=names)


def _packed_logits(model: AlbertForSequenceClassification, batch: Features) -> Tensor:
    """Returns logits (B, K)."""
    arrays = (batch.input_ids, batch.token_type_ids, batch.lengths)
    return model.packed_logits(*(torch.from_numpy(array).to(model.device) for array in arrays))


def _loss_sum(kind: Kind, logits: Tensor, labels: Tensor) -> LossSum:
    """Returns the summed loss of `logits` (B, K) against `labels` (B,)."""
    if kind == "regression":
        return squared_error_sum(logits.squeeze(-1), labels)
    return cross_entropy_sum(logits, labels.long())
