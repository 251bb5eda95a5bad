"""The task `classification`: own texts, their columns given by flags, their labels by the training file."""

from albert.tasks.task import Task, TaskData
from albert.tasks.texts import OWN_HYPERPARAMETERS

CLASSIFICATION_TASKS = (
    Task(
        name="classification",
        title="own data: one label for a text or a pair of texts",
        kind="classification",
        data=TaskData(id_column="id"),
        metrics=("accuracy", "f1_macro"),
        hyperparameters=OWN_HYPERPARAMETERS,
    ),
)
