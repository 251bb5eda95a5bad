"""The kinds `similarity` and `pairs`: one encoder turns each text into a vector, and vectors are compared.

Similarity learns scores: the squared error of the cosine against the score, which is brought to 0 to 1
(Reimers and Gurevych 2019, section 3). Pairs learn which texts belong together: each anchor must find its own
text among those of the whole batch, and among hard negatives, by a softmax of cosines (van den Oord et al.
2018; Henderson et al. 2017, section 4).
Letters: B examples, W texts of each, D size of a vector.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from albert.errors import ConfigError, DataError
from albert.metrics.scores import score
from albert.tasks.bad_rows import each
from albert.tasks.cuts import Cuts
from albert.tasks.features import label_array
from albert.tasks.labels import six_digits
from albert.tasks.prediction_files import PredictionFile, matched, read_values
from albert.tasks.predictions import TableColumn, recorded
from albert.tasks.similarity.features import SeparateFeatures, encode_separately
from albert.tasks.similarity.overlap import overlaps
from albert.tasks.solver import groups_of_similar_length, refuse_null_odds
from albert.tasks.tables import Columns, Example, LabelParser, Row, check_text, parse_number, table_rows
from albert.tasks.task import Lengths, Task
from albert.tasks.texts import TextSolver
from albert.text.tokenizer import AlbertTokenizer

if TYPE_CHECKING:
    from torch import Tensor

    from albert.config import AlbertConfig
    from albert.model.losses import LossSum
    from albert.model.pretrained import Pretrained
    from albert.model.similarity import AlbertForSimilarity

Vectors = NDArray[np.float32]
"""The vectors of the texts of each example, (B, W, D), of length 1."""

TEMPERATURE = 0.05
"""Of the softmax over cosines; that of SimCSE (Gao et al. 2021, section 3)."""
_COMPARED_AT_ONCE = 1024
_ROUNDING = 1e-6


def vectors_of(model: AlbertForSimilarity, batch: SeparateFeatures) -> Tensor:
    """Return the vectors of a batch, (B, W, D)."""
    vectors = model.packed_logits(*model.packed_inputs(batch))  # (B * W, D)
    return vectors.view(len(batch), batch.width, -1)


class _Objective:
    """A loss on vectors, and on their first numbers alone, averaged (Kusupati et al. 2022, Matryoshka).

    Args:
        dimensions: How many first numbers, in addition to all.
    """

    def __init__(self, dimensions: tuple[int, ...] = ()) -> None:
        self._dimensions = dimensions

    def counts(self, batch: SeparateFeatures) -> dict[str, int]:
        """Return the number of examples."""
        return {"task": len(batch)}

    def sums(self, model: AlbertForSimilarity, batch: SeparateFeatures) -> dict[str, LossSum]:
        """Return the summed loss of the examples of `batch`."""
        import torch
        import torch.nn.functional as F

        from albert.model.losses import LossSum

        vectors = vectors_of(model, batch)
        sizes = (vectors.shape[-1], *self._dimensions)
        found = [self.loss(F.normalize(vectors[..., :size], dim=-1), batch) for size in sizes]
        total = torch.stack([each.total for each in found]).mean()
        return {"task": LossSum(total, found[0].correct)}

    @abstractmethod
    def loss(self, vectors: Tensor, batch: SeparateFeatures) -> LossSum:
        """Return the summed loss of vectors (B, W, D) of length 1."""


class SimilarityObjective(_Objective):
    """Squared error of the cosine against the score.

    Args:
        score_range: Scores that are brought to 0 and 1.
        dimensions: First numbers of the vectors that must be enough alone.
    """

    def __init__(self, score_range: tuple[float, float], dimensions: tuple[int, ...] = ()) -> None:
        super().__init__(dimensions)
        self._range = score_range

    def loss(self, vectors: Tensor, batch: SeparateFeatures) -> LossSum:
        """Return the summed squared error."""
        from albert.model.losses import squared_error_sum
        from albert.model.packing import on_device

        cosines = (vectors[:, 0] * vectors[:, 1]).sum(-1)  # (B, D) -> (B,)
        return squared_error_sum(cosines, on_device(_scaled(batch.labels, self._range), vectors.device))


class PairsObjective(_Objective):
    """Cross-entropy of finding the own text among all of the batch."""

    def loss(self, vectors: Tensor, batch: SeparateFeatures) -> LossSum:
        """Return the summed cross-entropy."""
        import torch

        from albert.model.losses import cross_entropy_sum

        candidates = vectors[:, 1:].transpose(0, 1).flatten(0, 1)  # (B, W - 1, D) -> ((W - 1) * B, D)
        logits = vectors[:, 0] @ candidates.T / TEMPERATURE  # own text of example i: column i
        return cross_entropy_sum(logits, torch.arange(len(batch), device=logits.device))


class _BiEncoderSolver(TextSolver):
    """What the two kinds share: the model, its vectors, and the files of cosines."""

    features_class: ClassVar[type[Any]] = SeparateFeatures
    trains_depths: ClassVar[bool] = False
    baseline_name: ClassVar[str] = "what comparing words without a model"

    def model_class(self, task: Task) -> type[Pretrained]:
        """Return the encoder with a pooling."""
        del task
        return self.model_classes()[0]

    def model_classes(self) -> tuple[type[Pretrained], ...]:
        """Return the encoder with a pooling."""
        from albert.model.similarity import AlbertForSimilarity

        return (AlbertForSimilarity,)

    def is_made_for(self, config: AlbertConfig) -> bool:
        """Whether the model is one of these; the folder tells, not the configuration."""
        del config
        return True

    def config_changes(self, task: Task) -> dict[str, Any]:
        """Return nothing: there is no head."""
        del task
        return {}

    def label_text(self, task: Task, label: Any) -> str:
        """Return the score, or the hard negative."""
        del task
        return label if isinstance(label, str) else f"{label:g}"

    def text_rows(self, task: Task, path: Path) -> Iterator[Example | DataError]:
        """Refuse plain text: an example is a pair."""
        return super(TextSolver, self).text_rows(task, path)

    def encode(
        self,
        task: Task,
        examples: Sequence[Example],
        tokenizer: AlbertTokenizer,
        *,
        lengths: Lengths,
        cuts: Cuts | None = None,
    ) -> SeparateFeatures:
        """Return the texts of every example, each by itself, and its score if it has one."""
        scores = [example.label if isinstance(example.label, float) else np.nan for example in examples]
        return encode_separately(
            self.texts_of(task, examples),
            np.array(scores, np.float64),
            tokenizer,
            max_seq_length=lengths.max_seq_length,
            cuts=cuts,
        )

    @abstractmethod
    def texts_of(self, task: Task, examples: Sequence[Example]) -> list[tuple[str, ...]]:
        """Return the texts of each example, as many for all.

        Raises:
            DataError: One has fewer.
        """

    def predict(
        self, task: Task, model: Pretrained, examples: Sequence[Example], features: SeparateFeatures
    ) -> Vectors:
        """Return the vectors of the texts, (B, W, D), of length 1."""
        import torch
        import torch.nn.functional as F

        from albert.model.similarity import AlbertForSimilarity

        del task, examples
        assert isinstance(model, AlbertForSimilarity)
        model.eval()
        found: list[Vectors] = []
        places: list[NDArray[np.int64]] = []
        longest = features.lengths.reshape(len(features), features.width).sum(1)
        with torch.inference_mode():
            for indices in groups_of_similar_length(longest):
                vectors = F.normalize(vectors_of(model, features.take(indices)), dim=-1)
                found.append(vectors.cpu().numpy())
                places.append(indices)
        ordered = np.zeros((len(features), *found[0].shape[1:]), np.float32)
        ordered[np.concatenate(places)] = np.concatenate(found)
        return ordered

    def records(
        self, task: Task, examples: Sequence[Example], predictions: Vectors
    ) -> Iterator[dict[str, Any]]:
        """Yield the cosine of the two texts as `score`."""
        del task, examples
        for cosine in cosines_of(predictions):
            yield {"score": six_digits(cosine)}

    def table_columns(self, task: Task) -> list[TableColumn]:
        """Return the column `score`."""
        del task
        return recorded("score")


class SimilaritySolver(_BiEncoderSolver):
    """How similar two texts are: a number."""

    def label_parser(self, task: Task) -> LabelParser:
        """Return the parser of numbers."""
        del task
        return parse_number

    def with_labels_in(self, task: Task, paths: Sequence[Path]) -> Task:
        """Return `task` with the lowest and the highest score of the training files.

        Raises:
            DataError: All scores are the same.
        """
        from dataclasses import replace

        rows = self.rows(task, paths, split="train", labelled=True)
        scores = [row.label for row in rows if isinstance(row, Example)]
        if len(set(scores)) < 2:
            raise DataError(
                f"{paths[0]}: expected scores that differ in column {task.data.label_column!r}, found "
                f"{scores[0] if scores else 'none'}; pairs without scores are learnt by --task pairs"
            )
        return replace(task, score_range=(min(scores), max(scores)))

    def texts_of(self, task: Task, examples: Sequence[Example]) -> list[tuple[str, ...]]:
        """Return both texts of each example."""
        del task
        return [(example.text, example.pair or "") for example in examples]

    def objective(self, task: Task) -> SimilarityObjective:
        """Return the squared error of the cosine."""
        assert task.score_range is not None  # with_labels_in
        return SimilarityObjective(task.score_range, task.dimensions)

    def guess(self, task: Task, known: Sequence[Example], examples: Sequence[Example]) -> Vectors:
        """Return vectors (B, 2, 2) whose cosines are the overlaps of the words."""
        del task, known
        found = overlaps([example.text for example in examples], [example.pair or "" for example in examples])
        found = np.clip(found, 0.0, 1.0)
        second = np.stack([found, np.sqrt(1 - found**2)], -1)  # (B,) -> (B, 2)
        first = np.broadcast_to(np.array([1.0, 0.0]), second.shape)
        return np.stack([first, second], 1).astype(np.float32)

    def scores(self, task: Task, examples: Sequence[Example], predictions: Vectors) -> dict[str, float]:
        """Return the task's metrics and the mean `loss`."""
        named = score(task.metrics, labels=label_array(examples), predictions=cosines_of(predictions))
        return {**named, "loss": float(self.losses(task, examples, predictions).mean())}

    def losses(self, task: Task, examples: Sequence[Example], predictions: Vectors) -> NDArray[np.float64]:
        """Return the squared error of each cosine against its score, (B,)."""
        labels = label_array(examples)
        target = _scaled(labels, task.score_range or (float(labels.min()), float(labels.max())))
        return np.square(cosines_of(predictions).astype(np.float64) - target)

    def scores_of_file(
        self, task: Task, examples: Sequence[Example], file: PredictionFile
    ) -> dict[str, float]:
        """Return the scores of predicted numbers."""
        refuse_null_odds(task, file)
        found = read_values(file.path, ("score", "prediction"), parse_number)
        numbers = matched(found, examples, file.path)
        return score(task.metrics, labels=label_array(examples), predictions=np.array(numbers))


