"""`python -m albert.run_classifier`: `albert finetune` and `albert predict` on a task of GLUE."""

from functools import partial
from pathlib import Path

from absl.flags import FlagValues

from albert.errors import UsageError
from albert.inference.opening import sequence_length
from albert.legacy.classification import check_jobs, evaluate, predict, task_named
from albert.legacy.finetuning_evaluation import export
from albert.legacy.finetuning_job import Job
from albert.legacy.finetuning_models import find_model
from albert.legacy.inputs import read_tokenizer
from albert.tasks.catalogue import solver_of
from albert.tasks.files import require_files
from albert.tasks.task import Lengths


def run_classifier(flags: FlagValues) -> None:
    """Train, evaluate, predict and export, according to the flags.

    Raises:
        AlbertError: A file cannot be used, or flags contradict each other.
    """
    check_jobs(flags, flags.export_dir)
    job = _job(flags)
    if flags.do_train:
        paths = require_files(job.task, Path(flags.data_dir), "train")
        settings = job.settings(
            flags, max_steps=flags.train_step, warmup_steps=flags.warmup_step, optimizer=flags.optimizer
        )
        job.train(settings, job.read(paths, split="train", caches=_cache(flags, "train")), paths)
    if flags.do_eval:
        evaluate(job, flags, last_step=flags.train_step, caches=_cache(flags, "eval"))
    if flags.do_predict:
        predict(job, Path(flags.data_dir))
    if flags.export_dir:
        export(job, Path(flags.export_dir), threshold=flags.threshold_to_export)


def _job(flags: FlagValues) -> Job:
    task = task_named(flags.task_name)
    if not flags.albert_config_file and not flags.albert_hub_module_handle:
        raise UsageError("--albert_config_file or --albert_hub_module_handle must be given")
    model = find_model(
        checkpoint=flags.init_checkpoint,
        config_file=flags.albert_config_file or None,
        hub=flags.albert_hub_module_handle,
        tokenizer=partial(read_tokenizer, flags),
    )
    length = sequence_length(flags.max_seq_length, model.config, default=flags.max_seq_length)
    return Job(
        script="run_classifier",
        task=task,
        solver=solver_of(task),
        model=model,
        lengths=Lengths(max_seq_length=length),
        output=Path(flags.output_dir),
    )


def _cache(flags: FlagValues, split: str) -> tuple[Path, ...]:
    """Return the file of a split's features under the original's name; none without --cached_dir."""
    if not flags.cached_dir:
        return ()
    return (Path(flags.cached_dir) / f"{flags.task_name.lower()}_{split}.tf_record",)
