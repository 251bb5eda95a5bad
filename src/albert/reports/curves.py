"""Curves of runs as a picture: the runs of `albert report` side by side, the stages of a demo end to end.

Training is a thin line, held-out data a thick one with dots. Dashed lines are what guessing gives and what
the paper's base model reached. In a report, scores have large panels; speed, norms and memory have small ones
below.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from albert.choices import Axis
from albert.config import PUBLISHED_VOCAB_SIZE
from albert.reports.runs import BY_LENGTH, LoggedRun, Points, score_names, words
from albert.writing import replacing

PAPER_BASE_SHARES = {"masked_lm_accuracy": 0.540, "sentence_order_accuracy": 0.865}
"""What Lan et al. (2020) report for ALBERT base after 125 000 steps."""

_AXIS_LABELS: dict[Axis, str] = {"steps": "steps", "tokens": "tokens", "hours": "hours of training steps"}

# Okabe and Ito's palette for colour-blind readers, without yellow: thin yellow lines vanish on white.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#5d5d5d")
_STYLES = ("-", "--", ":", "-.")
_REFERENCE = "#8a8a8a"
_COLUMNS = 4
_SMOOTH_POINTS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class _SmallPanel:
    """A small panel of values from the training records."""

    title: str
    names: tuple[str, ...]
    """Keys in the log; the second is drawn dotted."""
    percent: bool = False
    logarithmic: bool = False


_SMALL_PANELS = (
    _SmallPanel(title="learning rate", names=("learning_rate",)),
    _SmallPanel(title="gradient norm", names=("grad_norm",), logarithmic=True),
    _SmallPanel(title="trust ratios: highest, lowest (dotted)", names=("trust_ratio_max", "trust_ratio_min"),
                logarithmic=True),
    _SmallPanel(title="tokens per second", names=("tokens_per_second",)),
    _SmallPanel(title="model-FLOP utilisation", names=("mfu",), percent=True),
    _SmallPanel(title="padding avoided; waiting for data (dotted)",
                names=("padding_share", "data_wait_share"), percent=True),
    _SmallPanel(title="memory (GB)", names=("memory_gb",)),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedStage:
    """One run of several that continue each other and are drawn as one curve."""

    title: str
    """How it differs from the stage before, such as its number of layers."""
    steps: int
    """Its number of steps when finished."""
    records: Sequence[dict[str, Any]]
    """Its log: training records, and evaluations under `held_out`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baselines:
    """Accuracies of guessing, as shares."""

    masked_lm: float
    """Always predicting the most frequent token."""
    sentence_order: float
    """Tossing a coin."""


def draw_runs(path: Path, runs: Sequence[LoggedRun], *, axis: Axis) -> bool:
    """Draw everything in the logs of `runs`, and write the PNG file `path`.

    Returns:
        Whether there was anything to draw; if not, nothing is written.

    Raises:
        ConfigError: The log of a run lacks what the axis needs.
    """
    scores, lengths, panels = score_names(runs), _length_names(runs), _panels_of(runs)
    if not (scores or lengths or panels):
        return False
    large, small = math.ceil(len(scores) / 2), math.ceil((len(lengths) + len(panels)) / _COLUMNS)
    figure = _new_figure(14.0, 0.9 + 3.5 * large + 2.4 * small)
    grid = figure.add_gridspec(large + small, _COLUMNS, height_ratios=[3.5] * large + [2.4] * small)
    for number, name in enumerate(scores):
        row, left = divmod(number, 2)
        width = _COLUMNS if number == len(scores) - 1 and not left else 2
        axes = figure.add_subplot(grid[row, 2 * left : 2 * left + width])
        _draw_score(axes, runs, name, axis=axis)
    places = ((large + row, column) for row in range(small) for column in range(_COLUMNS))
    for name, place in zip(lengths, places, strict=False):
        _draw_lengths(figure.add_subplot(grid[place]), runs, name)
    for panel, place in zip(panels, places, strict=False):
        _draw_small_panel(figure.add_subplot(grid[place]), runs, panel, axis=axis)
    _draw_legend(figure, runs)
    _save(figure, path)
    return True


