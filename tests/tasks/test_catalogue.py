"""The records themselves: found by name, complete, consistent."""

import pytest

from albert.errors import ConfigError
from albert.metrics.scores import SCORES
from albert.tasks.catalogue import TASKS, find_task


@pytest.mark.parametrize(
    ("spelling", "name"), [("SST-2", "sst2"), ("sts-b", "stsb"), ("CoLA", "cola"), ("rte", "rte")]
)
def test_a_task_is_found_under_its_published_spelling(spelling: str, name: str) -> None:
    assert find_task(spelling).name == name


def test_an_unknown_task_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'mrpc'"):
        find_task("mrcp")


def test_every_task_is_scored_by_known_scores() -> None:
    for task in TASKS.values():
        assert task.metrics
        if task.kind in {"classification", "regression"}:
            assert set(task.metrics) <= set(SCORES)


def test_every_recipe_warms_up_within_its_steps() -> None:
    for task in TASKS.values():
        steps = task.recipe.steps(1000, task.recipe.batch_size)
        assert 0 <= task.recipe.warmup(steps) < steps


def test_a_shortened_run_keeps_the_recipes_share_of_warm_up() -> None:
    recipe = find_task("mrpc").recipe
    assert recipe.warmup(800) == 200
    assert recipe.warmup(40) == 10
    assert recipe.warmup(1) == 0


def test_own_data_is_passed_over_three_times() -> None:
    assert find_task("classification").recipe.steps(100, 32) == 3 * 4
