"""`albert info`: shape, parameters and tokenizer of a model of any form."""

from math import prod
from typing import Any

from albert.checkpoint.sources import Source, opened
from albert.checkpoint.weight_files import weight_files
from albert.commands.following import embedding, use_of
from albert.commands.settings.info import InfoSettings
from albert.config import AlbertConfig, size_name
from albert.console import command_line
from albert.conversion.depth import recorded_depths
from albert.conversion.description import Description, describe
from albert.errors import TokenizerError
from albert.tasks.similarity.form import is_sentence_encoder
from albert.text.tokenizer import AlbertTokenizer

__all__ = ["InfoSettings", "info"]

PROBE = "The quick brown fox jumps over 1,234 lazy dogs."

FLOAT_BYTES = 4
TRAINING_COPIES = 4
"""Floats per parameter in training: the parameter, its gradient, two moments."""


def info(settings: InfoSettings) -> dict[str, Any]:
    """Return form, shape, parameters, sizes and tokenizer of a model."""
    with opened(settings.model) as source:
        model = describe(source) or _read(source)
        config = model.config
        tokenizer = _tokenizer(source, config)
        following = use_of(settings.model, model.architecture)
        if is_sentence_encoder(source.config.parent):
            following = embedding(settings.model)
        if "problem" in tokenizer:
            following = command_line("convert", settings.model, "OUTPUT", tokenizer="FOLDER")
        return {
            "form": model.form,
            "model": model.architecture,
            "size": size_name(config),
            "tensors": model.account,
            "left_out": model.left_out,
            "checked": model.checked,
            **({"notes": list(model.notes)} if model.notes else {}),
            "config": {name: value for name, value in config.to_dict().items() if name != "model_type"},
            **({"depths": depths} if (depths := _depths(source, config)) else {}),
            "parameters": _parameters(model),
            "bytes": _bytes(source, model),
            "tokenizer": tokenizer,
            "next": following,
        }


def _depths(source: Source, config: AlbertConfig) -> dict[str, dict[str, float]]:
    """Return the scores at each depth at which the model was trained, and the share of its layers."""
    return {
        str(depth): {"layers_computed": depth / config.num_hidden_layers, **scores}
        for depth, scores in sorted(recorded_depths(source.config.parent).items())
    }


def _read(source: Source) -> Description:
    """Return what a model is whose weights must be read, which loads torch."""
    from albert.conversion.conversion import read_model

    return read_model(source).about


def bert_parameters(config: AlbertConfig) -> int:
    """Return the number of parameters of a BERT encoder of the same width and depth, with pooler."""
    hidden, feed_forward = config.hidden_size, config.intermediate_size
    tables = config.vocab_size + config.max_position_embeddings + config.type_vocab_size
    attention = 4 * (hidden * hidden + hidden)
    layer = attention + 2 * hidden * feed_forward + feed_forward + hidden + 2 * 2 * hidden
    layers = config.num_hidden_layers * config.inner_group_num
    return tables * hidden + 2 * hidden + layers * layer + hidden * hidden + hidden


def _parameters(model: Description) -> dict[str, int]:
    sizes = {name.removeprefix("albert."): prod(shape) for name, shape in model.shapes.items()}

    def of(*prefixes: str) -> int:
        return sum(size for name, size in sizes.items() if name.startswith(prefixes))

    blocks = model.config.num_hidden_groups * model.config.inner_group_num
    encoder = of("embeddings.", "encoder.", "pooler.")
    return {
        "total": sum(sizes.values()),
        "embeddings": of("embeddings."),
        "each_block": of("encoder.albert_layer_groups.") // blocks,
        "blocks": blocks,
        "heads": sum(sizes.values()) - encoder,
        "a_bert_of_this_size": bert_parameters(model.config),
    }


def _bytes(source: Source, model: Description) -> dict[str, int]:
    parameters = model.num_parameters
    files = (
        weight_files(source.weights)
        if source.weights.is_file()
        else source.weights.parent.glob(f"{source.weights.name}.*")
    )
    return {
        "on_disk": sum(file.stat().st_size for file in files),
        "for_inference": FLOAT_BYTES * parameters,
        "for_training_without_activations": FLOAT_BYTES * TRAINING_COPIES * parameters,
    }


def _tokenizer(source: Source, config: AlbertConfig) -> dict[str, Any]:
    """Return the facts about the tokenizer; a model may come without a usable one."""
    try:
        tokenizer = AlbertTokenizer.from_pretrained(source.tokenizer)
    except TokenizerError as error:
        return {"problem": str(error)}
    ids = tokenizer.encode(PROBE, add_special_tokens=False)
    fits = len(tokenizer) == config.vocab_size
    return {
        "kind": tokenizer.kind,
        "vocab_size": len(tokenizer),
        "fits_the_model": fits,
        "lower_case": tokenizer.do_lower_case,
        "keep_accents": tokenizer.keep_accents,
        "probe": " ".join(tokenizer.convert_ids_to_tokens(ids)),
        "unknown_share": ids.count(tokenizer.unk_token_id) / len(ids),
    }
