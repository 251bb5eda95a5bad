"""`albert convert`: ALBERT weights in any of their forms to a model folder."""

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
    """Turns ALBERT weights of any form into a model folder.

    Forms: the original's TensorFlow checkpoints (a folder, a prefix, .tar.gz or .zip as downloaded),
    fine-tuned ones with their head, TF-Hub modules, albert_zh's family, Hugging Face folders and Hub ids. No
    TensorFlow is needed.
    """

    source: Positional[Annotated[str, arg(metavar="SOURCE")]]
    """Path, checkpoint prefix, archive, Hub id, or handle of the former tfhub.dev."""
    output: Positional[Annotated[Path, arg(metavar="OUTPUT")]]
    """Folder for the model; new or empty."""
    tokenizer: Path | None = None
    """Folder of the vocabulary, if not that beside the weights."""
    head: Head = "auto"
    """What a classifier is for, where the tensors cannot tell."""
    push_to_hub: str | None = None
    """Hub id to upload the folder to, once it is written."""


def convert(settings: ConvertSettings) -> dict[str, Any]:
    """Convert a model and tells what was found."""
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
