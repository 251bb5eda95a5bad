"""The list of tasks that `albert tasks` prints."""

import json

from albert.commands.tasks import TasksSettings, tasks
from albert.tasks.catalogue import TASKS


def test_every_task_is_listed_with_its_hyperparameters_as_plain_data() -> None:
    rows = tasks(TasksSettings())
    assert [row["task"] for row in rows] == list(TASKS)
    cola = next(row for row in rows if row["task"] == "cola")
    assert (cola["learning_rate"], cola["batch_size"], cola["max_steps"]) == (1e-5, 16, 5336)
    assert json.loads(json.dumps(rows)) == rows
