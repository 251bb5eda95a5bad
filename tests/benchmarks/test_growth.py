"""benchmarks/growth.py: its numbers mean what it says, tested on very small runs."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from itertools import islice
from multiprocessing import active_children
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from albert import AlbertConfig, AlbertForPreTraining
from albert.benchmarks import workload
from albert.benchmarks.timing import Outcome, Timing
from albert.benchmarks.workload import make_pretraining_batch
from albert.data.batches import PretrainingBatch
from albert.data.examples.settings import ExampleSettings

SCRIPTS = Path(__file__).parents[2] / "benchmarks"
SMALL_VOCAB_SIZE = 97


@pytest.fixture(scope="module", autouse=True)
def scripts() -> Iterator[None]:
    """Make the scripts importable, also in the processes they start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        yield


@pytest.fixture
def growth(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = import_module("growth")
    monkeypatch.setattr(workload, "VOCAB_SIZE", SMALL_VOCAB_SIZE)
    monkeypatch.setattr(module, "VOCAB_SIZE", SMALL_VOCAB_SIZE)
    return module


@pytest.fixture
def growth_examples() -> ModuleType:
    return import_module("growth_examples")


@pytest.fixture(scope="module")
def shards(scripts: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = import_module("growth_examples").prepare_in_own_process(
        tmp_path_factory.mktemp("text"), megabytes=0.3, shard_megabytes=0.04
    )
    return folder


def model() -> AlbertForPreTraining:
    torch.manual_seed(0)
    return AlbertForPreTraining(AlbertConfig.of_size("mini", vocab_size=SMALL_VOCAB_SIZE))


def test_without_attention_a_step_depends_on_no_other_token(growth: ModuleType) -> None:
    batch, parameters = make_pretraining_batch(np.array([12, 12])), model()
    read_by_heads = {0, 12, *batch.masked_positions.tolist()}
    other = next(place for place in range(24) if place not in read_by_heads)
    ids = batch.input_ids.copy()
    ids[other] = ids[other] % 50 + 20
    assert ids[other] != batch.input_ids[other]
    changed = replace(batch, input_ids=ids)
    assert growth.run_but_attention(parameters, batch) == growth.run_but_attention(parameters, changed)
    assert growth.run_step(parameters, batch) != growth.run_step(parameters, changed)


def test_without_attention_the_gradient_flows_only_through_the_values(growth: ModuleType) -> None:
    parameters = model()
    attention = parameters.albert.encoder.layers()[0].attention
    growth.run_but_attention(parameters, make_pretraining_batch(np.array([12, 12])))
    assert attention.value.weight.grad.abs().sum() > 0
    assert attention.query.weight.grad.abs().sum() == 0
    growth.run_step(parameters, make_pretraining_batch(np.array([12, 12])))
    assert attention.query.weight.grad.abs().sum() > 0


def test_every_length_has_the_same_tokens_per_step(
    growth: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[tuple[int, int]] = []

    def no_work(_: object, batch: PretrainingBatch) -> Outcome:
        taken.append((len(batch), len(batch.input_ids)))
        return np.zeros(1)

    monkeypatch.setattr(growth, "run_but_attention", no_work)
    result = growth.measure_tokens(size="mini", layers=2, lengths=(64, 256), tokens=256, rounds=3)
    assert result["layers"] == "2 of 1"
    assert result["sequences"] == {64: 4, 256: 1}
    assert sorted(taken) == [(1, 256)] * 4 + [(4, 256)] * 4
    assert result["operations_over_shortest"][256] > result["operations_over_shortest"][64] == 1
    whole, nothing = result["whole_step"], result["but_attention"]
    assert whole["lengths"][64]["over_shortest"] == {"median": 1.0, "min": 1.0, "max": 1.0}
    assert whole["furthest_from_flat"] == abs(whole["lengths"][256]["over_shortest"]["median"] - 1)
    for length in (64, 256):
        least = 10 * nothing["lengths"][length]["microseconds_a_token"]
        assert whole["lengths"][length]["microseconds_a_token"] > least > 0


def test_lengths_are_reported_per_token_and_by_ratios_of_one_round(growth: ModuleType) -> None:
    timings = {
        64: Timing(first_seconds=9.0, distance=None, seconds=[1.0, 2.0, 4.0]),
        512: Timing(first_seconds=9.0, distance=None, seconds=[1.5, 1.6, 2.0]),
    }
    summary = growth.summarize_lengths(timings, 100)
    assert summary["lengths"][64]["microseconds_a_token"] == pytest.approx(20_000)
    assert summary["lengths"][512]["over_shortest"] == {"median": 0.8, "min": 0.5, "max": 1.5}
    assert summary["furthest_from_flat"] == pytest.approx(0.2)


def test_one_process_is_another_process_and_makes_the_same_examples(
    growth_examples: ModuleType, shards: Path
) -> None:
    source = growth_examples.open_shards(shards, ExampleSettings(max_seq_length=64))
    here = [batch.input_ids for batch in islice(growth_examples.make_batches(source, processes=0), 2)]
    before = len(active_children())
    batches = growth_examples.make_batches(source, processes=1)
    there = [batch.input_ids for batch in islice(batches, 2)]
    assert len(active_children()) == before + 1
    batches.close()
    assert len(active_children()) == before
    assert all(np.array_equal(a, b) for a, b in zip(here, there, strict=True))


def test_processes_are_compared_on_the_same_examples(
    growth_examples: ModuleType, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growth_examples, "prepare_in_own_process", lambda *_, **__: shards)
    result = growth_examples.measure_examples(
        tmp_path, lengths=(64,), processes=(1, 2), megabytes=0.3, seconds=0.3, rounds=1
    )
    found = result["greatest_length"][64]
    rows = found["processes"]
    assert list(rows) == ["this one", "1", "2"]
    assert found["examples"] < found["tokens"] <= 64 * found["examples"]
    assert rows["this one"]["busy_cores"]["processes"] == 0 < rows["1"]["busy_cores"]["processes"]
    for row in rows.values():
        assert row["tokens_a_second"] / row["examples_a_second"] == pytest.approx(
            found["tokens"] / found["examples"]
        )
        assert row["speed_over_one"]["median"] == pytest.approx(
            row["tokens_a_second"] / rows["1"]["tokens_a_second"]
        )
    assert rows["2"]["efficiency"] == pytest.approx(rows["2"]["speed_over_one"]["median"] / 2)


def test_efficiency_is_reported_with_what_cores_and_consumer_allow(growth_examples: ModuleType) -> None:
    def run(seconds: float, *, consumer: float, processes: float) -> Any:
        return growth_examples.Run(
            seconds=seconds, consumer_seconds=consumer, processes_seconds=processes, examples=10, tokens=1000
        )

    runs = {
        0: [run(10.0, consumer=10.0, processes=0.0)],
        1: [run(10.0, consumer=2.0, processes=8.0)],
        4: [run(4.0, consumer=2.0, processes=8.0)],
    }
    summary = growth_examples.summarize_processes(runs, cores=3)
    assert "efficiency" not in summary["this one"]
    assert summary["4"]["tokens_a_second"] == 250
    assert summary["4"]["speed_over_one"]["median"] == 2.5
    assert summary["4"]["busy_cores"] == {"consumer": 0.5, "processes": 2.0}
    assert summary["4"]["efficiency"] == 2.5 / 4
    assert summary["4"]["efficiency_at_most"] == 3 / 4  # by the cores
    assert growth_examples.summarize_processes(runs, cores=64)["4"]["efficiency_at_most"] == 1
    runs[8] = runs[4]
    assert (
        growth_examples.summarize_processes(runs, cores=64)["8"]["efficiency_at_most"] == 5 / 8
    )  # by the consumer


def test_a_training_is_measured_after_its_warm_up(
    growth: ModuleType, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growth, "prepare_in_own_process", lambda *_, **__: shards)
    result = growth.measure_steps(tmp_path, size="mini", batch_size=2, steps=24, warm_up=4, every=5)
    memory, sizes = result["memory"], result["row_sizes"]["met"]
    assert len(memory["megabytes"]) == len(sizes) == 4
    assert memory["last_over_first"] == memory["megabytes"][-1] / memory["megabytes"][0]
    assert 1 < sizes[0] <= sizes[-1] <= 24
    assert result["tokens_a_step"]["min"] < result["tokens_a_step"]["max"] <= 256
    for clock in ("cpu", "wall"):
        row = result[f"{clock}_microseconds_a_token"]
        assert row["last_over_first"] == pytest.approx(row["last_quarter"] / row["first_quarter"])


def test_quarters_distinguish_growth_from_longer_batches(growth: ModuleType) -> None:
    tokens = [100, 300, 200, 400] * 10
    flat = growth.compare_quarters([count * 1e-6 for count in tokens], tokens)
    assert flat == pytest.approx(
        {"first_quarter": 1, "last_quarter": 1, "last_over_first": 1, "last_over_first_of_means": 1}
    )
    slower = growth.compare_quarters([count * (1 + i / 39) for i, count in enumerate(tokens)], tokens)
    assert 1.5 < slower["last_over_first"] < 2
    one_slow = [float(count) for count in tokens]
    one_slow[-1] *= 10
    disturbed = growth.compare_quarters(one_slow, tokens)
    assert disturbed["last_over_first"] == 1
    assert disturbed["last_over_first_of_means"] > 2


def test_memory_that_grows_is_distinguished_from_memory_that_does_not(growth: ModuleType) -> None:
    assert (
        growth.compare_memory([90.0, 100.0, 95.0, 99.0, 96.0, 100.0, 99.0, 98.0])["last_over_first"] == 0.99
    )
    assert growth.compare_memory([100.0, 110.0, 120.0, 130.0])["last_over_first"] == 1.3
    before = growth.resident_megabytes()
    held = np.ones(64 << 20, np.uint8)
    assert growth.resident_megabytes() - before > 60
    assert held.all()


def test_each_part_runs_in_its_own_process(
    growth: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = "--size mini --layers 1 --tokens 512 --rounds 1 --batch-size 2 --steps 24 --warm-up 4 --every 5"
    monkeypatch.setattr(sys, "argv", ["growth.py", "--parts", "tokens,steps", *flags.split()])
    growth.main()
    result = json.loads(capsys.readouterr().out)
    assert list(result) == ["tokens", "steps"]
    assert result["tokens"]["sequences"] == {"64": 8, "128": 4, "256": 2, "512": 1}
    assert result["tokens"]["threads"] == result["steps"]["threads"] == 1
    assert len(result["steps"]["memory"]["megabytes"]) == 4


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--parts tokens,layers", "no part layers; known are tokens, examples, steps"),
        ("--tokens 768", "--tokens is 768; expected a multiple of 512"),
        ("--steps 200 --warm-up 100", "fewer than four measurements"),
    ],
)
def test_senseless_arguments_are_refused(
    growth: ModuleType, flags: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        growth.parse(flags.split())
    assert message in capsys.readouterr().err
