"""Recipes: published hyperparameters by name, adapted to a model, and the published scores to compare with.

Table 14 of the paper holds for the first release and for `base`. The larger models of the second release,
trained without dropout, do not learn at its rates, so "auto" lowers the rates and lengthens the warm-up for
them. Every number comes with its source.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from albert.config import AlbertConfig, size_name
from albert.errors import ConfigError, did_you_mean
from albert.tasks.catalogue import TASKS, solver_of
from albert.tasks.classification.clue import CLUE_SCRIPT, LCQMC_SCRIPT
from albert.tasks.published_figures import ALBERT_ZH, FIGURES, README, TABLE_14, Figure, Version
from albert.tasks.task import Hyperparameters, Task

GIVEN = "given"
"""The source of a value that the user gave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """The highest learning rate at which models of some width are known to learn."""

    hidden_size: int
    """Hidden size from which the cap applies."""
    learning_rate: float
    """Highest peak learning rate."""
    source: str
    """Source of the cap."""


_ENGLISH_CAPS = (
    Cap(
        hidden_size=2048,
        learning_rate=1e-5,
        source=f"{README}: the rate of v2 for RACE; google-research issue 151: xlarge learns at 5e-6",
    ),
    Cap(
        hidden_size=1024,
        learning_rate=2e-5,
        source="large v2 often fails on SQuAD 2.0 at higher rates: transformers issue 2104, FARM issue 202",
    ),
)
_CHINESE_CAPS = (
    Cap(hidden_size=1024, learning_rate=2e-5, source=f"{ALBERT_ZH}: CMRC 2018 with large and xlarge"),
)
_CAPS_FOR_TINY = (
    Cap(hidden_size=2048, learning_rate=1e-5, source="xlarge does not learn at 2e-5: albert_zh issue 56"),
    Cap(hidden_size=768, learning_rate=2e-5, source=f"{ALBERT_ZH}: CMRC 2018 with large and xlarge"),
    Cap(hidden_size=384, learning_rate=6e-5, source=f"{ALBERT_ZH}: try 1e-4, 6e-5 and 2e-5"),
)
"""For hyperparameters whose rate was found with `tiny`."""
_WIDE = 1024
"""Hidden size from which models without dropout are hard to fine-tune."""
_WIDE_WARMUP_SHARE = 0.1
SMALL_WIDTH = 768
"""Hidden size below which published hyperparameters, all found with larger models, do not hold."""
_SMALL_SOURCE = "measured with models of their size: docs/fine-tuning.md, Small models"
_SMALL_RATES = ((384, 3e-4), (300, 5e-4), (0, 1e-3))
"""Peak learning rates by the hidden size from which they hold."""
_TAGGING_FACTOR = 2
"""Tagging learns from every word, and bears a higher rate."""
_SMALL = {
    "batch_size": 16,
    "max_steps": None,
    "num_epochs": 3.0,
    "min_steps": 1500,
    "max_epochs": 40.0,
    "warmup_steps": None,
    "warmup_share": 0.1,
    "hidden_dropout_prob": 0.0,
    "adam_beta2": 0.98,
}
_V2_RACE = f"{README}: with v2, RACE diverges otherwise"


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """The scores that others have reached on a task with a model of this size."""

    model: str
    """Size of the models, and their release where it is known: "base v2"."""
    metric: str
    """The score that is compared."""
    figures: tuple[Figure, ...]
    """The published scores, at least one."""
    scale: float
    """Divisor that turns percent into the unit of our score."""

    @property
    def low(self) -> float:
        """The lowest published score, in our score's unit."""
        return self._in_our_unit(min(figure.percent for figure in self.figures))

    @property
    def high(self) -> float:
        """The highest published score, in our score's unit."""
        return self._in_our_unit(max(figure.percent for figure in self.figures))

    @property
    def source(self) -> str:
        """Who published the scores, with the split if it is not dev."""
        sources = (f.source if f.split == "dev" else f"{f.source} (on {f.split})" for f in self.figures)
        return "; ".join(dict.fromkeys(sources))

    @property
    def rows(self) -> list[dict[str, object]]:
        """Every figure as a row: score, value in our unit, split and source."""
        return [
            {
                "metric": figure.metric,
                "value": self._in_our_unit(figure.percent),
                "split": figure.split,
                "source": figure.source,
            }
            for figure in self.figures
        ]

    def _in_our_unit(self, percent: float) -> float:
        return round(percent / self.scale, 6)


