"""Published settings by name, what to change in them for a model, and the scores they are known to give.

Stands above the records. Table 14 of the paper holds for the first release and for `base`; the larger models
of the second release, trained without dropout, do not learn at its rates, so "auto" is more careful with
them. Every number of a recipe says where it is from.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from albert.config import AlbertConfig, size_name
from albert.errors import ConfigError, did_you_mean
from albert.tasks.catalogue import TASKS, solver_of
from albert.tasks.classification.clue import CLUE_SCRIPT, LCQMC_SCRIPT
from albert.tasks.classification.glue import TABLE_14
from albert.tasks.published_figures import ALBERT_ZH, FIGURES, README, Figure, Version
from albert.tasks.task import Hyperparameters, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """The highest learning rate that models of some width are known to stand."""

    hidden_size: int
    """Width from which it holds."""
    learning_rate: float
    """Highest peak learning rate."""
    source: str
    """Why."""


_ENGLISH_CAPS = (
    Cap(
        hidden_size=2048,
        learning_rate=1e-5,
        source=f"{README}: what v2 wants for RACE; google-research issue 151: xlarge learns at 5e-6",
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
    Cap(hidden_size=384, learning_rate=6e-5, source=f"{ALBERT_ZH}: 1e-4, 6e-5 and 2e-5 are to be tried"),
)
"""Where the rate of a recipe was found for `tiny`."""
_WIDE = 1024
"""Width from which models without dropout are hard to fine-tune."""
_WIDE_WARMUP_SHARE = 0.1
_V2_RACE = f"{README}: with v2, RACE diverges otherwise"


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """What others have reached on a task with a model of this size."""

    model: str
    """Size of the models, and their release where it is known: "base v2"."""
    metric: str
    """The score that is compared."""
    figures: tuple[Figure, ...]
    """The published scores, at least one."""
    scale: float
    """Percent by this is the unit of our score."""

    @property
    def low(self) -> float:
        """Return the lowest published score, in our score's unit."""
        return self._in_our_unit(min(figure.percent for figure in self.figures))

    @property
    def high(self) -> float:
        """Return the highest published score, in our score's unit."""
        return self._in_our_unit(max(figure.percent for figure in self.figures))

    @property
    def source(self) -> str:
        """Return who published the scores, and of what where it is not dev."""
        sources = (f.source if f.split == "dev" else f"{f.source} (on {f.split})" for f in self.figures)
        return "; ".join(dict.fromkeys(sources))

    @property
    def rows(self) -> list[dict[str, object]]:
        """Return every figure as a row: score, value in our unit, split and source."""
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
    return [*names, "own"]


def recipe_for(task: Task, config: AlbertConfig, *, name: str = "auto") -> Hyperparameters:
    """Return the settings to fine-tune a model with `config` on `task`.

    - auto: the task's own, made careful for models that do not learn with it;
    - paper: Lan et al. (2020), table 14, as it stands;
    - v2: the same with what the original's README changes for its second release;
    - albert-zh: the settings of albert_zh, the rate lowered for models larger than its `tiny`;
    - own: those for data of one's own.

    Raises:
        ConfigError: There is no such recipe for the task.
    """
    known = recipe_names(task)
    if name not in known:
        raise ConfigError(
            f"task {task.name!r} has no recipe {name!r}{did_you_mean(name, known)}; it has {', '.join(known)}"
        )
    if name == "paper":
        return task.hyperparameters
    if name == "v2":
        return _second_release(task)
    if name == "own":
        return TASKS[task.kind].hyperparameters
    if task.language == "zh":
        caps = _CAPS_FOR_TINY if _is_for_tiny(task.hyperparameters) else _CHINESE_CAPS
        return _capped(task.hyperparameters, config, caps)
    if release_of(config) == "v1":
        return task.hyperparameters
    return _careful(_second_release(task), config)


def release_of(config: AlbertConfig) -> Version:
    """Return which release of the English models has such a configuration.

    The first was trained with dropout, but for `xxlarge`, which is taken for the second: its settings are the
    more careful ones.
    """
    return "v1" if config.hidden_dropout_prob > 0 else "v2"


