"""The plan of a run, against the data and the model."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from albert.config import AlbertConfig
from albert.data.examples.settings import ExampleSettings
from albert.data.examples.stream import Examples
from albert.errors import ConfigError
from albert.model.flops import pretraining_flops
from albert.pretraining import plan as plan_module
from albert.pretraining.data import PretrainingData, open_pretraining_data
from albert.pretraining.objective import make_objective
from albert.pretraining.plan import make_plan, proposed_rate, sketch
from albert.pretraining.settings import PretrainSettings
from albert.training.settings import LoopSettings, OptimizerSettings


@pytest.fixture(autouse=True)
def short_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "TRIAL_SECONDS", 0.2)


@pytest.fixture
def settings(prepared_data: Path, tmp_path: Path) -> PretrainSettings:
    return PretrainSettings(
        data=(prepared_data,),
        output=tmp_path / "run",
        eval_examples=20,
        examples=ExampleSettings(max_seq_length=32),
        optimizer=OptimizerSettings(learning_rate=1e-4, warmup_steps=10),
        loop=LoopSettings(max_steps=200, batch_size=8, micro_batch_size=4, eval_steps=50, device="cpu"),
    )


@pytest.fixture
def data(prepared_data: Path) -> PretrainingData:
    return open_pretraining_data((prepared_data,))


@pytest.fixture
def config(tiny_config: Path) -> AlbertConfig:
    return AlbertConfig.from_json(tiny_config)


def plan_of(
    settings: PretrainSettings, data: PretrainingData, config: AlbertConfig, **others: Any
) -> dict[str, Any]:
    return make_plan(settings, data, config, make_objective(settings.objective, config), **others)


def test_the_plan_counts_the_examples_of_an_epoch_of_the_stream(
    settings: PretrainSettings, data: PretrainingData, config: AlbertConfig
) -> None:
    plan = plan_of(settings, data, config)
    epoch = list(Examples(data.train(settings.examples, seed=0)).one_pass(64))
    examples = sum(len(batch) for batch in epoch)
    tokens = sum(len(batch.input_ids) for batch in epoch)
    masked = sum(len(batch.masked_positions) for batch in epoch)
    assert examples < plan_module.SAMPLE_EXAMPLES  # so the sample is the whole epoch, and the plan is exact.
    assert plan["examples_per_epoch"] == examples
    assert plan["pieces_per_epoch"] == tokens
    assert plan["masked_share"] == masked / tokens
    assert plan["epochs"] == 200 * 8 / examples
    lengths = np.concatenate([batch.lengths for batch in epoch])
    flops = pretraining_flops(config, lengths, masked)
    assert plan["flops"] == pytest.approx(flops * 200 * 8 / examples)


def test_the_learning_rate_is_that_of_the_schedule_at_both_ends_and_between(
    settings: PretrainSettings, data: PretrainingData, config: AlbertConfig
) -> None:
    linear = replace(settings, optimizer=replace(settings.optimizer, schedule="linear"))
    curve = plan_of(linear, data, config)["learning_rate"]["curve"]
    assert [point["step"] for point in curve][:: len(curve) - 1] == [0, 199]
    assert curve[0]["rate"] == pytest.approx(1e-4 / 11)
    assert curve[5]["rate"] == pytest.approx(1e-4 * (1 - (curve[5]["step"] - 10) / 190))


def test_twice_the_processes_take_half_the_time_at_the_same_price(
    settings: PretrainSettings, data: PretrainingData, config: AlbertConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_module._Trial, "measure", lambda *_, **__: SPEED)
    one = plan_of(replace(settings, price_per_hour=3.0), data, config)
    two = plan_of(replace(settings, price_per_hour=3.0), data, config, world_size=2)
    assert one["hours"] == pytest.approx(2 * two["hours"])
    assert one["price"] == pytest.approx(two["price"])
    assert one["price"] == pytest.approx(3 * one["hours"])
    trained = one["pieces"] / 1000 / 3600
    assert trained < one["hours"] < 1.1 * trained


SPEED: dict[str, Any] = {
    "device": "cpu", "precision": "float32", "examples_at_once": 4, "seconds_at_once": 0.1,
    "pieces_per_second": 1000.0, "flops_per_second": 1e9, "peak_flops_per_second": 1e11, "utilisation": 0.01,
}  # fmt: skip


def test_the_plan_is_json_and_writes_nothing_and_its_report_has_the_same_numbers(
    settings: PretrainSettings, data: PretrainingData, config: AlbertConfig
) -> None:
    made = plan_of(replace(settings, price_per_hour=1.0), data, config)
    assert not settings.output.exists()
    again = json.loads(json.dumps(made))
    lines = {line[:10].strip(): line[10:] for line in again["report"].splitlines() if line[0] != " "}
    assert list(lines) == [
        "data", "padding", "run", "split", "model", "memory", "rate", "work", "speed", "time", "price",
    ]  # fmt: skip
    assert lines["run"].startswith("200 steps of 8 examples, 10 of them warm-up")
    assert lines["model"] == f"{again['parameters']:,} parameters"
    assert again["hours"] > 0
    assert 0 < again["speed"]["utilisation"] < 1
    assert again["remarks"] == []


def test_the_proposed_rate_is_the_papers_at_4096_and_falls_with_the_root() -> None:
    assert proposed_rate(4096, "lamb") == 1.76e-3
    assert proposed_rate(256, "lamb") == pytest.approx(1.76e-3 / 4)
    assert proposed_rate(1024, "adamw") == pytest.approx(2 * proposed_rate(256, "adamw"))


@pytest.mark.parametrize(
    ("rate", "words"), [(1.76e-3, "22.6 times above"), (1e-6, "times below"), (1e-4, None), (2e-4, None)]
)
def test_a_rate_far_from_the_square_root_rule_is_reported_for_a_wide_model(
    settings: PretrainSettings,
    data: PretrainingData,
    config: AlbertConfig,
    monkeypatch: pytest.MonkeyPatch,
    *,
    rate: float,
    words: str | None,
) -> None:
    chosen = replace(settings, optimizer=replace(settings.optimizer, learning_rate=rate))
    assert plan_of(chosen, data, config)["remarks"] == []
    monkeypatch.setattr(plan_module, "RULE_WIDTH", config.hidden_size)
    remarks = plan_of(chosen, data, config)["remarks"]
    assert [words in remark for remark in remarks if words] == ([True] if words else [])
    assert len(remarks) == (words is not None)


def test_with_too_little_memory_a_fitting_micro_batch_is_proposed(
    settings: PretrainSettings, data: PretrainingData, config: AlbertConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = replace(settings, loop=replace(settings.loop, batch_size=256, micro_batch_size=None))
    needed = plan_of(large, data, config)["memory"]["bytes"]
    monkeypatch.setattr(plan_module, "_free_bytes", lambda _: needed // 3)
    plan = plan_of(large, data, config)
    fitting = plan["memory"]["largest_micro_batch_size"]
    assert fitting in {16, 32, 64}
    assert f"--micro-batch-size {fitting} would fit" in plan["report"]
    assert plan["speed"]["examples_at_once"] <= fitting
    monkeypatch.setattr(plan_module, "_free_bytes", lambda _: 1000)
    plan = plan_of(replace(large, price_per_hour=1.0), data, config)
    assert (plan["speed"], plan["hours"], plan["price"]) == (None, None, None)
    assert "not even one example" in plan["report"]


def test_a_warm_up_longer_than_the_run_is_refused(
    settings: PretrainSettings, data: PretrainingData, config: AlbertConfig
) -> None:
    long = replace(settings, optimizer=replace(settings.optimizer, warmup_steps=201))
    with pytest.raises(ConfigError, match="--warmup-steps 201 exceeds --max-steps 200"):
        plan_of(long, data, config)


def test_the_sketch_is_as_high_as_the_values_relative_to_the_highest() -> None:
    lines = sketch([0.0, 1.0, 2.0, 4.0])
    assert lines[0] == "   *"
    assert [sum(line[i : i + 1] == "*" for line in lines) for i in range(4)] == [0, 1, 1, 1]
    heights = [
        next((len(lines) - n for n, line in enumerate(lines) if line[i : i + 1] == "*"), 0) for i in range(4)
    ]
    assert heights == [0, math.ceil(len(lines) / 4), len(lines) // 2, len(lines)]
