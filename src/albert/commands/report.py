"""`albert report`: curves, scores and speed of one or several runs, as a picture and a page."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

from tyro.conf import Positional, arg

from albert.checkpoint.folder import replacing
from albert.console import say
from albert.errors import ConfigError
from albert.reports.page import make_page
from albert.reports.panels import draw_runs, score_names
from albert.reports.runs import Axis, LoggedRun, read_runs

REPORT_FOLDER = "report"
PICTURE = "report.png"
PAGE = "report.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSettings:
    """Draw the curves of one or more runs, and compare them.

    Pretraining or fine-tuning, finished or not: a run may be looked at while it trains.
    """

    runs: Positional[Annotated[tuple[Path, ...], arg(metavar="RUN [RUN ...]")]]
    """Folders of the runs."""
    output: Path | None = None
    """Folder for report.png and report.html; report/ in the first run if not given."""
    x: Axis = "steps"
    """What curves are drawn over: steps, tokens, or hours of training steps (without evaluations)."""

    def __post_init__(self) -> None:
        if not self.runs:
            raise ConfigError("no run was given; expected folders: albert report RUN [RUN ...]")


def report(settings: ReportSettings) -> list[dict[str, Any]]:
    """Writes the picture and the page, and returns a row for each run.

    Raises:
        RunError: A folder holds no run.
        ConfigError: The log of a run does not hold what the axis needs, or the output is no folder.
    """
    runs = read_runs(settings.runs)
    output = settings.output or settings.runs[0] / REPORT_FOLDER
    if output.exists() and not output.is_dir():
        raise ConfigError(f"--output {output}: is a file; expected a folder")
    output.mkdir(parents=True, exist_ok=True)
    rows = summaries(runs)
    picture, page = output / PICTURE, output / PAGE
    drawn = draw_runs(picture, runs, axis=settings.x)
    if not drawn:
        # One of an earlier report would seem to belong to this one.
        picture.unlink(missing_ok=True)
    text = make_page(
        runs, rows, curves=picture.read_bytes() if drawn else None, differing=differing_settings(runs)
    )
    with replacing(page) as temporary:
        temporary.write_text(text, encoding="utf-8")
    say(f"wrote {page} and {picture}" if drawn else f"wrote {page}; no run has records yet: nothing to draw")
    return rows


def summaries(runs: Sequence[LoggedRun]) -> list[dict[str, Any]]:
    """Returns state, speed and last scores of each run, as far as its log tells them.

    Scores are the last on held-out data, or of training where a run has no other.
    """
    names = [*score_names(runs), "perplexity"]
    rows = [{**_progress(run), **{name: _last(run, name) for name in names}} for run in runs]
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


def differing_settings(runs: Sequence[LoggedRun]) -> dict[str, list[Any]]:
    """Returns the settings, inputs and versions that differ, with the value of each run.

    Where a run was written is no difference.
    """
    every = [run.settings() for run in runs]
    names = dict.fromkeys(name for settings in every for name in settings if name != "output")
    values = {name: [settings.get(name) for settings in every] for name in names}
    return {name: row for name, row in values.items() if any(value != row[0] for value in row)}


def _progress(run: LoggedRun) -> dict[str, Any]:
    speeds, shares = run.numbers("tokens_per_second"), run.numbers("mfu")
    return {
        "run": run.title,
        "state": run.state,
        "step": run.step,
        "max_steps": run.max_steps,
        "tokens_per_second": round(median(speeds)) if speeds else None,
        "mfu": median(shares) if shares else None,
        "skipped": int(sum(run.numbers("skipped"))),
        "events": len(run.events),
        "scores": "held out" if run.held_out else "training" if run.training else None,
    }


def _last(run: LoggedRun, name: str) -> float | None:
    """Returns the last value of a score: on held-out data, or of training where there is no other."""
    values = run.curve(name, "steps", held_out=bool(run.held_out))[1]
    return values[-1] if values else None
