"""The report on a fine-tuning: scores, published ones and earlier runs for comparison, curves, errors.

Written to `RUN/report.html` when a run is finished. Everything comes from the run's folder and its best
model, so a resumed run gets the same report as an uninterrupted one.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from albert.checkpoint.layout import LOG_FILE, RUN_FILE
from albert.console import UNWRITABLE
from albert.finetuning.plan import DevSet, Plan
from albert.finetuning.settings_table import NOT_SET
from albert.inference.opening import open_model
from albert.reports.curves import draw_runs
from albert.reports.html import caution, folded, headline, page, picture, quiet, table
from albert.reports.runs import read_runs, words
from albert.tasks.published import band
from albert.training.runs import Run
from albert.writing import replacing

PAGE = "report.html"
WORST_EXAMPLES = 20
MOST_LABELS = 40
"""Largest number of labels for which the table of confusions is readable."""


def write_report(plan: Plan, run: Run, result: dict[str, Any]) -> Path:
    """Write the report of a finished run; return its path.

    First comes what everybody wants to know; curves and settings are folded away at the end.
    """
    parts = [*_headline(plan, result), _scores(plan, result)]
    if plan.cuts:
        parts += _cut_texts(plan)
    if plan.dev is not None and result.get("best"):
        parts += _on_dev(plan, plan.dev, Path(result["model"]))
    parts += ["<h2>Published scores</h2>", _published(plan, result)]
    parts += ["<h2>Other runs of this task</h2>", _neighbours(plan, run)]
    if plan.notes:
        parts += ["<h2>Notes on the data</h2>", *map(quiet, plan.notes)]
    parts.append(folded("Curves of the training", _curves(run)))
    parts.append(folded("Settings and lengths", _hyperparameters(plan) + _lengths(plan)))
    path = run.folder / PAGE
    with replacing(path) as temporary:
        temporary.write_text(
            page(f"Fine-tuning on {plan.task.title}", parts), encoding="utf-8", errors=UNWRITABLE
        )
    return path


def _headline(plan: Plan, result: dict[str, Any]) -> list[str]:
    """Return the result in a sentence, beside what guessing reaches, and the doubt about it if any."""
    metric = plan.task.best_metric
    if metric not in result or plan.dev is None:
        return [quiet("There were no dev examples, so nothing was evaluated.")]
    sizes = f"{len(plan.dev.examples):,} dev examples, learnt from {plan.num_examples:,}"
    sentence = f"{words(metric).capitalize()} {result[metric]:.4g} on {sizes}."
    if plan.baseline is not None:
        sentence += f" Guessing without the texts reaches {plan.baseline:.4g}."
    return [headline(sentence), *([caution(result["doubt"])] if "doubt" in result else [])]


def _scores(plan: Plan, result: dict[str, Any]) -> str:
    evaluations = {name: result[name] for name in ("best", "last") if name in result}
    if not evaluations:
        return ""
    rows = {f"{name} evaluation": scores for name, scores in evaluations.items()}
    if plan.baseline is not None:
        rows["guessing"] = {plan.task.best_metric: plan.baseline}
    names = list(dict.fromkeys(name for scores in rows.values() for name in scores))
    cells = [[which, *(scores.get(name) for name in names)] for which, scores in rows.items()]
    return table(["", *map(words, names)], cells) + quiet(
        f"The result is {result['selection']}; {words(plan.task.best_metric)} decides. Its model is in "
        f"{Path(result['model']).name}/."
    )


def _cut_texts(plan: Plan) -> list[str]:
    """Return a remark for each split of which texts were cut."""
    return [caution(f"{split}: {cuts}.") for split, cuts in plan.cuts.items() if cuts.cut]


def _published(plan: Plan, result: dict[str, Any]) -> str:
    """Return the published scores for the task and a model of this size."""
    found = band(plan.task, plan.config)
    if found is None:
        return quiet("No published score is known for this task and a model of this size.")
    ours = result.get(found.metric, result.get("best", {}).get(found.metric))
    return table(
        ["published for", "score", "from", "to", "this run", "source"],
        [[found.model, found.metric, found.low, found.high, ours, found.source]],
    )


def _curves(run: Run) -> str:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "curves.png"
        if not draw_runs(path, read_runs([run.folder]), axis="steps"):
            return quiet("There are no curves.")
        return picture(path.read_bytes(), alt="Curves of the run")


def _on_dev(plan: Plan, dev: DevSet, folder: Path) -> list[str]:
    """Return the confusions and the worst predictions of the selected model."""
    task, solver = plan.task, plan.solver
    model, _ = open_model(folder, solver.model_classes(), device=plan.loop.device, trained_by=task.name)
    predictions = solver.predict(task, model, dev.examples, dev.features)
    records = list(solver.records(task, dev.examples, predictions))
    shown = [solver.shown(task, example) for example in dev.examples]
    parts = []
    pairs = solver.label_pairs(task, dev.examples, predictions)
    if pairs and len(task.labels) <= MOST_LABELS:
        parts += ["<h2>Confusions of labels</h2>", _confusions(task.labels, pairs)]
    losses = solver.losses(task, dev.examples, predictions)
    is_wrong = [right != predicted for right, predicted in pairs] if pairs else (losses > 0).tolist()
    worst = [i for i in np.argsort(-losses, kind="stable") if is_wrong[i]][:WORST_EXAMPLES]
    rows = [{**shown[i], **_prediction(records[i]), "loss": float(losses[i])} for i in worst]
    return [*parts, "<h2>Wrong predictions on dev, the worst first</h2>", _examples(rows)]


def _confusions(labels: Sequence[str], pairs: Sequence[tuple[str, str]]) -> str:
    counts = {label: dict.fromkeys(labels, 0) for label in labels}
    for right, predicted in pairs:
        counts[right][predicted] += 1
    rows = [
        [
            right,
            *counts[right].values(),
            _share(counts[right][right], sum(counts[right].values())),
            _share(counts[right][right], sum(row[right] for row in counts.values())),
        ]
        for right in labels
    ]
    headers = ["right label \\ predicted", *labels, "recall", "precision"]
    return table(headers, rows)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _prediction(record: dict[str, Any]) -> dict[str, Any]:
    """Return the plain values of a record, its `label` renamed to `predicted`."""
    plain = {name: value for name, value in record.items() if isinstance(value, str | int | float)}
    return {("predicted" if name == "label" else name): value for name, value in plain.items()}


def _examples(rows: Sequence[dict[str, Any]]) -> str:
    if not rows:
        return quiet("None.")
    names = list(dict.fromkeys(name for row in rows for name in row))
    return table(names, [[row.get(name) for name in names] for row in rows])


def _neighbours(plan: Plan, run: Run) -> str:
    """Return the scores of other finished runs of the task in the parent folder."""
    metric = plan.task.best_metric
    rows = []
    # A log tells runs from model folders, which have a run.json, too.
    logs = run.folder.resolve().parent.glob(f"*/{LOG_FILE}")
    others = [path.parent for path in logs if path.with_name(RUN_FILE).is_file()]
    for other in read_runs(sorted(folder for folder in others if folder != run.folder.resolve())):
        found = other.record.get("result") or {}
        if found.get("task") == plan.task.name and metric in found:
            settings = other.settings()
            rows.append([other.title, found[metric], settings.get("learning_rate"), settings.get("seed")])
    return table(["run", metric, "learning rate", "seed"], rows) if rows else quiet("None.")


def _lengths(plan: Plan) -> str:
    """Return what was cut off the examples."""
    rows = [[split, *cuts.to_dict().values()] for split, cuts in plan.cuts.items()]
    return table(["split", "unit", "most tokens", "number", "cut", "longest"], rows) if rows else ""


def _hyperparameters(plan: Plan) -> str:
    rows = [
        [words(str(row["setting"])), NOT_SET if row["value"] is None else row["value"], row["source"]]
        for row in plan.rows
    ]
    return table(["setting", "value", "source"], rows)
