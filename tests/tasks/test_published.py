"""Recipes by name and model, the source of each number, and the published scores."""

from dataclasses import fields, replace

import pytest

from albert.config import AlbertConfig
from albert.errors import ConfigError
from albert.metrics.scores import SCORES
from albert.tasks.catalogue import TASKS, find_task
from albert.tasks.published import (
    SMALL_WIDTH,
    band,
    hyperparameter_rows,
    recipe_for,
    recipe_names,
    release_of,
)
from albert.tasks.published_figures import FIGURES
from albert.tasks.task import Hyperparameters

SIZES = (
    "tiny",
    "small",
    "base-v1",
    "large-v1",
    "xlarge-v1",
    "base-v2",
    "large-v2",
    "xlarge-v2",
    "xxlarge-v2",
)


def model(size: str) -> AlbertConfig:
    return AlbertConfig.of_size(size, vocab_size=30000)


def test_every_recipe_of_every_task_exists_for_every_size() -> None:
    settings = {field.name for field in fields(Hyperparameters)}
    for task in TASKS.values():
        for name in recipe_names(task):
            for size in SIZES:
                hyperparameters = recipe_for(task, model(size), name=name)
                assert hyperparameters.source
                assert set(hyperparameters.sources) <= settings
                steps = hyperparameters.steps(1000, hyperparameters.batch_size)
                assert 0 <= hyperparameters.warmup(steps) < steps


def test_the_papers_recipe_is_unchanged() -> None:
    for name in ("rte", "qqp", "race"):
        assert recipe_for(TASKS[name], model("xxlarge-v2"), name="paper") == TASKS[name].hyperparameters


@pytest.mark.parametrize("size", ["base-v1", "large-v1", "xlarge-v1"])
def test_models_with_dropout_are_tuned_as_in_the_paper(size: str) -> None:
    assert recipe_for(find_task("qqp"), model(size)) == find_task("qqp").hyperparameters


def test_base_without_dropout_is_tuned_as_in_the_paper() -> None:
    assert recipe_for(find_task("qqp"), model("base-v2")) == find_task("qqp").hyperparameters


@pytest.mark.parametrize(
    ("size", "rate"), [("large-v2", 2e-5), ("xlarge-v2", 1e-5), ("xxlarge-v2", 1e-5), ("xxlarge-v1", 1e-5)]
)
def test_wide_models_without_dropout_get_lower_rates(size: str, rate: float) -> None:
    hyperparameters = recipe_for(find_task("qqp"), model(size))
    assert hyperparameters.learning_rate == rate
    assert hyperparameters.hidden_dropout_prob == 0
    assert hyperparameters.max_steps is not None
    assert hyperparameters.warmup(hyperparameters.max_steps) == hyperparameters.max_steps // 10
    assert set(hyperparameters.sources) == {"learning_rate", "hidden_dropout_prob", "warmup_steps"}
    assert hyperparameters.batch_size == find_task("qqp").hyperparameters.batch_size


def test_auto_never_raises_a_rate_or_shortens_a_warm_up() -> None:
    for task in TASKS.values():
        for size in SIZES[2:]:
            careful = recipe_for(task, model(size))
            steps = task.hyperparameters.steps(5000, task.hyperparameters.batch_size)
            assert careful.learning_rate <= task.hyperparameters.learning_rate
            assert careful.warmup(steps) >= task.hyperparameters.warmup(steps)
            assert careful.steps(5000, 32) == task.hyperparameters.steps(5000, 32)


def test_race_has_the_hyperparameters_of_the_second_release() -> None:
    for size, name in (("base-v2", "auto"), ("xxlarge-v2", "auto"), ("base-v1", "v2")):
        hyperparameters = recipe_for(find_task("race"), model(size), name=name)
        assert (hyperparameters.learning_rate, hyperparameters.hidden_dropout_prob) == (1e-5, 0)
        assert "README" in hyperparameters.sources["learning_rate"]


@pytest.mark.parametrize(
    ("size", "rate"),
    [("tiny", 1e-4), ("small", 6e-5), ("base", 2e-5), ("large", 2e-5), ("xlarge", 1e-5), ("xxlarge", 1e-5)],
)
def test_chinese_models_get_the_rate_of_their_size(size: str, rate: float) -> None:
    config = AlbertConfig.of_size(size, vocab_size=21128)
    hyperparameters = recipe_for(find_task("lcqmc"), config, name="albert-zh")
    assert hyperparameters.learning_rate == rate
    assert (hyperparameters.batch_size, hyperparameters.num_epochs, hyperparameters.max_seq_length) == (
        64,
        5,
        128,
    )
    if config.hidden_size >= SMALL_WIDTH:
        assert hyperparameters == recipe_for(find_task("lcqmc"), config)


def test_a_rate_found_for_base_is_unchanged_for_base() -> None:
    task = find_task("msra-ner")
    assert task.hyperparameters.learning_rate == 5e-5
    assert recipe_for(task, AlbertConfig.of_size("base", vocab_size=21128)) == task.hyperparameters
    assert recipe_for(task, AlbertConfig.of_size("large", vocab_size=21128)).learning_rate == 2e-5
    assert "albert-zh" not in recipe_names(task)


