"""`albert evaluate`: the scores of a fine-tuned model or of a file of predictions on a split of a task."""

from pathlib import Path
from typing import Any

from albert.commands.following import prediction
from albert.commands.settings.evaluate import CURVE, RETRIEVAL, EvaluateSettings
from albert.console import Rows, collected_notes, command_line, note, say, warn
from albert.conversion.conversion import model_folder
from albert.conversion.depth import recorded_depths
from albert.errors import ConfigError, DataError
from albert.inference.early_exit import ExitRule, check_early_exit
from albert.inference.embedding import Embedder
from albert.inference.exit_curve import exit_curve
from albert.inference.precision import ensure_agreement, in_float32
from albert.inference.retrieval import read_retrieval, score_retrieval
from albert.inference.trained_model import TrainedModel, open_trained
from albert.reports.exits import draw_exits
from albert.tasks.bad_rows import ADVICE, BadRows
from albert.tasks.baseline import baseline_score
from albert.tasks.catalogue import find_task, solver_of
from albert.tasks.cuts import Cuts
from albert.tasks.files import digest_of, find_files, require_files, split_files
from albert.tasks.held_out import HeldOut
from albert.tasks.hub_data import fetch
from albert.tasks.labels import better_order
from albert.tasks.prediction_files import PredictionFile
from albert.tasks.solver import Solver
from albert.tasks.task import Task, with_columns

__all__ = ["EvaluateSettings", "evaluate"]


def evaluate(settings: EvaluateSettings) -> dict[str, object] | Rows:
    """Return the task's scores under their official names, the number of examples, and a model's mean loss.

    For the curve of early exit, return a row for each rule.

    Raises:
        AlbertError: Model or predictions, task and data do not fit together, or a file cannot be read.
    """
    if settings.task == RETRIEVAL:
        return _score_retrieval(settings)
    if settings.early_exit == CURVE:
        return _compare_exits(settings)
    with collected_notes() as notes:
        if settings.predictions is not None:
            result = _score_predictions(settings, settings.predictions)
        else:
            assert settings.model is not None
            result = _score_model(settings)
            result["next"] = prediction(settings.model, task=settings.task)
    return result | ({"notes": notes} if notes else {})


def _score_retrieval(settings: EvaluateSettings) -> dict[str, object]:
    """Return how well an encoder finds the right documents of a retrieval folder."""
    if settings.model is None or settings.data is None:
        raise ConfigError(
            "--task retrieval needs --model, a sentence encoder, and --data, a folder with corpus.jsonl, "
            "queries.jsonl and qrels/"
        )
    data = read_retrieval(settings.data, split=settings.split)
    embedder = Embedder.open(
        settings.model,
        max_seq_length=settings.max_seq_length,
        depth=settings.depth,
        dimensions=settings.dimensions,
        device=settings.device,
        dtype=settings.dtype,
    )
    return {"task": RETRIEVAL, "dimension": embedder.dimension, **score_retrieval(embedder, data)}


def _compare_exits(settings: EvaluateSettings) -> Rows:
    """Return score and work of every rule of early exit, and draw them."""
    trained = _open(settings)
    depths = recorded_depths(model_folder(str(settings.model)))
    check_early_exit(trained.model, kind=trained.task.kind, depths={*depths}, name=str(settings.model))
    examples, features, _ = _encoded(settings, trained)
    rows = exit_curve(trained, examples, features, max_loss=settings.max_loss)
    chosen = next((row for row in rows if row.get("chosen")), None)
    if chosen is None:
        say(f"no rule loses at most {settings.max_loss:g} points")
        return Rows(rows, next=prediction(str(settings.model), task=settings.task))
    if settings.curve is not None:
        draw_exits(settings.curve, rows, metric=trained.task.best_metric)
    rule = str(chosen["rule"])
    following = {"model": settings.model, "input": "FILE", "output": "predictions.tsv", "early_exit": rule}
    return Rows(rows, next=command_line("predict", **following))


def _open(settings: EvaluateSettings) -> TrainedModel:
    rule = settings.early_exit
    return open_trained(
        str(settings.model),
        task=settings.task,
        columns=settings.columns,
        labels=settings.labels,
        max_seq_length=settings.max_seq_length,
        depth=settings.depth,
        early_exit=None if rule in {None, CURVE} else ExitRule.of(str(rule)),
        device=settings.device,
        dtype=settings.dtype,
    )