class PairsSolver(_BiEncoderSolver):
    """Which texts belong together: an anchor finds its own text among those of others."""

    contrasts_batch: ClassVar[bool] = True

    def label_parser(self, task: Task) -> LabelParser:
        """Return the parser of hard negatives, which are texts."""
        del task
        return lambda text, where: text if text.strip() else _refuse_empty(where)

    def rows(
        self, task: Task, paths: Sequence[Path], *, split: str, labelled: bool
    ) -> Iterator[Example | DataError]:
        """Yield the rows of tables; a hard negative becomes the label of its example."""
        del split
        data = task.data
        columns = Columns(
            required=(data.text_column, data.pair_column or ""),
            optional=tuple(name for name in (data.label_column, data.id_column) if name),
            aliases=data.aliases,
        )
        for path in paths:

            def make(row: Row, path: Path = path) -> Example:
                text, pair, negative, id_ = (*row.cells, "")[:4]
                for column, cell in ((data.text_column, text), (data.pair_column, pair)):
                    check_text(cell, str(column), f"{path}:{row.line}")
                return Example(text, pair, negative.strip() or None if labelled else None, id=id_ or None)

            yield from each(table_rows(path, columns), make)

    def texts_of(self, task: Task, examples: Sequence[Example]) -> list[tuple[str, ...]]:
        """Return the texts of each example: two, or three with a hard negative."""
        negatives = [example.label for example in examples]
        if any(negatives) and not all(negatives):
            missing = next(number for number, text in enumerate(negatives, 1) if not text)
            raise DataError(
                f"example {missing} has no text in column {task.data.label_column!r}, others have; give "
                "every pair a hard negative, or none"
            )
        return [
            (example.text, example.pair or "", *([example.label] if example.label else []))
            for example in examples
        ]

    def objective(self, task: Task) -> PairsObjective:
        """Return the contrast within a batch."""
        return PairsObjective(task.dimensions)

    def scores(self, task: Task, examples: Sequence[Example], predictions: Vectors) -> dict[str, float]:
        """Return how often an anchor finds its own text first among all of them, and its mean place."""
        del examples
        ranks = _ranks(predictions)
        named = {"recall_at_1": float((ranks == 0).mean()), "mrr": float((1 / (1 + ranks)).mean())}
        return {name: named[name] for name in task.metrics}

    def losses(self, task: Task, examples: Sequence[Example], predictions: Vectors) -> NDArray[np.float64]:
        """Return 1 minus the reciprocal rank of the own text, (B,)."""
        del task, examples
        return 1 - 1 / (1 + _ranks(predictions))

    def scores_of_file(
        self, task: Task, examples: Sequence[Example], file: PredictionFile
    ) -> dict[str, float]:
        """Refuse files: the score of a pair alone does not tell which text is found first."""
        del examples
        raise ConfigError(
            f"--predictions {file.path}: task {task.name!r} needs the vectors of a --model, not the scores "
            "of its pairs"
        )


def cosines_of(vectors: Vectors) -> NDArray[np.float32]:
    """Return the cosines of the first two texts of each example, (B,)."""
    cosines: NDArray[np.float32] = (vectors[:, 0] * vectors[:, 1]).sum(-1)
    return cosines


def _ranks(vectors: Vectors) -> NDArray[np.int64]:
    """Return how many texts of others are nearer to each anchor than its own, (B,)."""
    own = cosines_of(vectors)
    ranks = []
    for first in range(0, len(vectors), _COMPARED_AT_ONCE):
        rows = slice(first, first + _COMPARED_AT_ONCE)
        nearer = vectors[rows, 0] @ vectors[:, 1].T > own[rows, None] + _ROUNDING
        ranks.append(nearer.sum(1))
    return np.concatenate(ranks)


def _scaled(scores: NDArray[np.float64], score_range: tuple[float, float]) -> NDArray[np.float64]:
    low, high = score_range
    return (scores - low) / ((high - low) or 1.0)


def _refuse_empty(where: str) -> str:
    raise DataError(f"{where}: the hard negative is empty; fill it, or drop the column")
