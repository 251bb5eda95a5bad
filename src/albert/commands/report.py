"""`albert report`: curves, scores and speed of one or several runs, as a picture and an HTML page."""

from collections.abc import Sequence
from statistics import median
from typing import Any

from albert.commands.following import embedding, finetuning, prediction
from albert.commands.settings.report import ReportSettings
from albert.console import Rows, say
from albert.errors import ConfigError
from albert.reports.curves import draw_runs
from albert.reports.page import make_page
from albert.reports.runs import LoggedRun, is_number, read_runs, score_names
from albert.writing import replacing

__all__ = ["ReportSettings", "report"]

REPORT_FOLDER = "report"
PICTURE = "report.png"
PAGE = "report.html"


def report(settings: ReportSettings) -> Rows:
    """Write the picture and the page; return a row for each run.

    Raises:
        RunError: A folder is not a run.
        ConfigError: The log of a run lacks what the axis needs, or the output is a file.
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
        # The picture of an earlier report would seem to belong to this one.
        picture.unlink(missing_ok=True)
    text = make_page(
        runs, rows, curves=picture.read_bytes() if drawn else None, differing=differing_settings(runs)
    )
    with replacing(page) as temporary:
        temporary.write_text(text, encoding="utf-8")
    say(
        f"wrote {page} and {picture}"
        if drawn
        else f"wrote {page}; no run has records yet, so there are no curves"
    )
    return Rows(rows, next=_following(runs[0]))


def _following(run: LoggedRun) -> str | None:
    """Return the command that uses the model of a run; None if the run has not finished."""
    model = run.record.get("result", {}).get("model")
    if model is None:
        return None
    following = {"finetune": prediction, "distill": embedding}.get(run.record.get("command", ""), finetuning)
    return following(model)


def summaries(runs: Sequence[LoggedRun]) -> list[dict[str, Any]]:
    """Return state, speed and scores of each run, as far as its log has them.

    Scores are those of the model that is the run's result, or the last of training if there is no evaluation.
    """
    names = [*score_names(runs), "perplexity"]
    rows = [{**_progress(run), **{name: _score(run, name) for name in names}} for run in runs]
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


def differing_settings(runs: Sequence[LoggedRun]) -> dict[str, list[Any]]:
    """Return the settings, inputs and versions that differ, with the value in each run.

    The output folder does not count.
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


def _score(run: LoggedRun, name: str) -> float | None:
    """Return a score: held out, of the selected model, or the last of training if there is no evaluation."""
    if run.held_out:
        value = run.selected.get(name)
        return value if is_number(value) else None
    values = run.numbers(name)
    return values[-1] if values else None
