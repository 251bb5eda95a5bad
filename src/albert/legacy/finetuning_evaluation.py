"""The evaluation of a fine-tuning: every checkpoint of a folder in the order of steps; the best one is kept.

It runs after the training, or at the same time in another process. Results go to `eval_results.txt`, the
progress to `best_trial.txt`, from which a restarted evaluation continues. The best model so far is in the
model folder `model.ckpt-best`.

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

from albert.checkpoint.layout import RUN_FILE, STATE_FILE, RunLayout
from albert.checkpoint.snapshots import load_snapshot_weights
from albert.checkpoint.sources import is_model_folder
from albert.config import CONFIG_FILE
from albert.console import say
from albert.conversion.bare_weights import bare_folder
from albert.conversion.release import replacing_folder
from albert.errors import CheckpointError, ConfigError
from albert.finetuning.plan import DevSet
from albert.finetuning.run import write_trained
from albert.legacy.checkpoints import BEST_NAME, Checkpoint, resolve, steps_of_finished
from albert.legacy.finetuning_job import Job
from albert.model.pretrained import Pretrained
from albert.writing import replacing, write_json

RESULTS_NAME = "eval_results.txt"
TRIAL_NAME = "best_trial.txt"
SEPARATOR = "=" * 50
POLL_SECONDS = 1.0
KEPT_IF_EVALUATED = 2
"""Number of newest checkpoints to keep after their evaluation, if the flags do not say."""

Results = dict[str, Any]
"""Numbers under the original's names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """The progress of an evaluation."""

    last_step: int = -1
    """Step of the last evaluated checkpoint."""
    best_step: int = -1
    """Step of the best checkpoint."""
    best: float = -math.inf
    """Score of the best checkpoint."""

    @classmethod
    def read(cls, folder: Path) -> "Trial":
        """Return the progress in `best_trial.txt`; none if the file is missing or cannot be read."""
        try:
            last, step, best = (folder / TRIAL_NAME).read_text(encoding="utf-8").strip().split(":")
            return cls(last_step=int(last), best_step=int(step), best=float(best))
        except (OSError, ValueError):
            return cls()

    def write(self, folder: Path) -> None:
        """Write `last step:best step:best score`."""
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / TRIAL_NAME) as temporary:
            temporary.write_text(f"{self.last_step}:{self.best_step}:{self.best}\n", encoding="utf-8")


@dataclass(kw_only=True)
class Selection:
    """The selection of a job's best checkpoint."""

    job: Job
    """The job whose checkpoints are evaluated."""
    data: DevSet
    """The examples on which they are evaluated."""
    report: Callable[[Job, DevSet, Any], Results]
    """Returns the scores of predictions under the original's names."""
    key: str
    """Name of the score that decides; of equal checkpoints the first is kept."""
    last_step: int | None
    """Step of the last checkpoint to wait for; None to evaluate the existing ones and stop."""
    keep: int | None
    """Number of checkpoints that the flags keep; None to remove evaluated ones, as the original did."""

    def to_the_end(self) -> Trial:
        """Evaluate all checkpoints, waiting for newer ones until the one of the last step is evaluated.

        Raises:
            AlbertError: A checkpoint cannot be used, or there is none and none can appear.
        """
        output, is_reported = self.job.output, False
        trial = Trial.read(output) if is_model_folder(output / BEST_NAME) else Trial()
        while True:
            # Checked before the folder is listed, so that no checkpoint can appear in between unseen.
            may_grow = self._may_grow()
            newer = [c for c in find_checkpoints(self.job) if c.step > trial.last_step]
            for checkpoint in newer:
                trial, is_reported = self._evaluated(checkpoint, trial), False
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
            if not is_reported:
                say(f"{output}: waiting for a {'first' if trial.last_step < 0 else 'newer'} checkpoint")
                is_reported = True
            time.sleep(POLL_SECONDS)

    def _may_grow(self) -> bool:
        """Return whether more checkpoints may appear."""
        if self.last_step is None:
            return False
        output = self.job.output
        if (output / RUN_FILE).is_file():
            return steps_of_finished(output) is None
        return not find_checkpoints(self.job)  # checkpoints from elsewhere stay as they are

    def _evaluated(self, checkpoint: Checkpoint, trial: Trial) -> Trial:
        """Evaluate one checkpoint; skip it if it was removed meanwhile."""
        job = self.job
        try:
            model = load_checkpoint(job, checkpoint.path)
        except CheckpointError:
            if checkpoint.path.is_dir() or not (job.output / RUN_FILE).is_file():
                raise
            return replace(trial, last_step=checkpoint.step)
        results = score(self, model, checkpoint.step)
        found = float(results[self.key])
        # A score of NaN, such as the correlation of constant predictions, is better than none.
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
        """Remove an evaluated checkpoint if there are enough newer ones to resume the training from."""
        run = RunLayout(self.job.output)
        steps = run.steps()
        newer = sum(step > checkpoint.step for step in steps)
        if self.keep is None and newer >= KEPT_IF_EVALUATED and checkpoint.step in steps:
            shutil.rmtree(run.checkpoint(checkpoint.step))


