"""One distillation, from its plan to the student's folder; it can be stopped and resumed at any step."""

import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from albert.checkpoint.snapshots import TrainingState
from albert.console import human_count, human_seconds, progress, say, warn
from albert.distillation.batches import held_out_batches, shuffled_batches
from albert.distillation.cache import Arrays, Cache, fill_cache, open_cache
from albert.distillation.plan import Plan
from albert.distillation.start import principal_basis, start_from_teacher, word_table
from albert.distillation.student import Student, make_student, write_student
from albert.model.packing import Packing, on_device
from albert.optim.optimizers import make_optimizer
from albert.optim.schedules import Schedule, make_schedule
from albert.tasks.cuts import Cuts
from albert.training.devices import find_device
from albert.training.log import StepLog, flat_scores
from albert.training.loop import evaluate, in_micro_batches, train
from albert.training.passes import warning_of_passes
from albert.training.record import settings_as_json
from albert.training.runs import Run
from albert.training.speed import apply_switches
from albert.training.stopping import graceful_stop

TEXTS_FOR_BASIS = 2048
"""Texts whose states give the directions that a narrower student keeps."""


def carry_out(plan: Plan) -> dict[str, Any]:
    """Compute the teacher's outputs, train the student, and return its scores on held-out texts.

    Raises:
        AlbertError: The texts cannot be read, a folder holds something else, or a disk is full.
    """
    settings = plan.settings
    cache = open_cache(settings.cache_folder, plan.depends_on, plan.outputs)
    # Read once before anything is written: bad text is refused now, and the progress knows the end.
    total = 0 if cache else sum(1 for _ in islice(plan.teacher.texts(settings), settings.max_texts))
    run = Run.open(
        settings.output, command="distill", settings=settings_as_json(settings), inputs=plan.depends_on
    )
    if run.result is not None:
        say(f"{settings.output}: already finished")
        return run.result
    cache = cache or _compute_outputs(plan, total)
    student = start_student(plan, cache, is_new=not run.layout.steps())
    scores = _train(plan, run, student, cache)
    write_student(run.model, student, plan.teacher, plan.tokenizer, record=run.record, scores=scores)
    result = {
        "steps": settings.loop.max_steps,
        "texts": cache.num_texts,
        "held_out_texts": sum(map(len, cache.held_out)),
        "parameters": sum(p.numel() for p in student.model.parameters()),
        "teacher_parameters": sum(p.numel() for p in plan.teacher.encoder.parameters()),
        **scores,
        "model": str(run.model),
    }
    run.finish(result)
    return result


def _compute_outputs(plan: Plan, total: int) -> Cache:
    """Compute what the teacher's cache lacks for so many texts, with progress."""
    settings, teacher, cuts = plan.settings, plan.teacher, Cuts()
    start = time.monotonic()

    def compute(texts: list[Any]) -> Arrays:
        features = teacher.encode(texts, teacher.tokenizer, cuts=cuts)
        outputs = teacher.outputs(features, plan.losses)
        own = teacher.encode(texts, plan.tokenizer) if plan.has_own_tokenizer else features
        return {
            "input_ids": own.input_ids.astype(np.int32),
            "token_type_ids": own.token_type_ids.astype(np.int8),
            "lengths": own.lengths.astype(np.int32),
            **outputs,
        }

    texts = islice(teacher.texts(settings), settings.max_texts)
    with progress("teacher", total=total, unit=" texts") as bar:
        cache = fill_cache(
            settings.cache_folder,
            plan.depends_on,
            plan.outputs,
            texts,
            compute,
            held_out=settings.held_out,
            advance=bar.advance,
        )
    if cuts.cut:
        say(f"{cuts}")
    size = sum(path.stat().st_size for path in settings.cache_folder.rglob("*.npy"))
    say(
        f"{cache.num_texts:,} texts to learn from, {sum(map(len, cache.held_out)):,} held out; the teacher "
        f"took {human_seconds(time.monotonic() - start)}; its outputs are "
        f"{human_count(size)}B in {cache.folder}"
    )
    if not cache.held_out:
        warn("no text is held out, so nothing tells how well the student agrees; give more texts")
    return cache


def start_student(plan: Plan, cache: Cache, *, is_new: bool) -> Student:
    """Return the student before its first step; unless it is new, a checkpoint will give its weights."""
    settings, teacher = plan.settings, plan.teacher
    loop, device = settings.loop, find_device(settings.loop.device)
    torch.manual_seed(loop.seed)
    student = make_student(plan.config, teacher, plan.losses)
    if is_new and settings.student.init == "teacher":
        words = word_table(teacher.encoder, teacher.tokenizer, plan.tokenizer)
        start = start_from_teacher(
            student.encoder.cpu(),
            teacher.encoder.cpu(),
            words.cpu(),
            counts=_token_counts(cache, plan.config.vocab_size),
            basis=_basis(plan),
        )
        teacher.encoder.to(device)
        say(
            f"the student's embeddings keep {start.variance_kept:.1%} of the variance of the teacher's; its "
            f"layers start from the teacher's {', '.join(str(layer + 1) for layer in start.layers)}"
        )
    apply_switches(
        student.model,
        compile=loop.compile,
        activation_checkpointing=loop.activation_checkpointing,
        tf32=loop.tf32,
    )
    return student.to(device)


