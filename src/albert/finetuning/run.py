"""One fine-tuning, from its plan to its model folders; it can be stopped and resumed at any step."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from albert.checkpoint.folder import read_config
from albert.checkpoint.layout import RUN_FILE
from albert.checkpoint.snapshots import TrainingState
from albert.console import collected_notes, progress, say, warn
from albert.conversion.depth import first_layers
from albert.conversion.release import model_card, write_model_folder
from albert.finetuning.collapse import CollapseError, CollapseWatch
from albert.finetuning.data import Examples
from albert.finetuning.plan import Plan, make_plan
from albert.finetuning.report import write_report
from albert.finetuning.settings import FinetuneSettings
from albert.finetuning.settings_table import table_lines
from albert.inference.embedding import embedder_of
from albert.inference.opening import load_model
from albert.inference.sentence_transformers import write_sentence_transformers
from albert.model.pretrained import Pretrained
from albert.model.similarity import AlbertForSimilarity
from albert.optim.optimizers import make_optimizer
from albert.tasks.baseline import doubt
from albert.tasks.features import shuffled_batches
from albert.tasks.published import band
from albert.tasks.task import Lengths, Task, trained_on
from albert.text.tokenizer import AlbertTokenizer
from albert.training.devices import find_device
from albert.training.log import StepLog
from albert.training.loop import train
from albert.training.record import settings_as_json
from albert.training.runs import Run
from albert.training.stopping import Stop, graceful_stop
from albert.writing import write_json

MAX_RESTARTS = 3
LAST_LOSSES = 5
"""Records of the log over which the final training loss is averaged."""


def finetune_once(
    settings: FinetuneSettings, examples: Examples, *, notes: Sequence[str] = ()
) -> dict[str, Any]:
    """Fine-tune a model with one seed; return the scores of its best and of its last evaluation.

    Args:
        settings: What to do.
        examples: The examples that they name.
        notes: What was skipped or repaired in them.

    Raises:
        AlbertError: Model, task and data do not fit together, a file cannot be read, the output folder
            holds another run, or nothing was learnt.
    """
    with collected_notes() as more:
        plan = make_plan(settings, examples)
    return carry_out(replace(plan, notes=[*notes, *more]), settings)


def carry_out(plan: Plan, settings: FinetuneSettings, *, shared_folder: bool = False) -> dict[str, Any]:
    """Carry out a plan in the run folder of `settings`; return the result as `finetune_once` does.

    Args:
        plan: The plan.
        settings: The settings from which it was made.
        shared_folder: Whether the folder may hold other files.

    Raises:
        RunError: The output folder holds another run, or nothing was learnt.
    """
    model = plan.new_model()  # Before the folder is created: a failure must not leave one.
    run = Run.open(
        settings.output,
        command="finetune",
        settings=settings_as_json(settings),
        inputs=plan.inputs,
        shared=shared_folder,
    )
    if run.result is not None:
        say(f"{settings.output}: already finished")
        return run.result
    _announce(plan)
    while True:
        attempt = plan.attempt(run.attempts)
        if run.attempts:
            model = attempt.new_model()
        try:
            FinetuningRun(attempt, run, settings).train(model)
            break
        except CollapseError as error:
            if settings.on_collapse != "restart" or run.attempts == MAX_RESTARTS:
                raise
            warn(f"{error}; starting again with half the rate and another seed")
            run.begin_again(str(error))
    return _finish(attempt, run, settings, model)


def evaluations(run: Run) -> Iterator[dict[str, Any]]:
    """Yield the step and scores of every evaluation so far."""
    for record in run.log_records():
        if "held_out" in record:
            yield {"step": record["step"], **record["held_out"]}


class FinetuningRun:
    """The steps of one attempt: train, log, evaluate, keep the best model, save.

    Args:
        plan: The plan of this attempt.
        run: The run's folder.
        settings: The user's settings.
    """

    def __init__(self, plan: Plan, run: Run, settings: FinetuneSettings) -> None:
        self._plan, self._run, self._settings = plan, run, settings
        self._watch = CollapseWatch(
            plan.solver,
            plan.task,
            plan.guessing_loss,
            warmup_steps=plan.optimizer.warmup(plan.loop.max_steps),
        )

    def train(self, model: Pretrained) -> None:
        """Train for the remaining steps.

        Raises:
            CollapseError: Training collapsed and `--on-collapse` is not `warn`.
        """
        plan, run = self._plan, self._run
        loop, settings = plan.loop, plan.optimizer
        optimizer = make_optimizer(
            settings.optimizer, model, weight_decay=settings.weight_decay, beta2=settings.adam_beta2
        )
        done = run.resume(model, optimizer).step
        batches = shuffled_batches(plan.train, loop.micro_size, seed=loop.seed, start=done * loop.batch_size)
        if done and self._is_due(done) and done not in {e["step"] for e in evaluations(run)}:
            self._evaluate(model, step=done)  # The earlier process was stopped before it did.
        if self._has_settled():
            return
        with (
            graceful_stop() as stop,
            progress("fine-tuning", total=loop.max_steps, done=done, unit=" steps") as bar,
        ):
            log = StepLog(run, bar, log_steps=loop.log_steps)
            for step in train(
                model,
                batches,
                plan.solver.objective(plan.task),
                optimizer,
                learning_rate=plan.schedule,
                settings=loop,
                max_grad_norm=settings.max_grad_norm,
                steps_done=done,
            ):
                log.add(step)
                self._watch.add(step.loss, step=step.number)
                if self._is_due(step.number) and not stop:
                    self._evaluate(model, step=step.number)
                settled = self._is_due(step.number) and self._has_settled()
                if step.number % loop.save_steps == 0 or step.number == loop.max_steps or stop or settled:
                    run.save(TrainingState(step=step.number), model, optimizer, keep=loop.keep_checkpoints)
                _leave(stop)
                if settled:
                    say(f"step {step.number}: {self._settings.patience} evaluations without a better score")
                    return

    def _is_due(self, step: int) -> bool:
        """Whether the dev examples are scored after `step`."""
        return step % self._plan.loop.eval_steps == 0 or step == self._plan.loop.max_steps

    def _has_settled(self) -> bool:
        """Whether none of the last evaluations, `patience` in number, had a better score."""
        patience = self._settings.patience
        scores = [e[self._plan.task.best_metric] for e in evaluations(self._run)]
        return bool(patience and scores) and len(scores) - 1 - int(np.argmax(scores)) >= (patience or 0)

    def _evaluate(self, model: Pretrained, *, step: int) -> None:
        """Score the dev examples; write the model as the best one if its score exceeds all earlier ones."""
        plan, run = self._plan, self._run
        if plan.dev is None:
            return
        metric = plan.task.best_metric
        before = [scores[metric] for scores in evaluations(run)]
        examples, features = plan.dev.examples, plan.dev.features
        predictions = plan.solver.predict(plan.task, model, examples, features)
        scores = plan.solver.scores(plan.task, examples, predictions)
        run.log({"step": step, "held_out": scores})
        is_best = not before or scores[metric] > max(before)
        numbers = ", ".join(f"{name} {value:.4f}" for name, value in scores.items())
        say(f"step {step}: {numbers}{' (best so far)' if is_best else ''}")
        if is_best:
            write_model(run.best, plan, run, model=model, scores={"step": step, **scores})
        try:
            self._watch.look(predictions, model, features, step=step)
        except CollapseError as error:
            if self._settings.on_collapse != "warn":
                raise
            warn(str(error))


def write_model(folder: Path, plan: Plan, run: Run, *, model: Pretrained, scores: dict[str, Any]) -> None:
    """Write a model folder of a run, with the lengths and scores that are needed to use it."""
    write_trained(
        folder,
        model,
        plan.tokenizer,
        task=plan.task,
        lengths=plan.lengths,
        record=run.record
        | {"scores": scores}
        | ({} if plan.held_out is None else {"held_out": asdict(plan.held_out)}),
    )


def write_trained(
    folder: Path,
    model: Pretrained,
    tokenizer: AlbertTokenizer,
    *,
    task: Task,
    lengths: Lengths,
    record: dict[str, Any],
) -> None:
    """Write a fine-tuned model as a model folder.

    Args:
        folder: The folder; an earlier one is replaced only when the new one is complete.
        model: Weights and configuration.
        tokenizer: The model's tokenizer.
        task: The task on which it was fine-tuned.
        lengths: The lengths to which examples were cut.
        record: The run's record, with `settings`, and `scores` on dev.
    """
    stored = trained_on(task) | {"lengths": asdict(lengths)}
    if isinstance(model, AlbertForSimilarity):
        embedder = embedder_of(model, tokenizer, max_seq_length=lengths.max_seq_length)
        write_sentence_transformers(folder, embedder, record=record | stored)
        return
    card = model_card(
        f"ALBERT, fine-tuned on {task.name}",
        description=f"An ALBERT model fine-tuned on {task.title}; "
        f"started from `{record['settings']['model']}`.",
        task=model.pipeline_task,
        scores=record["scores"],
        record=record,
    )
    write_model_folder(folder, model, tokenizer, card=card, record=record | stored)


def _leave(stop: Stop) -> None:
    if stop:
        stop.leave()


def _finish(plan: Plan, run: Run, settings: FinetuneSettings, model: Pretrained) -> dict[str, Any]:
    """Write the last model, the report and the result; return the result."""
    found = list(evaluations(run))
    write_model(run.model, plan, run, model=model, scores=found[-1] if found else {})
    result: dict[str, Any] = {"task": plan.task.name, "steps": plan.loop.max_steps}
    if found:
        metric = plan.task.best_metric
        best = max(found, key=lambda scores: scores[metric])
        chosen = best if settings.select == "best" else found[-1]
        selection = {
            "best": f"the best of {len(found)} evaluations on dev, every {plan.loop.eval_steps} steps",
            "last": "the last step",
        }
        result |= {metric: chosen[metric], "selection": selection[settings.select]}
        result |= {"model": str(run.best if settings.select == "best" else run.model)}
        if plan.baseline is not None:
            result[f"baseline_{metric}"] = plan.baseline
            if reason := _doubt(plan, run, chosen[metric]):
                result["doubt"] = reason
        result |= {"best": best, "last": found[-1]}
        if published := band(plan.task, plan.config):
            result["published"] = (
                f"{published.metric} {published.low:g} to {published.high:g} with {published.model} "
                f"({published.source})"
            )
    result.setdefault("model", str(run.model))
    if plan.task.depths and plan.dev is not None:
        result["depths"] = _record_depths(plan, Path(result["model"]))
    result["lengths"] = {split: cuts.to_dict() for split, cuts in plan.cuts.items()}
    if plan.notes:
        result["notes"] = list(plan.notes)
    run.finish(result)  # Before the report: nothing there may cost the result.
    say(f"report: {write_report(plan, run, result)}")
    return result


def _record_depths(plan: Plan, folder: Path) -> dict[str, dict[str, float]]:
    """Score the dev examples after each depth of the training; record it in the folder and return it."""
    assert plan.dev is not None
    config = read_config(folder)
    model_class = plan.solver.model_class(plan.task)
    whole = load_model(folder, model_class, config)
    found = {}
    for depth in plan.task.depths:
        part = model_class(first_layers(config, depth, folder))
        state = whole.state_dict()
        part.load_state_dict({name: state[name] for name in part.state_dict()})
        part.to(find_device(plan.loop.device))
        predictions = plan.solver.predict(plan.task, part, plan.dev.examples, plan.dev.features)
        found[str(depth)] = plan.solver.scores(plan.task, plan.dev.examples, predictions)
    path = folder / RUN_FILE
    write_json(path, json.loads(path.read_text(encoding="utf-8")) | {"depths": found})
    return found


def _doubt(plan: Plan, run: Run, score: float) -> str | None:
    """Warn if the result is hardly better than a guess that ignores the texts, and return the warning."""
    assert plan.baseline is not None
    assert plan.dev is not None
    losses = [record["loss"] for record in run.log_records() if "loss" in record]
    reason = doubt(
        score,
        plan.baseline,
        perfect=100.0 if plan.solver.scores_are_percent else 1.0,
        num_examples=len(plan.dev.examples),
        loss=float(np.mean(losses[-LAST_LOSSES:])) if losses else None,
        guessing_loss=plan.guessing_loss,
    )
    if reason is None:
        return None
    doubted = (
        f"{plan.task.best_metric} {score:.4g} is hardly better than {plan.baseline:.4g}, "
        f"{plan.solver.baseline_name} reaches: {reason}"
    )
    warn(doubted)
    return doubted


def _announce(plan: Plan) -> None:
    """Report the task and the settings used."""
    say(f"{plan.task.title}; {plan.num_examples:,} examples")
    for split, cuts in plan.cuts.items():
        if cuts.cut:
            say(f"{split}: {cuts}")
    for line in table_lines(plan.rows):
        say(f"  {line}")
