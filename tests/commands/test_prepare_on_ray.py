"""`albert prepare --workers ray` on a real cluster with two processors gives the result of one process."""

import importlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from albert.commands.prepare import PrepareSettings, prepare
from albert.data.workers import map_in_order
from albert.errors import ConfigError, DataError

JOBS = Path(__file__).parents[1] / "data"
TITLE = "ray::_run_on_ray"
"""Ray's name of a process that does one of our jobs."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[psutil.Process]:
    """The process of a cluster on this machine, which RAY_ADDRESS names."""
    assert "ray" not in sys.modules, "Ray reads its environment when it is imported"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # Paths of sockets must be short, so this is not a folder of pytest.
    folder = tempfile.mkdtemp(prefix="ray-")
    command = [
        sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", f"--port={port}",
        "--num-cpus=2", "--include-dashboard=false", "--disable-usage-stats", f"--temp-dir={folder}",
        "--object-store-memory=100000000",
    ]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(JOBS))
        patch.syspath_prepend(JOBS)
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", os.urandom(32).hex())
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            assert process.stdout is not None
            try:
                assert any("Ray runtime started" in line for line in process.stdout)
                patch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
                yield psutil.Process(process.pid)
            finally:
                process.terminate()
                process.stdout.read()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def settings(tmp_path: Path, tokenizer_folder: Path) -> PrepareSettings:
    random = np.random.default_rng(0)
    words = np.array(["the", "stack", "value", "module", "naïve", "error", "1990", "字"])
    sentences = [" ".join(random.choice(words, 12)) + "\n" for _ in range(30_000)]
    text = "".join(line + "\n" * (number % 7 == 6) for number, line in enumerate(sentences))
    (tmp_path / "corpus.txt").write_text(text, encoding="utf-8")
    return PrepareSettings(
        input=(str(tmp_path / "corpus.txt"),),
        tokenizer=tokenizer_folder,
        output=str(tmp_path / "here"),
        workers=1,
        splitting="lines",
        shard_megabytes=0.02,
    )


def content_of(folder: str) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in Path(folder).iterdir()}


def test_cluster_that_loses_a_process_gives_the_folder_of_one_process(
    settings: PrepareSettings,
    tmp_path: Path,
    cluster: psutil.Process,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prepare(settings)
    monkeypatch.chdir(tmp_path)  # the cluster has another working directory
    there = replace(settings, output="there", workers="ray")
    killed: list[int] = []
    done = threading.Event()

    def kill_a_busy_process() -> None:
        while not (killed or done.is_set()):
            for process in cluster.children(recursive=True):
                try:
                    busy = process.cmdline()[:1] == [TITLE] and len(list(Path("there").glob("*.arrow"))) > 5
                    if busy and not killed:
                        process.kill()
                        killed.append(process.pid)
                except psutil.Error:
                    continue
            time.sleep(0.002)

    killer = threading.Thread(target=kill_a_busy_process)
    killer.start()
    try:
        prepare(there)
    finally:
        done.set()
        killer.join()
    assert killed
    assert not capfd.readouterr().out
    assert content_of("there") == content_of(settings.output)
    assert not importlib.import_module("ray").is_initialized()


def test_error_of_a_job_on_the_cluster_is_that_of_the_job(cluster: psutil.Process) -> None:
    work = importlib.import_module("worker_jobs")
    results = map_in_order(work.make_list, work.refuse, range(9), workers="ray")
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(DataError, match=r"^line 3: bad$"):
        next(results)


def test_job_that_kills_every_process_is_given_up(cluster: psutil.Process) -> None:
    work = importlib.import_module("worker_jobs")
    with pytest.raises(DataError, match=r"Ray could not finish a job: .*died"):
        list(map_in_order(work.make_list, work.die, [3], workers="ray"))


def test_cluster_that_does_not_answer_is_named(
    cluster: psutil.Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(ConfigError, match=f"cannot connect to Ray at {address}"):
        list(map_in_order(int, pow, [1], workers="ray"))
