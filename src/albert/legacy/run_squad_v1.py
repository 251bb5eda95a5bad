"""`python -m albert.run_squad_v1`: fine-tuning on SQuAD 1.1, answers and official scores."""

from absl.flags import FlagValues

from albert.legacy.squad import run_squad
from albert.tasks.catalogue import find_task
from albert.tasks.spans.solver import SpanSolver


def run_squad_v1(flags: FlagValues) -> None:
    """Train, predict and export, according to the flags.

    Raises:
        AlbertError: A file cannot be used, or flags contradict each other.
    """
    solver = SpanSolver(n_best_size=flags.n_best_size, max_answer_length=flags.max_answer_length)
    run_squad(
        flags, script="run_squad_v1", task=find_task("squad1"), solver=solver, export_dir=flags.export_dir
    )