def draw_stages(path: Path, stages: Sequence[LoggedStage], baselines: Baselines) -> None:
    """Draw accuracies and losses of `stages`, one after the other, and write the PNG file `path`."""
    figure = _new_figure(12.5, 4.0)
    *accuracies, losses = figure.subplots(1, 3)
    for axes, name, guess, label in (
        (accuracies[0], "masked_lm_accuracy", baselines.masked_lm, "most frequent token"),
        (accuracies[1], "sentence_order_accuracy", baselines.sentence_order, "coin"),
    ):
        _draw_with_last(axes, _scaled(held_out_points(stages, name), 100), percent=True)
        _finish(axes, words(name), axis="steps", percent=True)
        _draw_references(axes, {f"{label}: {guess:.1%}": guess}, 100)
    xs, ys = _joined_points(stages, lambda record: record.get("masked_lm_loss"))
    _draw_thin(losses, xs, ys, _style(0), crowded=False)
    _draw_with_last(losses, held_out_points(stages, "masked_lm_loss"))
    _finish(losses, "masked LM loss in nats (thin: training)", axis="steps")
    for axes in (*accuracies, losses):
        _mark_stages(axes, stages)
    _save(figure, path)


def held_out_points(stages: Iterable[LoggedStage], name: str) -> Points:
    """Return the steps, counted over all stages, and the held-out values `name` there."""
    return _joined_points(stages, lambda record: record.get("held_out", {}).get(name))


def _new_figure(width: float, height: float) -> Any:
    """Return a figure without pyplot, which would look for a display and keep the figure in memory."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Any, path: Path) -> None:
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")


def _length_names(runs: Sequence[LoggedRun]) -> list[str]:
    """Return the losses that are logged by sequence length."""
    names = (name for run in runs for row in run.held_out[-1:] for name in row)
    matches = (match for name in names if (match := BY_LENGTH.fullmatch(name)))
    return list(dict.fromkeys(match["name"] for match in matches if match["name"].endswith("loss")))


def _panels_of(runs: Sequence[LoggedRun]) -> list[_SmallPanel]:
    return [
        panel
        for panel in _SMALL_PANELS
        if any(run.curve(name, "steps")[0] for run in runs for name in panel.names)
    ]


def _draw_score(axes: Any, runs: Sequence[LoggedRun], name: str, *, axis: Axis) -> None:
    """Draw one score of all runs with its references."""
    percent = name.endswith("accuracy")
    scale = 100 if percent else 1
    for number, run in enumerate(runs):
        style = _style(number)
        xs, ys = _scaled(run.curve(name, axis), scale)
        _draw_thin(axes, xs, ys, style, crowded=len(runs) > 2)
        points = _scaled(run.curve(name, axis, held_out=True), scale)
        chosen = run.position(run.selected["step"], axis) if run.selected and len(runs) <= 2 else None
        _draw_held_out(axes, points, style, percent=percent, named=chosen)
        _mark_events(axes, run, axis, style)
    _finish(axes, words(name), axis=axis, percent=percent)
    _draw_references(axes, _references(runs, name), scale)


def _references(runs: Sequence[LoggedRun], name: str) -> dict[str, float]:
    """Return the values to compare a score with, by label."""
    if name == "sentence_order_loss":
        return {"guessing: ln 2 = 0.693": math.log(2)}
    if name == "masked_lm_loss":
        sizes = sorted({run.vocab_size for run in runs if run.vocab_size is not None})
        return {f"guessing: ln {size:,} = {math.log(size):.2f}": math.log(size) for size in sizes}
    if name in PAPER_BASE_SHARES and all(_is_like_the_paper(run) for run in runs):
        share = PAPER_BASE_SHARES[name]
        return {f"paper, base: {share:.1%}": share}
    return {}


def _is_like_the_paper(run: LoggedRun) -> bool:
    """Whether the paper's accuracies say something about the run: as many tokens, the same kind of loss."""
    return run.vocab_size == PUBLISHED_VOCAB_SIZE and run.settings().get("sentence_loss") not in (
        "nsp",
        "none",
    )


