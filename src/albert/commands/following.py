"""The command that follows another: results have it under `next`, and it is printed last.

What the user has to name is in capitals: FILE.
"""

from pathlib import Path

from albert.console import command_line


def finetuning(model: Path | str) -> str:
    """Return the command that fine-tunes a pretrained model on own data."""
    return command_line("finetune", task="classification", data="FILE", model=model, output="RUN")


def prediction(model: Path | str, *, task: str | None = None) -> str:
    """Return the command that predicts with a fine-tuned model; a task that it records need not be named."""
    return command_line("predict", task=task, model=model, input="FILE", output="predictions.jsonl")


def embedding(model: Path | str) -> str:
    """Return the command that turns texts into vectors with a sentence encoder."""
    return command_line("embed", model=model, input="FILE", output="vectors.npy")


def use_of(model: Path | str, architecture: str) -> str:
    """Return the command that uses a model: it predicts, or is fine-tuned if it has no head for a task.

    Args:
        model: Folder or name of the model.
        architecture: Name of its class: `AlbertForPreTraining`.
    """
    is_pretrained = architecture.endswith(("Model", "ForPreTraining", "ForMaskedLM"))
    return finetuning(model) if is_pretrained else prediction(model)
