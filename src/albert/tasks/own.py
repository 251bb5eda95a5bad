"""The user's own texts as tasks: the columns come from flags, the labels from the training file.

Stands beside `glue`: records of the same kind, but with names to be filled in.
"""

from dataclasses import asdict, dataclass, replace

from albert.tasks.task import Recipe, Task, TaskData

_RECIPE = Recipe(
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSettings:
    """Which columns of own tables hold what; a benchmark knows its own."""

    text_column: str | None = None
    """Column of the text, of the passage, or of the words to be tagged; the task's own if not given."""
    pair_column: str | None = None
    """Column of the second text of a pair, or of the question; the task's own if not given."""
    choices_column: str | None = None
    """Column of the list of choices; the task's own if not given."""
    label_column: str | None = None
    """Column of the label, answers or tags; the task's own if not given."""


def with_columns(task: Task, columns: ColumnSettings) -> Task:
    """Returns `task` reading from the columns that are given."""
    given = {name: value for name, value in asdict(columns).items() if value is not None}
    return replace(task, data=replace(task.data, **given))