def _draw_references(axes: Any, references: dict[str, float], scale: float) -> None:
    """Draw dashed lines; a value so high that it would flatten the curves is only written at the top."""
    low, high = axes.get_ylim()
    # Where there is room: losses leave the upper right free, accuracies the upper left.
    x, side = (0.99, "right") if scale == 1 else (0.01, "left")
    for label, value in references.items():
        far = scale == 1 and value > high + (high - low)
        y = high if far else scale * value
        if not far:
            axes.axhline(y, color=_REFERENCE, linestyle=(0, (5, 3)), linewidth=1.2, zorder=1)
        axes.annotate(
            f"{label} (far above)" if far else label,
            (x, y),
            xycoords=("axes fraction", "data"),
            xytext=(0, -10 if far else 3),
            textcoords="offset points",
            ha=side,
            fontsize=8,
            color=_REFERENCE,
        )


def _draw_small_panel(axes: Any, runs: Sequence[LoggedRun], panel: _SmallPanel, *, axis: Axis) -> None:
    """Draw one small panel."""
    values: list[float] = []
    for number, run in enumerate(runs):
        for order, name in enumerate(panel.names):
            style = {**_style(number), **({"linestyle": ":"} if order else {})}
            xs, ys = _scaled(run.curve(name, axis), 100 if panel.percent else 1)
            _draw_thin(axes, xs, ys, style, crowded=len(runs) > 2)
            values += ys
    if panel.logarithmic and min(values) > 0:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(_short)
        # An axis that spans about one decade would have no numbers if only powers of ten had some.
        axes.yaxis.set_minor_formatter(_short if max(values) < 15 * min(values) else "")
    else:
        axes.set_ylim(bottom=min(0.0, *values))
    _finish(axes, panel.title, axis=axis, percent=panel.percent, small=True)


def _draw_lengths(axes: Any, runs: Sequence[LoggedRun], name: str) -> None:
    """Draw the last held-out values of `name` by sequence length."""
    buckets: dict[str, int] = {}
    for run in runs:
        for key in run.held_out[-1] if run.held_out else ():
            if (match := BY_LENGTH.fullmatch(key)) and match["name"] == name:
                buckets[match["bucket"]] = int(match["low"])
    order = sorted(buckets, key=lambda bucket: buckets[bucket])
    for number, run in enumerate(runs):
        last = run.held_out[-1] if run.held_out else {}
        values = [last.get(f"{name}_{bucket}", math.nan) for bucket in order]
        axes.plot(range(len(order)), values, **_style(number), linewidth=1.6, marker="o", markersize=4)
    axes.set_xticks(range(len(order)), order, fontsize=7)
    _finish(axes, f"last held-out {words(name)}, by length", axis=None, small=True)
    axes.set_xlabel("tokens", fontsize=8)


def _draw_thin(axes: Any, xs: list[float], ys: list[float], style: dict[str, Any], *, crowded: bool) -> None:
    """Draw a training curve; a long one is pale, with the means of equal stretches on top."""
    window = len(xs) // _SMOOTH_POINTS
    if window < 2:
        axes.plot(xs, ys, **style, linewidth=0.9, alpha=0.8)
        return
    axes.plot(xs, ys, **style, linewidth=0.5, alpha=0.15 if crowded else 0.3)
    import numpy as np

    whole = len(xs) // window * window
    means = (np.array(values[-whole:]).reshape(-1, window).mean(axis=1) for values in (xs, ys))
    axes.plot(*means, **style, linewidth=0.9)


def _draw_held_out(
    axes: Any, points: Points, style: dict[str, Any], *, percent: bool = False, named: float | None = None
) -> None:
    """Draw a held-out curve; write its value at the position `named`, if there is one."""
    xs, ys = points
    dots = "o" if len(xs) <= 60 else ""
    axes.plot(xs, ys, **style, linewidth=2.2, marker=dots, markersize=4, zorder=3)
    if named not in xs:
        return
    x, y = next((x, y) for x, y in zip(xs, ys, strict=True) if x == named)
    axes.annotate(
        f"{y:.1f}%" if percent else f"{y:.3f}",
        (x, y),
        xytext=(-4, 7),
        textcoords="offset points",
        ha="right",
        color=style["color"],
        fontweight="bold",
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
    )


