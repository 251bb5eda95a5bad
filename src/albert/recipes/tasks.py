"""`albert tasks`: lists the tasks that `albert finetune` and `albert evaluate` know."""

from dataclasses import dataclass

from albert.tasks.catalogue import TASKS


@dataclass(frozen=True, kw_only=True)
class TasksSettings:
    """Lists the known tasks with their data, scores and default settings."""


def tasks(settings: TasksSettings) -> list[dict[str, object]]:  # noqa: ARG001  # every recipe takes its settings
    """Returns one row for each task: name, kind, files, scores, and the recipe with its source."""
    return [
        {
            "task": task.name,
            "title": task.title,
            "kind": task.kind,
            "files": f"{task.data.folder or 'DATA'}/{{{','.join(task.data.files.values())}}}.tsv",
            "metrics": ", ".join(task.metrics),
            "learning_rate": task.recipe.learning_rate,
            "batch_size": task.recipe.batch_size,
            "max_steps": task.recipe.max_steps or f"{task.recipe.num_epochs} epochs",
            "source": task.recipe.source,
        }
        for task in TASKS.values()
    ]
