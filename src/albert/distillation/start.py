"""The student before its first step: its shape, and weights taken from the teacher.

Embeddings: the teacher's first states of every token of the vocabulary, at a mean position, are reduced to
their principal components. The student's layer normalisation scales every embedding to one length, so one
more component, the same for all tokens, keeps that nearly linear; a linear fit maps the result back.
Layers: some of the teacher's, evenly spread (0, 2 and 5 of six for three); a group of several is their mean.
Width: a smaller student keeps the first principal components of the teacher's states, the attention heads and
the feed-forward neurons with the largest weights.
Letters: V vocabulary, E embedding size, H hidden size of the student, G that of the teacher, C components.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from albert.config import AlbertConfig
from albert.distillation.settings import StudentSettings
from albert.errors import ConfigError
from albert.model.albert_model import AlbertModel
from albert.model.layer import AlbertLayer
from albert.text.sentencepiece import SPACE
from albert.text.tokenizer import AlbertTokenizer
from albert.text.wordpiece import CONTINUATION

EMBEDDING_STD = 0.05
"""Standard deviation of the word embeddings at the start; normalised, they do not depend on it, but a step of
the optimiser changes them the less, the larger they are."""
RIDGE = 1e-8
_WORDS = "word_embeddings.weight"
_ROLES = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")


def student_config(
    teacher: AlbertConfig, student: StudentSettings, tokenizer: AlbertTokenizer
) -> AlbertConfig:
    """Return the shape of the student: the teacher's, but for what the settings say.

    Raises:
        ConfigError: The student would be wider than the teacher it starts from, or its width is no multiple
            of the teacher's head size.
    """
    head_size = _head_size(teacher)
    width = student.hidden_size or teacher.hidden_size
    from_teacher = student.init == "teacher"
    if from_teacher and (width > teacher.hidden_size or width % head_size):
        raise ConfigError(
            f"--hidden-size is {width}; to start from the teacher, expected a multiple of its head size "
            f"{head_size} up to its width {teacher.hidden_size}; or choose --init random"
        )
    if from_teacher and student.embedding_size > width:
        raise ConfigError(
            f"--embedding-size is {student.embedding_size}; expected at most the hidden size {width}"
        )
    return teacher.changed(
        vocab_size=max(len(tokenizer), teacher.vocab_size if student.tokenizer is None else 0),
        embedding_size=student.embedding_size,
        hidden_size=width,
        num_hidden_layers=student.layers,
        num_hidden_groups=student.groups,
        inner_group_num=1,
        num_attention_heads=width // head_size if width % head_size == 0 else 1,
        intermediate_size=teacher.intermediate_size * width // teacher.hidden_size,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How a student starts."""

    variance_kept: float
    """Share of the variance of the teacher's first states that the student's have."""
    layers: tuple[int, ...]
    """The teacher's layers, from 0, from which the student's start."""


@torch.no_grad()
def start_from_teacher(
    student: AlbertModel, teacher: AlbertModel, words: Tensor, *, counts: Tensor, basis: Tensor
) -> Start:
    """Fill the student's encoder from the teacher's.

    Args:
        student: Changed in place.
        teacher: To start from.
        words: The teacher's word embeddings of the student's tokens, (V, E of the teacher); see `word_table`.
        counts: How often the texts have each of them, (V,): the fit of the embeddings is weighted by it.
        basis: Directions of the teacher's states that the student keeps, (G, H), orthonormal.
    """
    is_same_width = basis.shape[0] == basis.shape[1]
    if is_same_width and not student.config.has_map and not teacher.config.has_map:
        student.embeddings.load_state_dict(teacher.embeddings.state_dict() | {_WORDS: words})
        kept = 1.0
    else:
        kept = _fill_embeddings(student, teacher, words, counts=counts, basis=basis)
    return Start(variance_kept=kept, layers=_fill_layers(student, teacher, basis))


