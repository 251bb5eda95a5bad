"""What a training tells while it runs: means over the last steps, for log.jsonl and for the progress bar."""

from typing import Any

from albert.console import Progress, human_count, warn
from albert.training.loop import Score, Step
from albert.training.runs import Run


class StepLog:
    """Gathers steps, writes a record every `log_steps`, and moves the progress bar.

    Args:
        run: Receives the records.
        bar: Shows loss, accuracies and speed.
        log_steps: Steps a record averages over.
    """

    def __init__(self, run: Run, bar: Progress, *, log_steps: int) -> None:
        self._run, self._bar, self._log_steps = run, bar, log_steps
        self._steps: list[Step] = []
        self._note = ""

    def add(self, step: Step) -> None:
        """Takes in one step."""
        self._steps.append(step)
        if step.skipped:
            warn(f"step {step.number}: loss or gradients not finite, weights left as they were")
        if step.number % self._log_steps == 0:
            record = self._record()
            self._run.log(record)
            self._note = note_of(record)
            self._steps.clear()
        self._bar.advance(1, self._note)

    def scores(self, step: int, scores: dict[str, Score]) -> None:
        """Writes one evaluation on held-out data."""
        self._run.log({"step": step, "held_out": flat_scores(scores)})

    def _record(self) -> dict[str, Any]:
        """Returns the means over the gathered steps; steps with non-finite numbers only count."""
        last = self._steps[-1]
        good = [step for step in self._steps if not step.skipped]
        tokens = sum(step.tokens for step in self._steps)
        record: dict[str, Any] = {
            "step": last.number,
            "learning_rate": last.learning_rate,
            "tokens_per_second": tokens / sum(step.seconds for step in self._steps),
            "skipped": len(self._steps) - len(good),
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


def flat_scores(scores: dict[str, Score]) -> dict[str, float]:
    """Returns scores as `name_loss` and `name_accuracy`."""
    flat = {}
    for name, score in scores.items():
        flat[f"{name}_loss"] = score.loss
        if score.accuracy is not None:
            flat[f"{name}_accuracy"] = score.accuracy
    return flat


def note_of(record: dict[str, Any]) -> str:
    """Returns the numbers of a record that one watches: loss, accuracies, speed."""
    parts = [f"loss {record['loss']:.3f}"] if "loss" in record else []
    parts += [
        f"{key.removesuffix('_accuracy').replace('_', ' ')} {value:.1%}"
        for key, value in record.items()
        if key.endswith("_accuracy")
    ]
    return "  ".join([*parts, f"{human_count(record['tokens_per_second'])} tokens/s"])
