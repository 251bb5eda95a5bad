"""The picture of early exit: score against the share of the layers that are computed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from albert.writing import replacing


def draw_exits(path: Path, rows: Sequence[dict[str, Any]], *, metric: str) -> None:
    """Draw the rows of an exit curve to a .png or .svg file: patience, confidence, and the whole model."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    whole, *others = rows
    for kind, colour in (("patience", "#0072b2"), ("confidence", "#d55e00")):
        found = sorted(
            (row for row in others if str(row["rule"]).startswith(kind)), key=lambda row: row["mean_depth"]
        )
        share = [100 * row["layers_computed"] for row in found]
        axes.plot(share, [row[metric] for row in found], "o-", color=colour, label=kind, markersize=4)
    axes.axhline(whole[metric], color="#8a8a8a", linestyle="--", label="all layers")
    for row in others:
        if row.get("chosen"):
            place = (100 * row["layers_computed"], row[metric])
            axes.annotate(str(row["rule"]), place, textcoords="offset points", xytext=(6, -12))
    axes.set_xlabel("layers computed, % of all")
    axes.set_ylabel(metric.replace("_", " "))
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix.removeprefix("."), dpi=150)
