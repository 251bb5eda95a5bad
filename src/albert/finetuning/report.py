"""The page on one fine-tuning: scores beside published ones and earlier runs, curves, confusions, errors.

Written to `RUN/report.html` when a run is finished. Everything is taken from the run's folder and the model
that is its result, so that a resumed run gets the same page as an unbroken one.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from albert.checkpoint.folder import replacing
from albert.checkpoint.layout import LOG_FILE, RUN_FILE
from albert.finetuning.plan import DevSet, Plan
from albert.reports.html import page, picture, quiet, table
from albert.reports.panels import draw_runs, words
from albert.reports.runs import read_runs
from albert.tasks.published import band
from albert.tasks.solver import read_trained
from albert.training.runs import Run
from albert.training.settings import find_device

PAGE = "report.html"
WORST_EXAMPLES = 20
MOST_LABELS = 40
"""Labels up to which a table of confusions can be read."""


def write_report(plan: Plan, run: Run, result: dict[str, Any]) -> Path:
    """Writes the page of a finished run and returns where it is."""
    parts = ["<h2>Result</h2>", _scores(plan, result), _published(plan, result), *_curves(run)]
    if plan.dev is not None and run.best.is_dir():
        parts += _on_dev(plan, plan.dev, run.best)
    parts += ["<h2>Runs of this task beside it</h2>", _neighbours(plan, run)]
    parts += ["<h2>Recipe</h2>", _recipe(plan)]
    path = run.folder / PAGE
    with replacing(path) as temporary:
        temporary.write_text(page(f"Fine-tuning on {plan.task.title}", parts), encoding="utf-8")
    return path


def _scores(plan: Plan, result: dict[str, Any]) -> str:
    evaluations = {name: result[name] for name in ("best", "last") if name in result}
    if not evaluations:
        return quiet("There were no dev examples, so nothing was evaluated.")
    names = list(dict.fromkeys(name for scores in evaluations.values() for name in scores))
    rows = [[which, *(scores.get(name) for name in names)] for which, scores in evaluations.items()]
    return table(["evaluation", *names], rows) + quiet(
        f"The result is {result['selection']}; {plan.task.best_metric} decides."
    )


def _published(plan: Plan, result: dict[str, Any]) -> str:
    """Returns what others report for the task and a model of this size."""
    found = band(plan.task, plan.config)
    if found is None:
        return quiet("No published score is known for this task and a model of this size.")
    ours = result.get(found.metric, result.get("best", {}).get(found.metric))
    return table(
        ["published for", "score", "from", "to", "this run", "source"],
        [[found.model, found.metric, found.low, found.high, ours, found.source]],
    )


def _curves(run: Run) -> list[str]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "curves.png"
        if not draw_runs(path, read_runs([run.folder]), axis="steps"):
            return []
        return ["<h2>Curves</h2>", picture(path.read_bytes(), alt="Curves of the run")]


def _on_dev(plan: Plan, dev: DevSet, folder: Path) -> list[str]:
    """Returns confusions and worst examples of the best model."""
    task, solver = plan.task, plan.solver
    model, _ = read_trained(solver, folder)
    answers = solver.answers(task, model.to(find_device(plan.loop.device)), dev.examples, dev.features)
    records = list(solver.records(task, dev.examples, answers))
    shown = [solver.shown(task, example) for example in dev.examples]
    parts = []
    if task.kind == "classification" and len(task.labels) <= MOST_LABELS:
        pairs = [(said["label"], record["label"]) for said, record in zip(shown, records, strict=True)]
        parts += ["<h2>Which label was taken for which</h2>", _confusions(task.labels, pairs)]
    losses = solver.losses(task, dev.examples, answers)
    worst = np.argsort(-losses, kind="stable")[:WORST_EXAMPLES]
    rows = [{**shown[i], **_answer(records[i]), "loss": float(losses[i])} for i in worst if losses[i] > 0]
    return [*parts, "<h2>Worst answers on dev</h2>", _examples(rows)]


def _confusions(labels: Sequence[str], pairs: Sequence[tuple[str, str]]) -> str:
    counts = {label: dict.fromkeys(labels, 0) for label in labels}
    for right, said in pairs:
        counts[right][said] += 1
    rows = [
        [
            right,
            *counts[right].values(),
            _share(counts[right][right], sum(counts[right].values())),
            _share(counts[right][right], sum(row[right] for row in counts.values())),
        ]
        for right in labels
    ]
    return table(["right label", *(f"said {label}" for label in labels), "recall", "precision"], rows)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _answer(record: dict[str, Any]) -> dict[str, Any]:
    """Returns the plain values of a record, with `said` for its label."""
    plain = {name: value for name, value in record.items() if isinstance(value, str | int | float)}
    return {("said" if name == "label" else name): value for name, value in plain.items()}


def _examples(rows: Sequence[dict[str, Any]]) -> str:
    if not rows:
        return quiet("None.")
    names = list(dict.fromkeys(name for row in rows for name in row))
    return table(names, [[row.get(name) for name in names] for row in rows])


def _neighbours(plan: Plan, run: Run) -> str:
    """Returns the scores of other finished runs of the task in the folder that holds this one."""
    metric = plan.task.best_metric
    rows = []
    # Model folders have a run.json, too, but no log.
    logs = run.folder.resolve().parent.glob(f"*/{LOG_FILE}")
    others = [path.parent for path in logs if path.with_name(RUN_FILE).is_file()]
    for other in read_runs(sorted(folder for folder in others if folder != run.folder.resolve())):
        found = other.record.get("result") or {}
        if found.get("task") == plan.task.name and metric in found:
            settings = other.settings()
            rows.append([other.title, found[metric], settings.get("learning_rate"), settings.get("seed")])
    return table(["run", metric, "learning rate", "seed"], rows) if rows else quiet("None.")


def _recipe(plan: Plan) -> str:
    rows = [[words(str(row["setting"])), row["value"], row["source"]] for row in plan.rows]
    return table(["setting", "value", "source"], rows)
