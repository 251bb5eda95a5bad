"""Learning curves as a picture: held-out accuracies against what guessing gives, and the loss.

Takes the records of `log.jsonl`, of one pretraining run or of several that continue each other.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from albert.checkpoint.folder import replacing

_OURS, _TRAINING, _GUESS, _QUIET = "#1f5fa8", "#a9c6e8", "#c0392b", "#8a8a8a"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One run of those that are drawn as one line."""

    title: str
    """What is new about it, such as its number of layers."""
    steps: int
    """Its length when finished."""
    records: Sequence[dict[str, Any]]
    """Its log: training records, and evaluations under `held_out`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baselines:
    """What is right without any learning, as shares."""

    masked_lm: float
    """Naming the most frequent piece every time."""
    sentence_order: float
    """Tossing a coin."""


def draw_curves(path: Path, legs: Sequence[Leg], baselines: Baselines) -> None:
    """Draws the accuracies and the losses of `legs`, joined, and writes the PNG file `path`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Without pyplot: no display is looked for, and no figure stays behind.
    figure = Figure(figsize=(12.5, 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3)
    _draw_accuracy(left, legs, name="masked_lm", guess=baselines.masked_lm, of="most frequent piece")
    left.set_title("Masked pieces named right")
    _draw_accuracy(middle, legs, name="sentence_order", guess=baselines.sentence_order, of="coin")
    middle.set_title("Sentence order told right")
    _draw_losses(right, legs)
    right.set_title("Masked LM loss (nats)")
    for axes in (left, middle, right):
        _mark_legs(axes, legs)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=130, format="png")


def held_out_points(legs: Iterable[Leg], name: str) -> tuple[list[int], list[float]]:
    """Returns the joined steps and the held-out values `name` of all legs."""
    return _points(legs, lambda record: record.get("held_out", {}).get(name))


def _points(legs: Iterable[Leg], value_of: Any) -> tuple[list[int], list[float]]:
    steps: list[int] = []
    values: list[float] = []
    done = 0
    for leg in legs:
        for record in leg.records:
            value = value_of(record)
            if value is not None:
                steps.append(done + record["step"])
                values.append(value)
        done += leg.steps
    return steps, values


def _draw_accuracy(axes: Any, legs: Sequence[Leg], *, name: str, guess: float, of: str) -> None:
    """Draws one held-out accuracy in percent, with its baseline as a dashed line."""
    steps, values = held_out_points(legs, f"{name}_accuracy")
    percent = [100 * value for value in values]
    axes.plot(steps, percent, color=_OURS, marker="o", markersize=3.5, linewidth=1.8, clip_on=False)
    axes.axhline(100 * guess, color=_GUESS, linestyle="--", linewidth=1.2)
    axes.annotate(
        f"{of}: {guess:.1%}",
        (0.98, 100 * guess),
        xycoords=("axes fraction", "data"),
        xytext=(0, 4),
        textcoords="offset points",
        ha="right",
        color=_GUESS,
    )
    if percent:
        axes.annotate(
            f"{percent[-1]:.1f}%",
            (steps[-1], percent[-1]),
            xytext=(-4, 6),
            textcoords="offset points",
            ha="right",
            color=_OURS,
            fontweight="bold",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
        )
    lowest, highest = min([100 * guess, *percent]), max([100 * guess, *percent])
    room = max(1.0, highest - lowest)
    axes.set_ylim(max(0.0, lowest - 0.12 * room), highest + 0.15 * room)
    axes.yaxis.set_major_formatter("{x:g}%")


def _draw_losses(axes: Any, legs: Sequence[Leg]) -> None:
    """Draws the masked LM loss in training and on held-out text."""
    steps, values = _points(legs, lambda record: record.get("masked_lm_loss"))
    axes.plot(steps, values, color=_TRAINING, linewidth=0.9, label="training")
    steps, values = held_out_points(legs, "masked_lm_loss")
    axes.plot(
        steps, values, color=_OURS, marker="o", markersize=3.5, linewidth=1.8, clip_on=False, label="held out"
    )
    axes.legend(frameon=False)


def _mark_legs(axes: Any, legs: Sequence[Leg]) -> None:
    """Draws the frame: a line where a leg begins, its title on top, the steps below."""
    begin = 0
    for leg in legs:
        if begin:
            axes.axvline(begin, color=_QUIET, linestyle=":", linewidth=1)
        if len(legs) > 1:
            axes.annotate(
                leg.title,
                (begin, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(3, -10),
                textcoords="offset points",
                fontsize=7,
                color=_QUIET,
            )
        begin += leg.steps
    axes.set_xlim(0, begin)
    axes.set_xlabel("steps")
    axes.grid(axis="y", color="#e6e6e6")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
