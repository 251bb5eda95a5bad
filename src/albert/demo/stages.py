"""Pretraining in stages that continue each other: each stage starts with the weights of the one before.

A stage is an ordinary run of `albert pretrain`. Its number of steps is derived once from a time and the
measured speed, and is fixed from then on, so that the stage can be stopped and resumed. As ALBERT's layers
share their weights, a later stage may be deeper: it applies the same layer more often.
"""

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from albert.checkpoint.layout import RUN_FILE
from albert.config import AlbertConfig
from albert.console import say
from albert.data.batches import IntArray
from albert.data.examples.stream import Examples
from albert.demo.state import Stage, State
from albert.demo.text import standard_library
from albert.model.language_models import AlbertForPreTraining
from albert.pretraining.data import open_pretraining_data
from albert.pretraining.meter import trial_steps
from albert.pretraining.objective import make_objective
from albert.pretraining.recipes import recipe_settings
from albert.pretraining.settings import PretrainSettings
from albert.reports.curves import Baselines, LoggedStage, draw_stages, held_out_points
from albert.training.devices import find_device
from albert.training.runs import Run
from albert.writing import write_json

TRIAL_SECONDS = 4.0
TRIAL_WARM_UP_STEPS = 5
EVALUATIONS = 20
COIN = 0.5


@dataclass(frozen=True, kw_only=True)
class DemoScale:
    """How large everything is; the defaults were chosen by trials, see docs/lab/demo.md."""

    python_folder: Path = field(default_factory=standard_library)
    """Folder of Python modules whose documentation is the text."""
    vocab_size: int = 4000
    """Entries of the vocabulary."""
    embedding_size: int = 128
    """Width of the embeddings."""
    hidden_size: int = 192
    """Width of the encoder; the feed-forward part is four times as wide."""
    heads: int = 3
    """Attention heads."""
    layers: tuple[int, ...] = (1, 2, 3)
    """Depth of the first stage, the second, ...; the last value holds for all further stages."""
    initializer_range: float = 0.05
    """Standard deviation of the initial weights; the published 0.02 is too small for so narrow a model."""
    max_seq_length: int = 64
    """Tokens of the longest sequence."""
    masked_lm_prob: float = 0.25
    """Share of masked tokens; above the published 0.15, because then every step teaches more."""
    batch_size: int = 32
    """Sequences per step."""
    learning_rate: float = 1e-3
    """Peak of the first stage; later stages use half of it."""
    warmup_share: float = 0.05
    """Share of a stage's steps over which the learning rate rises."""
    steps: int | None = None
    """Steps of a stage regardless of the minutes; None: as many as fit into the minutes."""
    finetune_steps: int | None = None
    """Steps of each classifier; None: three epochs."""
    finetune_learning_rate: float = 5e-4
    """Peak for both classifiers."""

    def config(self, layers: int) -> AlbertConfig:
        """Return the configuration of a model with `layers` layers."""
        return AlbertConfig(
            vocab_size=self.vocab_size,
            embedding_size=self.embedding_size,
            hidden_size=self.hidden_size,
            num_hidden_layers=layers,
            num_attention_heads=self.heads,
            intermediate_size=4 * self.hidden_size,
            max_position_embeddings=2 * self.max_seq_length,
            initializer_range=self.initializer_range,
        )


def stage_folder(folder: Path, number: int) -> Path:
    """Return the run folder of stage `number`."""
    return folder / "stages" / str(number)


def remove_without(folder: Path, marker: str) -> None:
    """Remove `folder` if it lacks the file `marker`: the job that was killed there had hardly started."""
    if folder.exists() and not (folder / marker).is_file():
        shutil.rmtree(folder)


