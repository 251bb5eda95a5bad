"""Scores that others have published, by task and model, for comparison with a result.

Data only; `published` looks things up in it. Figures are percent, as they were published, for single models
on dev unless another split is named.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

Version = Literal["v1", "v2"]

TABLE_14 = "Lan et al. (2020), table 14"
"""Where the paper's hyperparameters are."""
PAPER = "Lan et al. (2020), GLUE dev, 1.5M steps"
README = "README of google-research/albert"
ALBERT_ZH = "README of albert_zh"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One published score."""

    task: str
    """Name of the task."""
    size: str
    """Published size of the model."""
    version: Version | None
    """Release of the model; None if there was only one."""
    metric: str
    """The score, by our name for it."""
    percent: float
    """The score, 0 to 100."""
    split: Literal["dev", "test"] = "dev"
    """Split on which it was measured."""
    source: str
    """Who published it."""


# SQuAD 1.1 F1 and exact match, SQuAD 2.0 F1 and exact match, MNLI, SST-2, RACE accuracy
_README_SCORES = (
    ("squad1", "f1"),
    ("squad1", "exact_match"),
    ("squad2", "f1"),
    ("squad2", "exact"),
    ("mnli", "accuracy"),
    ("sst2", "accuracy"),
    ("race", "accuracy"),
)
_README: Mapping[tuple[str, Version], tuple[float, ...]] = {
    ("base", "v1"): (89.3, 82.3, 80.0, 77.1, 81.6, 90.3, 64.0),
    ("large", "v1"): (90.6, 83.9, 82.3, 79.4, 83.5, 91.7, 68.5),
    ("xlarge", "v1"): (92.5, 86.1, 86.1, 83.1, 86.4, 92.4, 74.8),
    ("xxlarge", "v1"): (94.8, 89.3, 90.2, 87.4, 90.8, 96.9, 86.5),
    ("base", "v2"): (90.2, 83.2, 82.1, 79.3, 84.6, 92.9, 66.8),
    ("large", "v2"): (91.8, 85.2, 84.9, 81.8, 86.5, 94.9, 75.2),
    ("xlarge", "v2"): (92.9, 86.4, 87.9, 84.1, 87.9, 95.4, 80.7),
    ("xxlarge", "v2"): (94.6, 89.1, 89.8, 86.9, 90.6, 96.8, 86.8),
}

_PABEE = "Zhou et al. (2020), BERT Loses Patience, the whole model"
_LONE_PATIENT = "README of lonePatient/albert_pytorch"
_USERS = "users of google-research/albert, issues 56 and 123"
_NOTEBOOK = "fine-tuning notebook of google-research/albert"
_AHOTROD = "transformers issue 1974, ahotrod"
_CONLL = "transformers pull request 1683, test, mean of five"

# task, size, version, score, percent, source
_ENGLISH: tuple[tuple[str, str, Version, str, float, str], ...] = (
    ("cola", "xxlarge", "v1", "matthews_correlation", 71.4, PAPER),
    ("sst2", "xxlarge", "v1", "accuracy", 96.9, PAPER),
    ("mrpc", "xxlarge", "v1", "accuracy", 90.9, PAPER),
    ("stsb", "xxlarge", "v1", "pearson", 93.0, PAPER),
    ("qqp", "xxlarge", "v1", "accuracy", 92.2, PAPER),
    ("mnli", "xxlarge", "v1", "accuracy", 90.8, PAPER),
    ("qnli", "xxlarge", "v1", "accuracy", 95.3, PAPER),
    ("rte", "xxlarge", "v1", "accuracy", 89.2, PAPER),
    ("cola", "base", "v2", "matthews_correlation", 58.9, _PABEE),
    ("mnli", "base", "v2", "accuracy", 84.6, _PABEE),
    ("qnli", "base", "v2", "accuracy", 91.7, _PABEE),
    ("rte", "base", "v2", "accuracy", 78.6, _PABEE),
    ("sst2", "base", "v2", "accuracy", 92.8, _PABEE),
    ("stsb", "base", "v2", "pearson", 89.5, _PABEE),
    ("cola", "base", "v2", "matthews_correlation", 57.6, _LONE_PATIENT),
    ("sst2", "base", "v2", "accuracy", 92.6, _LONE_PATIENT),
    ("mnli", "base", "v2", "accuracy", 84.2, _LONE_PATIENT),
    ("stsb", "base", "v2", "pearson", 90.9, _LONE_PATIENT),
    ("cola", "large", "v2", "matthews_correlation", 58.5, _LONE_PATIENT),
    ("sst2", "large", "v2", "accuracy", 95.1, _LONE_PATIENT),
    ("stsb", "large", "v2", "pearson", 91.5, _LONE_PATIENT),
    ("cola", "xlarge", "v2", "matthews_correlation", 60.2, _LONE_PATIENT),
    ("stsb", "xlarge", "v2", "pearson", 92.2, _LONE_PATIENT),
    ("mnli", "base", "v2", "accuracy", 82.6, _USERS),
    ("mnli", "base", "v2", "accuracy", 83.6, _USERS),
    ("mrpc", "base", "v2", "accuracy", 86.5, _NOTEBOOK),
    ("squad2", "xxlarge", "v1", "f1", 87.5, _AHOTROD),
    ("squad2", "xxlarge", "v1", "exact", 83.7, _AHOTROD),
)

_CLUE = "README of CLUE, first release"

# task, size, score, percent, split, source
_CHINESE: tuple[tuple[str, str, str, float, Literal["dev", "test"], str], ...] = (
    ("lcqmc", "tiny", "accuracy", 85.4, "test", ALBERT_ZH),
    ("lcqmc", "small", "accuracy", 86.0, "test", ALBERT_ZH),
    ("lcqmc", "base", "accuracy", 87.2, "dev", ALBERT_ZH),
    ("lcqmc", "base", "accuracy", 87.8, "dev", f"{ALBERT_ZH}, 36,000 steps more"),
    ("lcqmc", "large", "accuracy", 88.7, "dev", ALBERT_ZH),
    ("lcqmc", "xlarge", "accuracy", 87.3, "dev", ALBERT_ZH),
    ("xnli-zh", "base", "accuracy", 77.0, "dev", ALBERT_ZH),
    ("xnli-zh", "large", "accuracy", 78.0, "dev", ALBERT_ZH),
    ("xnli-zh", "tiny", "accuracy", 69.5, "test", _CLUE),
    ("cmnli", "tiny", "accuracy", 72.7, "test", _CLUE),
    ("csl", "tiny", "accuracy", 74.56, "test", _CLUE),
    ("cmrc2018", "tiny", "exact_match", 53.68, "test", _CLUE),
    ("drcd", "tiny", "exact_match", 70.08, "test", _CLUE),
    ("cmrc2018", "xlarge", "exact_match", 75.22, "test", _CLUE),
    ("drcd", "xlarge", "exact_match", 89.78, "test", _CLUE),
    ("cmrc2018", "large", "f1", 87.86, "dev", ALBERT_ZH),
    ("cmrc2018", "large", "exact_match", 67.75, "dev", ALBERT_ZH),
    ("cmrc2018", "xlarge", "f1", 88.66, "dev", ALBERT_ZH),
    ("cmrc2018", "xlarge", "exact_match", 68.90, "dev", ALBERT_ZH),
)


def _figures() -> Iterator[Figure]:
    for (size, version), scores in _README.items():
        for (task, metric), percent in zip(_README_SCORES, scores, strict=True):
            yield Figure(
                task=task,
                size=size,
                version=version,
                metric=metric,
                percent=percent,
                source=f"{README}, {version}",
            )
    for task, size, version, metric, percent, source in _ENGLISH:
        yield Figure(task=task, size=size, version=version, metric=metric, percent=percent, source=source)
    for task, size, metric, percent, split, source in _CHINESE:
        yield Figure(
            task=task, size=size, version=None, metric=metric, percent=percent, split=split, source=source
        )
    yield Figure(
        task="conll2003",
        size="xxlarge",
        version="v1",
        metric="f1",
        percent=91.39,
        split="test",
        source=_CONLL,
    )


FIGURES: tuple[Figure, ...] = tuple(_figures())
"""Every published score we know."""