def score(selection: Selection, model: Pretrained, step: int) -> Results:
    """Return the results of a model on the data of a selection."""
    job, data = selection.job, selection.data
    predictions = job.solver.predict(job.task, model, data.examples, data.features)
    return {**selection.report(job, data, predictions), "global_step": step}


def find_checkpoints(job: Job) -> list[Checkpoint]:
    """Return the checkpoints that can be evaluated now, in the order of steps.

    These are the checkpoints of a training in the output folder; otherwise the TensorFlow checkpoints there;
    otherwise the model to start from, if it has been fine-tuned.
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
    if job.starts_fine_tuned:
        return [Checkpoint(0, job.model.folder)]
    return []


def load_checkpoint(job: Job, path: Path) -> Pretrained:
    """Return the model of a checkpoint: a snapshot of a training, a model folder, or a TensorFlow prefix.

    Raises:
        CheckpointError: It cannot be read, or is not a model of the task.
    """
    if (path / STATE_FILE).is_file() or not (is_model_folder(path) or Path(f"{path}.index").is_file()):
        model = job.new_model()
        load_snapshot_weights(path, model)
        return model
    folder = bare_folder(path, job.model.folder / CONFIG_FILE)
    return job.new_model(folder)


def best_model(job: Job) -> Pretrained:
    """Return the best model of a job, or the newest if none was chosen.

    Raises:
        CheckpointError: There is no model.
    """
    if place := resolve(job.output / BEST_NAME):
        return load_checkpoint(job, place)
    if found := find_checkpoints(job):
        say(f"{job.output}: no {BEST_NAME}; using the checkpoint of step {found[-1].step}")
        return load_checkpoint(job, found[-1].path)
    raise CheckpointError(
        f"{job.output}: holds no checkpoint to predict with; train with --do_train, or give a fine-tuned "
        "model as --init_checkpoint"
    )


def write_best(job: Job, model: Pretrained, results: Results) -> None:
    """Write the model folder `model.ckpt-best`, with the tokenizer."""
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
    """Write the best model to a folder, with a file for the threshold unless it is NaN.

    Raises:
        CheckpointError: There is no best model, or the folder is not empty.
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
    """Print results."""
    lines = [f"***** {title} *****", *(f"  {name} = {results[name]}" for name in sorted(results))]
    print("\n".join(lines), flush=True)


def append(path: Path, results: Results, lines: list[str]) -> None:
    """Append results to a file, one `name = number` a line, followed by `lines`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = [f"{name} = {results[name]}" for name in sorted(results)]
    with path.open("a", encoding="utf-8") as file:
        file.write("\n".join([*written, *lines]) + "\n")


def losses_of(job: Job, data: DevSet, predictions: Any, *, batch_size: int) -> Results:
    """Return `eval_loss`, the mean over examples, and `loss`, the mean over batches, as in the original.

    Raises:
        ConfigError: `batch_size` is less than 1.
    """
    if batch_size < 1:
        raise ConfigError(f"the batch size of the evaluation is {batch_size}; expected at least 1")
    losses: NDArray[np.float64] = job.solver.losses(job.task, data.examples, predictions)
    batches = np.split(losses, range(batch_size, len(losses), batch_size))
    means = [batch.mean() for batch in batches]
    return {"eval_loss": np.float32(losses.mean()), "loss": np.float32(np.mean(means))}