def test_a_recipe_that_a_task_lacks_is_refused() -> None:
    with pytest.raises(
        ConfigError, match="'lcqmc' has no recipe 'paper'; it has auto, albert-zh, small, own"
    ):
        recipe_for(find_task("lcqmc"), model("tiny"), name="paper")
    with pytest.raises(ConfigError, match="did you mean 'paper'"):
        recipe_for(find_task("rte"), model("base"), name="papr")


def test_the_release_is_known_from_the_dropout() -> None:
    assert [release_of(model(f"base-{version}")) for version in ("v1", "v2")] == ["v1", "v2"]


def test_rows_name_the_source_of_each_number() -> None:
    hyperparameters = recipe_for(find_task("rte"), model("xlarge-v2"))
    rows = {row["setting"]: row for row in hyperparameter_rows(hyperparameters)}
    assert rows["batch_size"] == {
        "setting": "batch_size",
        "value": 32,
        "source": "Lan et al. (2020), table 14",
    }
    assert rows["learning_rate"]["value"] == 1e-5
    assert "issue 151" in str(rows["learning_rate"]["source"])
    assert rows["warmup_steps"]["value"] == 200


def test_rows_show_the_values_used_and_those_given() -> None:
    used = {"max_steps": 300, "warmup_steps": 30, "batch_size": 8, "learning_rate": 1e-4}
    hyperparameters = find_task("lcqmc").hyperparameters
    rows = {
        row["setting"]: row for row in hyperparameter_rows(hyperparameters, used=used, given={"batch_size"})
    }
    assert rows["batch_size"] == {"setting": "batch_size", "value": 8, "source": "given"}
    assert rows["max_steps"]["value"] == 300
    assert str(rows["max_steps"]["source"]).startswith("5 passes over the data; albert_zh")
    assert str(rows["warmup_steps"]["source"]).startswith("10% of the steps; albert_zh")
    assert not {"num_epochs", "warmup_share"} & set(rows)


def test_every_figure_is_of_a_known_score_and_size() -> None:
    for figure in FIGURES:
        assert 0 < figure.percent < 100
        assert model(f"{figure.size}-{figure.version}" if figure.version else figure.size)
        task = TASKS.get(figure.task)
        if task is not None and task.kind in {"classification", "regression"}:
            assert figure.metric in SCORES
            assert figure.metric in task.metrics


def test_a_band_spans_the_scores_published_for_the_size() -> None:
    found = band(find_task("mnli"), model("base-v2"))
    assert found is not None
    assert (found.metric, found.low, found.high) == ("accuracy", 0.826, 0.846)
    assert found.model == "base v2"
    assert found.source.startswith("README of google-research/albert, v2; Zhou et al. (2020)")
    assert {
        "metric": "accuracy",
        "value": 0.846,
        "split": "dev",
        "source": "README of google-research/albert, v2",
    } in (found.rows)
    older = band(find_task("mnli"), model("base-v1"))
    assert older is not None
    assert older.low == older.high == 0.816


def test_the_band_of_a_model_of_unknown_release_includes_both() -> None:
    found = band(find_task("sst2"), model("xxlarge"))
    assert found is not None
    assert (found.low, found.high) == (0.968, 0.969)


def test_a_band_of_a_chinese_model_falls_back_to_test_scores() -> None:
    found = band(find_task("lcqmc"), AlbertConfig.of_size("tiny", vocab_size=21128))
    assert found is not None
    assert [row["split"] for row in found.rows] == ["test"]
    assert (found.model, found.source) == ("tiny", "README of albert_zh (on test)")


def test_a_model_of_another_shape_or_an_own_task_has_no_band() -> None:
    assert band(find_task("rte"), replace(model("base-v2"), num_hidden_layers=6)) is None
    assert band(find_task("classification"), model("base-v2")) is None


@pytest.mark.parametrize("name", ["classification", "rte", "lcqmc", "tagging", "squad1"])
def test_small_models_get_what_was_measured_with_their_size(name: str) -> None:
    task = find_task(name)
    found = [recipe_for(task, model(size)) for size in ("mini", "tiny", "small")]
    for hyperparameters in found:
        assert hyperparameters.learning_rate >= 10 * 1e-5
        assert hyperparameters.max_seq_length == task.hyperparameters.max_seq_length
        assert "docs/fine-tuning.md" in hyperparameters.sources["learning_rate"]
    assert found[1] == recipe_for(task, model("tiny"), name="small")
    assert recipe_for(task, model("base")) != recipe_for(task, model("base"), name="small")


def test_small_data_are_passed_over_more_often() -> None:
    small = recipe_for(find_task("classification"), model("mini"))
    passes = [small.steps(n, small.batch_size) / -(-n // small.batch_size) for n in (100, 400, 2000, 100_000)]
    assert passes == sorted(passes, reverse=True)
    assert passes[0] == small.max_epochs
    assert passes[-1] == small.num_epochs
    base = recipe_for(find_task("classification"), model("base"))
    assert [base.steps(n, 32) for n in (320, 3200, 320_000)] == [200, 800, 30_000]