def _draw_with_last(axes: Any, points: Points, *, percent: bool = False) -> None:
    """Draw a held-out curve with its last value."""
    _draw_held_out(axes, points, _style(0), percent=percent, named=points[0][-1] if points[0] else None)


def _mark_events(axes: Any, run: LoggedRun, axis: Axis, style: dict[str, Any]) -> None:
    """Mark every event at the lower edge."""
    places = [run.position(event["step"], axis) for event in run.events]
    transform = axes.get_xaxis_transform()
    axes.plot(
        places, [0.02] * len(places), "^", color=style["color"], markersize=6, transform=transform, zorder=3
    )


def _joined_points(stages: Iterable[LoggedStage], value_of: Callable[[dict[str, Any]], Any]) -> Points:
    """Return the points of all stages, each shifted by the steps of the stages before it."""
    steps: list[float] = []
    values: list[float] = []
    done = 0
    for stage in stages:
        for record in stage.records:
            value = value_of(record)
            if value is not None:
                steps.append(done + record["step"])
                values.append(value)
        done += stage.steps
    return steps, values


def _mark_stages(axes: Any, stages: Sequence[LoggedStage]) -> None:
    """Draw a line and a title where each stage starts."""
    start = 0
    for stage in stages:
        if start:
            axes.axvline(start, color=_REFERENCE, linestyle=":", linewidth=1)
        if len(stages) > 1:
            place = {"xycoords": ("data", "axes fraction"), "xytext": (3, -10)}
            axes.annotate(
                stage.title, (start, 1.0), **place, textcoords="offset points", fontsize=7, color=_REFERENCE
            )
        start += stage.steps
    axes.set_xlim(0, start)


def _finish(axes: Any, title: str, *, axis: Axis | None, percent: bool = False, small: bool = False) -> None:
    """Give a panel its title, units and frame."""
    axes.set_title(title, fontsize=9 if small else 12)
    axes.tick_params(which="both", labelsize=7 if small else 9)
    if axis is not None:
        axes.set_xlim(left=0)
        axes.set_xlabel(_AXIS_LABELS[axis], fontsize=8 if small else 9)
        axes.xaxis.set_major_formatter(_short)
    if percent:
        axes.yaxis.set_major_formatter("{x:g}%")
    elif axes.get_yscale() == "linear" and axes.get_ylim()[1] >= 10_000:
        axes.yaxis.set_major_formatter(_short)
    axes.grid(axis="y", color="#e6e6e6")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_legend(figure: Any, runs: Sequence[LoggedRun]) -> None:
    """Draw the legend above all panels: the colour of each run, and what the lines mean."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], **_style(number), linewidth=2.2) for number in range(len(runs))]
    labels = [_caption(run) for run in runs]
    strokes: list[tuple[Any, str]] = [
        (Line2D([], [], color="black", linewidth=0.9), "training"),
        (Line2D([], [], color="black", linewidth=2.2, marker="o", markersize=4), "held out"),
    ]
    if any(run.events for run in runs):
        strokes.append((Line2D([], [], color="black", linestyle="", marker="^"), "event"))
    figure.legend(
        [*handles, *(handle for handle, _ in strokes)],
        [*labels, *(label for _, label in strokes)],
        loc="outside upper center",
        ncols=min(5, len(handles) + len(strokes)),
        frameon=False,
    )


def _caption(run: LoggedRun) -> str:
    if not run.step:
        return f"{run.title} ({run.state})"
    of = f" of {run.max_steps:,}" if run.max_steps and run.max_steps != run.step else ""
    return f"{run.title} ({run.step:,}{of} steps)"


def _style(number: int) -> dict[str, Any]:
    """Return the colour and line style of run `number`."""
    turn, colour = divmod(number, len(_COLOURS))
    return {"color": _COLOURS[colour], "linestyle": _STYLES[turn % len(_STYLES)]}


def _scaled(points: Points, scale: float) -> Points:
    return points[0], [scale * y for y in points[1]]


def _short(value: float, _place: object = None) -> str:
    """Return a number for an axis, such as 125k."""
    for limit, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:g}{prefix}"
    return f"{value:g}"
