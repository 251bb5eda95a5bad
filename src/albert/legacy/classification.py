"""What the classification scripts share: tasks by name, names of results, files of predictions.

Used by `run_classifier` of the original and by the scripts of albert_zh.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TextIO

import numpy as np
from absl.flags import FlagValues

from albert.console import say
from albert.errors import ConfigError, UsageError, did_you_mean
from albert.finetuning.plan import DevSet
from albert.legacy.finetuning_evaluation import Results, Selection, Trial, best_model, losses_of
from albert.legacy.finetuning_job import Job, kept_checkpoints
from albert.tasks.catalogue import find_task
from albert.tasks.files import require_files
from albert.tasks.predictions import Chunk, LineFormat, PredictionRow
from albert.tasks.submissions import Submission, glue
from albert.tasks.task import Hyperparameters, Task, TaskData
from albert.writing import replacing

PREDICTIONS_NAME = "test_results.tsv"
SUBMISSION_NAME = "submit_results.tsv"

_SENTENCE_PAIR = Task(
    name="sentence_pair",
    title="sentence_pair of albert_zh: a label for two texts",
    kind="classification",
    data=TaskData(
        files=MappingProxyType(
            {split: (f"{split}_0827.tsv", f"{split}.tsv") for split in ("train", "dev", "test")}
        ),
        text_column="sentence1",
        pair_column="sentence2",
        bare_columns=("label", "sentence1", "sentence2"),
        aliases=MappingProxyType({"sentence1": ("text_a",), "sentence2": ("text_b",)}),
    ),
    labels=("0", "1"),
    metrics=("accuracy", "f1"),
    language="zh",
    hyperparameters=Hyperparameters(learning_rate=5e-5, batch_size=32, source="albert_zh, run_classifier.py"),
)
GLUE = ("cola", "mnli", "mismnli", "mrpc", "rte", "sst-2", "sts-b", "qqp", "qnli", "wnli", "ax")
CHINESE = (
    *("sentence_pair", "lcqmc_pair", "lcqmc", "xnli", "tnews", "iflytek", "afqmc"),
    *("cmnli", "csl", "wsc", "copa"),
)
_OUR_NAMES = {"mismnli": "mnli-mm", "lcqmc_pair": "lcqmc", "xnli": "xnli-zh", "wsc": "cluewsc"}
_ORIGINAL_METRICS = {"accuracy": "eval_accuracy", "matthews_correlation": "matthew_corr"}


def task_named(name: str) -> Task:
    """Return the task that a script calls `name`; case does not matter.

    Raises:
        UsageError: There is no such task.
    """
    name = name.lower()
    if name not in (*GLUE, *CHINESE):
        known = [*GLUE, *CHINESE]
        raise UsageError(
            f"--task_name is {name!r}{did_you_mean(name, known)}; expected one of {', '.join(known)}"
        )
    return _SENTENCE_PAIR if name == "sentence_pair" else find_task(_OUR_NAMES.get(name, name))


def check_jobs(flags: FlagValues, *also: str | None) -> None:
    """Check that there is something to do.

    Raises:
        UsageError: There is nothing to do.
    """
    if not (flags.do_train or flags.do_eval or flags.do_predict or any(also)):
        raise UsageError("nothing to do; give --do_train, --do_eval or --do_predict")


def classification_results(job: Job, data: DevSet, predictions: Any, *, batch_size: int) -> Results:
    """Return the scores of predictions under the original's names, or ours where it had no such score."""
    results = losses_of(job, data, predictions, batch_size=batch_size)
    for name, value in job.solver.scores(job.task, data.examples, predictions).items():
        if name != "loss":
            results[_ORIGINAL_METRICS.get(name, name)] = np.float32(value)
    if not job.task.labels:
        results["MSE"] = results["eval_loss"]
    return results


def key_of(task: Task) -> str:
    """Return the name of the score by which the best checkpoint of a task is chosen."""
    return _ORIGINAL_METRICS.get(task.best_metric, task.best_metric)


def evaluate(job: Job, flags: FlagValues, *, last_step: int | None, caches: tuple[Path, ...] = ()) -> Trial:
    """Choose the best checkpoint on the dev files of the task."""
    paths = require_files(job.task, Path(flags.data_dir), "dev")
    if flags.eval_batch_size < 1:
        raise ConfigError(f"--eval_batch_size is {flags.eval_batch_size}; expected at least 1")

    def report(job: Job, data: DevSet, predictions: Any) -> Results:
        return classification_results(job, data, predictions, batch_size=flags.eval_batch_size)

    selection = Selection(
        job=job,
        data=job.read(paths, split="dev", caches=caches),
        report=report,
        key=key_of(job.task),
        last_step=last_step,
        keep=kept_checkpoints(flags),
    )
    return selection.to_the_end()


def predict(job: Job, data_dir: Path, *, clue_name: str | None = None) -> None:
    """Write the predictions of the best model for the test files.

    `test_results.tsv` gets the probability of each label, or the number; `submit_results.tsv` the predictions
    in GLUE's format; with a `clue_name`, a file of that name gets them in CLUE's.
    """
    data = job.read(require_files(job.task, data_dir, "test"), split="test", labelled=False)
    predictions = job.solver.predict(job.task, best_model(job), data.examples, data.features)
    records = job.solver.records(job.task, data.examples, predictions)
    rows = tuple(
        PredictionRow(place=place, example=example, record=record)
        for place, (example, record) in enumerate(zip(data.examples, records, strict=True))
    )
    chunk = Chunk(examples=data.examples, predictions=predictions, rows=rows)
    with _whole(job.output / PREDICTIONS_NAME) as file:
        for row in rows:
            scores = row.record.get("scores", {"": row.record["score"]})
            file.write("\t".join(str(score) for score in scores.values()) + "\n")
    _write_official(job, glue(SUBMISSION_NAME), chunk)
    submission = job.task.submission
    if clue_name is not None and submission is not None and submission.layout == "clue":
        _write_official(job, replace(submission, file=clue_name), chunk)
    say(f"{job.output}: {len(rows):,} predictions in {PREDICTIONS_NAME} and {SUBMISSION_NAME}")


def _write_official(job: Job, submission: Submission, chunk: Chunk) -> None:
    """Write predictions as a benchmark takes them."""
    format_ = job.solver.official_format(job.task, submission)
    assert isinstance(format_, LineFormat)
    with _whole(job.output / submission.file) as file:
        file.write(format_.header + format_.lines(chunk))


@contextmanager
def _whole(path: Path) -> Iterator[TextIO]:
    """Open a file that gets its name when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        yield file