def word_table(teacher: AlbertModel, own: AlbertTokenizer, student: AlbertTokenizer) -> Tensor:
    """Return the teacher's word embeddings (V, E) of a student's tokens.

    Of a token that the teacher lacks it is the mean over the teacher's tokens for its spelling.

    Args:
        teacher: The teacher.
        own: Its tokenizer.
        student: The student's.
    """
    table = teacher.embeddings.word_embeddings.weight.detach()
    if student.fingerprint == own.fingerprint:
        return table
    named = {getattr(student, f"{role}_id"): getattr(own, f"{role}_id") for role in _ROLES}
    texts = [_spelling(token) for token in student.convert_ids_to_tokens([*range(len(student))])]
    flat, lengths = own.encode_flat(texts)
    ends = lengths.cumsum()
    rows = [
        table[torch.from_numpy(flat[end - n : end].astype(np.int64))]
        for end, n in zip(ends, lengths, strict=True)
    ]
    words = torch.stack([row.mean(0) if len(row) else table[own.unk_token_id] for row in rows])
    for id_, teacher_id in named.items():
        words[id_] = table[teacher_id]
    return words


def principal_basis(states: Iterable[Tensor], width: int) -> Tensor:
    """Return the first `width` principal directions (G, H) of states (N, G), orthonormal."""
    moment = sum(x.double().T @ x.double() for x in states)
    assert isinstance(moment, Tensor)  # There is at least one text.
    return torch.linalg.eigh(moment).eigenvectors[:, -width:].flip(1).float()


def _spelling(token: str) -> str:
    """Return a token as plain text."""
    return token.removeprefix(CONTINUATION).replace(SPACE, "")


def _fill_embeddings(
    student: AlbertModel, teacher: AlbertModel, words: Tensor, *, counts: Tensor, basis: Tensor
) -> float:
    """Fill the student's embeddings and its map from E to H; return the share of the variance kept."""
    own = teacher.embeddings
    weights = (counts.double() + 1.0) / (counts.double() + 1.0).sum()
    positions, types = own.position_embeddings.weight, own.token_type_embeddings.weight
    mean_word = (weights.float() @ words)[None]
    mean_position = positions.mean(0, keepdim=True)

    def first_states(x: Tensor) -> Tensor:
        return (teacher.encoder.embedding_hidden_mapping_in(own.LayerNorm(x)) @ basis).double()

    targets = first_states(words + mean_position + types[:1])  # (V, E) -> (V, H)
    origin = first_states(mean_word + mean_position + types[:1])
    by_position = first_states(mean_word + positions + types[:1]) - origin
    by_type = first_states(mean_word + mean_position + types) - origin
    mean = (weights @ targets)[None]
    centered = targets - mean
    width = student.config.embedding_size
    variance = centered.T @ (weights[:, None] * centered)
    directions = torch.linalg.eigh(variance).eigenvectors[:, -(width - 2) :]  # (H, C)
    components = centered @ directions  # (V, H) -> (V, C)
    size = (weights @ components.square().sum(1)).sqrt()
    # Orthonormal and orthogonal to (1, ..., 1), so that the normalisation subtracts no mean.
    coordinates = torch.linalg.qr(torch.cat([torch.ones(width, 1), torch.eye(width)[:, 1:]], 1).double()).Q[
        :, 1:
    ]
    scale = EMBEDDING_STD * width**0.5 / (2**0.5 * size)

    def placed(x: Tensor, constant: Tensor | float) -> Tensor:
        last = torch.full((len(x), 1), float(constant), dtype=x.dtype)
        return (scale * torch.cat([x, last], 1) @ coordinates.T).float()  # (., C) -> (., E)

    student.embeddings.word_embeddings.weight.copy_(placed(components, size))
    student.embeddings.position_embeddings.weight.copy_(placed(by_position @ directions, 0.0))
    student.embeddings.token_type_embeddings.weight.copy_(placed(by_type @ directions, 0.0))
    found = student.embeddings.LayerNorm(student.embeddings.word_embeddings.weight).double()
    fitted = _fit_map(student, found, targets, weights)
    residual = weights @ (fitted - targets).square().sum(1)
    return float(1 - residual / (weights @ centered.square().sum(1)))


