"""The task `multi-label`: own texts with any number of labels each."""

from albert.tasks.task import Task, TaskData
from albert.tasks.texts import OWN_HYPERPARAMETERS

MULTI_LABEL_TASKS = (
    Task(
        name="multi-label",
        title="own data: any number of labels for a text or a pair of texts",
        kind="multi-label",
        data=TaskData(label_column="labels", id_column="id"),
        metrics=("f1_micro", "f1_macro", "subset_accuracy"),
        hyperparameters=OWN_HYPERPARAMETERS,
    ),
)
