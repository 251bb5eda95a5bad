"""What a stored model is: its form, shape and class, and how its tensors match; never loads torch.

Of a Hugging Face folder in safetensors all this is in the headers of its files (`describe`). Other forms must
be read first (`conversion.read_model`), and share the rest (`described`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from albert.checkpoint.bert import DECODER, bert_named_as_ours
from albert.checkpoint.bert_config import architecture_of_bert, bert_config, read_bert
from albert.checkpoint.expected import Shape, Shapes, account_of, architecture_of, is_encoder, tensor_shapes
from albert.checkpoint.names import MAP, named_as_ours, without_wrappers
from albert.checkpoint.sources import Source
from albert.checkpoint.weight_files import stored_shapes, weight_files
from albert.choices import Head
from albert.config import AlbertConfig
from albert.errors import AlbertError, CheckpointError

_HEADS: dict[Head, str] = {
    "sequence-classification": "AlbertForSequenceClassification",
    "multiple-choice": "AlbertForMultipleChoice",
    "token-classification": "AlbertForTokenClassification",
}
_NAMED = {
    "AlbertModel",
    "AlbertForPreTraining",
    "AlbertForMaskedLM",
    "AlbertForQuestionAnswering",
    *_HEADS.values(),
}
"""Classes that a BERT's config.json may name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a stored model is."""

    form: str
    """Kind of the files, and origin of the model."""
    config: AlbertConfig
    """The configuration, checked against the tensors."""
    shapes: dict[str, Shape]
    """Shapes of the tensors of its class that were found, by our names."""
    architecture: str
    """Name of the public class for these weights."""
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
        return account_of(len(self.shapes), missing=self.missing, unused=self.unused)

    @property
    def num_parameters(self) -> int:
        """Numbers in all tensors that were found."""
        return sum(map(prod, self.shapes.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the files of one form say, before it is compared."""

    form: str
    """Kind of the files, and origin of the model."""
    config: AlbertConfig
    """The configuration."""
    shapes: Shapes
    """Shapes of all tensors, by our names."""
    left_out: int = 0
    """Number of tensors that are no weights."""
    checked: str
    """How the bytes were verified."""
    notes: tuple[str, ...] = ()
    """Remarks for the user."""
    architecture: str | None = None
    """Name of the public class, if the files say it."""


def describe(source: Source) -> Description | None:
    """Return what a Hugging Face folder is by the headers of its files; None if its weights must be read.

    These are pickles, and weights whose values decide whether they can be used: a map from E to H where
    there should be none, and an output layer of a BERT beside its table of words.

    Raises:
        CheckpointError: As `conversion.read_model`.
    """
    if source.form != "Hugging Face folder" or source.weights.name.startswith("pytorch_model"):
        return None
    if any(file.suffix != ".safetensors" for file in weight_files(source.weights)):
        return None
    stored = stored_shapes(source.weights)
    if without_wrappers(stored).keys() != stored.keys():
        return None  # Reading them reports it.
    found = found_in_folder(source, stored)
    names = {f"{DECODER}weight", *(() if found.config.has_map else (f"{MAP}.weight", f"{MAP}.bias"))}
    if names & {*stored, *found.shapes}:
        return None
    return described(source, found)


def found_in_folder(source: Source, stored: Shapes) -> Found:
    """Return what a Hugging Face folder says, whose files have tensors of the shapes `stored`, by name."""
    content = read_bert(source.config)
    if content is None:
        return Found(
            form=source.form,
            config=AlbertConfig.from_json(source.config),
            shapes=named_as_ours(stored),
            checked="the file's own structure",
        )
    return _found_bert(source, content, stored)


def _found_bert(source: Source, content: Mapping[str, Any], stored: Shapes) -> Found:
    try:
        config = bert_config(content)
    except AlbertError as error:
        raise type(error)(f"{source.config.parent}: {error}") from error
    return Found(
        form=f"{source.form} of a BERT",
        config=config,
        shapes=bert_named_as_ours(stored),
        checked="the file's own structure",
        notes=("a BERT becomes an ALBERT that shares no layer: the same numbers, the same size",),
        architecture=architecture_of_bert(content),
    )


def described(source: Source, found: Found, *, head: Head = "auto") -> Description:
    """Compare what was found with the tensors of its class.

    Args:
        source: The files, for messages.
        found: What they say.
        head: Purpose of a classifier, if the tensors do not show it.

    Raises:
        CheckpointError: A part of the encoder is missing, or a tensor does not have the configured shape.
    """
    config, shapes = found.config, dict(found.shapes)
    _check_shape(source, config, shapes)
    named = found.architecture if found.architecture in _NAMED else None
    architecture = _HEADS.get(head) or named or architecture_of(shapes)
    notes = list(found.notes)
    if "classifier.weight" in shapes and named is None:
        config, label_notes = _with_labels(config, shapes["classifier.weight"][0], architecture, head=head)
        notes += label_notes
    expected = tensor_shapes(architecture, config)
    if architecture == "AlbertModel":  # Without a head, the tensors of the encoder have no prefix.
        shapes = {name.removeprefix("albert."): shape for name, shape in shapes.items()}
    _check_complete(source, expected, shapes)
    return Description(
        form=found.form,
        config=config,
        shapes={name: shapes[name] for name in expected if name in shapes},
        architecture=architecture,
        missing=tuple(name for name in expected if name not in shapes),
        unused=tuple(sorted(set(shapes) - set(expected))),
        left_out=found.left_out,
        checked=found.checked,
        notes=tuple(notes),
    )


def _check_shape(source: Source, config: AlbertConfig, shapes: Shapes) -> None:
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
    found = {field: shapes[name][axis] for field, (name, axis) in sizes.items() if name in shapes}
    blocks = [name.split(".") for name in shapes if name.startswith(layers)]
    if blocks:
        found["num_hidden_groups"] = 1 + max(int(parts[3]) for parts in blocks)
        found["inner_group_num"] = 1 + max(int(parts[5]) for parts in blocks)
    for field, value in found.items():
        if getattr(config, field) != value:
            raise CheckpointError(
                f"{source.config}: {field} is {getattr(config, field)}, the weights in {source.weights} have "
                f"{value}; this configuration belongs to another model"
            )


def _check_complete(source: Source, expected: Shapes, shapes: Shapes) -> None:
    """Check that the encoder is complete and every tensor has the right shape.

    Raises:
        CheckpointError: A tensor is missing or has another shape.
    """
    for name, shape in expected.items():
        if name not in shapes and is_encoder(name):
            raise CheckpointError(
                f"{source.weights}: the tensor {name} of the encoder is missing; fetch the file again"
            )
        if name in shapes and shapes[name] != shape:
            raise CheckpointError(
                f"{source.weights}: {name} has shape {shapes[name]}, the model needs {shape}"
            )


def _with_labels(
    config: AlbertConfig, num_labels: int, architecture: str, *, head: Head
) -> tuple[AlbertConfig, list[str]]:
    """Return the configuration with as many classes as the classifier has rows, and notes about that."""
    if architecture == "AlbertForMultipleChoice":
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
