"""ALBERT weights of any form converted to a model folder, with a summary of what was found.

Combines `sources` (which files there are), `tensorflow` (the bundle format), `names`, `albert_zh` and `bert`
(names of tensors) and `task_models` (the heads). Tensors are compared with the configuration before anything
is written, so all weights are read into memory first.
"""

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from albert.checkpoint.albert_zh import albert_zh_config, folding_cost, from_albert_zh
from albert.checkpoint.bert import from_bert
from albert.checkpoint.bert_config import read_bert
from albert.checkpoint.expected import tensor_shapes
from albert.checkpoint.folder import (
    write_model,
)
from albert.checkpoint.layout import RUN_FILE, selected_model
from albert.checkpoint.names import family_of, from_hugging_face, from_original, is_weight
from albert.checkpoint.sentence_modules import copy_sentence_modules
from albert.checkpoint.sources import Source, is_model_folder, opened
from albert.checkpoint.tensorflow import TensorBundle
from albert.checkpoint.weights import read_hugging_face_tensors
from albert.choices import Head
from albert.config import AlbertConfig
from albert.console import command_line, say
from albert.conversion.depth import at_depth
from albert.conversion.description import Description, Found, described, found_in_folder
from albert.conversion.release import check_tokenizer, model_card, refuse_filled
from albert.errors import AlbertError, CheckpointError, TokenizerError
from albert.hub import local_path
from albert.model.albert_model import AlbertModel
from albert.model.answer_models import AlbertForQuestionAnswering, AlbertForQuestionAnsweringBeamSearch
from albert.model.language_models import AlbertForMaskedLM, AlbertForPreTraining
from albert.model.pretrained import Pretrained
from albert.model.task_models import (
    AlbertForMultipleChoice,
    AlbertForSequenceClassification,
    AlbertForTokenClassification,
)
from albert.text.files import has_vocabulary
from albert.text.tokenizer import AlbertTokenizer
from albert.writing import move_finished, write_json