def recipe_names(task: Task) -> list[str]:
    """Return the recipes that `recipe_for` knows for `task`."""
    own = task.name == task.kind
    names = ["auto"]
    if not own and task.hyperparameters.source.startswith(TABLE_14):
        names += ["paper", "v2"]
    if _is_for_tiny(task.hyperparameters) or ALBERT_ZH in task.hyperparameters.source:
        names.append("albert-zh")
    return [*names, "small", "own"]


def recipe_for(task: Task, config: AlbertConfig, *, name: str = "auto") -> Hyperparameters:
    """Return the hyperparameters for fine-tuning a model with `config` on `task`.

    - auto: for models narrower than 768 `small`; for others the task's own, with a lower rate and a longer
      warm-up for models that do not learn with them;
    - paper: Lan et al. (2020), table 14, unchanged;
    - v2: the same with the changes in the original's README for its second release;
    - albert-zh: those of albert_zh, the rate lowered for models larger than its `tiny`;
    - small: measured with small models: higher rates, and more passes over small data;
    - own: those for the user's own data.

    Raises:
        ConfigError: There is no such recipe for the task.
    """
    known = recipe_names(task)
    if name not in known:
        raise ConfigError(
            f"task {task.name!r} has no recipe {name!r}{did_you_mean(name, known)}; it has {', '.join(known)}"
        )
    if name == "auto" and config.hidden_size < SMALL_WIDTH:
        name = "small"
    if name in {"paper", "v2", "small", "own"}:
        return {
            "paper": task.hyperparameters,
            "v2": _second_release(task),
            "small": _for_small(task, config),
            "own": TASKS[task.kind].hyperparameters,
        }[name]
    if task.language == "zh":
        caps = _CAPS_FOR_TINY if _is_for_tiny(task.hyperparameters) else _CHINESE_CAPS
        return _capped(task.hyperparameters, config, caps)
    if release_of(config) == "v1":
        return task.hyperparameters
    return _careful(_second_release(task), config)


def release_of(config: AlbertConfig) -> Version:
    """Return the release of the English models that has such a configuration.

    The first was trained with dropout. Its `xxlarge`, which was not, counts as the second here, whose
    hyperparameters are safer.
    """
    return "v1" if config.hidden_dropout_prob > 0 else "v2"


def hyperparameter_rows(
    hyperparameters: Hyperparameters, *, used: Mapping[str, object] | None = None, given: Collection[str] = ()
) -> list[dict[str, object]]:
    """Return each setting as a row: setting, value, and source of the value.

    Args:
        hyperparameters: The hyperparameters before the user's settings.
        used: Values actually used, by setting, such as the number of steps computed from epochs.
        given: Settings that the user gave.
    """
    values = _values(hyperparameters) | dict(used or {})
    if used and "max_steps" in used:
        values.pop("num_epochs", None)
    if used and "warmup_steps" in used:
        values.pop("warmup_share", None)
    return [
        {
            "setting": name,
            "value": value,
            "source": GIVEN if name in given else _source(hyperparameters, name),
        }
        for name, value in values.items()
    ]


def band(task: Task, config: AlbertConfig) -> Band | None:
    """Return the scores that others have published for `task` with such a model; None if none are known.

    Scores are on dev or, if there are none, on test, by the first of the task's metrics that was published.
    """
    size = size_name(config)
    release = None if size == "xxlarge" or task.language == "zh" else release_of(config)
    known = [f for f in FIGURES if f.task == task.name and f.size == size]
    known = [f for f in known if release is None or f.version == release]
    for metric in task.metrics:
        for split in ("dev", "test"):
            figures = tuple(f for f in known if f.metric == metric and f.split == split)
            if figures:
                return Band(
                    model=size if release is None else f"{size} {release}",
                    metric=metric,
                    figures=figures,
                    scale=1.0 if solver_of(task).scores_are_percent else 100.0,
                )
    return None


