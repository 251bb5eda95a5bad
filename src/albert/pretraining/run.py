"""The steps of `albert pretrain`: log, evaluate, keep the best, save, and roll back when the loss diverges.

All processes of a run execute this in step; only the first has the run's folder and writes.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from albert.checkpoint.snapshots import TrainingState
from albert.console import progress, say, warn
from albert.conversion.release import model_card, write_model_folder
from albert.data.examples.stream import Examples, ExampleSource, RankSlice, StreamPosition
from albert.errors import RunError
from albert.model.flops import matrix_peak
from albert.model.language_models import AlbertForPreTraining
from albert.optim.optimizers import AdamW, make_optimizer
from albert.optim.schedules import Schedule
from albert.pretraining.data import PretrainingData
from albert.pretraining.meter import Meter
from albert.pretraining.objective import PretrainingObjective, make_held_out_objective
from albert.pretraining.settings import Leniency, PretrainSettings, schedule_of
from albert.pretraining.watch import LeapWatch, PlateauWatch
from albert.training.devices import autocast_dtype
from albert.training.distributed import World
from albert.training.log import StepLog, flat_scores, memory_in_use
from albert.training.loop import DivergenceError, Score, Step, evaluate, in_micro_batches, train
from albert.training.runs import Run
from albert.training.sinks import LogSink, open_sinks
from albert.training.stopping import Stop, graceful_stop


@dataclass(kw_only=True)
class Pretraining:
    """A run of pretraining, as seen by one of its processes."""

    settings: PretrainSettings
    """What to do."""
    data: PretrainingData
    """What to train on."""
    model: AlbertForPreTraining
    """Its weights are the same on all ranks after every step."""
    objective: PretrainingObjective
    """What to minimise."""
    optimizer: AdamW
    """Its moments are the same on all ranks after every step."""
    schedule: Schedule
    """Learning rate of every step."""
    run: Run | None
    """The folder; only the first process has it."""
    world: World
    """All processes."""
    meter: Meter
    """Counts what this process computes."""
    held_out: ExampleSource | None
    """What to evaluate on; None if there is nothing, or it is not to be used."""
    best: float = float("inf")
    """Lowest masked LM loss of an evaluation."""
    roll_backs: int = 0
    """How often the run rolled back."""
    save_is_due: bool = False
    """Whether the next calm step will be saved."""
    examples: Examples | None = None
    """The stream that is being read."""
    plateau: PlateauWatch = field(default_factory=PlateauWatch)
    """Warns if nothing is learnt."""
    measured_peak: float | None = None
    """FLOP/s of a large matrix product on this device, once measured."""
    last_scores: dict[str, Score] | None = None
    """Scores on held-out examples after the last step, once computed."""
    num_evaluated: int = 0
    """Held-out examples in an evaluation, on all ranks."""

    @classmethod
    def of(
        cls,
        settings: PretrainSettings,
        data: PretrainingData,
        model: AlbertForPreTraining,
        objective: PretrainingObjective,
        *,
        run: Run | None,
        world: World,
        allow: Leniency = Leniency(),
    ) -> "Pretraining":
        """Return the run before its first step."""
        optimizer = settings.optimizer
        return cls(
            settings=settings,
            data=data,
            model=model,
            objective=objective,
            optimizer=make_optimizer(
                optimizer.optimizer, model, weight_decay=optimizer.weight_decay, beta2=optimizer.adam_beta2
            ),
            schedule=schedule_of(settings, allow),
            run=run,
            world=world,
            meter=Meter(config=model.config, objective=objective),
            held_out=data.held_out(settings.examples) if settings.eval_examples else None,
        )

    def to_the_end(self) -> dict[str, Any]:
        """Take the remaining steps, and return the scores of the last model on held-out text.

        Raises:
            RunError: The loss diverged too often, or a checkpoint cannot be written.
        """
        if self.held_out is None and self.settings.eval_examples:
            say(f"no held-out text, so the model is not evaluated: {self.data.advice_on_evaluation}")
        state = self._resume()
        self.best = min(self._held_out_losses(), default=float("inf"))
        self.roll_backs = state.roll_backs
        while state.step < self.settings.loop.max_steps:
            state = self._train_from(state)
        scores = flat_scores(self._scores_at_the_end())
        if self.run is None:
            return {}
        self._keep(self.run.model, scores)
        result = {
            "steps": self.settings.loop.max_steps,
            "held_out_examples": self.num_evaluated,
            **scores,
            "model": str(self.run.model),
        }
        self.run.finish(result)
        return result

    def _train_from(self, state: TrainingState) -> TrainingState:
        """Train from `state` to the end; return the state there, or the one to which it rolled back."""
        loop = self.settings.loop
        with (
            graceful_stop() as stop,
            progress("pretraining", total=loop.max_steps, done=state.step, unit=" steps") as bar,
        ):
            sinks = self._open_sinks()
            log = StepLog(self.run, bar, log_steps=loop.log_steps, extras=self._extras, sinks=sinks)
            watch = LeapWatch()
            try:
                for step in self._steps(state, stop):
                    log.add(step)
                    watch.add(step)
                    self._watch_and_evaluate(step, log)
                    # A single process need not wait until all ranks know.
                    leaving = step.stop or (self.world.size == 1 and bool(stop))
                    self.save_is_due |= leaving or step.number % loop.save_steps == 0
                    if self.save_is_due and watch.calm:
                        self._save(replace(state, step=step.number))
                    if leaving:
                        # torchrun ends all processes as soon as one exits; the first must have saved.
                        self.world.wait()
                        stop.leave()
            except DivergenceError as error:
                return self._roll_back(error, log)
            finally:
                for sink in sinks:
                    sink.close()
        return replace(state, step=loop.max_steps)

    def _steps(self, state: TrainingState, stop: Stop) -> Iterator[Step]:
        """Yield the steps after `state`."""
        loop, world = self.settings.loop, self.world
        self.examples = Examples(
            self.data.train(self.settings.examples, seed=loop.seed), workers=self.settings.workers
        )
        batches = self.examples.batches(
            world.part(loop.batch_size),
            start=self._next_example(state),
            rank_slice=RankSlice(rank=world.rank, ranks=world.size, batch=loop.batch_size),
            position=StreamPosition(
                examples=state.stream_examples, epoch=state.stream_epoch, window=state.stream_window
            ),
        )
        return train(
            self.model,
            self.meter.counted(in_micro_batches(batches, loop.micro_batches(world.size))),
            self.objective,
            self.optimizer,
            learning_rate=self.schedule,
            settings=loop,
            max_grad_norm=self.settings.optimizer.max_grad_norm,
            steps_done=state.step,
            world=world,
            stop=lambda: stop,
        )

    def _watch_and_evaluate(self, step: Step, log: StepLog) -> None:
        """Warn of a plateau, evaluate if that is due, and keep the best model."""
        for warning in self.plateau.add(step, unigram_entropy=self.meter.unigram_entropy):
            if self.world.is_first:
                warn(warning)
                log.event(step.number, "plateau", warning)
        loop = self.settings.loop
        is_due = step.number % loop.eval_steps == 0 or step.number == loop.max_steps
        if is_due and self.held_out is not None:
            scores = self._score()
            self.last_scores = scores if step.number == loop.max_steps else None
            log.scores(step.number, scores)
            if "masked_lm" in scores and scores["masked_lm"].loss < self.best:
                self.best = scores["masked_lm"].loss
                if self.run is not None:
                    self._keep(self.run.best, flat_scores(scores))

    def _save(self, state: TrainingState) -> None:
        """Write the checkpoint of `state`."""
        self.save_is_due = False
        if self.run is None:
            return
        loop = self.settings.loop
        if self.examples is not None:
            position = self.examples.position_before(self._next_example(state))
            state = replace(
                state,
                stream_examples=position.examples,
                stream_epoch=position.epoch,
                stream_window=position.window,
            )
        self.run.save(
            state, self.model, self.optimizer, keep=loop.keep_checkpoints, keep_every=loop.keep_every
        )

    def _next_example(self, state: TrainingState) -> int:
        """Return the number in the stream of the first example of the step after `state`."""
        return state.step * self.settings.loop.batch_size + state.skipped_examples

    def _roll_back(self, error: DivergenceError, log: StepLog) -> TrainingState:
        """Return the state of the last checkpoint, set to skip the examples read since.

        Raises:
            RunError: There is no checkpoint, or there were too many roll-backs.
        """
        self.optimizer.state.clear()
        state = self._resume()
        self.roll_backs += 1
        limit = self.settings.max_roll_backs
        if not state.step or self.roll_backs > limit:
            reason = "there is no checkpoint yet" if not state.step else f"{limit} roll-backs did not help"
            raise RunError(
                f"{error}; {reason}: lower --learning-rate, lengthen --warmup-steps, or inspect the data "
                f"around example {error.step * self.settings.loop.batch_size + state.skipped_examples:,}"
            )
        skipped = (error.step - state.step) * self.settings.loop.batch_size
        state = replace(state, skipped_examples=state.skipped_examples + skipped, roll_backs=self.roll_backs)
        text = f"{error}; back to step {state.step}, skipping {skipped:,} examples"
        if self.world.is_first:
            warn(text)
        log.event(state.step, "roll-back", text)
        return state

    def _resume(self) -> TrainingState:
        """Fill model and optimiser from the newest checkpoint, on all ranks."""
        state = TrainingState() if self.run is None else self.run.resume(self.model, self.optimizer)
        agreed = {name: int(self.world.agree(number)) for name, number in asdict(state).items()}
        self.world.share_state(self.model, self.optimizer)
        return TrainingState(**agreed)

    def _scores_at_the_end(self) -> dict[str, Score]:
        """Return the scores after the last step; a process that was stopped may have none."""
        if self.last_scores is not None or self.held_out is None:
            return self.last_scores or {}
        scores, step = self._score(), self.settings.loop.max_steps
        if self.run is not None and step not in {r["step"] for r in self._evaluations()}:
            self.run.log({"step": step, "held_out": flat_scores(scores)})
        return scores

    def _score(self) -> dict[str, Score]:
        """Return the scores on held-out examples."""
        assert self.held_out is not None
        size, world = self.settings.loop.micro_size, self.world
        rank_slice = RankSlice(rank=world.rank, ranks=world.size, batch=size * world.size)
        batches = list(
            Examples(self.held_out).one_pass(size, limit=self.settings.eval_examples, rank_slice=rank_slice)
        )
        (self.num_evaluated,) = map(int, world.sum_numbers([sum(map(len, batches))]))
        objective = make_held_out_objective(self.settings.objective, self.model.config)
        return evaluate(self.model, batches, objective, self.settings.loop, world)

    def _extras(self, seconds: float) -> dict[str, Any]:
        """Return what a log record adds about this process, for steps that took so many seconds."""
        meter = self.meter
        extras: dict[str, Any] = {
            "padding_share": meter.padding_share,
            "mfu": meter.flops / max(seconds, 1e-9) / self._peak(),
            "memory_gb": memory_in_use(self.model.device) / 1e9,
        }
        ratios = self.optimizer.trust_ratios
        if ratios is not None:
            extras["trust_ratio_min"], extras["trust_ratio_max"] = ratios
        meter.reset()
        return extras

    def _peak(self) -> float:
        """Return the FLOP/s of this device in a large matrix product; measured once."""
        if self.measured_peak is None:
            device = self.model.device
            dtype = autocast_dtype(self.settings.loop.precision, device) or torch.float32
            self.measured_peak = matrix_peak(device, dtype)
            say(f"matrix products reach {self.measured_peak / 1e12:.3g} TFLOP/s on {device}")
        return self.measured_peak

    def _held_out_losses(self) -> Iterator[float]:
        """Yield the masked LM losses of all logged evaluations."""
        for record in self._evaluations():
            if "masked_lm_loss" in record["held_out"]:
                yield record["held_out"]["masked_lm_loss"]

    def _evaluations(self) -> Iterator[dict[str, Any]]:
        """Yield the log records of all evaluations."""
        records = [] if self.run is None else self.run.log_records()
        return (record for record in records if "held_out" in record)

    def _open_sinks(self) -> list[LogSink]:
        if self.run is None:
            return []
        folder, config = self.run.folder, self.run.record["settings"]
        return open_sinks(self.settings.log_to, folder, folder.name, config)

    def _keep(self, folder: Path, scores: dict[str, float]) -> None:
        """Write the current model to `folder`, with its card."""
        assert self.run is not None
        record = self.run.record
        description = (
            "An ALBERT encoder with its masked LM and sentence-order heads, pretrained on the prepared text "
            f"in `{' '.join(record['settings']['data'])}`."
        )
        card = model_card(
            "ALBERT, pretrained",
            description=description,
            task=self.model.pipeline_task,
            scores=scores,
            record=record,
        )
        write_model_folder(folder, self.model, self.data.tokenizer, card=card, record=record)
