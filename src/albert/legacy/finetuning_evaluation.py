"""The evaluation of a fine-tuning: every checkpoint of a folder in the order of its steps, the best is kept.

It may run behind the training or beside it, as another process. What was found goes to `eval_results.txt`,
how far it is to `best_trial.txt`; begun again, it goes on there. The best model so far is the model folder
`model.ckpt-best`.

Source: the loops of `run_classifier.py`, `run_squad_v1.py`, `run_squad_v2.py`, `run_race.py`.
"""

import json
import math
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albert.checkpoint.folder import CONFIG_FILE, replacing, write_json
from albert.checkpoint.layout import RUN_FILE, STATE_FILE, RunLayout
from albert.checkpoint.snapshots import load_snapshot_weights
from albert.checkpoint.sources import is_model_folder
from albert.console import say
from albert.conversion.bare_weights import bare_folder
from albert.conversion.release import replacing_folder
from albert.errors import CheckpointError, ConfigError
from albert.finetuning.plan import DevSet
from albert.finetuning.run import write_trained
from albert.legacy.checkpoints import BEST_NAME, Checkpoint, resolve, steps_of_finished
from albert.legacy.finetuning_job import Job
from albert.model.pretrained import Pretrained

RESULTS_NAME = "eval_results.txt"
TRIAL_NAME = "best_trial.txt"
SEPARATOR = "=" * 50
POLL_SECONDS = 1.0
KEPT_IF_EVALUATED = 2
"""Newest checkpoints that stay when all have been evaluated, where the flags do not say how many."""

Results = dict[str, Any]
"""Numbers by the original's names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How far an evaluation is."""

    last_step: int = -1
    """Step of the last checkpoint that was evaluated."""
    best_step: int = -1
    """That of the best."""
    best: float = -math.inf
    """Its score."""

    @classmethod
    def read(cls, folder: Path) -> "Trial":
        """Returns what `best_trial.txt` says; the beginning where it does not say it."""
        try:
            last, step, best = (folder / TRIAL_NAME).read_text(encoding="utf-8").strip().split(":")
            return cls(last_step=int(last), best_step=int(step), best=float(best))
        except (OSError, ValueError):
            return cls()

    def write(self, folder: Path) -> None:
        """Writes `last step:best step:best score`."""
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / TRIAL_NAME) as temporary:
            temporary.write_text(f"{self.last_step}:{self.best_step}:{self.best}\n", encoding="utf-8")


@dataclass(kw_only=True)
class Selection:
    """The choice of the best checkpoint of a job."""

    job: Job
    """What is evaluated."""
    data: DevSet
    """What on."""
    report: Callable[[Job, DevSet, Any], Results]
    """Scores the answers of a model under the original's names."""
    key: str
    """The name of what the best is best at; of equal ones the first stays."""
    last_step: int | None
    """Step behind which there is nothing to wait for; None to evaluate what is there and end."""
    keep: int | None
    """Checkpoints that the flags keep; None where evaluated ones may go, as they went in the original."""

    def to_the_end(self) -> Trial:
        """Evaluates all checkpoints and waits for newer ones until that of the last step is evaluated.

        Raises:
            AlbertError: A checkpoint cannot be used, or there is none and none can come.
        """
        output, said = self.job.output, False
        trial = Trial.read(output) if is_model_folder(output / BEST_NAME) else Trial()
        while True:
            # Asked first, so that no checkpoint can come between the answer and the look at the folder.
            may_grow = self._may_grow()
            newer = [c for c in find_checkpoints(self.job) if c.step > trial.last_step]
            for checkpoint in newer:
                trial, said = self._evaluated(checkpoint, trial), False
            done = self.last_step is not None and trial.last_step >= self.last_step
            if done or (not newer and not may_grow and trial.last_step >= 0):
                return trial
            if newer:
                continue
            if self.last_step is None:
                raise CheckpointError(
                    f"{output}: holds no checkpoint to evaluate; train with --do_train, or give a fine-tuned "
                    "model as --init_checkpoint"
                )
            if not said:
                say(f"{output}: waiting for a {'first' if trial.last_step < 0 else 'newer'} checkpoint")
                said = True
            time.sleep(POLL_SECONDS)

    def _may_grow(self) -> bool:
        """Tells whether more checkpoints may come."""
        if self.last_step is None:
            return False
        output = self.job.output
        if (output / RUN_FILE).is_file():
            return steps_of_finished(output) is None
        return not find_checkpoints(self.job)  # those from elsewhere do not become more

    def _evaluated(self, checkpoint: Checkpoint, trial: Trial) -> Trial:
        """Evaluates one checkpoint; one that was removed meanwhile is passed over."""
        job = self.job
        try:
            model = load_checkpoint(job, checkpoint.path)
        except CheckpointError:
            if checkpoint.path.is_dir() or not (job.output / RUN_FILE).is_file():
                raise
            return replace(trial, last_step=checkpoint.step)
        results = score(self, model, checkpoint.step)
        found = float(results[self.key])
        # A score that is no number, as of a correlation of equal answers, is better than none.
        is_best = (
            trial.best_step < 0 or found > trial.best or (math.isnan(trial.best) and not math.isnan(found))
        )
        trial = Trial(
            last_step=checkpoint.step,
            best_step=checkpoint.step if is_best else trial.best_step,
            best=found if is_best else trial.best,
        )
        if is_best:
            write_best(job, model, results)
        show("Eval results", results)
        append(job.output / RESULTS_NAME, results, [f"best = {trial.best}", SEPARATOR])
        trial.write(job.output)
        self._drop(checkpoint)
        return trial

    def _drop(self, checkpoint: Checkpoint) -> None:
        """Removes an evaluated checkpoint of the training if enough newer ones are there to go on from."""
        run = RunLayout(self.job.output)
        steps = run.steps()
        newer = sum(step > checkpoint.step for step in steps)
        if self.keep is None and newer >= KEPT_IF_EVALUATED and checkpoint.step in steps:
            shutil.rmtree(run.checkpoint(checkpoint.step))


