"""The tasks `similarity` and `pairs`: own texts, compared by one encoder."""

from albert.tasks.task import Task, TaskData
from albert.tasks.texts import OWN_HYPERPARAMETERS

SIMILARITY_TASKS = (
    Task(
        name="similarity",
        title="own data: how similar two texts are, by their vectors",
        kind="similarity",
        data=TaskData(text_column="sentence1", pair_column="sentence2", label_column="score", id_column="id"),
        metrics=("spearman", "pearson"),
        hyperparameters=OWN_HYPERPARAMETERS,
    ),
    Task(
        name="pairs",
        title="own data: texts that belong together, such as questions and answers, by their vectors",
        kind="pairs",
        data=TaskData(text_column="anchor", pair_column="positive", label_column="negative", id_column="id"),
        metrics=("recall_at_1", "mrr"),
        hyperparameters=OWN_HYPERPARAMETERS,
    ),
)
