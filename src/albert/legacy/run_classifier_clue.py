"""`python -m albert.run_classifier_clue`, and `run_classifier` with albert_zh's flags: Chinese texts.

albert_zh measured training in passes over the data, wrote its results next to the data, and used the last
checkpoint or left the choice to the user. Here results go to --output_dir, and the checkpoint that is best on
dev is used.
"""

from functools import partial
from pathlib import Path

from absl.flags import FlagValues

from albert.errors import ConfigError, UsageError
from albert.inference.opening import sequence_length
from albert.legacy.classification import check_jobs, evaluate, predict, task_named
from albert.legacy.finetuning_job import Job, steps_of_epochs
from albert.legacy.finetuning_models import find_model
from albert.legacy.inputs import read_tokenizer
from albert.legacy.shapes import config_file_of
from albert.tasks.catalogue import solver_of
from albert.tasks.files import require_files
from albert.tasks.task import Lengths


def run_classifier_clue(flags: FlagValues) -> None:
    """Train, evaluate and predict, according to the flags.

    Raises:
        AlbertError: A file cannot be used, or flags contradict each other.
    """
    check_jobs(flags)
    data_dir = Path(flags.data_dir)
    job = _job(flags)
    if flags.do_train:
        paths = require_files(job.task, data_dir, "train")
        data = job.read(paths, split="train")
        steps = steps_of_epochs(flags, len(data.examples))
        warmup = int(steps * flags.warmup_proportion)
        job.train(job.settings(flags, max_steps=steps, warmup_steps=warmup), data, paths)
    if flags.do_eval:
        evaluate(job, flags, last_step=None)
    if flags.do_predict:
        predict(job, data_dir, clue_name=f"{flags.task_name.lower()}_predict.json")


def _job(flags: FlagValues) -> Job:
    if "use_pooled_output" in flags and not flags.use_pooled_output:
        raise ConfigError(
            "--use_pooled_output=false is not supported: it averaged the states of all positions, padding "
            "included, and fitted no published model; leave the flag out"
        )
    named = config_file_of(flags)
    if named is None:
        raise UsageError("--albert_config_file must be given")
    task = task_named(flags.task_name)
    model = find_model(
        checkpoint=flags.init_checkpoint,
        config_file=named,
        hub=None,
        tokenizer=partial(read_tokenizer, flags),
    )
    length = sequence_length(flags.max_seq_length, model.config, default=flags.max_seq_length)
    return Job(
        script="run_classifier_clue",
        task=task,
        solver=solver_of(task),
        model=model,
        lengths=Lengths(max_seq_length=length),
        output=Path(flags.output_dir),
    )
