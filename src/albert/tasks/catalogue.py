"""Every task by its name, and the solver of every kind of task.

Stands above the tables of records (`glue`, `own`) and the kinds (`classification`); a new table or kind is
one more line here.
"""

from albert.errors import ConfigError, did_you_mean
from albert.tasks.choice.records import CHOICE_TASKS
from albert.tasks.choice.solver import ChoiceSolver
from albert.tasks.classification.clue import CLUE_TASKS
from albert.tasks.classification.glue import GLUE_TASKS
from albert.tasks.classification.own import OWN_TASKS
from albert.tasks.classification.solver import ClassificationSolver
from albert.tasks.solver import Solver
from albert.tasks.spans.records import READING_TASKS
from albert.tasks.spans.solver import SpanSolver
from albert.tasks.tagging.records import ENTITY_TASKS
from albert.tasks.tagging.solver import TaggingSolver
from albert.tasks.task import Kind, Task

TASKS = {
    task.name: task
    for task in (*GLUE_TASKS, *CLUE_TASKS, *READING_TASKS, *ENTITY_TASKS, *CHOICE_TASKS, *OWN_TASKS)
}
"""The record of every task, benchmarks first."""


SOLVERS: dict[Kind, Solver] = {
    "classification": ClassificationSolver(),
    "regression": ClassificationSolver(),
    "choice": ChoiceSolver(),
    "spans": SpanSolver(),
    "tagging": TaggingSolver(),
}
"""How tasks of each kind are solved."""


def find_task(name: str) -> Task:
    """Returns the record of the task called `name`; upper case and hyphens do not matter: "SST-2" is "sst2".

    Raises:
        ConfigError: There is no such task.
    """
    found = {_plain(known): task for known, task in TASKS.items()}.get(_plain(name))
    if found is None:
        raise ConfigError(
            f"unknown task {name!r}{did_you_mean(_plain(name), list(TASKS))}; known: {', '.join(TASKS)}"
        )
    return found


def solver_of(task: Task) -> Solver:
    """Returns what solves tasks of the kind of `task`."""
    return SOLVERS[task.kind]


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
