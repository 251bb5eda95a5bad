"""Fixtures of the tests of the original's command lines."""

import json
from pathlib import Path

import pytest

from samples.original_files import SHAPE


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep conversions in the folder of the test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    """The original's JSON file of a tiny shape."""
    path = tmp_path / "albert_config.json"
    path.write_text(json.dumps(SHAPE))
    return path


@pytest.fixture
def records(golden: Path) -> Path:
    """The original's records: 40 of length 128 with room for 20 predictions."""
    return golden / "pretrain_data" / "first_records.tfrecord"