def score(selection: Selection, model: Pretrained, step: int) -> Results:
    """Returns the results of a model on the data of a selection."""
    job, data = selection.job, selection.data
    answers = job.solver.answers(job.task, model, data.examples, data.features)
    return {**selection.report(job, data, answers), "global_step": step}


def find_checkpoints(job: Job) -> list[Checkpoint]:
    """Returns what can be evaluated now, in the order of the steps.

    Checkpoints of a training in the output folder; else those of TensorFlow there; else the model to begin
    with, if it has been fine-tuned.
    """
    if (job.output / RUN_FILE).is_file():
        run = RunLayout(job.output)
        return [Checkpoint(step, run.checkpoint(step)) for step in run.steps()]
    found = [
        Checkpoint(int(number[1]), file.with_suffix(""))
        for file in job.output.glob("model.ckpt-*.index")
        if (number := re.fullmatch(r"model\.ckpt-(\d+)\.index", file.name))
    ]
    if found:
        return sorted(found, key=lambda checkpoint: checkpoint.step)
    if job.begins_fine_tuned:
        return [Checkpoint(0, job.model.folder)]
    return []


def load_checkpoint(job: Job, path: Path) -> Pretrained:
    """Returns the model of a checkpoint: a snapshot of a training, a model folder, a prefix of TensorFlow.

    Raises:
        CheckpointError: It cannot be read, or is no model of the task.
    """
    if (path / STATE_FILE).is_file() or not (is_model_folder(path) or Path(f"{path}.index").is_file()):
        model = job.new_model()
        load_snapshot_weights(path, model)
        return model
    folder = bare_folder(path, job.model.folder / CONFIG_FILE)
    return job.new_model(folder)


def best_model(job: Job) -> Pretrained:
    """Returns the best model of a job, or where none was chosen, the newest.

    Raises:
        CheckpointError: There is none.
    """
    if place := resolve(job.output / BEST_NAME):
        return load_checkpoint(job, place)
    if found := find_checkpoints(job):
        say(f"{job.output}: no {BEST_NAME}; taking the checkpoint of step {found[-1].step}")
        return load_checkpoint(job, found[-1].path)
    raise CheckpointError(
        f"{job.output}: holds no checkpoint to predict with; train with --do_train, or give a fine-tuned "
        "model as --init_checkpoint"
    )


def write_best(job: Job, model: Pretrained, results: Results) -> None:
    """Writes the model folder `model.ckpt-best` with the tokenizer, ready to be used."""
    try:
        record = dict(json.loads((job.output / RUN_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        record = {"command": job.script, "settings": {"model": job.model.name}}
    record.pop("result", None)
    scores = {name: float(value) for name, value in results.items()}
    write_trained(
        job.output / BEST_NAME,
        model,
        job.model.tokenizer,
        task=job.task,
        lengths=job.lengths,
        record=record | {"scores": scores},
    )


def export(job: Job, folder: Path, *, threshold: float = math.nan) -> None:
    """Writes the best model to a folder, with a threshold for those who use it.

    Raises:
        CheckpointError: There is no best model, or the folder holds something.
    """
    best = job.output / BEST_NAME
    if not is_model_folder(best):
        raise CheckpointError(f"{best}: there is no best model to export; evaluate with --do_eval first")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CheckpointError(f"{folder}: exists; give --export_dir a new folder")
    with replacing_folder(folder) as temporary:
        shutil.copytree(best, temporary, dirs_exist_ok=True)
        if not math.isnan(threshold):
            write_json(temporary / "threshold.json", {"threshold": threshold})
    say(f"{best}: exported to {folder}")


def show(title: str, results: Results) -> None:
    """Prints results."""
    lines = [f"***** {title} *****", *(f"  {name} = {results[name]}" for name in sorted(results))]
    print("\n".join(lines), flush=True)


def append(path: Path, results: Results, lines: list[str]) -> None:
    """Appends results to a file, one `name = number` a line, and some lines behind them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = [f"{name} = {results[name]}" for name in sorted(results)]
    with path.open("a", encoding="utf-8") as file:
        file.write("\n".join([*written, *lines]) + "\n")


def losses_of(job: Job, data: DevSet, answers: Any, *, batch_size: int) -> Results:
    """Returns `eval_loss`, the mean over examples, and `loss`, that over batches, as the original has both.

    Raises:
        ConfigError: A batch holds no example.
    """
    if batch_size < 1:
        raise ConfigError(f"the batch size of the evaluation is {batch_size}; expected at least 1")
    losses: NDArray[np.float64] = job.solver.losses(job.task, data.examples, answers)
    batches = np.split(losses, range(batch_size, len(losses), batch_size))
    means = [batch.mean() for batch in batches]
    return {"eval_loss": np.float32(losses.mean()), "loss": np.float32(np.mean(means))}
