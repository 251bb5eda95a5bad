"""The student: a model of one of the public classes, with maps to the teacher's widths, and its folder.

Letters: B texts, N tokens of all of them, H hidden size, D size of a vector.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from albert.choices import Pooling
from albert.config import AlbertConfig
from albert.conversion.release import model_card, write_model_folder
from albert.distillation.settings import LossName
from albert.distillation.teacher import SentenceTeacher, TaskTeacher, Teacher
from albert.finetuning.run import write_trained
from albert.inference.embedding import Embedder
from albert.inference.sentence_transformers import write_sentence_transformers
from albert.model.albert_model import AlbertModel
from albert.model.language_models import AlbertForMaskedLM
from albert.model.packing import Packing
from albert.model.pooling import Dense, Normalize, pool
from albert.model.pretrained import Pretrained
from albert.text.tokenizer import AlbertTokenizer


class Student(nn.Module):
    """A student, with the linear maps that bring its states and vectors to the teacher's width.

    Args:
        model: The student; its encoder is its submodule `albert`, or the model itself.
        pooling: How its states become a vector.
        vector_size: Size of the teacher's vectors; None if they are not learnt.
        state_size: Width of the teacher's states; None if they are not learnt.
    """

    def __init__(
        self,
        model: Pretrained,
        *,
        pooling: tuple[Pooling, ...] = ("mean",),
        vector_size: int | None = None,
        state_size: int | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.pooling = pooling
        self.learns_vectors = vector_size is not None
        width = model.config.hidden_size
        self.vector_map = _map(width * len(pooling), vector_size)
        """Stays part of the student, after its pooling."""
        self.state_map = _map(width, state_size)
        """Only for the comparison."""

    @property
    def encoder(self) -> AlbertModel:
        """The student's encoder."""
        found = self.model if isinstance(self.model, AlbertModel) else self.model.get_submodule("albert")
        assert isinstance(found, AlbertModel)
        return found

    def vectors(self, x: Tensor, packing: Packing) -> Tensor:
        """Return the vectors (B, D) of states `x` (N, H)."""
        pooled: Tensor = self.vector_map(pool(x.float(), torch.tensor(packing.lengths), self.pooling))
        return pooled


def _map(width: int, wanted: int | None) -> nn.Module:
    return nn.Identity() if wanted in {None, width} else nn.Linear(width, int(wanted or 0))


def make_student(config: AlbertConfig, teacher: Teacher, losses: Sequence[LossName]) -> Student:
    """Return a student with random weights, of the class that its losses need."""
    learns_states = "states" in losses
    state_size = teacher.config.hidden_size if learns_states else None
    if isinstance(teacher, TaskTeacher):
        labels = teacher.trained.model.config
        config = config.changed(id2label=labels.id2label, problem_type=labels.problem_type)
        return Student(type(teacher.trained.model)(config), state_size=state_size)
    assert isinstance(teacher, SentenceTeacher)
    model: Pretrained = AlbertModel(config, add_pooling_layer=False)
    if "mlm" in losses:
        model = AlbertForMaskedLM(config)
    learns_vectors = {"vectors", "similarities"} & set(losses)
    return Student(
        model,
        pooling=teacher.embedder.pooling,
        vector_size=teacher.embedder.dimension if learns_vectors else None,
        state_size=state_size,
    )


def write_student(
    folder: Path,
    student: Student,
    teacher: Teacher,
    tokenizer: AlbertTokenizer,
    *,
    record: dict[str, Any],
    scores: dict[str, float],
) -> None:
    """Write the student as a folder of its kind: of a sentence encoder, a task, or a language model.

    Args:
        folder: Replaced as a whole.
        student: The student.
        teacher: Its teacher, whose task or pooling it shares.
        tokenizer: The student's.
        record: The run's record.
        scores: Agreement on held-out texts.
    """
    record = record | by_depth(scores, student.model.config.num_hidden_layers)
    if isinstance(teacher, TaskTeacher):
        trained = teacher.trained
        settings = record["settings"] | {"model": teacher.name}
        write_trained(
            folder,
            student.model,
            tokenizer,
            task=trained.task,
            lengths=trained.lengths,
            record=record | {"settings": settings, "scores": scores},
        )
        return
    assert isinstance(teacher, SentenceTeacher)
    if student.learns_vectors:
        write_sentence_transformers(
            folder, embedder_of(student, teacher, tokenizer), record=record | {"scores": scores}
        )
        return
    card = model_card(
        "ALBERT, distilled",
        description=f"An ALBERT encoder that learnt from `{teacher.name}`.",
        task=student.model.pipeline_task,
        scores=scores,
        record=record,
    )
    write_model_folder(folder, student.model, tokenizer, card=card, record=record | {"scores": scores})


def by_depth(scores: dict[str, float], num_layers: int) -> dict[str, Any]:
    """Return the scores at each depth, as a model's record has them; nothing if only the last was trained."""
    found: dict[str, dict[str, float]] = {}
    for name, score in scores.items():
        part, _, rest = name.partition("@")
        depth, _, measure = rest.partition("_")
        found.setdefault(depth or str(num_layers), {})["_".join(filter(None, (part, measure)))] = score
    return {"depths": dict(sorted(found.items(), key=lambda item: int(item[0])))} if len(found) > 1 else {}


def embedder_of(student: Student, teacher: SentenceTeacher, tokenizer: AlbertTokenizer) -> Embedder:
    """Return what makes the student's vectors of texts."""
    layers: list[nn.Module] = []
    linear = student.vector_map
    if isinstance(linear, nn.Linear):
        dense = Dense(linear.in_features, linear.out_features, bias=True, activation="Identity")
        dense.linear.load_state_dict(linear.state_dict())
        layers.append(dense.to(student.model.device).eval().requires_grad_(requires_grad=False))
    if teacher.embedder.is_normalized:
        layers.append(Normalize())
    same = tokenizer is teacher.tokenizer
    return replace(
        teacher.embedder,
        model=student.encoder.eval(),
        tokenizer=tokenizer,
        layers=tuple(layers),
        prompt=teacher.embedder.prompt if same else "",
    )
