"""`albert pretrain`: resuming, refusing, and the folder it writes."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
import transformers
from safetensors.torch import load_file

from albert.checkpoint.layout import checkpoint_steps
from albert.commands.pretrain import pretrain
from albert.data.examples.settings import ExampleSettings
from albert.errors import CheckpointError, ConfigError, RunError, TokenizerError
from albert.pretraining.settings import PretrainSettings
from albert.training.settings import LoopSettings, OptimizerSettings
from albert.training.stopping import REQUEUE_EXIT_CODE

STEPS = 24
MEASURED = {"tokens_per_second", "data_wait_share", "mfu", "memory_gb"}
"""Entries of a log that depend on the machine, not on the training."""


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
            max_steps=STEPS,
            batch_size=8,
            micro_batch_size=4,
            save_steps=5,
            eval_steps=8,
            log_steps=4,
            device="cpu",
        ),
    )


def flags_of(settings: PretrainSettings) -> list[str]:
    loop, optimizer = settings.loop, settings.optimizer
    values: dict[str, Any] = {
        "data": settings.data[0], "output": settings.output, "config": settings.config,
        "eval-examples": settings.eval_examples, "max-seq-length": settings.examples.max_seq_length,
        "learning_rate": optimizer.learning_rate, "warmup-steps": optimizer.warmup_steps,
        "max-steps": loop.max_steps, "batch-size": loop.batch_size, "micro-batch-size": loop.micro_batch_size,
        "save-steps": loop.save_steps, "eval-steps": loop.eval_steps, "log-steps": loop.log_steps,
        "device": "cpu",
    }  # fmt: skip
    return [str(part) for name, value in values.items() for part in (f"--{name}", value)]


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def same_weights(first: Path, second: Path) -> bool:
    ours, theirs = weights_of(first), weights_of(second)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_run_killed_at_a_random_moment_and_restarted_equals_the_unbroken_run_bit_for_bit(
    settings: PretrainSettings, tmp_path: Path
) -> None:
    slow = replace(settings, loop=replace(settings.loop, max_steps=400, save_steps=20, eval_steps=100))
    pretrain(replace(slow, output=tmp_path / "unbroken"))
    command = [sys.executable, "-m", "albert", "pretrain", *flags_of(slow)]
    draw = random.Random()
    kills = 0
    while kills < 3:
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        done = checkpoint_steps(slow.output / "checkpoints")
        while process.poll() is None and checkpoint_steps(slow.output / "checkpoints") == done:
            time.sleep(0.005)
        time.sleep(draw.uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        if process.wait() == 0:
            break
        kills += 1
    assert kills > 0
    last = subprocess.run(command, capture_output=True, text=True, check=False)
    assert last.returncode == 0, last.stderr
    assert same_weights(slow.output / "model", tmp_path / "unbroken" / "model")
    unbroken, broken = (
        [
            {key: value for key, value in json.loads(line).items() if key not in MEASURED}
            for line in (folder / "log.jsonl").read_text().splitlines()
        ]
        for folder in (tmp_path / "unbroken", slow.output)
    )
    assert broken == unbroken


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_preempted_run_saves_exits_with_the_requeue_code_and_continues(
    settings: PretrainSettings, tmp_path: Path, number: signal.Signals
) -> None:
    slow = replace(
        settings, loop=replace(settings.loop, max_steps=100_000, save_steps=100_000, eval_steps=100_000)
    )
    command = [sys.executable, "-m", "albert", "pretrain", *flags_of(slow)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not (slow.output / "log.jsonl").exists():
        time.sleep(0.02)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == REQUEUE_EXIT_CODE
    assert "the same command continues" in stderr
    assert "Traceback" not in stderr
    (step,) = checkpoint_steps(slow.output / "checkpoints")
    assert step > 0


def test_a_finished_run_is_not_repeated(
    settings: PretrainSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    first = pretrain(settings)
    before = (settings.output / "model" / "model.safetensors").stat().st_mtime_ns
    assert pretrain(settings) == first
    assert (settings.output / "model" / "model.safetensors").stat().st_mtime_ns == before
    assert "already finished" in capsys.readouterr().err


def test_the_model_folder_loads_in_transformers_with_the_same_numbers(settings: PretrainSettings) -> None:
    pretrain(settings)
    folder = settings.output / "model"
    from albert import AlbertForPreTraining, AlbertTokenizer

    text = ("Two modules.", "The value is 1,234 [MASK].")
    ours = AlbertTokenizer.from_pretrained(folder)(*text, return_tensors="pt")
    theirs = transformers.AutoTokenizer.from_pretrained(folder)(*text, return_tensors="pt")
    for name in ("input_ids", "token_type_ids", "attention_mask"):
        assert torch.equal(ours[name], theirs[name]), name
    found = AlbertForPreTraining.from_pretrained(folder)(**ours)
    expected = transformers.AutoModelForPreTraining.from_pretrained(folder)(**theirs)
    torch.testing.assert_close(found.prediction_logits, expected.prediction_logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.sop_logits, expected.sop_logits, atol=1e-5, rtol=0)
    assert {path.name for path in folder.iterdir()} >= {
        "README.md", "config.json", "model.safetensors", "run.json", "spiece.model", "tokenizer.json",
        "tokenizer_config.json",
    }  # fmt: skip


def test_the_best_folder_contains_the_weights_of_the_lowest_held_out_loss(settings: PretrainSettings) -> None:
    pretrain(settings)
    records = [json.loads(line) for line in (settings.output / "log.jsonl").read_text().splitlines()]
    losses = [record["held_out"]["masked_lm_loss"] for record in records if "held_out" in record]
    assert len(losses) == STEPS // 8
    card = (settings.output / "best" / "README.md").read_text()
    assert f"| masked lm loss | {min(losses):.4f} |" in card


def test_a_short_run_is_evaluated_after_its_last_step(settings: PretrainSettings) -> None:
    result = pretrain(replace(settings, loop=replace(settings.loop, eval_steps=1000)))
    (evaluation,) = (
        record
        for line in (settings.output / "log.jsonl").read_text().splitlines()
        if "held_out" in (record := json.loads(line))
    )
    assert evaluation["step"] == STEPS
    assert result["held_out_examples"] == 20
    assert evaluation["held_out"].items() <= result.items()
    assert same_weights(settings.output / "best", settings.output / "model")


def test_a_run_stopped_between_its_last_step_and_its_evaluation_has_it_in_the_end(
    settings: PretrainSettings,
) -> None:
    result = pretrain(settings)
    log, record = settings.output / "log.jsonl", settings.output / "run.json"
    lines = log.read_text().splitlines()
    assert json.loads(lines[-1])["step"] == STEPS
    log.write_text("\n".join(lines[:-1]) + "\n")
    record.write_text(json.dumps({k: v for k, v in json.loads(record.read_text()).items() if k != "result"}))
    save = settings.output / "checkpoints"
    assert checkpoint_steps(save)
    assert pretrain(settings) == result
    assert log.read_text().splitlines()[-1] == lines[-1]


def test_evaluation_can_be_switched_off_and_its_lack_is_reported(
    settings: PretrainSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = pretrain(replace(settings, eval_examples=0))
    model = settings.output / "model"
    assert result.pop("next").startswith("albert finetune ")
    assert result == {"steps": STEPS, "held_out_examples": 0, "model": str(model)}
    assert "not evaluated" not in capsys.readouterr().err
    data = tmp_path / "all"
    shutil.copytree(settings.data[0], data)
    meta = json.loads((data / "meta.json").read_text())
    meta["shards"]["held-out"] = []
    (data / "meta.json").write_text(json.dumps(meta))
    result = pretrain(replace(settings, data=(data,), output=tmp_path / "other"))
    assert result["held_out_examples"] == 0
    assert "so the model is not evaluated: albert prepare holds documents out if" in capsys.readouterr().err
    with pytest.raises(ConfigError, match=r"--eval-examples is -1; expected 0 or more"):
        replace(settings, eval_examples=-1)


def test_learning_lowers_the_loss_below_that_of_guessing(settings: PretrainSettings) -> None:
    loop = replace(settings.loop, max_steps=120, eval_steps=120)
    scores = pretrain(replace(settings, loop=loop))
    assert scores["masked_lm_loss"] < 4.5  # ln 2000 is 7.6; about 17 words are in use.


def test_a_shallow_model_initialises_a_deeper_one(settings: PretrainSettings, tmp_path: Path) -> None:
    pretrain(settings)
    deeper = json.loads(settings.config.read_text()) | {"num_hidden_layers": 5}  # type: ignore[union-attr]
    path = tmp_path / "deeper.json"
    path.write_text(json.dumps(deeper))
    stage = replace(
        settings,
        config=path,
        init_from=settings.output / "model",
        output=tmp_path / "deeper",
        optimizer=OptimizerSettings(learning_rate=0.0, warmup_steps=0),
        loop=replace(settings.loop, max_steps=1),
    )
    pretrain(stage)
    assert same_weights(settings.output / "model", tmp_path / "deeper" / "model")
    assert json.loads((tmp_path / "deeper" / "model" / "config.json").read_text())["num_hidden_layers"] == 5


def test_an_output_folder_of_another_run_is_refused(settings: PretrainSettings) -> None:
    pretrain(settings)
    with pytest.raises(RunError, match=r"seed was 0, now 1"):
        pretrain(replace(settings, loop=replace(settings.loop, seed=1)))


def test_a_run_that_recorded_its_warm_up_in_steps_alone_continues(
    settings: PretrainSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = settings.loop.max_steps
    asked = replace(
        settings, optimizer=replace(settings.optimizer, warmup_steps=None, warmup_share=4 / steps)
    )
    result = pretrain(asked)
    path = settings.output / "run.json"
    record = json.loads(path.read_text())
    record["settings"]["optimizer"]["warmup_steps"] = 4
    del record["settings"]["optimizer"]["warmup_share"]
    path.write_text(json.dumps(record))
    assert pretrain(asked) == result
    with pytest.raises(RunError, match=r"\(warmup_steps was 4, now 12\)"):
        pretrain(replace(asked, optimizer=replace(asked.optimizer, warmup_share=0.5)))


def test_a_vocabulary_of_another_size_is_refused(settings: PretrainSettings, tmp_path: Path) -> None:
    other = json.loads(settings.config.read_text()) | {"vocab_size": 1999}  # type: ignore[union-attr]
    path = tmp_path / "other.json"
    path.write_text(json.dumps(other))
    with pytest.raises(TokenizerError, match="1999 embeddings, its tokenizer 2000 tokens"):
        pretrain(replace(settings, config=path))


def test_a_sequence_longer_than_the_positions_is_refused_before_training(settings: PretrainSettings) -> None:
    with pytest.raises(ConfigError, match="--max-seq-length 64 exceeds the 32 positions of the model"):
        pretrain(replace(settings, examples=ExampleSettings(max_seq_length=64)))
    assert not settings.output.exists()


def test_size_and_config_together_are_refused(settings: PretrainSettings) -> None:
    with pytest.raises(ConfigError, match="choose one"):
        pretrain(replace(settings, size="base"))


def test_an_impossible_setting_is_refused_before_there_is_a_folder(settings: PretrainSettings) -> None:
    with pytest.raises(ConfigError, match="--tf32"):
        pretrain(replace(settings, loop=replace(settings.loop, tf32=True)))
    assert not settings.output.exists()


def test_groups_of_layers_may_start_as_copies_of_the_first(
    settings: PretrainSettings, tmp_path: Path
) -> None:
    pretrain(replace(settings, output=tmp_path / "first"))
    config = json.loads(settings.config.read_text())
    (tmp_path / "groups.json").write_text(json.dumps(config | {"num_hidden_groups": 2}))
    start = str(tmp_path / "first" / "model")
    grown = replace(settings, config=tmp_path / "groups.json", init_from=start, output=tmp_path / "grown")
    with pytest.raises(CheckpointError, match="tensors are missing"):
        pretrain(grown)
    still = replace(grown.optimizer, learning_rate=0.0)
    pretrain(replace(grown, init_from_group0=True, optimizer=still, output=tmp_path / "copied"))
    weights, first = weights_of(tmp_path / "copied" / "model"), weights_of(tmp_path / "first" / "model")
    groups = [name for name in weights if "albert_layer_groups.1." in name]
    assert groups
    for name in groups:
        assert torch.equal(weights[name], first[name.replace("groups.1.", "groups.0.")])


def test_examples_made_by_other_processes_give_the_same_weights_and_the_processes_end(
    settings: PretrainSettings, tmp_path: Path
) -> None:
    pretrain(settings)
    command = [sys.executable, "-m", "albert", "pretrain", *flags_of(settings), "--workers", "2"]
    elsewhere = ["--output", str(tmp_path / "workers")]
    done = subprocess.run([*command, *elsewhere], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert same_weights(tmp_path / "workers" / "model", settings.output / "model")


def test_an_interrupted_run_with_workers_saves_and_leaves_no_process(
    settings: PretrainSettings, tmp_path: Path
) -> None:
    slow = replace(
        settings, loop=replace(settings.loop, max_steps=100_000, save_steps=100_000, eval_steps=100_000)
    )
    command = [sys.executable, "-m", "albert", "pretrain", *flags_of(slow), "--workers", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not (slow.output / "log.jsonl").exists():
        assert process.poll() is None
        time.sleep(0.02)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 2
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert "stopped; the same command continues" in stderr
    assert "Traceback" not in stderr
    assert checkpoint_steps(slow.output / "checkpoints")
    _, alive = psutil.wait_procs(children, timeout=20)
    assert alive == []
