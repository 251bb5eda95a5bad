"""`python -m albert.run_pretraining`: `albert pretrain` on TFRecord files, and its evaluation."""

import os
from pathlib import Path

from absl.flags import FlagValues

from albert.checkpoint.albert_zh import read_shape
from albert.checkpoint.layout import RUN_FILE
from albert.commands.pretrain import pretrain
from albert.config import CONFIG_FILE, AlbertConfig
from albert.console import say
from albert.data.examples.settings import ExampleSettings
from albert.data.tfrecord.files import RecordFile
from albert.data.tfrecord.masked_records import parse_records, room_of_record
from albert.errors import ConfigError, DataError, RunError, UsageError
from albert.legacy.checkpoints import find_weights, newest_of_tensorflow
from albert.legacy.inputs import find_inputs
from albert.legacy.pretraining_evaluation import Evaluation
from albert.legacy.shapes import config_file_of, shape_file
from albert.pretraining.settings import Leniency, PretrainSettings
from albert.training.settings import LoopSettings, OptimizerSettings


def run_pretraining(flags: FlagValues) -> None:
    """Train with --do_train, and evaluate with --do_eval.

    Raises:
        AlbertError: A file cannot be used, flags contradict each other, or the training diverged.
    """
    if not flags.do_train and not flags.do_eval:
        raise UsageError("nothing to do; give --do_train or --do_eval")
    if flags.masked_lm_budget > 0:
        raise ConfigError(
            f"--masked_lm_budget {flags.masked_lm_budget}: the original's masking during training never "
            "worked; albert prepare and albert pretrain draw new masks in every epoch"
        )
    named = config_file_of(flags)
    if named is None:
        raise UsageError("--albert_config_file must be given")
    start = flags.init_checkpoint
    if start is None and (found := newest_of_tensorflow(Path(flags.output_dir))) is not None:
        start = str(found.path)
    shape = shape_file(Path(named), start)
    config = read_shape(shape)
    files = [Path(file) for file in find_inputs(flags.input_file, flag="input_file")]
    check_records(files, flags, vocab_size=config.vocab_size)
    weights = None
    if flags.init_checkpoint is not None:
        weights = find_weights(flags.init_checkpoint, shape, own_groups=flags.init_from_group0)
        if not config.has_map:
            shape = (
                weights / CONFIG_FILE
            )  # of albert_zh's family, whose own file no reader but this one takes
    if flags.do_train and flags.num_train_steps > 0:
        _train(flags, config, files, weights, shape)
    if flags.do_eval and os.environ.get("RANK", "0") == "0":  # under torchrun one process evaluates
        Evaluation.of(flags, shape, files, weights).to_the_end()


def check_records(files: list[Path], flags: FlagValues, *, vocab_size: int) -> None:
    """Check the first record of every file against the flags.

    Raises:
        DataError: It has another length or number of predictions, or does not fit the vocabulary.
    """
    for path in files:
        file = RecordFile(path)
        if file.is_empty:
            continue
        message = file.read(0)
        try:
            room = room_of_record(message)
            for name, found in zip(("max_seq_length", "max_predictions_per_seq"), room, strict=True):
                expected = getattr(flags, name)
                if found != expected:
                    raise DataError(
                        f"{path}: made with --{name} {found}, not {expected}; give --{name}={found}"
                    )
            parse_records([message], vocab_size=vocab_size, max_seq_length=room[0])
        except ValueError as error:
            raise DataError(f"{file.place(0)}: {error}") from error


def _train(
    flags: FlagValues, config: AlbertConfig, files: list[Path], weights: Path | None, shape: Path
) -> None:
    """Train a model of the shape in the file `shape` to the end."""
    output = Path(flags.output_dir)
    if not (output / RUN_FILE).is_file() and (found := newest_of_tensorflow(output)):
        raise RunError(
            f"{output}: holds TensorFlow checkpoints; to start from their weights, without the optimiser's "
            f"state, give --init_checkpoint={found.path} and another --output_dir"
        )
    if flags.init_from_group0 and weights is None:
        raise UsageError("--init_from_group0 needs --init_checkpoint")
    allow = Leniency(vocab_size=config.vocab_size, shared_folder=True, long_warmup=True)
    result = pretrain(_settings(flags, files, weights, shape), allow)
    if result:
        say(f"{output}: {result['steps']:,} steps done, the model is in {result['model']}")


def _settings(flags: FlagValues, files: list[Path], weights: Path | None, shape: Path) -> PretrainSettings:
    """Return our settings for the flags."""
    return PretrainSettings(
        data=tuple(files),
        output=Path(flags.output_dir),
        config=shape,
        init_from=None if weights is None else str(weights),
        init_from_group0=flags.init_from_group0,
        decay_power=flags.poly_power,
        start_warmup_step=flags.start_warmup_step,
        examples=ExampleSettings(style="original", max_seq_length=flags.max_seq_length),
        optimizer=OptimizerSettings(
            optimizer=flags.optimizer,
            learning_rate=flags.learning_rate,
            warmup_steps=flags.num_warmup_steps,
            schedule="decay-from-start",
        ),
        loop=LoopSettings(
            max_steps=flags.num_train_steps,
            batch_size=flags.train_batch_size,
            micro_batch_size="auto",
            save_steps=flags.save_checkpoints_steps,
            keep_checkpoints=max(1, flags.keep_checkpoint_max),
            keep_every=None if flags.keep_checkpoint_max > 0 else 1,
        ),
    )