_CLASSES: dict[str, type[Pretrained]] = {
    known.__name__: known
    for known in (
        AlbertModel,
        AlbertForPreTraining,
        AlbertForMaskedLM,
        AlbertForQuestionAnswering,
        AlbertForQuestionAnsweringBeamSearch,
        AlbertForSequenceClassification,
        AlbertForMultipleChoice,
        AlbertForTokenClassification,
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredModel:
    """Weights under our names, with what they are."""

    about: Description
    """Form, shape, class, and how the tensors matched."""
    state: dict[str, Tensor]
    """Tensors by our names."""

    @property
    def config(self) -> AlbertConfig:
        """The configuration, checked against the tensors."""
        return self.about.config

    @property
    def architecture(self) -> type[Pretrained]:
        """The public class for these weights."""
        return _CLASSES[self.about.architecture]


def read_model(source: Source, *, head: Head = "auto") -> StoredModel:
    """Read weights of any form.

    Args:
        source: The files.
        head: Purpose of a classifier, if the tensors do not show it.

    Raises:
        CheckpointError: They are damaged, not an ALBERT model, lack a part of the encoder, or do not have
            the configured shape.
    """
    if source.form == "Hugging Face folder":
        found, state = found_in_folder(source, {}), _read_folder(source)
        found = replace(found, shapes={name: tuple(tensor.shape) for name, tensor in state.items()})
    else:
        found, state = _read_tensorflow(source)
    about = described(source, found, head=head)
    if about.architecture == AlbertModel.__name__:  # Without a head, the tensors have no prefix.
        state = {name.removeprefix("albert."): tensor for name, tensor in state.items()}
    return StoredModel(about=about, state={name: state[name] for name in about.shapes})


def convert(
    source: str | Path,
    output: Path,
    *,
    head: Head = "auto",
    tokenizer: Path | None = None,
    depth: int | None = None,
) -> StoredModel:
    """Write the model that `source` names as a model folder.

    Args:
        source: A path, an archive, a checkpoint prefix, a Hub id or a tfhub.dev handle.
        output: New or empty folder.
        head: Purpose of a classifier, if the tensors do not show it.
        tokenizer: Folder of the vocabulary; None: the folder of the weights.
        depth: Number of layers that are kept, from the first on; None for all.

    Raises:
        CheckpointError: The source cannot be read, or the output folder is not empty.
        TokenizerError: There is no vocabulary, or it does not fit the model.
    """
    refuse_filled(output)
    with opened(source) as found:
        if tokenizer is None and not has_vocabulary(found.tokenizer):
            remedy = command_line("convert", source, "OUTPUT", tokenizer="FOLDER")
            raise TokenizerError(
                f"{source}: weights without a vocabulary (spiece.model or vocab.txt); name the folder of the "
                f"one they were trained with: `{remedy}`"
            )
        vocabulary = AlbertTokenizer.from_pretrained(tokenizer or found.tokenizer)
        model = _first_layers(read_model(found, head=head), depth, found.config.parent)
        try:
            check_tokenizer(vocabulary, model.config.vocab_size, source=str(source))
        except TokenizerError as error:
            raise TokenizerError(f"{error}, named by --tokenizer") from error
        state = dict(model.state)
        if model.about.missing:
            torch.manual_seed(0)
            fresh = model.architecture(model.config).state_dict()
            state |= {name: fresh[name] for name in model.about.missing}
        settings: dict[str, Any] = {
            "source": str(source),
            "head": head,
            "tokenizer": tokenizer and str(tokenizer),
        }
        settings["tokenizer"] = tokenizer and str(tokenizer)
        if depth is not None:
            settings["depth"] = depth
        # Under a temporary name first, so that an interrupted conversion does not look like a model.
        temporary = output.with_name(f".{output.name}.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        write_model(temporary, model.config, state, architecture=model.architecture.__name__)
        vocabulary.save_pretrained(temporary)
        copy_sentence_modules(found.config.parent, temporary)
        record = {"command": "convert", "settings": settings}
        card = model_card(
            "ALBERT, converted",
            description=f"A {model.about.form}, converted without change: {model.about.account}.",
            task=model.architecture.pipeline_task,
            scores={},
            record=record,
        )
        (temporary / "README.md").write_text(card, encoding="utf-8")
        write_json(temporary / RUN_FILE, record)
        temporary.rename(output)  # also replaces an empty folder
    return model


def _first_layers(model: StoredModel, depth: int | None, folder: Path) -> StoredModel:
    """Return a model without the layers after `depth`, and without groups that only these use."""
    config = at_depth(model.config, depth, folder)
    if config.num_hidden_layers == model.config.num_hidden_layers:
        return model
    kept = tensor_shapes(model.about.architecture, config)
    note = f"cut to the first {config.num_hidden_layers} of {model.config.num_hidden_layers} layers"
    about = replace(
        model.about,
        config=config,
        shapes={name: shape for name, shape in model.about.shapes.items() if name in kept},
        notes=(*model.about.notes, note),
    )
    return StoredModel(about=about, state={name: model.state[name] for name in about.shapes})


def model_folder(source: str | Path) -> Path:
    """Return a model folder for whatever `source` names; other forms are converted once.

    A folder of a run stands for the model that is its result.

    Converted models are kept in `$XDG_CACHE_HOME/albert` (`~/.cache/albert`), and found by the facts about
    their files.

    Raises:
        CheckpointError: There is no model, or it cannot be read.
        TokenizerError: It has no vocabulary that fits.
    """
    path = Path(source) if Path(f"{source}.index").is_file() else selected_model(local_path(source))
    if path.is_dir() and is_model_folder(path):
        return path
    target = place_of_conversion(path)
    if not is_model_folder(target):
        say(f"{source}: converting to {target}")
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as folder:
            model = convert(path, Path(folder) / "model")
            move_finished(Path(folder) / "model", target, is_whole=is_model_folder)
        for line in (model.about.account, *model.about.notes):
            say(f"{source}: {line}")
    return target


def _read_folder(source: Source) -> dict[str, Tensor]:
    """Return the tensors of a Hugging Face folder by our names."""
    stored = read_hugging_face_tensors(source.weights)
    if read_bert(source.config) is None:
        return from_hugging_face(stored, has_map=AlbertConfig.from_json(source.config).has_map)
    try:
        return from_bert(stored)
    except AlbertError as error:
        raise type(error)(f"{source.config.parent}: {error}") from error


def _read_tensorflow(source: Source) -> tuple[Found, dict[str, Tensor]]:
    """Return what a checkpoint of TensorFlow says, and its tensors by our names."""
    bundle = TensorBundle(source.weights)
    weights = [name for name in bundle.entries if is_weight(name)]
    stored = {name: bundle.entries[name].shape for name in weights}
    family = family_of(stored)
    variables = {name: bundle.read(name) for name in weights}
    about: dict[str, Any] = {
        "left_out": len(bundle.entries) - len(weights),
        "checked": f"CRC32C of {len(weights)} tensors",
    }
    if family != "albert_zh":
        state = from_original(variables)
        about |= {
            "form": f"{source.form} of google-research/albert",
            "config": AlbertConfig.from_json(source.config),
        }
    else:
        state = from_albert_zh(variables)
        about |= {
            "form": f"{source.form} of albert_zh",
            "config": albert_zh_config(_read_json(source.config)),
            "notes": (folding_cost(stored),),
        }
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    return Found(shapes=shapes, **about), state


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: not a JSON file: {error}") from error
    return content


def place_of_conversion(path: Path, *facts: str) -> Path:
    """Return where the conversion of a model is kept, by the path, sizes and times of its files.

    Args:
        path: Folder, file, or prefix of files.
        facts: Other facts on which the conversion depends.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "albert"
    files = sorted(path.rglob("*")) if path.is_dir() else sorted(path.parent.glob(f"{path.name}*"))
    found = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    identity = repr((str(path), found, *facts))
    return cache / hashlib.sha256(identity.encode()).hexdigest()[:16]
