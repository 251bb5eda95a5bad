"""Settings of `albert distill`; nothing here loads torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from albert.choices import Depth
from albert.data.settings import TextSettings
from albert.errors import ConfigError
from albert.training.settings import LoopSettings, OptimizerSettings

LossName = Literal["vectors", "similarities", "states", "relations", "logits", "mlm"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentSettings:
    """Shape of the student, and how it starts."""

    layers: int = 3
    """Layers of the student."""
    hidden_size: int | None = None
    """Width of its layers; the teacher's if not given. Smaller: the teacher's states are projected on their
    first principal components."""
    embedding_size: int = 128
    """Width of its embeddings; smaller than the teacher's: the table is factorised."""
    groups: int = 1
    """Groups of layers with weights of their own; 1: all layers share theirs, which is the smallest."""
    init: Literal["teacher", "random"] = "teacher"
    """How the student starts: from the teacher's embeddings and layers, or from random weights."""
    tokenizer: Path | None = None
    """Folder of the student's own tokenizer; the teacher's if not given. With another vocabulary only
    vectors, similarities and the logits of texts can be learnt."""

    def __post_init__(self) -> None:
        for name in ("layers", "hidden_size", "embedding_size", "groups"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"--{name.replace('_', '-')} is {value}; expected 1 or more")
        if self.groups > self.layers:
            raise ConfigError(f"--groups is {self.groups}, more than --layers {self.layers}; lower it")


@dataclass(frozen=True, slots=True, kw_only=True)
class LossSettings:
    """What the student learns from the teacher."""

    loss: tuple[LossName, ...] = ()
    """Parts of the loss: vectors (cosine of the sentence vectors), similarities (which texts of a batch are
    near each other), states (hidden states of the last layer), relations (its attention: queries, keys and
    values compared among themselves, MiniLM), logits (of a classifier or tagger), mlm (masked LM on the
    texts). By default what the teacher is for: logits and states, or vectors and states."""
    loss_weights: tuple[float, ...] = ()
    """Weight of each of --loss, in its order; 1 if not given."""
    depths: tuple[Depth, ...] = ()
    """Layers after which the losses are computed in addition to the last one, and averaged: numbers, or all;
    the student can then be used with fewer layers, too (--depth)."""
    temperature: float = 1.0
    """Temperature of the logits of teacher and student; above 1, classes that the teacher finds less probable
    count more."""

    def __post_init__(self) -> None:
        if self.loss_weights and len(self.loss_weights) != len(self.loss):
            raise ConfigError(
                f"--loss-weights has {len(self.loss_weights)} numbers for the {len(self.loss)} names of "
                "--loss; give one for each"
            )
        if len(set(self.loss)) < len(self.loss):
            raise ConfigError(f"--loss {' '.join(self.loss)}: names a part twice")
        if self.temperature <= 0:
            raise ConfigError(f"--temperature is {self.temperature}; expected more than 0")


@dataclass(frozen=True, kw_only=True)
class DistillSettings(TextSettings):
    """Train a small model to do what a large one does.

    The teacher's outputs are computed once and kept, so that other students can learn from them, too. Running
    the same command again on an unfinished folder continues it.
    """

    teacher: str
    """The model to learn from, in any form that `albert convert` takes: a sentence encoder, a classifier or a
    tagger; BERT, too."""
    output: Path
    """Folder of the run."""
    cache: Path | None = None
    """Folder of the teacher's outputs, which runs with the same teacher and texts can share; OUTPUT/teacher
    if not given."""
    max_texts: int | None = None
    """Texts that are used; all if not given."""
    max_seq_length: int | None = None
    """Tokens to which a text is truncated; as many as the teacher takes if not given."""
    held_out: float = 0.02
    """Share of the texts on which teacher and student are compared, chosen by a hash; at most 1,000 are."""
    student: StudentSettings = StudentSettings()
    """The student."""
    losses: LossSettings = LossSettings()
    """What it learns."""
    optimizer: OptimizerSettings = OptimizerSettings(
        optimizer="adamw", learning_rate=5e-4, adam_beta2=0.98, schedule="linear", warmup_share=0.05
    )
    """How the weights are updated."""
    loop: LoopSettings = LoopSettings(max_steps=10_000, batch_size=32, save_steps=1000, eval_steps=500)
    """How long to train, on what device, how often to save."""

    def __post_init__(self) -> None:
        TextSettings.__post_init__(self)
        if not 0 <= self.held_out < 1:
            raise ConfigError(f"--held-out is {self.held_out}; expected a share from 0 to below 1")
        if self.max_texts is not None and self.max_texts < 1:
            raise ConfigError(f"--max-texts is {self.max_texts}; expected 1 or more")

    @property
    def cache_folder(self) -> Path:
        """Folder of the teacher's outputs."""
        return self.output / "teacher" if self.cache is None else self.cache