def _values(hyperparameters: Hyperparameters) -> dict[str, Any]:
    by_steps = hyperparameters.max_steps is not None
    length = ("max_steps" if by_steps else "num_epochs",)
    warmup = ("warmup_steps" if by_steps and hyperparameters.warmup_steps is not None else "warmup_share",)
    others = ("adam_beta2", "max_seq_length", "hidden_dropout_prob", "classifier_dropout_prob")
    return {
        name: getattr(hyperparameters, name)
        for name in ("learning_rate", "batch_size", *length, *warmup, *others)
    }


def _source(hyperparameters: Hyperparameters, setting: str) -> str:
    source = hyperparameters.sources.get(setting, hyperparameters.source)
    if setting == "max_steps" and hyperparameters.max_steps is None:
        return f"{_length_in_words(hyperparameters)}; {hyperparameters.sources.get('num_epochs', source)}"
    if setting == "warmup_steps" and (
        hyperparameters.max_steps is None or hyperparameters.warmup_steps is None
    ):
        source = hyperparameters.sources.get("warmup_share", hyperparameters.source)
        return f"{hyperparameters.warmup_share:.0%} of the steps; {source}"
    return source


def _length_in_words(hyperparameters: Hyperparameters) -> str:
    passes = f"{hyperparameters.num_epochs:g} passes over the data"
    if not hyperparameters.min_steps:
        return passes
    more = f"up to {hyperparameters.max_epochs:g} if they are fewer than {hyperparameters.min_steps:,} steps"
    return f"{passes}, {more}"


def _changed(hyperparameters: Hyperparameters, source: str, **changes: Any) -> Hyperparameters:
    """Return hyperparameters with some numbers changed, all from `source`."""
    sources = MappingProxyType({**hyperparameters.sources, **dict.fromkeys(changes, source)})
    return replace(hyperparameters, sources=sources, **changes)


def _is_for_tiny(hyperparameters: Hyperparameters) -> bool:
    return any(script in hyperparameters.source for script in (CLUE_SCRIPT, LCQMC_SCRIPT))


def _for_small(task: Task, config: AlbertConfig) -> Hyperparameters:
    """Return hyperparameters for a small model; only the lengths remain those of the task."""
    rate = next(rate for width, rate in _SMALL_RATES if config.hidden_size >= width)
    rate *= _TAGGING_FACTOR if task.kind == "tagging" else 1
    return _changed(task.hyperparameters, _SMALL_SOURCE, learning_rate=rate, **_SMALL)


def _second_release(task: Task) -> Hyperparameters:
    if task.name != "race":
        return task.hyperparameters
    return _changed(task.hyperparameters, _V2_RACE, learning_rate=1e-5, hidden_dropout_prob=0.0)


def _capped(hyperparameters: Hyperparameters, config: AlbertConfig, caps: Collection[Cap]) -> Hyperparameters:
    """Return hyperparameters with the learning rate lowered to the cap for the model's width."""
    cap = next((cap for cap in caps if config.hidden_size >= cap.hidden_size), None)
    if cap is None or hyperparameters.learning_rate <= cap.learning_rate:
        return hyperparameters
    return _changed(hyperparameters, cap.source, learning_rate=cap.learning_rate)


def _careful(hyperparameters: Hyperparameters, config: AlbertConfig) -> Hyperparameters:
    """Return hyperparameters made safe for a model without dropout; only wide ones need changes."""
    hyperparameters = _capped(hyperparameters, config, _ENGLISH_CAPS)
    if config.hidden_size < _WIDE:
        return hyperparameters
    if hyperparameters.hidden_dropout_prob:
        source = f"{README}: v2 was trained without dropout, and RACE diverges with it"
        hyperparameters = _changed(hyperparameters, source, hidden_dropout_prob=0.0)
    source = "a tenth of the steps, as for MNLI and SQuAD in table 14"
    if hyperparameters.max_steps is None or hyperparameters.warmup_steps is None:
        if hyperparameters.warmup_share < _WIDE_WARMUP_SHARE:
            hyperparameters = _changed(hyperparameters, source, warmup_share=_WIDE_WARMUP_SHARE)
    elif hyperparameters.warmup_steps < (steps := int(hyperparameters.max_steps * _WIDE_WARMUP_SHARE)):
        hyperparameters = _changed(hyperparameters, source, warmup_steps=steps)
    return hyperparameters
