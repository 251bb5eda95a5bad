"""What can be checked of a pretraining without torch, the shape of the model above all.

Torch is loaded only to read the shape from the model of --init-from.
"""

import os
from pathlib import Path

from albert.config import AlbertConfig
from albert.conversion.release import check_tokenizer, refuse_larger_tokenizer
from albert.errors import ConfigError
from albert.hub import local_path
from albert.pretraining.data import PretrainingData, open_pretraining_data
from albert.pretraining.settings import ObjectiveSettings, PretrainSettings, schedule_of
from albert.training.record import check_output, settings_as_json


def find_config(settings: PretrainSettings, data: PretrainingData) -> AlbertConfig:
    """Return the model's shape from --size, --config or --init-from, with the vocabulary of the data.

    Raises:
        ConfigError: The shape is given twice, or too short for the examples.
        TokenizerError: Its vocabulary has another size than the tokenizer's.
    """
    config = _given_shape(settings, data)
    if data.tokenizer is not None:
        check_tokenizer(data.tokenizer, config.vocab_size, source=_source(settings))
    check_positions(config, settings.examples.max_seq_length, "the model")
    return config


def check_pretraining(settings: PretrainSettings) -> None:
    """Check the settings, the data, the shape and the output, as far as that takes no time.

    Raises:
        AlbertError: Data or shape cannot be read, they do not fit together, the settings contradict each
            other, or the output holds something else.
    """
    if not settings.dry_run:
        schedule_of(settings)
    data = open_pretraining_data(settings.data, tokenizer=settings.tokenizer, eval_data=settings.eval_data)
    if settings.init_from is not None and not Path(f"{settings.init_from}.index").is_file():
        local_path(settings.init_from)
    if settings.init_from is None or settings.size or settings.config:
        config = _given_shape(settings, data)
        if data.tokenizer is not None:
            refuse_larger_tokenizer(data.tokenizer, config.vocab_size, source=_source(settings))
        check_positions(config, settings.examples.max_seq_length, "the model")
    if not settings.dry_run and os.environ.get("RANK", "0") == "0":  # Another process may be making it.
        check_output(
            settings.output,
            command="pretrain",
            settings=settings_as_json(settings),
            defaults=settings_as_json(ObjectiveSettings()),
        )


def _given_shape(settings: PretrainSettings, data: PretrainingData) -> AlbertConfig:
    if settings.size is not None and settings.config is not None:
        raise ConfigError("--size and --config both give a shape; choose one")
    if settings.config is not None:
        return AlbertConfig.from_json(settings.config)
    if settings.size is None and settings.init_from is not None:
        from albert.checkpoint.folder import read_config
        from albert.conversion.conversion import model_folder

        return read_config(model_folder(settings.init_from))
    return AlbertConfig.of_size(settings.size or "base", vocab_size=data.vocab_size)


def _source(settings: PretrainSettings) -> str:
    """Return what gave the shape and the vocabulary, for messages."""
    shape = settings.config or settings.init_from or "--size"
    return f"{shape} and {settings.tokenizer or settings.data[0]}"


def check_positions(config: AlbertConfig, max_seq_length: int, what: str) -> None:
    """Check that a model, called `what` in the message, has positions for the longest example.

    Raises:
        ConfigError: It has fewer.
    """
    if max_seq_length > config.max_position_embeddings:
        positions = config.max_position_embeddings
        raise ConfigError(f"--max-seq-length {max_seq_length} exceeds the {positions} positions of {what}")