def add_stage(folder: Path, state: State, scale: DemoScale, *, minutes: float) -> State:
    """Return the state with a last stage that is still to be shown: the interrupted one, or a new one."""
    if state.stages and state.shown < state.stages[-1].number:
        return state
    number = len(state.stages) + 1
    stage = Stage(number=number, layers=scale.layers[min(number, len(scale.layers)) - 1], steps=1)
    steps = scale.steps
    if steps is None:
        draft = stage_settings(folder, scale, stage)
        steps = steps_within(60 * minutes, draft, scale.config(stage.layers))
    state = replace(state, stages=(*state.stages, replace(stage, steps=steps)))
    state.write(folder)
    return state


def prepare_stage(folder: Path, scale: DemoScale, stage: Stage) -> PretrainSettings:
    """Write the configuration of a stage, and return the settings of its run."""
    remove_without(stage_folder(folder, stage.number), RUN_FILE)
    write_json(_config_file(folder, stage), scale.config(stage.layers).to_dict())
    return stage_settings(folder, scale, stage)


def stage_settings(folder: Path, scale: DemoScale, stage: Stage) -> PretrainSettings:
    """Return the settings of a stage; they depend only on the stage, so that it can be resumed."""
    continues = stage.number > 1
    return recipe_settings(
        "small",
        data=(folder / "data",),
        output=stage_folder(folder, stage.number),
        config=_config_file(folder, stage),
        init_from=str(stage_folder(folder, stage.number - 1) / "model") if continues else None,
        max_seq_length=scale.max_seq_length,
        masked_lm_prob=scale.masked_lm_prob,
        learning_rate=scale.learning_rate / (2 if continues else 1),
        warmup_steps=int(scale.warmup_share * stage.steps),
        max_steps=stage.steps,
        batch_size=scale.batch_size,
        save_steps=max(1, stage.steps // EVALUATIONS),
        eval_steps=max(1, stage.steps // EVALUATIONS),
        log_steps=max(1, min(50, stage.steps // EVALUATIONS)),
        seed=stage.number,
    )


def steps_within(seconds: float, settings: PretrainSettings, config: AlbertConfig) -> int:
    """Return how many steps, evaluations included, fit into `seconds`; measured on a throwaway model."""
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
    """Return the share of the most frequent one of `labels`."""
    joined = np.concatenate(list(labels))
    return float(np.bincount(joined).max() / len(joined))


def masked_lm_baseline(settings: PretrainSettings) -> float:
    """Return the accuracy of always predicting the most frequent token, on the evaluation data."""
    source = open_pretraining_data(settings.data).held_out(settings.examples)
    assert source is not None, "the demo holds documents out"
    batches = Examples(source).one_pass(settings.loop.micro_size, limit=settings.eval_examples)
    return most_frequent_share(batch.masked_labels for batch in batches)


def show_curves(
    folder: Path, stages: Iterable[Stage], scores: dict[str, Any], masked_lm_guess: float
) -> dict[str, Any]:
    """Draw the curves of all stages; return both accuracies, first and last, with their baselines."""
    logged = _read_logs(folder, stages)
    path = folder / "curves.png"
    draw_stages(path, logged, Baselines(masked_lm=masked_lm_guess, sentence_order=COIN))

    def first_and_last(name: str) -> dict[str, float]:
        return {"at_first": held_out_points(logged, name)[1][0], "now": scores[name]}

    return {
        "masked_lm_accuracy": {
            **first_and_last("masked_lm_accuracy"),
            "most_frequent_token": masked_lm_guess,
        },
        "sentence_order_accuracy": {**first_and_last("sentence_order_accuracy"), "coin": COIN},
        "curves": str(path),
    }


def _read_logs(folder: Path, stages: Iterable[Stage]) -> list[LoggedStage]:
    logged = []
    for stage in stages:
        place = stage_folder(folder, stage.number)
        record: dict[str, Any] = json.loads((place / RUN_FILE).read_text(encoding="utf-8"))
        title = "1 layer" if stage.layers == 1 else f"{stage.layers} layers"
        records = list(Run(place, record).log_records())
        logged.append(LoggedStage(title=title, steps=stage.steps, records=records))
    return logged


def _config_file(folder: Path, stage: Stage) -> Path:
    return folder / f"config-{stage.layers}-layers.json"
