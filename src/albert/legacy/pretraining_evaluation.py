"""The evaluation of `run_pretraining --do_eval`: the newest checkpoint of a folder, and every newer one.

It can run while another process trains. Every evaluation reads the same first records in the order of the
files, starting over at their end, and appends to `eval_results.txt`; the checkpoint with the best masked-LM
accuracy is kept as `best/`.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np
from absl.flags import FlagValues

from albert.checkpoint.albert_zh import read_shape
from albert.checkpoint.folder import load_weights
from albert.checkpoint.layout import RUN_FILE, STATE_FILE, RunLayout
from albert.checkpoint.snapshots import load_snapshot_weights
from albert.console import say
from albert.conversion.bare_weights import bare_folder
from albert.conversion.release import model_card, write_model_folder
from albert.data.batches import PretrainingBatch
from albert.data.examples.stream import rebatch
from albert.data.tfrecord.examples import TfrecordExamples
from albert.errors import CheckpointError, ConfigError
from albert.legacy.checkpoints import (
    BEST_NAME,
    Checkpoint,
    newest_of_run,
    newest_of_tensorflow,
    steps_of_finished,
)
from albert.model.language_models import AlbertForPreTraining
from albert.pretraining.objective import PretrainingObjective, make_objective
from albert.pretraining.settings import ObjectiveSettings
from albert.training.devices import find_device
from albert.training.loop import evaluate
from albert.training.settings import LoopSettings

RESULTS_NAME = "eval_results.txt"
KEY = "masked_lm_accuracy"
"""Name of the score by which the best checkpoint is chosen."""
POLL_SECONDS = 1.0


@dataclass(kw_only=True)
class Evaluation:
    """The evaluation of the checkpoints in a folder."""

    folder: Path
    """Folder of checkpoints and results."""
    config_file: Path
    """File of the model's shape."""
    records: TfrecordExamples
    """The examples of the evaluation."""
    model: AlbertForPreTraining
    """The model into which one checkpoint after the other is loaded."""
    batch_size: int
    """Examples per batch."""
    max_batches: int
    """Batches per evaluation."""
    num_train_steps: int
    """Steps of the training; the evaluation ends with the last one."""
    start_from: Path | None
    """Model folder to evaluate if nothing has been trained."""
    objective: PretrainingObjective = field(init=False)
    """The two losses."""

    def __post_init__(self) -> None:
        self.objective = make_objective(ObjectiveSettings(), self.model.config)

    @classmethod
    def of(cls, flags: FlagValues, shape: Path, files: list[Path], weights: Path | None) -> "Evaluation":
        """Return the evaluation that the flags describe, of a model of the shape in the file `shape`.

        Raises:
            AlbertError: A flag has a wrong value, or the model does not fit.
        """
        for name in ("eval_batch_size", "max_eval_steps"):
            if getattr(flags, name) < 1:
                raise ConfigError(f"--{name} is {getattr(flags, name)}; expected at least 1")
        config = read_shape(shape)
        return cls(
            folder=Path(flags.output_dir),
            config_file=shape,
            records=TfrecordExamples(
                paths=files, vocab_size=config.vocab_size, max_seq_length=flags.max_seq_length
            ),
            model=AlbertForPreTraining(config).to(find_device("auto")),
            batch_size=flags.eval_batch_size,
            max_batches=flags.max_eval_steps,
            num_train_steps=flags.num_train_steps,
            start_from=weights,
        )

    def to_the_end(self) -> None:
        """Evaluate the newest checkpoint, wait for newer ones, and end with the last.

        Without a run of this package, evaluate TensorFlow checkpoints, or the model to start from.
        Without either, wait for a run.

        Raises:
            AlbertError: A checkpoint cannot be used.
        """
        done, is_reported = -1, False
        while True:
            found = self._find()
            if found is not None and found.step > done:
                if self._evaluated(found):
                    done = found.step
                    is_reported = False
                continue
            if found is not None and (done >= self.num_train_steps or self._is_last(found)):
                return
            if not is_reported:
                say(f"{self.folder}: waiting for a {'newer' if done >= 0 else 'first'} checkpoint")
                is_reported = True
            sleep(POLL_SECONDS)

    def _find(self) -> Checkpoint | None:
        """Return the checkpoint to evaluate now."""
        if (self.folder / RUN_FILE).is_file():
            return newest_of_run(self.folder)
        if found := newest_of_tensorflow(self.folder):
            return found
        return None if self.start_from is None else Checkpoint(0, self.start_from)

    def _is_last(self, checkpoint: Checkpoint) -> bool:
        """Return whether no newer checkpoint can appear."""
        if (self.folder / RUN_FILE).is_file():
            return steps_of_finished(self.folder) == checkpoint.step
        return True

    def _evaluated(self, checkpoint: Checkpoint) -> bool:
        """Evaluate a checkpoint; return whether it still existed."""
        path, config = checkpoint.path, self.model.config
        if (path / STATE_FILE).is_file():
            try:
                load_snapshot_weights(path, self.model)
            except CheckpointError:
                if path.exists():
                    raise
                return False  # the training has removed it
        else:
            # Not opened as a model folder: these have no tokenizer, and one model is reused for all.
            folder = bare_folder(path, self.config_file)
            load_weights(self.model, folder, has_map=config.has_map)
        self._write(checkpoint, self.scores())
        return True

    def scores(self) -> dict[str, float]:
        """Return the scores: means over masked tokens and over pairs, and `loss`, the mean over batches."""
        precise = LoopSettings(precision="float32")
        totals: dict[str, float] = {}
        counts: dict[str, int] = {}
        losses = []
        for batch in islice(rebatch(self._records_without_end(), self.batch_size), self.max_batches):
            parts = evaluate(self.model, [batch], self.objective, precise)
            losses.append(sum(part.loss for part in parts.values()))
            for name, count in self.objective.counts(batch).items():
                counts[name] = counts.get(name, 0) + count
                for key, value in (("loss", parts[name].loss), ("accuracy", parts[name].accuracy)):
                    totals[f"{name}_{key}"] = totals.get(f"{name}_{key}", 0.0) + (value or 0.0) * count
        means = {key: total / max(1, counts[key.rpartition("_")[0]]) for key, total in totals.items()}
        return {"loss": sum(losses) / len(losses), **means}

    def _records_without_end(self) -> Iterator[PretrainingBatch]:
        while True:
            yield from self.records.in_order()

    def _write(self, checkpoint: Checkpoint, scores: dict[str, float]) -> None:
        """Print and write the results, and keep the checkpoint if it is the best so far."""
        path = self.folder / RESULTS_NAME
        best = max(_values_in(path), default=-1.0)
        results = {"global_step": checkpoint.step, **{key: str(np.float32(scores[key])) for key in scores}}
        lines = [f"{key} = {results[key]}" for key in sorted(results)]
        print("***** Eval results *****", *(f"  {line}" for line in lines), sep="\n", flush=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        if scores[KEY] > best:
            self._keep(scores)
            lines.append(f"saved model.ckpt-{checkpoint.step} to {BEST_NAME}")
        with path.open("a", encoding="utf-8") as file:
            file.write("".join(f"{line}\n" for line in lines))

    def _keep(self, scores: dict[str, float]) -> None:
        """Write the model as `best/`."""
        record = self._record()
        card = model_card(
            "ALBERT, pretrained",
            description="An ALBERT encoder with its masked LM and sentence-order heads. Its vocabulary is "
            "that of the TFRecord files it was trained on.",
            task=self.model.pipeline_task,
            scores=scores,
            record=record,
        )
        write_model_folder(RunLayout(self.folder).best, self.model, None, card=card, record=record)

    def _record(self) -> dict[str, Any]:
        """Return the record of the run that trained the weights."""
        try:
            return dict(json.loads((self.folder / RUN_FILE).read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return {"command": "run_pretraining", "settings": {"init_checkpoint": str(self.start_from)}}


def _values_in(path: Path) -> list[float]:
    """Return the scores of earlier evaluations, so that a restart keeps the best checkpoint."""
    if not path.is_file():
        return []
    return [float(value) for value in re.findall(rf"^{KEY} = (\S+)$", path.read_text(encoding="utf-8"), re.M)]
