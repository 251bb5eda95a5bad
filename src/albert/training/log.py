"""Log of a running training: means over the last steps, for log.jsonl and the progress bar."""

import math
import mmap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from albert.console import Progress, human_count, warn
from albert.training.loop import Score, Step
from albert.training.runs import Run
from albert.training.sinks import LogSink


class StepLog:
    """Collects steps, writes a record every `log_steps`, and advances the progress bar.

    Args:
        run: Receives the records; None if another process writes them.
        bar: Shows loss, accuracies and speed.
        log_steps: Steps per record, which contains their means.
        extras: Returns further entries of a record, given the seconds that its steps took.
        sinks: Further receivers of the records.
    """

    def __init__(
        self,
        run: Run | None,
        bar: Progress,
        *,
        log_steps: int,
        extras: Callable[[float], dict[str, Any]] = lambda _: {},
        sinks: Sequence[LogSink] = (),
    ) -> None:
        self._run, self._bar, self._log_steps = run, bar, log_steps
        self._extras, self._sinks = extras, sinks
        self._steps: list[Step] = []
        self._note = ""

    def add(self, step: Step) -> None:
        """Add one step."""
        self._steps.append(step)
        if step.skipped and self._run is not None:
            warn(f"step {step.number}: loss or gradients are not finite; weights not updated")
        if step.number % self._log_steps == 0:
            record = self._record()
            self._write(record)
            self._note = note_of(record)
            self._steps.clear()
        self._bar.advance(1, self._note)

    def scores(self, step: int, scores: dict[str, Score]) -> None:
        """Write the scores of an evaluation on held-out data."""
        self._write({"step": step, "held_out": flat_scores(scores)})

    def event(self, step: int, name: str, text: str) -> None:
        """Write an event of the run, such as a roll-back."""
        self._write({"step": step, "event": name, "text": text})

    def _write(self, record: dict[str, Any]) -> None:
        if self._run is None:
            return
        self._run.log(record)
        for sink in self._sinks:
            sink.write(record)

    def _record(self) -> dict[str, Any]:
        """Return the means over the collected steps, without those that were skipped."""
        last = self._steps[-1]
        good = [step for step in self._steps if not step.skipped]
        tokens = sum(step.tokens for step in self._steps)
        seconds = sum(step.seconds for step in self._steps)
        record: dict[str, Any] = {
            "step": last.number,
            "learning_rate": last.learning_rate,
            "tokens": tokens,
            "tokens_per_second": tokens / seconds,
            "data_wait_share": sum(step.data_seconds for step in self._steps) / seconds,
            "skipped": len(self._steps) - len(good),
            **self._extras(seconds),
        }
        if good:
            record["loss"] = sum(step.loss for step in good) / len(good)
            record["grad_norm"] = sum(step.grad_norm for step in good) / len(good)
            for name in good[0].parts:
                losses = [step.parts[name].loss for step in good]
                accuracies = [a for step in good if (a := step.parts[name].accuracy) is not None]
                record[f"{name}_loss"] = sum(losses) / len(good)
                if accuracies:
                    record[f"{name}_accuracy"] = sum(accuracies) / len(good)
        return record


def memory_in_use(device: torch.device) -> int:
    """Return the bytes this process uses: at the peak on a GPU, currently on a CPU; 0 if unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[1]) * mmap.PAGESIZE if status.exists() else 0


def flat_scores(scores: dict[str, Score]) -> dict[str, float]:
    """Return scores as `name_loss` and `name_accuracy`, and the perplexity of masked LM."""
    flat = {}
    for name, score in scores.items():
        flat[f"{name}_loss"] = score.loss
        if score.accuracy is not None:
            flat[f"{name}_accuracy"] = score.accuracy
    if "masked_lm" in scores:
        flat["perplexity"] = math.exp(min(scores["masked_lm"].loss, 50.0))
    return flat


def note_of(record: dict[str, Any]) -> str:
    """Return the most important numbers of a record: loss, accuracies, speed."""
    parts = [f"loss {record['loss']:.3f}"] if "loss" in record else []
    parts += [
        f"{key.removesuffix('_accuracy').replace('_', ' ')} {value:.1%}"
        for key, value in record.items()
        if key.endswith("_accuracy")
    ]
    return "  ".join([*parts, f"{human_count(record['tokens_per_second'])} tokens/s"])
