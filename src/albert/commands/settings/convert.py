"""The settings of `albert convert`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from albert.choices import Head


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
    depth: int | None = None
    """Layers that are kept, from the first on; all if not given."""
    push_to_hub: str | None = None
    """Id on the Hub to which the finished folder is uploaded."""