def recipe_rows(
    recipe: Hyperparameters, *, used: Mapping[str, object] | None = None, given: Collection[str] = ()
) -> list[dict[str, object]]:
    """Return each setting of a recipe as a row: setting, value, and where the value is from.

    Args:
        recipe: The recipe.
        used: Values that are really used, by setting, such as the steps that passes over the data came to.
        given: Settings that the user gave.
    """
    values = _values(recipe) | dict(used or {})
    if used and "max_steps" in used:
        values.pop("num_epochs", None)
    if used and "warmup_steps" in used:
        values.pop("warmup_share", None)
    return [
        {"setting": name, "value": value, "source": "given" if name in given else _source(recipe, name)}
        for name, value in values.items()
    ]


def band(task: Task, config: AlbertConfig) -> Band | None:
    """Return what others have reached on `task` with such a model; None where nobody is known to have tried.

    Scores on dev, or if there are none, on test; of the first of the task's metrics that was published.
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
                    # The scores of SQuAD are percent, as its scripts give them.
                    scale=1.0 if solver_of(task).scores_are_percent else 100.0,
                )
    return None


def _values(recipe: Hyperparameters) -> dict[str, Any]:
    by_steps = recipe.max_steps is not None
    length = ("max_steps" if by_steps else "num_epochs",)
    warmup = ("warmup_steps" if by_steps and recipe.warmup_steps is not None else "warmup_share",)
    others = ("max_seq_length", "hidden_dropout_prob", "classifier_dropout_prob")
    return {
        name: getattr(recipe, name) for name in ("learning_rate", "batch_size", *length, *warmup, *others)
    }


def _source(recipe: Hyperparameters, setting: str) -> str:
    source = recipe.sources.get(setting, recipe.source)
    if setting == "max_steps" and recipe.max_steps is None:
        return f"{recipe.num_epochs:g} passes over the data; {source}"
    if setting == "warmup_steps" and (recipe.max_steps is None or recipe.warmup_steps is None):
        return f"{recipe.warmup_share:.0%} of the steps; {recipe.sources.get('warmup_share', recipe.source)}"
    return source


def _changed(recipe: Hyperparameters, source: str, **changes: Any) -> Hyperparameters:
    """Return the recipe with other numbers, each from `source`."""
    sources = MappingProxyType({**recipe.sources, **dict.fromkeys(changes, source)})
    return replace(recipe, sources=sources, **changes)


def _is_for_tiny(recipe: Hyperparameters) -> bool:
    return any(script in recipe.source for script in (CLUE_SCRIPT, LCQMC_SCRIPT))


def _second_release(task: Task) -> Hyperparameters:
    if task.name != "race":
        return task.hyperparameters
    return _changed(task.hyperparameters, _V2_RACE, learning_rate=1e-5, hidden_dropout_prob=0.0)


def _capped(recipe: Hyperparameters, config: AlbertConfig, caps: Collection[Cap]) -> Hyperparameters:
    """Return the recipe with a rate that the model stands."""
    cap = next((cap for cap in caps if config.hidden_size >= cap.hidden_size), None)
    if cap is None or recipe.learning_rate <= cap.learning_rate:
        return recipe
    return _changed(recipe, cap.source, learning_rate=cap.learning_rate)


def _careful(recipe: Hyperparameters, config: AlbertConfig) -> Hyperparameters:
    """Return the recipe for a model without dropout: wide ones do not learn with every rate and warm-up."""
    recipe = _capped(recipe, config, _ENGLISH_CAPS)
    if config.hidden_size < _WIDE:
        return recipe
    if recipe.hidden_dropout_prob:
        source = f"{README}: v2 was trained without, and RACE diverges with it"
        recipe = _changed(recipe, source, hidden_dropout_prob=0.0)
    source = "a tenth of the steps, as MNLI and SQuAD have in table 14"
    if recipe.max_steps is None or recipe.warmup_steps is None:
        if recipe.warmup_share < _WIDE_WARMUP_SHARE:
            recipe = _changed(recipe, source, warmup_share=_WIDE_WARMUP_SHARE)
    elif recipe.warmup_steps < (steps := int(recipe.max_steps * _WIDE_WARMUP_SHARE)):
        recipe = _changed(recipe, source, warmup_steps=steps)
    return recipe