def _fit_map(student: AlbertModel, x: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Fit the map from embeddings `x` (V, E) to `targets` (V, H) by least squares; return its values."""
    map_in = student.encoder.embedding_hidden_mapping_in
    if not isinstance(map_in, nn.Linear):  # Where E equals H there is none: the norm has scale and shift.
        norm = student.embeddings.LayerNorm
        norm.weight.copy_((weights @ (targets * x)) / (weights @ x.square()))
        norm.bias.copy_(weights @ (targets - x * norm.weight))
        return x * norm.weight + norm.bias
    rows = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1) * weights.sqrt()[:, None]
    moment = rows.T @ rows
    moment += RIDGE * moment.trace() / len(moment) * torch.eye(len(moment), dtype=moment.dtype)
    solution = torch.linalg.solve(moment, rows.T @ (targets * weights.sqrt()[:, None]))  # (E + 1, H)
    map_in.weight.copy_(solution[:-1].T)
    map_in.bias.copy_(solution[-1])
    return x @ solution[:-1] + solution[-1]


def _fill_layers(student: AlbertModel, teacher: AlbertModel, basis: Tensor) -> tuple[int, ...]:
    """Fill the student's layers; return those of the teacher from which they start."""
    blocks = teacher.encoder.layers()
    count = student.config.num_hidden_layers
    picked = [round(float(place)) for place in np.linspace(0, len(blocks) - 1, count)]
    for group, block in enumerate(dict.fromkeys(student.encoder.layers())):
        members = [picked[i] for i in range(count) if student.config.group_of_layer(i) == group]
        states = [blocks[i].state_dict() for i in members]
        mean = {name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]}
        block.load_state_dict(_reduced(mean, basis, block, head_size=_head_size(teacher.config)))
    return tuple(picked)


def _reduced(
    state: dict[str, Tensor], basis: Tensor, block: AlbertLayer, *, head_size: int
) -> dict[str, Tensor]:
    """Return the parameters of a block for states in the directions of `basis`; see the module."""
    neurons = _largest(
        state["ffn.weight"].norm(dim=1) * state["ffn_output.weight"].norm(dim=0), block.ffn.out_features
    )
    sizes = state["attention.value.weight"].norm(dim=1) * state["attention.dense.weight"].norm(dim=0)
    heads = _largest(sizes.view(-1, head_size).sum(1), block.num_attention_heads)
    kept = (heads[:, None] * head_size + torch.arange(head_size)).flatten()  # rows of the heads, (H,)
    reduced: dict[str, Tensor] = {}
    for name in ("query", "key", "value"):
        reduced[f"attention.{name}.weight"] = state[f"attention.{name}.weight"][kept] @ basis
        reduced[f"attention.{name}.bias"] = state[f"attention.{name}.bias"][kept]
    reduced["attention.dense.weight"] = basis.T @ state["attention.dense.weight"][:, kept]
    reduced["ffn.weight"], reduced["ffn.bias"] = (
        state["ffn.weight"][neurons] @ basis,
        state["ffn.bias"][neurons],
    )
    reduced["ffn_output.weight"] = basis.T @ state["ffn_output.weight"][:, neurons]
    for name in ("attention.dense", "ffn_output", "attention.LayerNorm", "full_layer_layer_norm"):
        reduced[f"{name}.bias"] = basis.T @ state[f"{name}.bias"]
    for name in ("attention.LayerNorm", "full_layer_layer_norm"):
        # The diagonal of the scale in the new directions.
        reduced[f"{name}.weight"] = basis.square().T @ state[f"{name}.weight"]
    return reduced


def _largest(sizes: Tensor, count: int) -> Tensor:
    """Return the places of the largest numbers, ascending."""
    return sizes.topk(count).indices.sort().values


def _head_size(config: AlbertConfig) -> int:
    return config.hidden_size // config.num_attention_heads
