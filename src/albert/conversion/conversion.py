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
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from albert.checkpoint.albert_zh import albert_zh_config, folding_cost, from_albert_zh
from albert.checkpoint.bert import from_bert
from albert.checkpoint.bert_config import architecture_of_bert, bert_config, read_bert
from albert.checkpoint.folder import (
    account_of,
    is_encoder,
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
from albert.conversion.release import check_tokenizer, model_card, refuse_filled
from albert.errors import AlbertError, CheckpointError, TokenizerError
from albert.hub import local_path
from albert.model.albert_model import AlbertModel
from albert.model.answer_models import AlbertForQuestionAnswering
from albert.model.language_models import AlbertForMaskedLM, AlbertForPreTraining
from albert.model.pretrained import Pretrained
from albert.model.shapes import tensors_of
from albert.model.task_models import (
    AlbertForMultipleChoice,
    AlbertForSequenceClassification,
    AlbertForTokenClassification,
    model_class,
)
from albert.text.files import has_vocabulary
from albert.text.tokenizer import AlbertTokenizer
from albert.writing import move_finished, write_json

_HEADS: dict[str, type[Pretrained]] = {
    "sequence-classification": AlbertForSequenceClassification,
    "multiple-choice": AlbertForMultipleChoice,
    "token-classification": AlbertForTokenClassification,
}
_NAMED: dict[str, type[Pretrained]] = {
    known.__name__: known
    for known in (
        AlbertModel,
        AlbertForPreTraining,
        AlbertForMaskedLM,
        AlbertForQuestionAnswering,
        *_HEADS.values(),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredModel:
    """Weights under our names, with their configuration and a summary of how they were read."""

    form: str
    """Kind of the files, and origin of the model."""
    config: AlbertConfig
    """The configuration, checked against the tensors."""
    state: dict[str, Tensor]
    """Tensors by our names."""
    architecture: type[Pretrained]
    """The public class for these weights."""
    matched: int
    """Number of tensors of that class that were found."""
    missing: tuple[str, ...]
    """Tensors of its head that were not found."""
    unused: tuple[str, ...]
    """Tensors that the class does not have."""
    left_out: int
    """Number of optimiser moments and step counts, which are not weights."""
    checked: str
    """How the bytes were verified."""
    notes: tuple[str, ...]
    """Remarks for the user."""

    @property
    def account(self) -> str:
        """One line about how the tensors matched."""
        return account_of(self.matched, missing=self.missing, unused=self.unused)


def read_model(source: Source, *, head: Head = "auto") -> StoredModel:
    """Read weights of any form.

    Args:
        source: The files.
        head: Purpose of a classifier, if the tensors do not show it.

    Raises:
        CheckpointError: They are damaged, not an ALBERT model, lack a part of the encoder, or do not have
            the configured shape.
    """
    read = _read_hugging_face if source.form == "Hugging Face folder" else _read_tensorflow
    found = read(source)
    config, state = found.config, found.state
    _check_shape(source, config, state)
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    named = _NAMED.get(found.architecture or "")
    architecture = _HEADS.get(head) or named or model_class(shapes)
    notes = list(found.notes)
    if "classifier.weight" in shapes and named is None:
        config, label_notes = _with_labels(config, shapes["classifier.weight"][0], architecture, head=head)
        notes += label_notes
    expected = tensors_of(architecture, config)
    if architecture is AlbertModel:  # Without a head, the tensors of the encoder have no prefix.
        state = {name.removeprefix("albert."): tensor for name, tensor in state.items()}
        shapes = {name.removeprefix("albert."): shape for name, shape in shapes.items()}
    _check_complete(source, expected, shapes)
    return StoredModel(
        form=found.form,
        config=config,
        state={name: state[name] for name in expected if name in state},
        architecture=architecture,
        matched=sum(name in state for name in expected),
        missing=tuple(name for name in expected if name not in state),
        unused=tuple(sorted(set(state) - set(expected))),
        left_out=found.left_out,
        checked=found.checked,
        notes=tuple(notes),
    )


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
        if model.missing:
            torch.manual_seed(0)
            fresh = model.architecture(model.config).state_dict()
            state |= {name: fresh[name] for name in model.missing}
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
            description=f"A {model.form}, converted without change: {model.account}.",
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
    kept = tensors_of(model.architecture, config)
    state = {name: tensor for name, tensor in model.state.items() if name in kept}
    note = f"cut to the first {config.num_hidden_layers} of {model.config.num_hidden_layers} layers"
    return replace(model, config=config, state=state, notes=(*model.notes, note))


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
        for line in (model.account, *model.notes):
            say(f"{source}: {line}")
    return target


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What the reader of one form found."""

    form: str
    config: AlbertConfig
    state: dict[str, Tensor]
    left_out: int = 0
    checked: str
    notes: tuple[str, ...] = ()
    architecture: str | None = None
    """Name of the public class, if the files say it."""


def _read_hugging_face(source: Source) -> _Found:
    if (content := read_bert(source.config)) is not None:
        return _read_bert(source, content)
    config = AlbertConfig.from_json(source.config)
    stored = read_hugging_face_tensors(source.weights)
    state = from_hugging_face(stored, has_map=config.has_map)
    return _Found(form=source.form, config=config, state=state, checked="the file's own structure")


def _read_bert(source: Source, content: Mapping[str, Any]) -> _Found:
    try:
        config = bert_config(content)
        state = from_bert(read_hugging_face_tensors(source.weights))
    except AlbertError as error:
        raise type(error)(f"{source.config.parent}: {error}") from error
    return _Found(
        form=f"{source.form} of a BERT",
        config=config,
        state=state,
        checked="the file's own structure",
        notes=("a BERT becomes an ALBERT that shares no layer: the same numbers, the same size",),
        architecture=architecture_of_bert(content),
    )


def _read_tensorflow(source: Source) -> _Found:
    bundle = TensorBundle(source.weights)
    weights = [name for name in bundle.entries if is_weight(name)]
    shapes = {name: bundle.entries[name].shape for name in weights}
    family = family_of(shapes)
    variables = {name: bundle.read(name) for name in weights}
    left_out = len(bundle.entries) - len(weights)
    checked = f"CRC32C of {len(weights)} tensors"
    if family != "albert_zh":
        config = AlbertConfig.from_json(source.config)
        form = f"{source.form} of google-research/albert"
        state = from_original(variables)
        return _Found(form=form, config=config, state=state, left_out=left_out, checked=checked)
    try:
        content = json.loads(source.config.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{source.config}: not a JSON file: {error}") from error
    return _Found(
        form=f"{source.form} of albert_zh",
        config=albert_zh_config(content),
        state=from_albert_zh(variables),
        left_out=left_out,
        checked=checked,
        notes=(folding_cost(shapes),),
    )


def _check_shape(source: Source, config: AlbertConfig, state: Mapping[str, Tensor]) -> None:
    """Compare the configuration with the shapes of the tensors.

    Raises:
        CheckpointError: A field disagrees; the message names it.
    """
    embeddings, layers = "albert.embeddings", "albert.encoder.albert_layer_groups."
    first = f"{layers}0.albert_layers.0."
    sizes = {
        "vocab_size": (f"{embeddings}.word_embeddings.weight", 0),
        "embedding_size": (f"{embeddings}.word_embeddings.weight", 1),
        "max_position_embeddings": (f"{embeddings}.position_embeddings.weight", 0),
        "type_vocab_size": (f"{embeddings}.token_type_embeddings.weight", 0),
        "hidden_size": (f"{first}attention.query.weight", 0),
        "intermediate_size": (f"{first}ffn.weight", 0),
    }
    found = {field: state[name].shape[axis] for field, (name, axis) in sizes.items() if name in state}
    blocks = [name.split(".") for name in state if name.startswith(layers)]
    if blocks:
        found["num_hidden_groups"] = 1 + max(int(parts[3]) for parts in blocks)
        found["inner_group_num"] = 1 + max(int(parts[5]) for parts in blocks)
    for field, value in found.items():
        if getattr(config, field) != value:
            raise CheckpointError(
                f"{source.config}: {field} is {getattr(config, field)}, the weights in {source.weights} have "
                f"{value}; this configuration belongs to another model"
            )


def _check_complete(
    source: Source, expected: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """Check that the encoder is complete and every tensor has the right shape.

    Raises:
        CheckpointError: A tensor is missing or has another shape.
    """
    for name, tensor in expected.items():
        if name not in shapes and is_encoder(name):
            raise CheckpointError(
                f"{source.weights}: the tensor {name} of the encoder is missing; fetch the file again"
            )
        if name in shapes and shapes[name] != tuple(tensor.shape):
            raise CheckpointError(
                f"{source.weights}: {name} has shape {shapes[name]}, the model needs {tuple(tensor.shape)}"
            )


def _with_labels(
    config: AlbertConfig, num_labels: int, architecture: type[Pretrained], *, head: Head
) -> tuple[AlbertConfig, list[str]]:
    """Return the configuration with as many classes as the classifier has rows, and notes about that."""
    if architecture is AlbertForMultipleChoice:
        if head != "auto" or config.problem_type is not None:
            return config, []
        return config, [
            "the classifier has one row: read as multiple choice (RACE); "
            "with --head sequence-classification it is read as a regression (STS-B)"
        ]
    if config.id2label is None:
        config = config.changed(num_labels=num_labels)
    if num_labels == 1 and config.problem_type is None:
        config = config.changed(problem_type="regression")
    return config, []


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
