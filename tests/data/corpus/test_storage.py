"""Storage writes whole files or none, on disks and object stores, and reports what it cannot reach."""

import errno
import gzip
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path

import pytest
from s3fs import S3FileSystem

from albert.data.corpus.documents import read_documents
from albert.data.corpus.files import find_files, total_bytes
from albert.data.corpus.storage import (
    exists,
    filesystem_of,
    is_url,
    join,
    list_names,
    make_folder,
    read_bytes,
    remove,
    whole_file,
    write_whole,
)
from albert.errors import ConfigError, DataError


@pytest.fixture(params=["local", "memory", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "s3":
        return f"{request.getfixturevalue('s3_bucket')}/a/b"
    return str(tmp_path / "a" / "b") if request.param == "local" else f"memory://{tmp_path.name}/a/b"


def test_files_are_written_listed_read_and_removed_anywhere(folder: str) -> None:
    assert list_names(folder) == []
    make_folder(folder)
    for name in ("two.bin", "one.bin"):
        write_whole(join(folder, name), name.encode() * 3)
    assert list_names(folder) == ["one.bin", "two.bin"]
    assert read_bytes(join(folder, "one.bin")) == b"one.binone.binone.bin"
    write_whole(join(folder, "one.bin"), b"new")
    assert read_bytes(join(folder, "one.bin")) == b"new"
    for _ in range(2):
        remove(join(folder, "one.bin"))
    assert [exists(join(folder, name)) for name in ("one.bin", "two.bin")] == [False, True]
    with pytest.raises(DataError, match=r"one\.bin"):
        read_bytes(join(folder, "one.bin"))


def test_file_that_is_not_finished_leaves_the_earlier_one(folder: str) -> None:
    make_folder(folder)
    path = join(folder, "data.bin")
    write_whole(path, b"earlier")

    def write_half() -> None:
        with whole_file(path) as file:
            file.write(b"x" * 100_000)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert list_names(folder) == ["data.bin"]
    assert read_bytes(path) == b"earlier"


def test_full_disk_is_reported_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(DataError, match=r"data.bin: cannot be written \(No space left on device\); free"):
        write_whole(tmp_path / "data.bin", b"x")
    assert list(tmp_path.iterdir()) == []


def test_folder_in_place_of_a_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for deed in (lambda path: write_whole(path, b"x"), make_folder, read_bytes):
        with pytest.raises(DataError, match=r"file/inside: cannot be"):
            deed(tmp_path / "file" / "inside")


def test_url_is_distinguished_from_a_path() -> None:
    assert is_url("s3://bucket/key")
    assert not is_url(Path("data") / "s3:" / "key")


def test_unusable_protocol_is_an_error_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(import_module("fsspec.registry")._registry, "s3", raising=False)
    with pytest.raises(ConfigError, match=r"s3://b/x: Install s3fs.*; run: pip install 'albert-lm\[s3\]'"):
        filesystem_of("s3://b/x")
    with pytest.raises(ConfigError, match=r"nowhere://x: .*nowhere"):
        exists("nowhere://x")


@contextmanager
def cutting_proxy(address: str, *, cuts: int, after_bytes: int) -> Iterator[str]:
    """Forward to a server, but cut the first `cuts` responses off after `after_bytes`."""
    host, port = address.removeprefix("http://").split(":")
    left = [cuts]
    listener = socket.create_server(("127.0.0.1", 0))

    def forward(source: socket.socket, target: socket.socket, answered: list[int], *, answer: bool) -> None:
        with suppress(OSError):  # once the other direction has closed both
            while block := source.recv(1 << 14):
                answered[0] = answered[0] + len(block) if answer else 0
                if answer and answered[0] > after_bytes and left[0] > 0:
                    left[0] -= 1
                    break
                target.sendall(block)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # unlike close, this also ends the wait of the other thread
            end.close()

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection((host, int(port)))
            answered = [0]
            for ends, answer in (((client, server), False), ((server, client), True)):
                threading.Thread(
                    target=forward, args=(*ends, answered), kwargs={"answer": answer}, daemon=True
                ).start()

    accepting = threading.Thread(target=serve, daemon=True)
    accepting.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert left[0] == 0 or cuts > 10
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join()


def write_corpus(bucket: str) -> list[list[str]]:
    """Write a corpus of 2 MB that hardly compresses, and return its documents."""
    records = [[f"{os.urandom(60).hex()} {i}", "second line"] for i in range(12_000)]
    text = "\n\n".join("\n".join(lines) for lines in records).encode()
    write_whole(f"{bucket}/corpus/part-1.txt", text[: len(text) // 2])
    write_whole(f"{bucket}/corpus/deep/part-2.txt.gz", gzip.compress(text[len(text) // 2 :]))
    write_whole(f"{bucket}/corpus/README.md", b"not a corpus")
    return records


def test_corpus_in_a_bucket_is_found_by_folder_and_glob(s3_bucket: str) -> None:
    write_corpus(s3_bucket)
    files = find_files([f"{s3_bucket}/corpus"])
    assert files == [f"{s3_bucket}/corpus/deep/part-2.txt.gz", f"{s3_bucket}/corpus/part-1.txt"]
    assert find_files([f"{s3_bucket}/corpus/*.txt"]) == find_files([files[1]]) == files[1:]
    assert total_bytes(files) == sum(len(read_bytes(file)) for file in files)
    write_whole(f"{s3_bucket}/other/x.md", b"x")
    with pytest.raises(DataError, match="the folder holds no corpus file"):
        find_files([f"{s3_bucket}/other"])
    with pytest.raises(DataError, match=r"none.txt: no such file, folder or glob"):
        find_files([f"{s3_bucket}/none.txt"])


def test_dropped_connections_change_nothing(
    s3_bucket: str, s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_corpus(s3_bucket)
    files = find_files([f"{s3_bucket}/corpus"])
    unbroken = list(read_documents(files))
    assert len(unbroken) > 12_000 - 2
    S3FileSystem.clear_instance_cache()
    with cutting_proxy(s3_server, cuts=3, after_bytes=200_000) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        assert list(read_documents(files)) == unbroken


def test_server_that_stays_down_is_a_data_error(
    s3_bucket: str, s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_corpus(s3_bucket)
    files = find_files([f"{s3_bucket}/corpus"])
    S3FileSystem.clear_instance_cache()
    with cutting_proxy(s3_server, cuts=1000, after_bytes=200_000) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        with pytest.raises(DataError, match=r"part-2.txt.gz: cannot be reached \(.*network.*run the same"):
            list(read_documents(files))
    for deed in (exists, list_names, read_bytes, lambda path: write_whole(path, b"x")):
        with pytest.raises(DataError, match=f"{files[1]}: cannot be reached"):
            deed(files[1])
