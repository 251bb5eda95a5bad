"""A model used with its first layers only: elastic depth.

Layers that share their weights can be left out without making another model. It is exact: the states are
those that the whole model has after so many layers. How good they are depends on the training; the record of
a model that was trained at several depths has the scores of each.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from albert.checkpoint.layout import written_record
from albert.choices import Depth
from albert.config import AlbertConfig
from albert.console import warn
from albert.errors import ConfigError


def at_depth(config: AlbertConfig, depth: int | None, folder: Path) -> AlbertConfig:
    """Return the configuration of a model's first `depth` layers; the whole one for None.

    A depth for which the model in `folder` was not trained is warned of, with the scores of the next one.

    Raises:
        ConfigError: The model has no such layer, or its groups cannot be described for so few layers.
    """
    if depth is None or depth == config.num_hidden_layers:
        return config
    cut = first_layers(config, depth, folder)
    _warn_of_untrained(depth, folder)
    return cut


def first_layers(config: AlbertConfig, depth: int, folder: Path) -> AlbertConfig:
    """Return the configuration of a model's first `depth` layers.

    Raises:
        ConfigError: As `at_depth`.
    """
    if not 1 <= depth <= config.num_hidden_layers:
        raise ConfigError(f"--depth is {depth}; {folder} has layers 1 to {config.num_hidden_layers}")
    cut = config.changed(num_hidden_layers=depth, num_hidden_groups=1 + config.group_of_layer(depth - 1))
    if any(cut.group_of_layer(i) != config.group_of_layer(i) for i in range(depth)):
        fitting = [n for n in range(1, config.num_hidden_layers) if _fits(config, n)]
        raise ConfigError(
            f"--depth is {depth}; the {config.num_hidden_groups} groups of {folder} can only be cut after "
            f"{' or '.join(map(str, fitting)) or 'no'} layers"
        )
    return cut


def depths_of(given: Sequence[Depth], num_layers: int) -> tuple[int, ...]:
    """Return the depths that `--depths` names, ascending; the last layer is always one of them.

    Raises:
        ConfigError: The model has no such layer.
    """
    if "all" in given:
        return tuple(range(1, num_layers + 1))
    for depth in given:
        if not isinstance(depth, int) or not 1 <= depth <= num_layers:
            raise ConfigError(f"--depths names layer {depth}; the model has layers 1 to {num_layers}")
    return tuple(sorted({*(depth for depth in given if isinstance(depth, int)), num_layers}))


def recorded_depths(folder: Path) -> dict[int, dict[str, Any]]:
    """Return the scores of each depth at which a model was trained; empty if only the whole was."""
    try:
        found = written_record(folder).get("depths", {})
        return {int(depth): dict(scores) for depth, scores in found.items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def _fits(config: AlbertConfig, depth: int) -> bool:
    """Whether a configuration can describe the first `depth` layers."""
    groups = 1 + config.group_of_layer(depth - 1)
    return all(i * groups // depth == config.group_of_layer(i) for i in range(depth))


def _warn_of_untrained(depth: int, folder: Path) -> None:
    depths = recorded_depths(folder)
    if depth in depths:
        return
    if not depths:
        warn(f"--depth {depth}: {folder} was trained with all of its layers only; expect other scores")
        return
    nearest = min(depths, key=lambda known: abs(known - depth))
    scores = ", ".join(f"{name} {value:.4g}" for name, value in depths[nearest].items())
    warn(
        f"--depth {depth}: {folder} was trained at the depths {', '.join(map(str, sorted(depths)))}; the "
        f"scores of {nearest} are {scores}"
    )
