"""What `run_squad_v1` and `run_squad_v2` share: training on questions, the best checkpoint, prediction files.

Predicting is independent of training: it needs neither a training file nor a run.
"""

from functools import partial
from pathlib import Path

from absl.flags import FlagValues

from albert.errors import UsageError
from albert.finetuning.plan import DevSet
from albert.inference.opening import sequence_length
from albert.legacy.finetuning_evaluation import (
    RESULTS_NAME,
    Results,
    Selection,
    append,
    best_model,
    export,
    show,
)
from albert.legacy.finetuning_job import Job, steps_of_epochs
from albert.legacy.finetuning_models import find_model
from albert.legacy.inputs import read_tokenizer
from albert.tasks.spans.decoding import write_prediction_files
from albert.tasks.spans.predictions import SpanPredictions
from albert.tasks.spans.solver import SpanSolver
from albert.tasks.task import Lengths, Task


def run_squad(
    flags: FlagValues, *, script: str, task: Task, solver: SpanSolver, export_dir: str | None
) -> None:
    """Train, predict, score and export, according to the flags.

    Raises:
        AlbertError: A file cannot be used, or flags contradict each other.
    """
    if not (flags.do_train or flags.do_predict or export_dir):
        raise UsageError("nothing to do; give --do_train or --do_predict")
    for job_flag, file_flag in (("do_train", "train_file"), ("do_predict", "predict_file")):
        if getattr(flags, job_flag) and not getattr(flags, file_flag):
            raise UsageError(f"--{job_flag} needs --{file_flag}")
    job = _job(flags, script=script, task=task, solver=solver)
    if flags.do_train:
        paths = (Path(flags.train_file),)
        data = job.read(paths, split="train", caches=_paths(flags.train_feature_file))
        steps = steps_of_epochs(flags, len(data.examples))
        warmup = int(steps * flags.warmup_proportion)
        job.train(job.settings(flags, max_steps=steps, warmup_steps=warmup), data, paths)
    if flags.do_predict:
        _predict(job, flags)
    if export_dir:
        export(job, Path(export_dir))


def _predict(job: Job, flags: FlagValues) -> None:
    """Choose the best checkpoint, and write its answers and scores."""
    caches = _paths(flags.predict_feature_file, flags.predict_feature_left_file)
    data = job.read((Path(flags.predict_file),), split="dev", caches=caches)
    selection = Selection(
        job=job, data=data, report=squad_results, key="f1", last_step=_last_step(job, flags), keep=None
    )
    trial = selection.to_the_end()
    predictions = job.solver.predict(job.task, best_model(job), data.examples, data.features)
    results = squad_results(job, data, predictions) | {"global_step": trial.best_step}
    show("Final evaluation results", results)
    best_line = f"best perf happened at step: {trial.best_step}"
    print(best_line, flush=True)
    append(job.output / RESULTS_NAME, results, [best_line])
    write_answers(job, data, predictions, results)


def squad_results(job: Job, data: DevSet, predictions: SpanPredictions) -> Results:
    """Return the official scores; those of SQuAD 2.0 at the null threshold with the best F1 on this data."""
    scores = job.solver.scores(job.task, data.examples, predictions)
    if not job.task.may_lack_answer:
        return {name: scores[name] for name in ("exact_match", "f1")}
    results: Results = {name: value for name, value in scores.items() if name != "missing"}
    return results | {"null_score_diff_threshold": scores["best_f1_thresh"]}


def write_answers(job: Job, data: DevSet, predictions: SpanPredictions, results: Results) -> None:
    """Write `predictions.json`, `nbest_predictions.json`, and with SQuAD 2.0 `null_odds.json`."""
    write_prediction_files(
        job.output,
        data.examples,
        predictions.answers,
        null_threshold=results.get("null_score_diff_threshold"),
    )


def _last_step(job: Job, flags: FlagValues) -> int | None:
    """Return the last step of a training that runs elsewhere, by its train file; None if there is none."""
    if flags.do_train or not flags.train_file or not Path(flags.train_file).is_file():
        return None
    examples = job.solver.read(job.task, (Path(flags.train_file),), split="train")
    return steps_of_epochs(flags, sum(1 for _ in examples))


def _job(flags: FlagValues, *, script: str, task: Task, solver: SpanSolver) -> Job:
    model = find_model(
        checkpoint=flags.init_checkpoint,
        config_file=flags.albert_config_file,
        hub=flags.albert_hub_module_handle,
        tokenizer=partial(read_tokenizer, flags),
    )
    return Job(
        script=script,
        task=task,
        solver=solver,
        model=model,
        lengths=Lengths(
            max_seq_length=sequence_length(flags.max_seq_length, model.config, default=flags.max_seq_length),
            max_query_length=flags.max_query_length,
            doc_stride=flags.doc_stride,
        ),
        output=Path(flags.output_dir),
    )


def _paths(*names: str | None) -> tuple[Path, ...]:
    """Return the paths of the given names."""
    return tuple(Path(name) for name in names if name)
