"""`python -m albert.run_race`: fine-tuning on RACE, the best checkpoint, and its accuracy on the test set."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from absl.flags import FlagValues

from albert.errors import ConfigError, UsageError
from albert.finetuning.plan import DevSet
from albert.inference.opening import sequence_length
from albert.legacy.finetuning_evaluation import (
    SEPARATOR,
    Results,
    Selection,
    Trial,
    append,
    best_model,
    losses_of,
    show,
)
from albert.legacy.finetuning_job import Job, kept_checkpoints, with_classifier_dropout
from albert.legacy.finetuning_models import find_model
from albert.legacy.inputs import read_tokenizer
from albert.tasks.catalogue import find_task, solver_of
from albert.tasks.files import require_files
from albert.tasks.task import Lengths, Task

TEST_RESULTS_NAME = "predict_results.txt"


def run_race(flags: FlagValues) -> None:
    """Train, evaluate and test, according to the flags.

    Raises:
        AlbertError: A file cannot be used, or flags contradict each other.
    """
    if not (flags.do_train or flags.do_eval or flags.do_predict):
        raise UsageError("nothing to do; give --do_train, --do_eval or --do_predict")
    job = _job(flags)
    if flags.do_train:
        paths = require_files(job.task, Path(flags.data_dir), "train")
        settings = job.settings(flags, max_steps=flags.train_step, warmup_steps=flags.warmup_step)
        job.train(settings, job.read(paths, split="train", caches=_cache(flags.train_file)), paths)
    trial = _evaluate(job, flags) if flags.do_eval else Trial.read(job.output)
    if flags.do_predict:
        _test(job, flags, trial)


def _evaluate(job: Job, flags: FlagValues) -> Trial:
    paths = require_files(job.task, Path(flags.data_dir), "dev")
    selection = Selection(
        job=job,
        data=job.read(paths, split="dev", caches=_cache(flags.eval_file)),
        report=partial(race_results, batch_size=flags.eval_batch_size),
        key="eval_accuracy",
        last_step=flags.train_step,
        keep=kept_checkpoints(flags),
    )
    return selection.to_the_end()


def _test(job: Job, flags: FlagValues, trial: Trial) -> None:
    """Write the scores of the best model on the test set."""
    paths = require_files(job.task, Path(flags.data_dir), "test")
    data = job.read(paths, split="test", caches=_cache(flags.predict_file))
    predictions = job.solver.predict(job.task, best_model(job), data.examples, data.features)
    results = race_results(job, data, predictions, batch_size=flags.predict_batch_size)
    known = trial.best_step >= 0
    show("Predict results", results)
    append(job.output / TEST_RESULTS_NAME, results, [*([f"best = {trial.best}"] if known else []), SEPARATOR])


def race_results(job: Job, data: DevSet, predictions: Any, *, batch_size: int) -> Results:
    """Return accuracy and loss under the original's names, and the accuracy of each level."""
    results = losses_of(job, data, predictions, batch_size=batch_size)
    for name, value in job.solver.scores(job.task, data.examples, predictions).items():
        if name != "loss":
            results[f"eval_{name}"] = np.float32(value)
    return results


def _job(flags: FlagValues) -> Job:
    if flags.task_name.lower() != "race":
        raise UsageError(f"--task_name is {flags.task_name!r}; expected race")
    model = find_model(
        checkpoint=flags.init_checkpoint,
        config_file=flags.albert_config_file,
        hub=flags.albert_hub_module_handle,
        tokenizer=partial(read_tokenizer, flags),
    )
    task = with_classifier_dropout(_task(flags), flags.dropout_prob)
    return Job(
        script="run_race",
        task=task,
        solver=solver_of(task),
        model=model,
        lengths=Lengths(
            max_seq_length=sequence_length(flags.max_seq_length, model.config, default=flags.max_seq_length),
            max_qa_length=flags.max_qa_length,
        ),
        output=Path(flags.output_dir),
    )


def _task(flags: FlagValues) -> Task:
    """Return RACE with the files of the chosen levels.

    Raises:
        ConfigError: Both --high_only and --middle_only are given.
    """
    task = find_task("race")
    if flags.high_only and flags.middle_only:
        raise ConfigError("--high_only and --middle_only exclude each other; give one of them")
    if not (flags.high_only or flags.middle_only):
        return task
    level = "high" if flags.high_only else "middle"
    files = {
        split: tuple(pattern.replace("/*/", f"/{level}/") for pattern in patterns if "/*/" in pattern)
        for split, patterns in task.data.files.items()
    }
    return replace(task, data=replace(task.data, files=MappingProxyType(files)))


def _cache(name: str | None) -> tuple[Path, ...]:
    return (Path(name),) if name else ()
