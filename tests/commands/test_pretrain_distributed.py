"""`albert pretrain` under torchrun: any number of processes gives the weights that one process gives."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file

from albert.checkpoint.layout import checkpoint_steps
from albert.commands.pretrain import pretrain
from albert.data.examples.settings import ExampleSettings
from albert.pretraining.settings import PretrainSettings
from albert.training.settings import LoopSettings, OptimizerSettings
from albert.training.stopping import REQUEUE_EXIT_CODE

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}


@pytest.fixture
def settings(prepared_data: Path, tiny_config: Path, tmp_path: Path) -> PretrainSettings:
    """A run without dropout, which each rank draws from its own generator."""
    config = json.loads(tiny_config.read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (tmp_path / "config.json").write_text(json.dumps(config))
    return PretrainSettings(
        data=(prepared_data,),
        output=tmp_path / "run",
        config=tmp_path / "config.json",
        eval_examples=20,
        examples=ExampleSettings(max_seq_length=32),
        optimizer=OptimizerSettings(learning_rate=0.01, warmup_steps=4),
        loop=LoopSettings(
            max_steps=20,
            batch_size=12,
            save_steps=5,
            eval_steps=10,
            log_steps=5,
            precision="float32",
            device="cpu",
        ),
    )


def flags_of(settings: PretrainSettings) -> list[str]:
    loop, optimizer = settings.loop, settings.optimizer
    values: dict[str, Any] = {
        "data": settings.data[0], "output": settings.output, "config": settings.config,
        "eval-examples": settings.eval_examples, "max-seq-length": settings.examples.max_seq_length,
        "optimizer": optimizer.optimizer, "learning-rate": optimizer.learning_rate,
        "warmup-steps": optimizer.warmup_steps, "device": "cpu",
        "max-steps": loop.max_steps, "batch-size": loop.batch_size, "save-steps": loop.save_steps,
        "eval-steps": loop.eval_steps, "log-steps": loop.log_steps, "precision": loop.precision,
    }  # fmt: skip
    if loop.micro_batch_size:
        values["micro-batch-size"] = loop.micro_batch_size
    return [str(part) for name, value in values.items() for part in (f"--{name}", value)]


def torchrun(settings: PretrainSettings, *options: str) -> list[str]:
    return [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1", *options,
        "-m", "albert", "pretrain", *flags_of(settings),
    ]  # fmt: skip


def run(command: list[str]) -> tuple[str, str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def weights_of(settings: PretrainSettings) -> dict[str, torch.Tensor]:
    return load_file(settings.output / "model" / "model.safetensors")


def assert_close(found: PretrainSettings, expected: PretrainSettings, *, atol: float) -> None:
    ours, theirs = weights_of(found), weights_of(expected)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], atol=atol, rtol=0, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("optimizer", ["lamb", "adamw"])
def test_one_process_two_and_two_that_accumulate_give_the_same_weights(
    settings: PretrainSettings, tmp_path: Path, optimizer: Any
) -> None:
    # Rounding grows with the rate; each optimiser gets one of its usual size.
    rate = {"lamb": 0.01, "adamw": 1e-3}[optimizer]
    alone = replace(settings, optimizer=replace(settings.optimizer, optimizer=optimizer, learning_rate=rate))
    pretrain(alone)
    two = replace(alone, output=tmp_path / "two")
    stdout, stderr = run([*torchrun(two, "--nproc-per-node=2"), "--json"])
    assert stderr.count("2 processes") == 1  # only the first one prints
    assert json.loads(stdout)["steps"] == 20
    accumulating = replace(
        alone, output=tmp_path / "accumulating", loop=replace(alone.loop, micro_batch_size=3)
    )
    run(torchrun(accumulating, "--nproc-per-node=2"))
    assert_close(two, alone, atol=1e-6)
    assert_close(accumulating, alone, atol=1e-6)
    logs = [json.loads((s.output / "log.jsonl").read_text().splitlines()[0]) for s in (alone, two)]
    for name in ("loss", "masked_lm_accuracy", "sentence_order_loss", "grad_norm"):
        assert logs[0][name] == pytest.approx(logs[1][name], rel=1e-5)


def test_a_run_started_on_two_ranks_continues_with_one_and_with_three(
    settings: PretrainSettings, tmp_path: Path
) -> None:
    pretrain(settings)
    for ranks in (1, 3):
        begun = replace(settings, output=tmp_path / f"to{ranks}", loop=replace(settings.loop, max_steps=20))
        process = subprocess.Popen(
            torchrun(begun, "--nproc-per-node=2"), env=ENVIRONMENT, stderr=subprocess.DEVNULL
        )
        wait_for_snapshot(begun, process)
        kill_with_children(process)
        steps = checkpoint_steps(begun.output / "checkpoints")
        assert steps[-1] > 0
        run(torchrun(begun, f"--nproc-per-node={ranks}"))
        assert_close(begun, settings, atol=1e-6)


def test_after_a_killed_rank_is_restarted_the_result_is_that_of_the_unbroken_run(
    settings: PretrainSettings, tmp_path: Path
) -> None:
    long = replace(settings, loop=replace(settings.loop, max_steps=150, save_steps=10))
    run(torchrun(replace(long, output=tmp_path / "unbroken"), "--nproc-per-node=2"))
    process = subprocess.Popen(
        torchrun(long, "--nproc-per-node=2", "--max-restarts=2"),
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for_snapshot(long, process)
    rank_of(process, "1").send_signal(signal.SIGKILL)
    _, stderr = process.communicate(timeout=240)
    assert process.returncode == 0, stderr
    assert "resuming after step" in stderr
    ours, theirs = weights_of(long), weights_of(replace(long, output=tmp_path / "unbroken"))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_signal_to_one_rank_makes_all_save_after_the_same_step(settings: PretrainSettings) -> None:
    long = replace(
        settings,
        loop=replace(settings.loop, max_steps=100_000, save_steps=100_000, eval_steps=100_000, log_steps=2),
    )
    process = subprocess.Popen(
        torchrun(long, "--nproc-per-node=2"), env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
    )
    while not (long.output / "log.jsonl").exists():
        assert process.poll() is None
        time.sleep(0.02)
    rank_of(process, "1").send_signal(signal.SIGUSR1)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode != 0
    assert f"exitcode  : {REQUEUE_EXIT_CODE}" in stderr
    assert "stopped; the same command continues" in stderr
    (step,) = checkpoint_steps(long.output / "checkpoints")
    assert step > 0


def test_a_batch_smaller_than_the_processes_is_refused(settings: PretrainSettings) -> None:
    small = replace(settings, loop=replace(settings.loop, batch_size=1))
    done = subprocess.run(
        torchrun(small, "--nproc-per-node=2"), capture_output=True, text=True, check=False, env=ENVIRONMENT
    )
    assert done.returncode != 0
    assert "--batch-size 1 has no example for each of 2 processes" in done.stderr


@pytest.fixture
def two_hosts() -> Iterator[list[tuple[str, str]]]:
    """Two network namespaces joined by a cable, as (name, address)."""
    names = [f"albert-{os.getpid()}-{number}" for number in range(2)]
    hosts = [(name, f"10.213.7.{number + 1}") for number, name in enumerate(names)]
    cable = [f"a{os.getpid() % 100000}n{number}" for number in range(2)]
    commands = [
        *(f"ip netns add {name}" for name in names),
        f"ip link add {cable[0]} type veth peer name {cable[1]}",
    ]
    for (name, address), end in zip(hosts, cable, strict=True):
        commands += [
            f"ip link set {end} netns {name}",
            f"ip netns exec {name} ip link set {end} name eth0",
            f"ip netns exec {name} ip address add {address}/24 dev eth0",
            f"ip netns exec {name} ip link set eth0 up",
            f"ip netns exec {name} ip link set lo up",
        ]
    try:
        for command in commands:
            done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"no network namespaces here: {command}: {done.stderr.strip()}")
        yield hosts
    except FileNotFoundError:
        pytest.skip("no command ip here")
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def test_two_hosts_give_the_weights_that_one_process_gives(
    settings: PretrainSettings, tmp_path: Path, two_hosts: list[tuple[str, str]]
) -> None:
    pretrain(settings)
    spread = replace(settings, output=tmp_path / "spread")
    processes = [
        subprocess.Popen(
            ["ip", "netns", "exec", name, sys.executable, "-m", "torch.distributed.run", "--nnodes=2",
             f"--node-rank={number}", "--nproc-per-node=1", f"--master-addr={two_hosts[0][1]}",
             "--master-port=29511", f"--local-addr={address}", "-m", "albert", "pretrain", *flags_of(spread)],
            env={**ENVIRONMENT, "GLOO_SOCKET_IFNAME": "eth0"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for number, (name, address) in enumerate(two_hosts)
    ]  # fmt: skip
    errors = [process.communicate(timeout=240)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    assert_close(spread, settings, atol=1e-6)


def rank_of(process: "subprocess.Popen[Any]", rank: str) -> psutil.Process:
    """Return the process that torchrun started as this rank."""
    children = psutil.Process(process.pid).children(recursive=True)
    return next(child for child in children if child.environ().get("RANK") == rank)


def wait_for_snapshot(settings: PretrainSettings, process: "subprocess.Popen[Any]") -> None:
    deadline = time.monotonic() + 120
    while not checkpoint_steps(settings.output / "checkpoints"):
        assert process.poll() is None, "it ended before its first checkpoint"
        assert time.monotonic() < deadline
        time.sleep(0.005)


def kill_with_children(process: "subprocess.Popen[Any]") -> None:
    family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for member in family:
        member.kill()
    process.wait()
    psutil.wait_procs(family)
