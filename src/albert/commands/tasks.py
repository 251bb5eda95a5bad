"""`albert tasks`: list the tasks that `albert finetune` and `albert evaluate` know."""

from albert.commands.settings.tasks import TasksSettings
from albert.console import Rows, command_line
from albert.tasks.catalogue import TASKS
from albert.tasks.task import Task

__all__ = ["TasksSettings", "tasks"]


def tasks(settings: TasksSettings) -> Rows:  # noqa: ARG001  # every command takes its settings
    """Return one row for each task: name, kind, files, metrics, and hyperparameters with their source."""
    following = command_line("finetune", task="TASK", data="FOLDER", model="MODEL", output="RUN")
    return Rows(map(_row, TASKS.values()), next=following)


def _row(task: Task) -> dict[str, object]:
    names = dict.fromkeys(patterns[0] for patterns in task.data.files.values())
    steps = task.hyperparameters.max_steps or f"{task.hyperparameters.num_epochs:g} epochs"
    return {
        "task": task.name,
        "title": task.title,
        "kind": task.kind,
        "files": f"{task.data.folder or 'DATA'}/{{{','.join(names)}}}",
        "hub": task.data.hub.name if task.data.hub else "",
        "metrics": ", ".join(task.metrics),
        "learning_rate": task.hyperparameters.learning_rate,
        "batch_size": task.hyperparameters.batch_size,
        "max_steps": steps,
        "source": task.hyperparameters.source,
    }
