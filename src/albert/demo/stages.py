"""Pretraining in stages that continue each other: each begins with the weights of the one before.

A stage is an ordinary run of `albert pretrain` whose length was derived once from a time and the measured
speed, and is then fixed, so that it can be stopped and resumed. As ALBERT's layers share their weights, a
later stage may be deeper than the one before: the same layer is run through more often.
"""

import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from albert.checkpoint.folder import write_json
from albert.checkpoint.layout import RUN_FILE
from albert.config import AlbertConfig
from albert.console import say
from albert.data.batches import IntArray
from albert.data.examples.stream import Examples
from albert.errors import RunError
from albert.model.pretrained import AlbertForPreTraining
from albert.pretraining.data import open_pretraining_data
from albert.pretraining.meter import trial_steps
from albert.pretraining.objective import make_objective
from albert.pretraining.settings import PretrainSettings
from albert.reports.curves import Leg
from albert.training.runs import Run
from albert.training.settings import find_device

STATE_FILE = "demo.json"
TRIAL_SECONDS = 4.0
TRIAL_WARM_UP_STEPS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stretch of pretraining."""

    number: int
    """From 1."""
    layers: int
    """How often the shared layer is run through."""
    steps: int
    """Optimiser steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What a folder knows of its stages."""

    stages: tuple[Stage, ...] = ()
    """Those begun."""
    shown: int = 0
    """How many of them were followed by everything that is shown at the end."""

    @classmethod
    def read(cls, folder: Path) -> "State":
        """Reads the state of `folder`; that of a new or empty folder is empty.

        Raises:
            RunError: The folder holds something else.
        """
        path = folder / STATE_FILE
        if not path.is_file():
            if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                raise RunError(f"{folder}: exists and holds no demo; give --output a new folder")
            return cls()
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return cls(stages=tuple(Stage(**stage) for stage in content["stages"]), shown=content["shown"])
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path}: damaged ({error}); remove {folder} to begin anew") from error

    def write(self, folder: Path) -> None:
        """Writes the state to `folder`, which is made if missing."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / STATE_FILE, {"stages": [asdict(s) for s in self.stages], "shown": self.shown})


def stage_folder(folder: Path, number: int) -> Path:
    """Returns the run folder of stage `number`."""
    return folder / "stages" / str(number)


def begin_anew_without(folder: Path, marker: str) -> None:
    """Removes `folder` if it lacks the file `marker`: whatever was killed there had hardly begun."""
    if folder.exists() and not (folder / marker).is_file():
        shutil.rmtree(folder)


def steps_within(seconds: float, settings: PretrainSettings, config: AlbertConfig) -> int:
    """Returns how many steps, evaluations included, fit into some seconds; measured on a throwaway model."""
    model = AlbertForPreTraining(config).to(find_device(settings.loop.device))
    trial = trial_steps(
        model,
        open_pretraining_data(settings.data).train(settings.examples, seed=0),
        make_objective(settings.objective, config),
        settings.optimizer,
        settings.loop,
        seconds=TRIAL_SECONDS,
        warm_up_steps=TRIAL_WARM_UP_STEPS,
    )
    speed = 1 / median(step.seconds for step in trial)
    steps = max(1, int(seconds * speed))
    say(f"{speed:.1f} steps/s: {steps:,} steps in {seconds / 60:.3g} minutes")
    return steps


def most_frequent_share(labels: Iterable[IntArray]) -> float:
    """Returns which share of `labels` the most frequent one is."""
    joined = np.concatenate(list(labels))
    return float(np.bincount(joined).max() / len(joined))


def masked_lm_baseline(settings: PretrainSettings) -> float:
    """Returns how often naming one and the same piece is right on what `settings` evaluates on."""
    source = open_pretraining_data(settings.data).held_out(settings.examples)
    assert source is not None, "the demo holds documents out"
    batches = Examples(source).one_pass(settings.loop.micro_size, limit=settings.eval_examples)
    return most_frequent_share(batch.masked_labels for batch in batches)


def read_legs(folder: Path, stages: Iterable[Stage]) -> list[Leg]:
    """Returns the logs of the stages, to be drawn as one curve."""
    legs = []
    for stage in stages:
        place = stage_folder(folder, stage.number)
        record: dict[str, Any] = json.loads((place / RUN_FILE).read_text(encoding="utf-8"))
        layers = "1 layer" if stage.layers == 1 else f"{stage.layers} layers"
        legs.append(Leg(title=layers, steps=stage.steps, records=list(Run(place, record).log_records())))
    return legs
