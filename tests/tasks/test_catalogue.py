"""Records of tasks: found by name, complete, consistent."""

from dataclasses import replace
from itertools import permutations

import pytest

from albert.config import AlbertConfig
from albert.errors import ConfigError
from albert.metrics.scores import SCORES
from albert.tasks.catalogue import _SEVERAL, SOLVERS, TASKS, check_kind, find_task, kind_of_model, solver_of


def config_with(task_name: str) -> AlbertConfig:
    """Return the configuration that fine-tuning on a task writes."""
    task = replace(find_task(task_name), labels=find_task(task_name).labels or ("a", "b", "c"))
    return replace(AlbertConfig.of_size("tiny", vocab_size=31), **solver_of(task).config_changes(task))


def test_a_model_is_of_the_kind_it_was_fine_tuned_for() -> None:
    for kind, solver in SOLVERS.items():
        [name, *_] = [model_class.__name__ for model_class in solver.model_classes()]
        # Both kinds train the same encoder; what it was trained on does not matter for its vectors.
        assert kind_of_model(name, config_with(kind)) == {"pairs": "similarity"}.get(kind, kind)


def test_a_model_of_another_kind_is_refused_with_both_kinds() -> None:
    classifier = "AlbertForSequenceClassification"
    for made, asked in permutations(("classification", "regression"), 2):
        message = f"trained for {made}, but task '{asked}' is {asked}"
        for architecture in (classifier, None):
            with pytest.raises(ConfigError, match=message):
                check_kind(find_task(asked), architecture, config_with(made))
    with pytest.raises(ConfigError, match="trained for classification, but task 'spans' is spans"):
        check_kind(find_task("spans"), classifier, config_with("classification"))


@pytest.mark.parametrize(
    ("spelling", "name"), [("SST-2", "sst2"), ("sts-b", "stsb"), ("CoLA", "cola"), ("rte", "rte")]
)
def test_a_task_is_found_under_its_published_spelling(spelling: str, name: str) -> None:
    assert find_task(spelling).name == name


def test_the_error_for_an_unknown_task_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'mrpc'"):
        find_task("mrcp")


def test_every_task_is_scored_by_known_scores() -> None:
    for task in TASKS.values():
        assert task.metrics
        if task.kind in {"classification", "regression"}:
            assert set(task.metrics) <= set(SCORES)


def test_the_warm_up_of_every_task_ends_within_its_steps() -> None:
    for task in TASKS.values():
        steps = task.hyperparameters.steps(1000, task.hyperparameters.batch_size)
        assert 0 <= task.hyperparameters.warmup(steps) < steps


def test_a_shortened_run_keeps_the_share_of_warm_up() -> None:
    hyperparameters = find_task("mrpc").hyperparameters
    assert hyperparameters.warmup(800) == 200
    assert hyperparameters.warmup(40) == 10
    assert hyperparameters.warmup(1) == 0


def test_own_data_are_trained_on_for_three_epochs_and_small_ones_for_more() -> None:
    own = find_task("classification").hyperparameters
    assert own.steps(32_000, 32) == 3 * 1000
    assert own.steps(100, 32) == 20 * 4


@pytest.mark.parametrize("name", _SEVERAL)
def test_the_name_of_a_benchmark_lists_its_tasks(name: str) -> None:
    with pytest.raises(ConfigError, match="names several tasks: ") as found:
        find_task(name.upper())
    named = [word.strip(",;:") for word in str(found.value).split()]
    assert sum(word in TASKS for word in named) >= 2
