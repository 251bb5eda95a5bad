"""`albert finetune`: train a pretrained model on a task, with one seed or several."""

from statistics import median, stdev
from typing import Any

from albert.commands.following import prediction
from albert.console import collected_notes, say
from albert.finetuning.data import Examples, check_start, read_examples
from albert.finetuning.settings import FinetuneSettings
from albert.tasks.catalogue import find_task

__all__ = ["FinetuneSettings", "finetune"]


def finetune(settings: FinetuneSettings) -> dict[str, Any]:
    """Fine-tune a model; return the scores of its best and of its last evaluation, and what to type next.

    With several seeds, each is a run of its own in `OUTPUT/seed-N`, and the result is the median of their
    scores, the standard deviation, and each score.

    Raises:
        AlbertError: Model, task and data do not fit together, a file cannot be read, the output folder holds
            another run, or nothing was learnt.
    """
    # Everything that can be read without torch is read before it is loaded: a mistake is answered at once.
    check_start(settings)
    with collected_notes() as notes:
        examples = read_examples(settings)
    result = _of_each_seed(settings, examples, notes)
    return result | {"next": prediction(result["model"])} if "model" in result else result


def _of_each_seed(settings: FinetuneSettings, examples: Examples, notes: list[str]) -> dict[str, Any]:
    from albert.finetuning.run import finetune_once

    if settings.seeds == 1:
        return finetune_once(settings, examples, notes=notes)
    metric = find_task(settings.task).best_metric
    results = []
    for once in settings.each_seed():
        say(f"seed {once.seed}")
        results.append(finetune_once(once, examples, notes=notes))
    if any(metric not in result for result in results):
        return {"task": results[0]["task"], "runs": [result["model"] for result in results]}
    scores = [float(result[metric]) for result in results]
    middle = min(results, key=lambda result: abs(result[metric] - median(scores)))
    return {
        "task": results[0]["task"],
        f"median_{metric}": median(scores),
        "spread": stdev(scores),
        metric: scores,
        "selection": f"of each seed {results[0]['selection']}; of {len(scores)} seeds the median",
        "model": middle["model"],
    }
