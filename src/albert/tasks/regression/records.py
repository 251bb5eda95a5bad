"""The task `regression`: own texts rated with a number. STS-B is with the other tasks of GLUE."""

from albert.tasks.task import Task, TaskData
from albert.tasks.texts import OWN_HYPERPARAMETERS

REGRESSION_TASKS = (
    Task(
        name="regression",
        title="own data: one number for a text or a pair of texts",
        kind="regression",
        data=TaskData(id_column="id"),
        metrics=("pearson", "spearman"),
        hyperparameters=OWN_HYPERPARAMETERS,
    ),
)
