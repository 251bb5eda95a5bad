"""`python -m albert.run_squad_v2`: fine-tuning on SQuAD 2.0, answers, null odds and official scores."""

from absl.flags import FlagValues

from albert.legacy.finetuning_job import with_classifier_dropout
from albert.legacy.squad import run_squad
from albert.tasks.catalogue import find_task
from albert.tasks.spans.solver import SpanSolver


def run_squad_v2(flags: FlagValues) -> None:
    """Train and predict, according to the flags.

    Raises:
        AlbertError: A file cannot be used, or flags contradict each other.
    """
    solver = SpanSolver(
        n_best_size=flags.n_best_size,
        max_answer_length=flags.max_answer_length,
        start_n_top=flags.start_n_top,
        end_n_top=flags.end_n_top,
    )
    task = with_classifier_dropout(find_task("squad2"), flags.dropout_prob)
    run_squad(flags, script="run_squad_v2", task=task, solver=solver, export_dir=None)
