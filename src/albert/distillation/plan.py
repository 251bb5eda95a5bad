"""What a distillation does, decided and checked before anything is computed or written."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from albert.config import AlbertConfig
from albert.console import say
from albert.data.corpus.files import HUB_PREFIX
from albert.data.corpus.storage import version_of
from albert.data.recognition import find_raw_files
from albert.distillation.objective import DistillationObjective, MaskedTokens, Problem, make_objective
from albert.distillation.settings import DistillSettings, LossName
from albert.distillation.start import student_config
from albert.distillation.teacher import TaskTeacher, Teacher, open_teacher
from albert.errors import ConfigError
from albert.text.tokenizer import AlbertTokenizer

_PROBLEMS: dict[str, Problem] = {"multi-label": "several_labels", "regression": "number"}
"""What logits mean, by kind of task; for others, one class."""
_BY_TOKEN = ("states", "relations")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A distillation before its first step."""

    settings: DistillSettings
    """What the user said."""
    teacher: Teacher
    """The teacher."""
    losses: tuple[LossName, ...]
    """What is learnt."""
    tokenizer: AlbertTokenizer
    """The student's."""
    config: AlbertConfig
    """The student's shape."""
    objective: DistillationObjective
    """What is minimised."""
    depends_on: dict[str, Any]
    """What the teacher's outputs depend on."""

    @property
    def outputs(self) -> list[str]:
        """Names of the teacher's outputs that the losses compare."""
        return sorted({"vectors" if name == "similarities" else name for name in self.losses} - {"mlm"})

    @property
    def has_own_tokenizer(self) -> bool:
        """Whether the student's tokens are others than the teacher's."""
        return self.tokenizer is not self.teacher.tokenizer


def make_plan(settings: DistillSettings) -> Plan:
    """Open the teacher, and check that the student can learn from it.

    Raises:
        AlbertError: There is no such teacher or text, or the settings do not fit each other.
    """
    teacher = open_teacher(settings)
    losses = settings.losses.loss or teacher.default_losses
    tokenizer = _tokenizer(settings, teacher)
    if tokenizer is not teacher.tokenizer:
        if not settings.losses.loss:
            losses = tuple(name for name in losses if name not in _BY_TOKEN)
        _refuse_other_tokens(losses, teacher)
    if "mlm" in losses and isinstance(teacher, TaskTeacher):
        raise ConfigError("--loss mlm: the model of a task has no masked LM head; leave out mlm or logits")
    config = student_config(teacher.config, settings.student, tokenizer)
    objective = make_objective(
        settings.losses,
        losses,
        config,
        teacher.config,
        problem=_problem(teacher),
        masked=MaskedTokens(tokenizer.all_special_ids, tokenizer.mask_token_id),
    )
    return Plan(
        settings=settings,
        teacher=teacher,
        losses=losses,
        tokenizer=tokenizer,
        config=config,
        objective=objective,
        depends_on={
            "teacher": teacher.fingerprint,
            "tokenizer": tokenizer.fingerprint,
            "max_seq_length": teacher.max_seq_length,
            "texts": {Path(name).name: _version(name) for name in find_raw_files(settings.input)},
            "reading": [settings.splitting, settings.language, settings.column, settings.errors],
            "skip_bad": settings.skip_bad,
            "max_texts": settings.max_texts,
            "held_out": settings.held_out,
        },
    )


def _tokenizer(settings: DistillSettings, teacher: Teacher) -> AlbertTokenizer:
    """Return the student's tokenizer; the teacher's own, if the folder holds the same vocabulary."""
    folder = settings.student.tokenizer
    if folder is None:
        return teacher.tokenizer
    own = AlbertTokenizer.from_pretrained(folder)
    if own.fingerprint == teacher.tokenizer.fingerprint:
        return teacher.tokenizer
    say(f"--tokenizer {folder}: {len(own):,} tokens; the teacher has {len(teacher.tokenizer):,} others")
    return own


def _refuse_other_tokens(losses: tuple[LossName, ...], teacher: Teacher) -> None:
    by_token = [name for name in losses if name in _BY_TOKEN]
    is_tagger = isinstance(teacher, TaskTeacher) and teacher.trained.task.kind == "tagging"
    if by_token or (is_tagger and "logits" in losses):
        raise ConfigError(
            f"--loss {(by_token or ['logits'])[0]}: compares token by token, but the student has another "
            "vocabulary than the teacher; learn vectors, similarities or the logits of texts, or leave out "
            "--tokenizer"
        )


def _problem(teacher: Teacher) -> Problem:
    kind = teacher.trained.task.kind if isinstance(teacher, TaskTeacher) else ""
    return _PROBLEMS.get(kind, "one_class")


def _version(name: str) -> str:
    return name if name.startswith(HUB_PREFIX) else version_of(name)
