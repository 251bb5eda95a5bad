"""Score against work of every rule of early exit, from one pass, and the rule to use.

The pass keeps the logits of every layer, which say exactly what each rule would predict. Only the rule that
is chosen is timed, beside the whole model, in batches of 32.
"""

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from albert.inference.early_exit import (
    ExitRule,
    exit_rules,
    logits_of_all_depths,
    predict_early,
    simulated,
)
from albert.inference.trained_model import TrainedModel
from albert.tasks.features import TextFeatures

BATCH_SIZE = 32
_NEVER = ExitRule("confidence", 1.1)
"""A rule that no probability fulfils: the whole model, by the same code."""
_REPEATS = 3


def exit_curve(
    trained: TrainedModel, examples: Sequence[Any], features: TextFeatures, *, max_loss: float
) -> list[dict[str, Any]]:
    """Return a row for each rule: score, mean depth and share of the layers that are computed.

    The first row is the whole model. The rule that computes least among those that lose at most `max_loss` of
    100 points is marked as chosen, and both have the time of a text in batches of 32, in milliseconds.
    """
    solver, task = trained.solver, trained.task
    model: Any = trained.model
    num_layers = model.config.num_hidden_layers
    logits = logits_of_all_depths(model, features)
    metric = task.best_metric

    def row(rule: ExitRule, name: str) -> dict[str, Any]:
        exits = simulated(logits, rule)
        score = solver.scores(task, examples, exits.logits)[metric]
        mean_depth = float(exits.depths.mean())
        return {
            "rule": name,
            metric: score,
            "mean_depth": mean_depth,
            "layers_computed": mean_depth / num_layers,
        }

    whole = row(_NEVER, "all layers")
    rules = {str(rule): rule for rule in exit_rules(num_layers)}
    rows = [row(rule, name) for name, rule in rules.items()]
    good = [each for each in rows if 100 * (whole[metric] - each[metric]) <= max_loss]
    if good:
        chosen = min(good, key=lambda each: each["mean_depth"])
        rule = rules[chosen["rule"]]
        times = _times(
            lambda: predict_early(model, features, _NEVER, batch_size=BATCH_SIZE),
            lambda: predict_early(model, features, rule, batch_size=BATCH_SIZE),
        )
        for each, seconds in zip((whole, chosen), times, strict=True):
            each["ms_per_text"] = 1000 * seconds / len(features)
        chosen["chosen"] = "yes"
    return [whole, *rows]


def _times(*functions: Callable[[], object]) -> list[float]:
    """Return the median time of functions in seconds, run in turns."""
    found: list[list[float]] = [[] for _ in functions]
    for _ in range(_REPEATS):
        for function, seconds in zip(functions, found, strict=True):
            start = time.perf_counter()
            function()
            seconds.append(time.perf_counter() - start)
    return [median(seconds) for seconds in found]
