"""`albert convert`: ALBERT weights of any form become a model folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from albert.checkpoint.folder import WEIGHTS_FILE
from albert.console import say
from albert.conversion.conversion import Head
from albert.conversion.conversion import convert as convert_source
from albert.hub import upload


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertSettings:
    """Turn ALBERT weights of any form into a model folder.

    Forms: the original's TensorFlow checkpoints (a folder, a prefix, .tar.gz or .zip as downloaded), also
    fine-tuned with their head, TF-Hub modules, albert_zh's models, Hugging Face folders and Hub ids.
    TensorFlow is not needed.
    """

    source: Positional[Annotated[str, arg(metavar="SOURCE")]]
    """Path, checkpoint prefix, archive, Hub id, or handle of the former tfhub.dev."""
    output: Positional[Annotated[Path, arg(metavar="OUTPUT")]]
    """New or empty folder for the model."""
    tokenizer: Path | None = None
    """Folder of the vocabulary; by default that of the weights."""
    head: Head = "auto"
    """Purpose of a classifier, if the tensors do not show it."""
    push_to_hub: str | None = None
    """Id on the Hub to which the finished folder is uploaded."""


def convert(settings: ConvertSettings) -> dict[str, Any]:
    """Convert a model and return what was found."""
    model = convert_source(settings.source, settings.output, head=settings.head, tokenizer=settings.tokenizer)
    for note in model.notes:
        say(note)
    result: dict[str, Any] = {
        "form": model.form,
        "model": model.architecture.__name__,
        "tensors": model.account,
        "parameters": sum(tensor.numel() for tensor in model.state.values()),
        "left_out": f"{model.left_out} optimiser moments and counters",
        "checked": model.checked,
        "output": str(settings.output),
        "bytes": (settings.output / WEIGHTS_FILE).stat().st_size,
    }
    if settings.push_to_hub is not None:
        result["hub"] = upload(settings.output, settings.push_to_hub)
    return result
