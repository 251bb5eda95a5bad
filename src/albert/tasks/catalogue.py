"""Every task by its name, and the solver of every kind of task.

To add a benchmark of a known kind, add a record to the table in its kind's room. To add a kind, write its
room, and add its solver to `SOLVERS` and its table to `TASKS`.
"""

from albert.config import AlbertConfig
from albert.errors import ConfigError, did_you_mean
from albert.tasks.choice.records import CHOICE_TASKS
from albert.tasks.choice.solver import ChoiceSolver
from albert.tasks.classification.clue import CLUE_TASKS
from albert.tasks.classification.glue import GLUE_TASKS
from albert.tasks.classification.records import CLASSIFICATION_TASKS
from albert.tasks.classification.solver import ClassificationSolver
from albert.tasks.multi_label.records import MULTI_LABEL_TASKS
from albert.tasks.multi_label.solver import MultiLabelSolver
from albert.tasks.regression.records import REGRESSION_TASKS
from albert.tasks.regression.solver import RegressionSolver
from albert.tasks.similarity.records import SIMILARITY_TASKS
from albert.tasks.similarity.solver import PairsSolver, SimilaritySolver
from albert.tasks.solver import Solver
from albert.tasks.spans.records import READING_TASKS
from albert.tasks.spans.solver import SpanSolver
from albert.tasks.tagging.records import ENTITY_TASKS
from albert.tasks.tagging.solver import TaggingSolver
from albert.tasks.task import Task

TASKS = {
    task.name: task
    for task in (
        *GLUE_TASKS,
        *CLUE_TASKS,
        *READING_TASKS,
        *ENTITY_TASKS,
        *CHOICE_TASKS,
        *CLASSIFICATION_TASKS,
        *MULTI_LABEL_TASKS,
        *REGRESSION_TASKS,
        *SIMILARITY_TASKS,
    )
}
"""The record of every task, benchmarks first."""


SOLVERS: dict[str, Solver] = {
    "classification": ClassificationSolver(),
    "multi-label": MultiLabelSolver(),
    "regression": RegressionSolver(),
    "choice": ChoiceSolver(),
    "spans": SpanSolver(),
    "tagging": TaggingSolver(),
    "similarity": SimilaritySolver(),
    "pairs": PairsSolver(),
}
"""The solver of each kind of task."""


_SEVERAL = {
    "squad": "squad1, where every question has an answer, and squad2, where some have none",
    "glue": "cola, sst2, mrpc, stsb, qqp, mnli, mnli-mm, qnli, rte, wnli and ax",
    "clue": "afqmc, tnews, iflytek, cmnli, ocnli, csl, cluewsc, and cmrc2018 and c3 of reading",
    "ner": "conll2003, cluener, msra-ner, and tagging for your own data",
    "xnli": "xnli-zh in Chinese, and classification for data of your own in other languages",
}
"""Names of benchmarks that are no single task, and what to choose from."""


def find_task(name: str) -> Task:
    """Return the record of the task called `name`, ignoring case and hyphens: "SST-2" is "sst2".

    Raises:
        ConfigError: There is no such task.
    """
    found = {_plain(known): task for known, task in TASKS.items()}.get(_plain(name))
    if found is None and _plain(name) in _SEVERAL:
        raise ConfigError(f"{name!r} names several tasks: {_SEVERAL[_plain(name)]}; choose one")
    if found is None:
        raise ConfigError(
            f"unknown task {name!r}{did_you_mean(_plain(name), list(TASKS))}; known: {', '.join(TASKS)}"
        )
    return found


def solver_of(task: Task) -> Solver:
    """Return the solver of the kind of `task`."""
    return SOLVERS[task.kind]


def kind_of_model(architecture: str | None, config: AlbertConfig) -> str | None:
    """Return the kind of task a trained model solves; None if it has no head for any.

    Args:
        architecture: Name of its public class; None if the folder does not name it.
        config: Its configuration.
    """
    for kind, solver in SOLVERS.items():
        classes = {model_class.__name__ for model_class in solver.model_classes()}
        if (architecture is None or architecture in classes) and solver.is_made_for(config):
            return kind
    return None


def check_kind(task: Task, architecture: str | None, config: AlbertConfig) -> None:
    """Refuse a model whose class or configuration says that it was trained for another kind of task.

    Models of unknown classes pass; whether their head fits is checked when it is read.

    Raises:
        ConfigError: The model was trained for another kind.
    """
    solver = solver_of(task)
    classes = {model_class.__name__ for model_class in solver.model_classes()}
    fits = (architecture is None or architecture in classes) and solver.is_made_for(config)
    trained_for = kind_of_model(architecture, config)
    if not fits and trained_for is not None:
        raise ConfigError(
            f"the model was trained for {trained_for}, but task {task.name!r} is {task.kind}; "
            "give the model that was fine-tuned for it"
        )


def files_of_benchmark(benchmark: str) -> tuple[str, ...]:
    """Return the files of a complete submission to a benchmark for which there are tasks."""
    submissions = [task.submission for task in TASKS.values() if task.submission is not None]
    return tuple(s.file for s in submissions if s.benchmark == benchmark and s.is_required)


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
