"""Own texts to classify or to rate: their columns come from flags, their labels from the file."""

from albert.tasks.task import Hyperparameters, Task, TaskData

_RECIPE = Hyperparameters(
    learning_rate=2e-5,
    batch_size=32,
    source="the middle of Lan et al. (2020), table 14; three passes over the data",
)

OWN_TASKS = (
    Task(
        name="classification",
        title="own data: one label for a text or a pair of texts",
        kind="classification",
        data=TaskData(),
        metrics=("accuracy", "f1_macro"),
        recipe=_RECIPE,
    ),
    Task(
        name="regression",
        title="own data: one number for a text or a pair of texts",
        kind="regression",
        data=TaskData(),
        metrics=("pearson", "spearman"),
        recipe=_RECIPE,
    ),
)
