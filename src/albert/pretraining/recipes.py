"""Recipes of `albert pretrain --recipe NAME`: hyperparameters of published pretrainings, by name.

A recipe only changes defaults: other flags override it, and run.json contains the resulting settings. Its
hyperparameters have the names of the flags.

The paper (Lan et al. 2020, section 4.1) and the README of google-research/albert agree on batches of 4096,
LAMB with a rate of 1.76e-3, 125 000 steps and 512 tokens (a tenth of the documents shorter). From the
README's command and its defaults are 3125 steps of warm-up, 20 masked tokens, and checkpoints every 5000
steps, of which 5 are kept. The warm-up is a share of the steps here, so that it fits any `--max-steps`. The
paper's text masks 15 % (77 tokens of 512), but its authors say that 20 were used (google-research/albert
issue 51); `--max-predictions-per-seq 0` removes the cap.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from albert.errors import ConfigError, did_you_mean
from albert.pretraining.settings import PretrainSettings
from albert.training.recipes import with_values

SHAPE_SETTINGS = ("size", "config", "init_from")
"""Settings that give the shape; any of them replaces the shape of the recipe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainingRecipe:
    """The hyperparameters of a published pretraining."""

    source: str
    """What it is, and where the numbers are published."""
    numbers: Mapping[str, Any]
    """Values of settings by name, however they are nested."""


_ORIGINAL = {
    "style": "original",
    "max_seq_length": 512,
    "short_seq_prob": 0.1,
    "optimizer": "lamb",
    "learning_rate": 1.76e-3,
    "warmup_share": 3125 / 125_000,
    "schedule": "decay-from-start",
    "weight_decay": 0.01,
    "max_grad_norm": 1.0,
    "max_steps": 125_000,
    "batch_size": 4096,
    "save_steps": 5000,
    "keep_checkpoints": 5,
}

_SIZES = ("base", "large", "xlarge", "xxlarge")
_V2_STEPS = {"base": 10_000_000, "large": 3_000_000, "xlarge": 3_000_000, "xxlarge": 3_000_000}

_SMALL = {
    "size": "mini",
    "max_seq_length": 64,
    "masked_lm_prob": 0.25,
    "optimizer": "adamw",
    "learning_rate": 1e-3,
    "adam_beta2": 0.98,
    "schedule": "linear",
    "warmup_share": 0.05,
    "max_steps": 20_000,
    "batch_size": 32,
}

RECIPES = {
    "small": PretrainingRecipe(
        source="Our own, for an hour on one core: one layer, large initial weights, short sequences, a "
        "quarter of the tokens masked, AdamW with beta2 0.98; from the trials in docs/pretraining.md",
        numbers=_SMALL,
    ),
    **{
        f"albert-{size}-v1": PretrainingRecipe(
            source=f"The paper's ALBERT-{size} at 125 000 steps (table 2), dropout as in the release v1: "
            + ("none" if size == "xxlarge" else "0.1"),
            numbers=_ORIGINAL | {"size": f"{size}-v1"},
        )
        for size in _SIZES
    },
    **{
        f"albert-{size}-v2": PretrainingRecipe(
            source="The release v2 by the original's README: no dropout, "
            f"{_V2_STEPS[size] // 1_000_000} million steps, more text than the paper's; the rest, which "
            "it does not state, as v1",
            numbers=_ORIGINAL
            | {
                "size": f"{size}-v2",
                "max_steps": _V2_STEPS[size],
                "warmup_share": 3125 / _V2_STEPS[size],
            },
        )
        for size in _SIZES
    },
    "albert-zh-tiny": PretrainingRecipe(
        source="README and create_pretrain_data.sh of albert_zh for tiny: 12 500 steps of warm-up, 51 masked "
        "tokens (a tenth), whole words and no n-grams, 10 passes. Segment its text with albert prepare "
        "--words; ALBERT's own layout of the embeddings, as in albert_zh's later models",
        numbers=_ORIGINAL
        | {
            "size": "tiny",
            "style": "recommended",
            "warmup_share": 12_500 / 125_000,
            "masked_lm_prob": 0.1,
            "max_predictions_per_seq": 51,
            "max_ngram": 1,
            "dupe_factor": 10,
            "save_steps": 2000,
            "keep_checkpoints": 20,
        },
    ),
    "albert-zh-small": PretrainingRecipe(
        source="README of albert_zh for small, made by the original's scripts: 12 500 steps of warm-up, 20 "
        "masked tokens, 10 passes",
        numbers=_ORIGINAL
        | {"size": "small", "warmup_share": 12_500 / 125_000, "dupe_factor": 10, "save_steps": 2000},
    ),
}


def find_recipe(name: str) -> PretrainingRecipe:
    """Return the recipe of this name.

    Raises:
        ConfigError: There is no such recipe.
    """
    if name not in RECIPES:
        known = list(RECIPES)
        raise ConfigError(f"no recipe {name!r}{did_you_mean(name, known)}; known are {', '.join(known)}")
    return RECIPES[name]


def apply_recipe(name: str, settings: PretrainSettings) -> PretrainSettings:
    """Return `settings` with the hyperparameters of a recipe instead of their own.

    Raises:
        ConfigError: There is no such recipe.
    """
    return with_values(settings, find_recipe(name).numbers)


def recipe_settings(name: str, **given: Any) -> PretrainSettings:
    """Return the settings of a recipe: `recipe_settings("albert-base-v2", data=(folder,), output=run)`.

    Args:
        name: Name of the recipe.
        given: Settings by name, as on the command line, however they are nested; they override the recipe.

    Raises:
        ConfigError: There is no such recipe or setting.
    """
    required = {field.name for field in fields(PretrainSettings) if field.default is MISSING}
    base = PretrainSettings(**{key: value for key, value in given.items() if key in required})
    no_size = {"size": None} if any(shape in given for shape in SHAPE_SETTINGS) else {}
    return with_values(apply_recipe(name, base), no_size | given)