def _encoded(settings: EvaluateSettings, trained: TrainedModel) -> tuple[list[Any], Any, Cuts]:
    """Return the examples, their features, and what was cut."""
    task, solver = trained.task, trained.solver
    examples = _read(settings, task, solver, _files(settings, trained), held_out=trained.held_out)
    cuts = Cuts()
    features = solver.encode(task, examples, trained.tokenizer, lengths=trained.lengths, cuts=cuts)
    if cuts.cut:
        say(f"{settings.split}: {cuts}")
    return examples, features, cuts


def _score_model(settings: EvaluateSettings) -> dict[str, object]:
    """Return the scores of a model."""
    trained = _open(settings)
    examples, features, cuts = _encoded(settings, trained)
    if not settings.compare_float32:
        ensure_agreement(trained.model, features)
    scores = _scores(settings, trained, examples, features)
    if settings.compare_float32:
        with in_float32(trained.model):
            plain = _scores(settings, trained, examples, features, says_order=False)
        scores |= {f"float32_{name}": score for name, score in plain.items()}
    return _result(settings, trained.task, examples, scores) | {"lengths": cuts.to_dict()}


def _scores(
    settings: EvaluateSettings,
    trained: TrainedModel,
    examples: list[Any],
    features: Any,
    *,
    says_order: bool = True,
) -> dict[str, float]:
    """Return the scores of the model's predictions; warn if another order of the labels fits far better."""
    task, solver = trained.task, trained.solver
    predictions = trained.predict(examples, features)
    if settings.threshold is not None:
        predictions = solver.with_threshold(task, predictions, settings.threshold)
    pairs = solver.label_pairs(task, examples, predictions) if says_order else ()
    if better := better_order(task.labels, pairs):
        order, accuracy = better
        warn(
            f"the outputs fit another order of the labels far better, with an accuracy of {accuracy:.3f}; if "
            f"that is the order of the model's training, give --labels {','.join(order)}"
        )
    return solver.scores(task, examples, predictions)


def _score_predictions(settings: EvaluateSettings, predictions: Path) -> dict[str, object]:
    """Return the scores of a file of predictions."""
    known = with_columns(find_task(settings.task), settings.columns)
    solver = solver_of(known)
    paths = split_files(known, settings.data, settings.split)
    task = solver.with_labels_in(known, paths)
    examples = _read(settings, task, solver, paths)
    file = PredictionFile(
        path=predictions,
        null_odds=settings.null_odds,
        threshold=settings.threshold,
        has_other_labels=not known.labels,
    )
    scores = solver.scores_of_file(task, examples, file)
    return _result(settings, task, examples, scores)


def _files(settings: EvaluateSettings, trained: TrainedModel) -> tuple[Path, ...]:
    """Return the files of the split; the training file, if dev examples were held out of it."""
    data = fetch(trained.task) if settings.data is None else settings.data
    may_be_part = trained.held_out is not None and settings.split == "dev"
    if may_be_part and not find_files(trained.task, data, "dev"):
        return require_files(trained.task, data, "train")
    return split_files(trained.task, data, settings.split)


def _read(
    settings: EvaluateSettings,
    task: Task,
    solver: Solver,
    paths: tuple[Path, ...],
    *,
    held_out: HeldOut | None = None,
) -> list[Any]:
    """Return the labelled examples, at least one; of a file that training was split off, those of the split.

    Raises:
        DataError: There is none.
    """
    bad_rows = BadRows(settings.on_bad_row, advice=ADVICE)
    was_split = held_out is not None and settings.split != "test" and held_out.digest == digest_of(paths)
    split = "train" if was_split else settings.split
    examples = list(solver.read(task, paths, split=split, bad_rows=bad_rows))
    if not examples:
        raise DataError(f"{paths[0]}: holds no example; expected rows below the header")
    if held_out is None or not was_split:
        return examples
    train, dev = held_out.parts(solver, task, examples)
    chosen = dev if settings.split == "dev" else train
    note(
        f"{paths[0]}: the model was trained on a part of it; the {len(chosen):,} of {len(examples):,} "
        f"examples of its {settings.split} part are scored (--split)"
    )
    return chosen


def _result(
    settings: EvaluateSettings, task: Task, examples: list[Any], scores: dict[str, float]
) -> dict[str, object]:
    found: dict[str, object] = {
        "task": task.name,
        "split": settings.split,
        "examples": len(examples),
        **scores,
    }
    baseline = baseline_score(solver_of(task), task, examples, examples)
    return found if baseline is None else found | {f"baseline_{task.best_metric}": baseline}
