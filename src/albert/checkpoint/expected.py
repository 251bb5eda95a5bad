"""The tensors of each public class by name and shape, told by the configuration; never loads torch.

Letters: E embedding size, H hidden size, F feed-forward size, V vocabulary, K labels.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from albert.config import AlbertConfig
from albert.errors import CheckpointError

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]
_Tensors = Iterator[tuple[str, Shape]]


def tensor_shapes(architecture: str, config: AlbertConfig) -> dict[str, Shape]:
    """Return the shapes of a model's tensors by name, in the order of its state dict.

    Args:
        architecture: Name of a public class; an `AlbertModel` has its pooler.
        config: The shape.

    Raises:
        CheckpointError: There is no such class.
    """
    if architecture == "AlbertModel":
        return dict(_encoder(config, has_pooler=True))
    if architecture not in _HEADS:
        raise CheckpointError(f"no model {architecture!r}; known are AlbertModel, {', '.join(_HEADS)}")
    has_pooler, head = _HEADS[architecture]
    encoder = {f"albert.{name}": shape for name, shape in _encoder(config, has_pooler=has_pooler)}
    return encoder | dict(head(config))


def architecture_of(shapes: Shapes) -> str:
    """Return the name of the public class that fits tensors of these names (ours) and shapes.

    A classifier with one row is taken for multiple choice. A regression or tagging model has the same tensors
    as other classifiers; callers that know choose the class themselves.
    """
    if "start_logits.dense.weight" in shapes:
        return "AlbertForQuestionAnsweringBeamSearch"
    if "qa_outputs.weight" in shapes:
        return "AlbertForQuestionAnswering"
    if "classifier.weight" in shapes:
        one_row = shapes["classifier.weight"][0] == 1
        return "AlbertForMultipleChoice" if one_row else "AlbertForSequenceClassification"
    if "sop_classifier.classifier.weight" in shapes:
        return "AlbertForPreTraining"
    return "AlbertForMaskedLM" if "predictions.bias" in shapes else "AlbertModel"


def is_encoder(name: str) -> bool:
    """Return whether a tensor belongs to embeddings or layers; the pooler counts as a head."""
    return name.removeprefix("albert.").startswith(("embeddings.", "encoder."))


def account_of(matched: int, *, missing: Sequence[str], unused: Sequence[str]) -> str:
    """Return a sentence on how the tensors of a file matched those of a model."""
    line = f"{matched} of {matched + len(missing)} tensors"
    if missing:
        line += f"; new, with random weights: {', '.join(missing)}"
    if unused:
        line += f"; not used: {', '.join(unused)}"
    return line


def _linear(name: str, inputs: int, outputs: int) -> _Tensors:
    yield f"{name}.weight", (outputs, inputs)
    yield f"{name}.bias", (outputs,)


def _norm(name: str, size: int) -> _Tensors:
    yield f"{name}.weight", (size,)
    yield f"{name}.bias", (size,)


def _encoder(config: AlbertConfig, *, has_pooler: bool) -> _Tensors:
    embedding, hidden = config.embedding_size, config.hidden_size
    yield "embeddings.word_embeddings.weight", (config.vocab_size, embedding)
    yield "embeddings.position_embeddings.weight", (config.max_position_embeddings, embedding)
    yield "embeddings.token_type_embeddings.weight", (config.type_vocab_size, embedding)
    yield from _norm("embeddings.LayerNorm", embedding)
    if config.has_map:
        yield from _linear("encoder.embedding_hidden_mapping_in", embedding, hidden)
    for group in range(config.num_hidden_groups):
        for block in range(config.inner_group_num):
            yield from _block(f"encoder.albert_layer_groups.{group}.albert_layers.{block}", config)
    if has_pooler:
        yield from _linear("pooler", hidden, hidden)


def _block(name: str, config: AlbertConfig) -> _Tensors:
    hidden, feed_forward = config.hidden_size, config.intermediate_size
    yield from _norm(f"{name}.full_layer_layer_norm", hidden)
    for part in ("query", "key", "value", "dense"):
        yield from _linear(f"{name}.attention.{part}", hidden, hidden)
    yield from _norm(f"{name}.attention.LayerNorm", hidden)
    yield from _linear(f"{name}.ffn", hidden, feed_forward)
    yield from _linear(f"{name}.ffn_output", feed_forward, hidden)


def _masked_lm(config: AlbertConfig) -> _Tensors:
    yield "predictions.bias", (config.vocab_size,)
    yield from _linear("predictions.dense", config.hidden_size, config.embedding_size)
    yield from _norm("predictions.LayerNorm", config.embedding_size)


def _pretraining(config: AlbertConfig) -> _Tensors:
    yield from _masked_lm(config)
    yield from _linear("sop_classifier.classifier", config.hidden_size, 2)


def _labels(config: AlbertConfig) -> _Tensors:
    yield from _linear("classifier", config.hidden_size, config.num_labels)


def _choices(config: AlbertConfig) -> _Tensors:
    yield from _linear("classifier", config.hidden_size, 1)


def _answers(config: AlbertConfig) -> _Tensors:
    yield from _linear("qa_outputs", config.hidden_size, 2)


def _beam_search(config: AlbertConfig) -> _Tensors:
    hidden = config.hidden_size
    yield from _linear("start_logits.dense", hidden, 1)
    yield from _linear("end_logits.dense_0", 2 * hidden, hidden)
    yield from _norm("end_logits.LayerNorm", hidden)
    yield from _linear("end_logits.dense_1", hidden, 1)
    yield from _linear("answer_class.dense_0", 2 * hidden, hidden)
    yield "answer_class.dense_1.weight", (1, hidden)


def _nothing(_: AlbertConfig) -> _Tensors:
    yield from ()


_HEADS: dict[str, tuple[bool, Callable[[AlbertConfig], _Tensors]]] = {
    "AlbertForPreTraining": (True, _pretraining),
    "AlbertForMaskedLM": (False, _masked_lm),
    "AlbertForSequenceClassification": (True, _labels),
    "AlbertForMultipleChoice": (True, _choices),
    "AlbertForTokenClassification": (False, _labels),
    "AlbertForQuestionAnswering": (False, _answers),
    "AlbertForQuestionAnsweringBeamSearch": (False, _beam_search),
    "AlbertForSimilarity": (False, _nothing),
}
"""Whether the encoder of a class has a pooler, and the tensors of its head."""
