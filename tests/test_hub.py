"""Fetching by name, against a fake Hub on this machine; the real Hub is never contacted."""

import json
import os
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

COMMIT = "a" * 40


class FakeHub(BaseHTTPRequestHandler):
    """A server with the responses that `snapshot_download` needs: list of files, and each file."""

    files: dict[str, dict[str, bytes]]
    uploaded: dict[str, bytes]
    refuses: bool

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        path = self.path.split("?")[0]
        if self.refuses:
            self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif path == "/api/repos/create":
            self._send(json.dumps({"url": f"http://{self.headers['Host']}/me/mine"}).encode(), body=True)
        elif path == "/api/models/me/mine/preupload/main":
            asked = json.loads(content)["files"]
            modes = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in asked]
            self._send(json.dumps({"files": modes}).encode(), body=True)
        elif path == "/api/models/me/mine/commit/main":
            for line in map(json.loads, content.splitlines()):
                if line["key"] == "file":
                    self.uploaded[line["value"]["path"]] = b64decode(line["value"]["content"])
            address = f"http://{self.headers['Host']}/me/mine/commit/1"
            self._send(json.dumps({"commitUrl": address, "commitOid": "1"}).encode(), body=True)

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def _answer(self, *, body: bool) -> None:
        path = self.path.split("?")[0].strip("/")
        for hub_id, files in self.files.items():
            if path.startswith(f"api/models/{hub_id}/tree"):
                listing = [
                    {"type": "file", "path": name, "size": len(content), "oid": "b" * 40}
                    for name, content in files.items()
                ]
                return self._send(json.dumps(listing).encode(), body=body)
            if path.startswith(f"api/models/{hub_id}"):
                siblings = [{"rfilename": name} for name in files]
                listing_of = {"id": hub_id, "sha": COMMIT, "siblings": siblings, "private": False, "tags": []}
                return self._send(json.dumps(listing_of).encode(), body=body)
            for name, content in files.items():
                if path == f"{hub_id}/resolve/{COMMIT}/{name}":
                    return self._send(content, body=body)
        self.send_response(404)
        self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()
        return None

    def _send(self, content: bytes, *, body: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hash(content) & 0xFFFFFFFF:08x}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body:
            self.wfile.write(content)


@pytest.fixture
def hub() -> Iterator[str]:
    """The address of a Hub with three models."""
    FakeHub.uploaded, FakeHub.refuses = {}, False
    FakeHub.files = {
        "albert/albert-base-v2": {
            "config.json": b"{}",
            "model.safetensors": b"weights",
            "spiece.model": b"x",
        },
        "someone/old": {"config.json": b"{}", "pytorch_model.bin": b"pickle", "flax_model.msgpack": b"no"},
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeHub)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def fetch(name: str, *, endpoint: str, home: Path, offline: bool = False) -> subprocess.CompletedProcess[str]:
    return ask("local_path(*sys.argv[1:])", name, endpoint=endpoint, home=home, offline=offline)


def ask(
    call: str, *arguments: str, endpoint: str, home: Path, offline: bool = False
) -> subprocess.CompletedProcess[str]:
    """Fetch in a separate process: huggingface_hub reads its variables when it is imported."""
    program = (
        "import sys; from albert.errors import AlbertError; from albert.hub import local_path, upload\n"
        f"try: print({call})\n"
        "except AlbertError as error: sys.exit(f'error: {error}')"
    )
    environment = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "PATH": "", "HF_TOKEN": "hf_fake"}
    environment["PYTHONPATH"] = os.environ.get("PYTHONPATH", "")  # the package that is tested here
    if offline:
        environment["HF_HUB_OFFLINE"] = "1"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


def test_a_hub_id_is_fetched_and_then_read_from_the_cache(hub: str, tmp_path: Path) -> None:
    done = fetch("albert/albert-base-v2", endpoint=hub, home=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.strip())
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "model.safetensors",
        "spiece.model",
    ]
    again = fetch("albert/albert-base-v2", endpoint="http://127.0.0.1:9", home=tmp_path, offline=True)
    assert again.stdout == done.stdout


def test_only_one_file_of_weights_is_fetched(hub: str, tmp_path: Path) -> None:
    done = fetch("someone/old", endpoint=hub, home=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.strip())
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "pytorch_model.bin"]


def test_a_caller_chooses_the_cache_and_whether_to_ask_the_hub(hub: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    name, elsewhere = "albert/albert-base-v2", str(cache)
    fetched = "local_path(sys.argv[1], cache_dir=sys.argv[2], revision='main')"
    cached = "local_path(sys.argv[1], cache_dir=sys.argv[2], local_files_only=True)"
    missing = ask(cached, name, elsewhere, endpoint=hub, home=tmp_path)
    assert missing.returncode == 1
    assert "cannot be fetched" in missing.stderr
    done = ask(fetched, name, elsewhere, endpoint=hub, home=tmp_path)
    assert Path(done.stdout.strip()).is_relative_to(cache), done.stderr
    assert ask(cached, name, elsewhere, endpoint="http://127.0.0.1:9", home=tmp_path).stdout == done.stdout


@pytest.mark.parametrize("version", ["2", "3"])
def test_a_tfhub_handle_is_mapped_and_reported(hub: str, tmp_path: Path, version: str) -> None:
    done = fetch(f"https://tfhub.dev/google/albert_base/{version}", endpoint=hub, home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "using albert/albert-base-v2 of the Hugging Face Hub" in done.stderr


@pytest.mark.parametrize("name", ["someone/nothing", "/no/such/folder", "https://example.org/model"])
def test_a_name_that_does_not_exist_is_an_error_of_one_line(hub: str, tmp_path: Path, name: str) -> None:
    done = fetch(name, endpoint=hub, home=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {name}: no such")
    assert done.stderr.count("\n") == 1


def test_offline_without_a_cache_is_an_error_of_one_line(tmp_path: Path) -> None:
    done = fetch("albert/albert-base-v2", endpoint="http://127.0.0.1:9", home=tmp_path, offline=True)
    assert done.returncode == 1
    assert "cannot be fetched from the Hugging Face Hub" in done.stderr


def test_a_folder_is_uploaded_whole(hub: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_bytes(b"{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    done = ask("upload(*sys.argv[1:])", str(folder), "me/mine", endpoint=hub, home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{hub}/me/mine"
    assert FakeHub.uploaded == {"config.json": b"{}", "model.safetensors": b"weights"}


def test_a_refused_upload_is_an_error_of_one_line_and_the_folder_is_complete(
    hub: str, tmp_path: Path
) -> None:
    FakeHub.refuses = True
    done = ask("upload(*sys.argv[1:])", str(tmp_path), "me/mine", endpoint=hub, home=tmp_path)
    assert done.returncode == 1
    assert "is complete: log in with `hf auth login`" in done.stderr
    assert done.stderr.count("\n") == 1
