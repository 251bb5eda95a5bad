"""`albert pretrain` with weights, depths and a teacher: resumed like any run, refused where impossible."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from albert.commands.pretrain import pretrain
from albert.config import AlbertConfig
from albert.data.examples.settings import ExampleSettings
from albert.errors import ConfigError, RunError
from albert.model.albert_model import AlbertModel
from albert.model.language_models import AlbertForMaskedLM, AlbertForPreTraining
from albert.model.pretrained import Pretrained
from albert.pretraining.settings import ObjectiveSettings, PretrainSettings
from albert.training.settings import LoopSettings, OptimizerSettings
from samples.interrupting import interrupt


@pytest.fixture
def settings(prepared_data: Path, tiny_config: Path, tmp_path: Path) -> PretrainSettings:
    return PretrainSettings(
        data=(prepared_data,),
        output=tmp_path / "run",
        config=tiny_config,
        eval_examples=20,
        examples=ExampleSettings(max_seq_length=32),
        optimizer=OptimizerSettings(learning_rate=0.01, warmup_steps=4),
        loop=LoopSettings(
            max_steps=16, batch_size=8, save_steps=5, eval_steps=8, log_steps=4, device="cpu",
            precision="float32",
        ),
    )  # fmt: skip


MakeTeacher = Callable[..., str]


@pytest.fixture
def make_teacher(tiny_config: Path, tmp_path: Path) -> MakeTeacher:
    """Write a model folder of some class and return its name."""

    def make(model_class: type[Pretrained] = AlbertForMaskedLM, **changes: Any) -> str:
        torch.manual_seed(7)
        folder = tmp_path / f"teacher-{model_class.__name__}"
        config = replace(AlbertConfig.from_json(tiny_config), **{"hidden_size": 12, **changes})
        model_class(config).save_pretrained(folder)
        return str(folder)

    return make


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model" / "model.safetensors")


def records_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", ["weight", "depths", "teacher"])
def test_a_resumed_run_gives_the_unbroken_one_bit_for_bit(
    settings: PretrainSettings,
    make_teacher: MakeTeacher,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    name: str,
) -> None:
    objective = {
        "weight": ObjectiveSettings(sentence_loss_weight=0.5),
        "depths": ObjectiveSettings(depths=(1,)),
        "teacher": ObjectiveSettings(teacher=make_teacher(), teacher_weight=0.5, teacher_temperature=2.0),
    }[name]
    settings = replace(settings, objective=objective)
    unbroken = replace(settings, output=tmp_path / "unbroken")
    scores = pretrain(unbroken)
    interrupt(monkeypatch, lambda: pretrain(settings), step=13)
    assert pretrain(settings) | {"model": "", "next": ""} == scores | {"model": "", "next": ""}
    ours, theirs = weights_of(settings.output), weights_of(unbroken.output)
    assert all(torch.equal(ours[tensor], theirs[tensor]) for tensor in theirs)


def test_every_part_is_logged_and_every_depth_evaluated(
    settings: PretrainSettings, make_teacher: MakeTeacher
) -> None:
    objective = ObjectiveSettings(depths=(1,), teacher=make_teacher())
    pretrain(replace(settings, objective=objective))
    training = next(record for record in records_of(settings.output) if "loss" in record)
    parts = [
        f"{name}{depth}" for name in ("masked_lm", "sentence_order", "distillation") for depth in ("", "@1")
    ]
    assert training["loss"] == pytest.approx(sum(training[f"{part}_loss"] for part in parts) / 2, rel=1e-5)
    held_out = next(record["held_out"] for record in records_of(settings.output) if "held_out" in record)
    assert {"masked_lm_loss", "masked_lm@1_loss", "sentence_order@1_accuracy"} <= set(held_out)
    assert not any("distillation" in name for name in held_out)


def test_a_teacher_brings_the_model_closer_to_its_predictions(
    settings: PretrainSettings, make_teacher: MakeTeacher, tmp_path: Path
) -> None:
    teacher = make_teacher(AlbertForPreTraining, initializer_range=1.0)
    losses = {}
    for weight in (0.0, 20.0):
        output = tmp_path / f"weight-{weight}"
        loop = replace(settings.loop, max_steps=100, log_steps=50)
        objective = ObjectiveSettings(teacher=teacher, teacher_weight=weight)
        pretrain(replace(settings, output=output, loop=loop, objective=objective))
        losses[weight] = [r["distillation_loss"] for r in records_of(output) if "loss" in r][-1]
    assert losses[20.0] < 0.8 * losses[0.0]


@pytest.mark.parametrize(
    ("model_class", "changes", "message"),
    [
        (AlbertForMaskedLM, {"vocab_size": 1999}, "has a vocabulary of 1999 tokens, the model one of 2000"),
        (AlbertForMaskedLM, {"max_position_embeddings": 16}, "exceeds the 16 positions of --teacher"),
        (AlbertModel, {}, "has no masked LM head"),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused_before_there_is_a_folder(
    settings: PretrainSettings,
    make_teacher: MakeTeacher,
    model_class: type[Pretrained],
    changes: dict[str, Any],
    message: str,
) -> None:
    teacher = make_teacher(model_class, **changes)
    with pytest.raises(ConfigError, match=message):
        pretrain(replace(settings, objective=ObjectiveSettings(teacher=teacher)))
    assert not settings.output.exists()


def test_a_depth_that_the_model_lacks_is_refused_before_there_is_a_folder(settings: PretrainSettings) -> None:
    with pytest.raises(ConfigError, match="--depths names layer 3; the model has layers 1 to 2"):
        pretrain(replace(settings, objective=ObjectiveSettings(depths=(3,))))
    assert not settings.output.exists()


def test_a_plan_counts_the_work_and_the_memory_of_a_teacher(
    settings: PretrainSettings, make_teacher: MakeTeacher
) -> None:
    plain = replace(settings, dry_run=True, loop=replace(settings.loop, max_steps=5, batch_size=2))
    taught = replace(plain, objective=ObjectiveSettings(teacher=make_teacher()))
    without, plan = pretrain(plain), pretrain(taught)
    assert plan["flops"] > without["flops"]
    assert plan["memory"]["bytes"] > without["memory"]["bytes"]


def as_before_objectives(folder: Path) -> None:
    """Turn a run into one of the version that had no objective settings and no version in state.json."""
    record = json.loads((folder / "run.json").read_text())
    del record["settings"]["objective"]
    (folder / "run.json").write_text(json.dumps(record))
    for path in folder.glob("checkpoints/*/state.json"):
        state = json.loads(path.read_text())
        del state["format_version"]
        old = {name.replace("stream_", "mark_"): value for name, value in state.items()}
        path.write_text(json.dumps(old))


def test_a_run_of_the_version_without_objective_settings_is_resumed_with_their_defaults(
    settings: PretrainSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    unbroken = replace(settings, output=tmp_path / "unbroken")
    pretrain(unbroken)
    interrupt(monkeypatch, lambda: pretrain(settings), step=13)
    as_before_objectives(settings.output)
    with pytest.raises(RunError, match=r"other settings \(sentence_loss_weight was 1.0, now 0.5\)"):
        pretrain(replace(settings, objective=ObjectiveSettings(sentence_loss_weight=0.5)))
    pretrain(settings)
    ours, theirs = weights_of(settings.output), weights_of(unbroken.output)
    assert all(torch.equal(ours[tensor], theirs[tensor]) for tensor in theirs)
