"""The curves of one or several runs as one picture: scores large, what tells of a run's health small below.

Training is a thin line, held-out data a thick one with dots. Dashed lines are what one knows without any
training (the loss of guessing) and what the paper's base model reached.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from albert.checkpoint.folder import replacing
from albert.reports.runs import Axis, LoggedRun, Points, is_number

PAPER_BASE_SHARES = {"masked_lm_accuracy": 0.540, "sentence_order_accuracy": 0.865}
"""What Lan et al. (2020) report for ALBERT base after 125 000 steps."""

AXIS_LABELS = {"steps": "steps", "tokens": "tokens", "hours": "hours of training steps"}

# Okabe and Ito's, told apart by everybody; the yellow is left out: thin lines of it vanish on white.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#5d5d5d")
_STYLES = ("-", "--", ":", "-.")
_REFERENCE = "#8a8a8a"
_COLUMNS = 4
_SMOOTH_POINTS = 200
_BY_LENGTH = re.compile(r"(?P<name>.+)_(?P<bucket>(?P<low>\d+)(?:-\d+|\+))")
# Counters, and what a panel of its own shows.
_NO_SCORES = {
    "step", "skipped", "examples", "tokens", "seconds", "perplexity", "learning_rate", "grad_norm",
    "trust_ratio_min", "trust_ratio_max", "tokens_per_second", "mfu", "padding_share", "data_wait_share",
    "memory_gb",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Health:
    """A small panel: what it shows of the training records."""

    title: str
    names: tuple[str, ...]
    """Keys; the second is drawn dotted."""
    percent: bool = False
    logarithmic: bool = False


_HEALTH = (
    _Health(title="learning rate", names=("learning_rate",)),
    _Health(title="norm of the gradients", names=("grad_norm",), logarithmic=True),
    _Health(title="trust ratios: highest, lowest (dotted)", names=("trust_ratio_max", "trust_ratio_min"),
            logarithmic=True),
    _Health(title="tokens per second", names=("tokens_per_second",)),
    _Health(title="model-FLOP utilisation", names=("mfu",), percent=True),
    _Health(title="padding left out; wait for data (dotted)", names=("padding_share", "data_wait_share"),
            percent=True),
    _Health(title="memory (GB)", names=("memory_gb",)),
)  # fmt: skip


def draw_runs(path: Path, runs: Sequence[LoggedRun], *, axis: Axis) -> bool:
    """Draws all that the logs of `runs` hold, and writes the PNG file `path`.

    Returns:
        Whether there was anything to draw; if not, nothing is written.

    Raises:
        ConfigError: The log of a run does not tell where its records are on the axis.
    """
    scores, lengths, health = score_names(runs), _length_names(runs), _health_of(runs)
    if not (scores or lengths or health):
        return False
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    large, small = math.ceil(len(scores) / 2), math.ceil((len(lengths) + len(health)) / _COLUMNS)
    # Without pyplot: no display is looked for, and no figure stays behind.
    figure = Figure(figsize=(14.0, 0.9 + 3.5 * large + 2.4 * small), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(large + small, _COLUMNS, height_ratios=[3.5] * large + [2.4] * small)
    for number, name in enumerate(scores):
        row, left = divmod(number, 2)
        width = _COLUMNS if number == len(scores) - 1 and not left else 2
        axes = figure.add_subplot(grid[row, 2 * left : 2 * left + width])
        _draw_score(axes, runs, name, axis=axis)
    places = ((large + row, column) for row in range(small) for column in range(_COLUMNS))
    for name, place in zip(lengths, places, strict=False):
        _draw_lengths(figure.add_subplot(grid[place]), runs, name)
    for panel, place in zip(health, places, strict=False):
        _draw_health(figure.add_subplot(grid[place]), runs, panel, axis=axis)
    _draw_legend(figure, runs)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")
    return True


def score_names(runs: Sequence[LoggedRun]) -> list[str]:
    """Returns the scores that any of the runs logs, losses and accuracies of a part side by side."""
    found = dict.fromkeys(
        name
        for run in runs
        for row in (*run.held_out, *run.training)
        for name, value in row.items()
        if name not in _NO_SCORES and is_number(value) and not _BY_LENGTH.fullmatch(name)
    )
    return sorted(found, key=lambda name: (not name.startswith("masked_lm"), _part(name), name[::-1]))


def words(name: str) -> str:
    """Returns a key as words: `masked_lm_loss` is masked LM loss."""
    return name.replace("_", " ").replace(" lm", " LM")


def _part(name: str) -> str:
    return re.sub(r"_?(loss|accuracy)$", "", name)


def _length_names(runs: Sequence[LoggedRun]) -> list[str]:
    """Returns the losses that are logged by length."""
    names = (name for run in runs for row in run.held_out[-1:] for name in row)
    matches = (match for name in names if (match := _BY_LENGTH.fullmatch(name)))
    return list(dict.fromkeys(match["name"] for match in matches if match["name"].endswith("loss")))


def _health_of(runs: Sequence[LoggedRun]) -> list[_Health]:
    return [
        panel for panel in _HEALTH if any(run.curve(name, "steps")[0] for run in runs for name in panel.names)
    ]


def _draw_score(axes: Any, runs: Sequence[LoggedRun], name: str, *, axis: Axis) -> None:
    """Draws one score of all runs, with what to compare it to."""
    percent = name.endswith("accuracy")
    scale = 100 if percent else 1
    for number, run in enumerate(runs):
        style = _style(number)
        xs, ys = _scaled(run.curve(name, axis), scale)
        _draw_thin(axes, xs, ys, style, crowded=len(runs) > 2)
        xs, ys = _scaled(run.curve(name, axis, held_out=True), scale)
        dots = "o" if len(xs) <= 60 else ""
        axes.plot(xs, ys, **style, linewidth=2.2, marker=dots, markersize=4, zorder=3)
        if xs and len(runs) <= 2:
            _write_last(axes, xs[-1], ys[-1], f"{ys[-1]:.1f}%" if percent else f"{ys[-1]:.3f}", style)
        _mark_events(axes, run, axis, style)
    _finish(axes, words(name), axis=axis, percent=percent)
    _draw_references(axes, _references(runs, name), scale)


def _references(runs: Sequence[LoggedRun], name: str) -> dict[str, float]:
    """Returns the values to compare a score to, by their labels."""
    if name == "sentence_order_loss":
        return {"guessing: ln 2 = 0.693": math.log(2)}
    if name == "masked_lm_loss":
        sizes = sorted({run.vocab_size for run in runs if run.vocab_size is not None})
        return {f"guessing: ln {size:,} = {math.log(size):.2f}": math.log(size) for size in sizes}
    if name in PAPER_BASE_SHARES:
        share = PAPER_BASE_SHARES[name]
        return {f"paper, base: {share:.1%}": share}
    return {}


def _draw_references(axes: Any, references: dict[str, float], scale: float) -> None:
    """Draws dashed lines; one that would squeeze the curves is only told at the upper edge."""
    low, high = axes.get_ylim()
    # Where the curves are not: losses fall away from the upper right, accuracies rise from the lower left.
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


def _draw_health(axes: Any, runs: Sequence[LoggedRun], panel: _Health, *, axis: Axis) -> None:
    """Draws one small panel."""
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
        # Within a decade or so powers of ten alone would leave an axis without numbers.
        axes.yaxis.set_minor_formatter(_short if max(values) < 15 * min(values) else "")
    else:
        axes.set_ylim(bottom=min(0.0, *values))
    _finish(axes, panel.title, axis=axis, percent=panel.percent, small=True)


def _draw_lengths(axes: Any, runs: Sequence[LoggedRun], name: str) -> None:
    """Draws the last held-out values of `name` by the length of the sequences."""
    buckets: dict[str, int] = {}
    for run in runs:
        for key in run.held_out[-1] if run.held_out else ():
            if (match := _BY_LENGTH.fullmatch(key)) and match["name"] == name:
                buckets[match["bucket"]] = int(match["low"])
    order = sorted(buckets, key=lambda bucket: buckets[bucket])
    for number, run in enumerate(runs):
        last = run.held_out[-1] if run.held_out else {}
        values = [last.get(f"{name}_{bucket}", math.nan) for bucket in order]
        axes.plot(range(len(order)), values, **_style(number), linewidth=1.6, marker="o", markersize=4)
    axes.set_xticks(range(len(order)), order, fontsize=7)
    _finish(axes, f"last held-out {words(name)}, by length", axis=None, small=True)
    axes.set_xlabel("pieces", fontsize=8)


def _draw_thin(axes: Any, xs: list[float], ys: list[float], style: dict[str, Any], *, crowded: bool) -> None:
    """Draws a training curve: a long one pale, with the means of its stretches over it."""
    window = len(xs) // _SMOOTH_POINTS
    if window < 2:
        axes.plot(xs, ys, **style, linewidth=0.9, alpha=0.8)
        return
    axes.plot(xs, ys, **style, linewidth=0.5, alpha=0.15 if crowded else 0.3)
    import numpy as np

    whole = len(xs) // window * window
    means = (np.array(values[-whole:]).reshape(-1, window).mean(axis=1) for values in (xs, ys))
    axes.plot(*means, **style, linewidth=0.9)


def _write_last(axes: Any, x: float, y: float, text: str, style: dict[str, Any]) -> None:
    axes.annotate(
        text,
        (x, y),
        xytext=(-4, 7),
        textcoords="offset points",
        ha="right",
        color=style["color"],
        fontweight="bold",
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
    )


def _mark_events(axes: Any, run: LoggedRun, axis: Axis, style: dict[str, Any]) -> None:
    """Draws a mark at the lower edge for every event."""
    places = [run.place(event["step"], axis) for event in run.events]
    transform = axes.get_xaxis_transform()
    axes.plot(
        places, [0.02] * len(places), "^", color=style["color"], markersize=6, transform=transform, zorder=3
    )


def _finish(axes: Any, title: str, *, axis: Axis | None, percent: bool = False, small: bool = False) -> None:
    """Gives a panel its title, units and frame."""
    axes.set_title(title, fontsize=9 if small else 12)
    axes.tick_params(which="both", labelsize=7 if small else 9)
    if axis is not None:
        axes.set_xlim(left=0)
        axes.set_xlabel(AXIS_LABELS[axis], fontsize=8 if small else 9)
        axes.xaxis.set_major_formatter(_short)
    if percent:
        axes.yaxis.set_major_formatter("{x:g}%")
    elif axes.get_yscale() == "linear" and axes.get_ylim()[1] >= 10_000:
        axes.yaxis.set_major_formatter(_short)
    axes.grid(axis="y", color="#e6e6e6")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_legend(figure: Any, runs: Sequence[LoggedRun]) -> None:
    """Draws, above all panels, which colour is which run and what the strokes mean."""
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
    """Returns colour and stroke of a run."""
    turn, colour = divmod(number, len(_COLOURS))
    return {"color": _COLOURS[colour], "linestyle": _STYLES[turn % len(_STYLES)]}


def _scaled(points: Points, scale: float) -> Points:
    return points[0], [scale * y for y in points[1]]


def _short(value: float, _place: object = None) -> str:
    """Returns a number of an axis: 125k."""
    for limit, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:g}{prefix}"
    return f"{value:g}"
