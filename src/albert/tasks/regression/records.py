"""The record of own texts to rate with a number; STS-B is in GLUE's table."""

from albert.tasks.task import Task, TaskData
from albert.tasks.texts import OWN_HYPERPARAMETERS

REGRESSION_TASKS = (
    Task(
        name="regression",
        title="own data: one number for a text or a pair of texts",
        kind="regression",
        data=TaskData(),
        metrics=("pearson", "spearman"),
        hyperparameters=OWN_HYPERPARAMETERS,
    ),
)
