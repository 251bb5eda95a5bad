"""A pretraining whose loss diverges returns to its last checkpoint, skips the data, and reports both."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from albert.checkpoint.layout import checkpoint_steps
from albert.commands.pretrain import pretrain
from albert.config import AlbertConfig
from albert.data.batches import PretrainingBatch
from albert.data.examples.settings import ExampleSettings
from albert.errors import RunError
from albert.model.losses import LossSum
from albert.pretraining import start
from albert.pretraining.objective import PretrainingObjective, make_objective
from albert.pretraining.settings import ObjectiveSettings, PretrainSettings
from albert.training.runs import Run
from albert.training.settings import LoopSettings, OptimizerSettings

BATCH = 8


@pytest.fixture
def settings(prepared_data: Path, tiny_config: Path, tmp_path: Path) -> PretrainSettings:
    return PretrainSettings(
        data=(prepared_data,),
        output=tmp_path / "run",
        config=tiny_config,
        eval_examples=10,
        examples=ExampleSettings(max_seq_length=32),
        optimizer=OptimizerSettings(learning_rate=0.001, warmup_steps=4),
        loop=LoopSettings(
            max_steps=90, batch_size=BATCH, save_steps=5, eval_steps=1000, log_steps=5, device="cpu",
            precision="float32",
        ),
    )  # fmt: skip


class Poisoned:
    """The default objective, with a wrong masked LM loss for some batches, numbered as they first occur."""

    def __init__(self, factor: float, spoilt: range) -> None:
        self.factor, self.spoilt = factor, spoilt
        self.seen: dict[bytes, int] = {}
        self.objective: PretrainingObjective

    def __getattr__(self, name: str) -> Any:
        return getattr(self.objective, name)

    def sums(self, model: Any, batch: PretrainingBatch) -> dict[str, LossSum]:
        number = self.seen.setdefault(batch.input_ids.tobytes(), len(self.seen))
        sums = self.objective.sums(model, batch)
        if number in self.spoilt:
            part = sums["masked_lm"]
            sums["masked_lm"] = LossSum(part.total * self.factor, part.correct)
        return sums


def poison(monkeypatch: pytest.MonkeyPatch, factor: float, spoilt: range) -> Poisoned:
    poisoned = Poisoned(factor, spoilt)

    def make(settings: ObjectiveSettings, config: AlbertConfig, *_: object) -> Poisoned:
        poisoned.objective = make_objective(settings, config)
        return poisoned

    monkeypatch.setattr(start, "make_objective", make)
    return poisoned


def events(settings: PretrainSettings) -> list[dict[str, Any]]:
    lines = (settings.output / "log.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if "event" in record]


@pytest.mark.parametrize("factor", [float("nan"), 3.0])
def test_the_run_rolls_back_skips_the_spoilt_data_and_finishes(
    settings: PretrainSettings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    factor: float,
) -> None:
    objective = poison(monkeypatch, factor, range(62, 74))
    result = pretrain(settings)
    assert result["steps"] == 90
    (event,) = events(settings)
    assert event["event"] == "roll-back"
    assert event["step"] == 60
    leap = 10 if factor != factor else 3  # noqa: PLR0124 -- not a number
    assert f"back to step 60, skipping {(2 + leap) * BATCH} examples" in event["text"]
    assert event["text"] in capsys.readouterr().err
    state = json.loads((settings.output / "checkpoints" / "step-90" / "state.json").read_text())
    rest = 12 - leap
    if factor == factor and rest >= 3:  # noqa: PLR0124
        assert state["roll_backs"] >= 1
    assert state["skipped_examples"] >= (2 + leap) * BATCH
    # Steps 61 and 62 were done twice, with other data the second time.
    assert len(objective.seen) >= 90 + leap


def test_weights_after_a_leap_are_not_saved(
    settings: PretrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, 3.0, range(69, 71))  # steps 70 and 71: too few to roll back
    saved: list[int] = []
    monkeypatch.setattr(Run, "save", lambda self, state, *_, **__: saved.append(state.step))
    pretrain(settings)
    assert 70 not in saved
    assert 72 in saved


def test_too_many_roll_backs_end_the_run_with_advice(
    settings: PretrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, float("nan"), range(30, 10_000))
    limited = replace(settings, max_roll_backs=2)
    with pytest.raises(RunError, match=r"2 roll-backs did not help: lower --learning-rate"):
        pretrain(limited)
    assert checkpoint_steps(settings.output / "checkpoints")[-1] == 30
    assert len(events(settings)) == 2


def test_without_a_checkpoint_there_is_no_roll_back(
    settings: PretrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, float("nan"), range(10_000))
    with pytest.raises(RunError, match="there is no checkpoint yet: lower --learning-rate"):
        pretrain(settings)


def test_too_little_memory_is_an_error_that_names_the_setting(
    settings: PretrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(PretrainingObjective, "sums", full)
    with pytest.raises(
        RunError, match="out of memory on cpu with 8 examples at once; try --micro-batch-size 4"
    ):
        pretrain(settings)