def _token_counts(cache: Cache, vocab_size: int) -> Tensor:
    """Return how often the first texts have each token, (V,)."""
    ids: NDArray[np.int32] = cache.train[0].arrays["input_ids"]
    return torch.from_numpy(np.bincount(ids, minlength=vocab_size))


def _basis(plan: Plan) -> Tensor:
    """Return the directions (G, H) of the teacher's states that the student keeps; all if it is as wide."""
    width = plan.config.hidden_size
    if width == plan.teacher.config.hidden_size:
        return torch.eye(width)
    return principal_basis(_states_of_teacher(plan), width)


def _states_of_teacher(plan: Plan) -> Iterator[Tensor]:
    """Yield the teacher's states (N, G) at all depths for some texts."""
    teacher = plan.teacher
    texts = list(islice(teacher.texts(plan.settings), TEXTS_FOR_BASIS))
    device = teacher.encoder.device
    depths = [*range(teacher.config.num_hidden_layers + 1)]
    for first in range(0, len(texts), 64):
        features = teacher.encode(texts[first : first + 64], teacher.tokenizer)
        packing = Packing.of_lengths(torch.from_numpy(features.lengths), device)
        ids, types = (on_device(x, device) for x in (features.input_ids, features.token_type_ids))
        rows = torch.arange(len(ids), device=device)
        with torch.no_grad():
            yield from teacher.encoder.encode_depths(ids, types, packing, rows=rows, depths=depths)


def _train(plan: Plan, run: Run, student: Student, cache: Cache) -> dict[str, float]:
    """Train the student for the remaining steps; return its scores on held-out texts."""
    settings, loop = plan.settings, plan.settings.loop
    optimizer = make_optimizer(
        settings.optimizer.optimizer,
        student,
        weight_decay=settings.optimizer.weight_decay,
        beta2=settings.optimizer.adam_beta2,
    )
    done = run.resume(student, optimizer).step
    if warning := warning_of_passes(loop, cache.num_texts):
        warn(warning)
    batches = shuffled_batches(cache, loop.batch_size, seed=loop.seed, start=done * loop.batch_size)
    scores = _score(plan, student, cache)
    if not done:
        run.log({"step": 0, "held_out": scores})
    with (
        graceful_stop() as stop,
        progress("distilling", total=loop.max_steps, done=done, unit=" steps") as bar,
    ):
        log = StepLog(run, bar, log_steps=loop.log_steps)
        for step in train(
            student,
            in_micro_batches(batches, loop.micro_batches()),
            plan.objective,
            optimizer,
            learning_rate=_schedule(plan),
            settings=loop,
            max_grad_norm=settings.optimizer.max_grad_norm,
            steps_done=done,
        ):
            log.add(step)
            is_last = step.number == loop.max_steps
            if (step.number % loop.eval_steps == 0 or is_last) and not stop:
                scores = _score(plan, student, cache)
                run.log({"step": step.number, "held_out": scores})
                say(f"step {step.number}: " + ", ".join(f"{k} {v:.4f}" for k, v in scores.items()))
            if step.number % loop.save_steps == 0 or is_last or stop:
                run.save(TrainingState(step=step.number), student, optimizer, keep=loop.keep_checkpoints)
            if stop:
                stop.leave()
    return scores


def _score(plan: Plan, student: Student, cache: Cache) -> dict[str, float]:
    """Return the parts of the loss on held-out texts, and how far teacher and student agree."""
    if not cache.held_out:
        return {}
    loop = plan.settings.loop
    batches = held_out_batches(cache, loop.micro_size)
    found = flat_scores(evaluate(student, batches, plan.objective, loop))
    return {f"agreement{depth}": score for depth, score in _agreements(found)} | found


def _agreements(scores: dict[str, float]) -> Iterator[tuple[str, float]]:
    """Yield after which depth, and how far teacher and student agree.

    That is the mean cosine of their vectors, or the share of logits whose largest is the same.
    """
    for name, score in scores.items():
        part, _, measure = name.rpartition("_")
        part, at, depth = part.partition("@")
        if (part, measure) == ("vectors", "loss"):
            yield at + depth, 1 - score
        elif (part, measure) == ("logits", "accuracy"):
            yield at + depth, score


def _schedule(plan: Plan) -> Schedule:
    optimizer, steps = plan.settings.optimizer, plan.settings.loop.max_steps
    return make_schedule(
        optimizer.schedule,
        peak=optimizer.learning_rate,
        warmup_steps=optimizer.warmup(steps),
        train_steps=steps,
    )
