"""The steps of `albert pretrain`: log, evaluate, keep the best, save, and go back when the loss goes astray.

All processes of a run go through here in step; only the first has the run's folder and writes.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from albert.checkpoint.snapshots import TrainingState
from albert.console import progress, say, warn
from albert.conversion.release import model_card, write_model_folder
from albert.data.examples.stream import Examples, RankSlice, StreamPosition
from albert.errors import RunError
from albert.model.flops import matrix_peak
from albert.model.pretrained import AlbertForPreTraining
from albert.optim.optimizers import AdamW, make_optimizer
from albert.optim.schedules import Schedule
from albert.pretraining.data import PretrainingData
from albert.pretraining.meter import Meter
from albert.pretraining.objective import HeldOutObjective, PretrainingObjective
from albert.pretraining.settings import Leniency, PretrainSettings, schedule_of
from albert.pretraining.watch import LeapWatch, PlateauWatch
from albert.training.distributed import World
from albert.training.log import StepLog, flat_scores, memory_in_use
from albert.training.loop import DivergenceError, Score, Step, evaluate, in_micro_batches, train
from albert.training.runs import Run
from albert.training.settings import autocast_dtype
from albert.training.sinks import LogSink, open_sinks
from albert.training.stopping import Stop, graceful_stop


@dataclass(kw_only=True)
class Pretraining:
    """A run of pretraining, as one of its processes has it."""

    settings: PretrainSettings
    """What was asked for."""
    data: PretrainingData
    """What is trained on."""
    model: AlbertForPreTraining
    """Its weights are the same on all ranks behind every step."""
    optimizer: AdamW
    """Likewise."""
    schedule: Schedule
    """Rate of every step."""
    run: Run | None
    """The folder; the first process alone has it."""
    world: World
    """All processes."""
    meter: Meter
    """Counts what goes through this process."""
    best: float = float("inf")
    """Least masked LM loss of an evaluation."""
    roll_backs: int = 0
    """How often the run went back."""
    save_is_due: bool = False
    """Whether the next calm step is to be saved."""
    examples: Examples | None = None
    """The stream that is read at present."""
    plateau: PlateauWatch = field(default_factory=PlateauWatch)
    """Warns of a start that is no learning."""
    measured_peak: float | None = None
    """Operations a second of a large matrix product on this device, once measured."""

    @classmethod
    def of(
        cls,
        settings: PretrainSettings,
        data: PretrainingData,
        model: AlbertForPreTraining,
        *,
        run: Run | None,
        world: World,
        allow: Leniency = Leniency(),
    ) -> "Pretraining":
        """Return the run at its beginning."""
        moves = settings.optimizer
        return cls(
            settings=settings,
            data=data,
            model=model,
            optimizer=make_optimizer(
                moves.optimizer, model, weight_decay=moves.weight_decay, beta2=moves.adam_beta2
            ),
            schedule=schedule_of(settings, allow),
            run=run,
            world=world,
            meter=Meter(config=model.config),
        )

    def to_the_end(self) -> dict[str, Any]:
        """Take the steps that are missing, and returns the scores of the last model on held-out text.

        Raises:
            RunError: The loss went astray too often, or a checkpoint cannot be written.
        """
        place = self._resume()
        self.best = min(self._held_out_losses(), default=float("inf"))
        self.roll_backs = place.roll_backs
        while place.step < self.settings.loop.max_steps:
            place = self._train_from(place)
        scores = flat_scores(self._score())
        if self.run is None:
            return {}
        self._keep(self.run.model, scores)
        result = {"steps": self.settings.loop.max_steps, **scores, "model": str(self.run.model)}
        self.run.finish(result)
        return result

    def _train_from(self, place: TrainingState) -> TrainingState:
        """Train on from a place; returns the end, or the place to which a divergence threw it back."""
        loop = self.settings.loop
        with (
            graceful_stop() as stop,
            progress("pretraining", total=loop.max_steps, done=place.step, unit=" steps") as bar,
        ):
            sinks = self._open_sinks()
            log = StepLog(self.run, bar, log_steps=loop.log_steps, extras=self._extras, sinks=sinks)
            watch = LeapWatch()
            try:
                for step in self._steps(place, stop):
                    log.add(step)
                    watch.add(step)
                    self._tell_and_score(step, log)
                    # Alone one need not wait until all have heard of it.
                    leaving = step.stop or (self.world.size == 1 and bool(stop))
                    self.save_is_due |= leaving or step.number % loop.save_steps == 0
                    if self.save_is_due and watch.calm:
                        self._save(replace(place, step=step.number))
                    if leaving:
                        # torchrun ends all others as soon as one has left; the first must have saved.
                        self.world.wait()
                        stop.leave()
            except DivergenceError as error:
                return self._roll_back(error, log)
            finally:
                for sink in sinks:
                    sink.close()
        return replace(place, step=loop.max_steps)

    def _steps(self, place: TrainingState, stop: Stop) -> Iterator[Step]:
        """Yield the steps behind a place."""
        loop, world = self.settings.loop, self.world
        self.examples = Examples(
            self.data.train(self.settings.examples, seed=loop.seed), workers=self.settings.workers
        )
        batches = self.examples.batches(
            world.part(loop.batch_size),
            start=self._next_example(place),
            share=RankSlice(rank=world.rank, ranks=world.size, batch=loop.batch_size),
            mark=StreamPosition(
                examples=place.mark_examples, epoch=place.mark_epoch, window=place.mark_window
            ),
        )
        return train(
            self.model,
            self.meter.counted(in_micro_batches(batches, loop.micro_batches(world.size))),
            PretrainingObjective(),
            self.optimizer,
            learning_rate=self.schedule,
            settings=loop,
            max_grad_norm=self.settings.optimizer.max_grad_norm,
            steps_done=place.step,
            world=world,
            stop=lambda: stop,
        )

    def _tell_and_score(self, step: Step, log: StepLog) -> None:
        """Warn of a plateau, evaluates when that is due, and keeps the best model."""
        for warning in self.plateau.add(step, unigram_entropy=self.meter.unigram_entropy):
            if self.world.is_first:
                warn(warning)
                log.event(step.number, "plateau", warning)
        if step.number % self.settings.loop.eval_steps == 0:
            scores = self._score()
            log.scores(step.number, scores)
            if "masked_lm" in scores and scores["masked_lm"].loss < self.best:
                self.best = scores["masked_lm"].loss
                if self.run is not None:
                    self._keep(self.run.best, flat_scores(scores))

    def _save(self, place: TrainingState) -> None:
        """Write a checkpoint."""
        self.save_is_due = False
        if self.run is None:
            return
        loop = self.settings.loop
        if self.examples is not None:
            mark = self.examples.position_before(self._next_example(place))
            place = replace(
                place, mark_examples=mark.examples, mark_epoch=mark.epoch, mark_window=mark.window
            )
        self.run.save(
            place, self.model, self.optimizer, keep=loop.keep_checkpoints, keep_every=loop.keep_every
        )

    def _next_example(self, place: TrainingState) -> int:
        """Return the example of the stream with which the step behind a place begins."""
        return place.step * self.settings.loop.batch_size + place.skipped_examples

    def _roll_back(self, error: DivergenceError, log: StepLog) -> TrainingState:
        """Return to the last checkpoint, and passes over the examples that were seen since.

        Raises:
            RunError: There is no checkpoint, or there were too many roll-backs.
        """
        self.optimizer.state.clear()
        place = self._resume()
        self.roll_backs += 1
        limit = self.settings.max_roll_backs
        if not place.step or self.roll_backs > limit:
            reason = "there is no checkpoint yet" if not place.step else f"{limit} roll-backs did not help"
            raise RunError(
                f"{error}; {reason}: lower --learning-rate, lengthen --warmup-steps, or look at the data "
                f"around example {error.step * self.settings.loop.batch_size + place.skipped_examples:,}"
            )
        skipped = (error.step - place.step) * self.settings.loop.batch_size
        place = replace(place, skipped_examples=place.skipped_examples + skipped, roll_backs=self.roll_backs)
        text = f"{error}; back to step {place.step}, passing over {skipped:,} examples"
        if self.world.is_first:
            warn(text)
        log.event(place.step, "roll-back", text)
        return place

    def _resume(self) -> TrainingState:
        """Fill model and optimiser from the newest checkpoint, on all ranks."""
        place = TrainingState() if self.run is None else self.run.resume(self.model, self.optimizer)
        agreed = {name: int(self.world.agree(number)) for name, number in asdict(place).items()}
        self.world.share_state(self.model, self.optimizer)
        return TrainingState(**agreed)

    def _score(self) -> dict[str, Score]:
        """Return the scores on held-out examples; none where none were held out."""
        source = self.data.held_out(self.settings.examples)
        if source is None:
            return {}
        size, world = self.settings.loop.micro_size, self.world
        share = RankSlice(rank=world.rank, ranks=world.size, batch=size * world.size)
        batches = Examples(source).one_pass(size, limit=self.settings.eval_examples, share=share)
        return evaluate(self.model, batches, HeldOutObjective(), self.settings.loop, world)

    def _extras(self, seconds: float) -> dict[str, Any]:
        """Return what a log record says of this process beside the steps, for so many seconds of them."""
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
        """Return the operations a second that this device does in a large product; measured once."""
        if self.measured_peak is None:
            device = self.model.device
            dtype = autocast_dtype(self.settings.loop.precision, device) or torch.float32
            self.measured_peak = matrix_peak(device, dtype)
            say(f"matrix products reach {self.measured_peak / 1e12:.3g} TFLOP/s on {device}")
        return self.measured_peak

    def _held_out_losses(self) -> Iterator[float]:
        """Yield the masked LM losses of the evaluations that are logged."""
        for record in [] if self.run is None else self.run.log_records():
            if "masked_lm_loss" in record.get("held_out", {}):
                yield record["held_out"]["masked_lm_loss"]

    def _open_sinks(self) -> list[LogSink]:
        if self.run is None:
            return []
        folder, config = self.run.folder, self.run.record["settings"]
        return open_sinks(self.settings.log_to, folder, folder.name, config)

    def _keep(self, folder: Path, scores: dict[str, float]) -> None:
        """Write the model as it is now to `folder`, with its card."""
        assert self.run is not None
        record = self.run.record
        description = (
            "An ALBERT encoder with its masked LM and sentence-order heads, pretrained on the prepared text "
            f"in `{' '.join(record['settings']['data'])}`."
        )
        card = model_card(
            "ALBERT, pretrained", description=description, task="fill-mask", scores=scores, record=record
        )
        write_model_folder(folder, self.model, self.data.tokenizer, card=card, record=record)
