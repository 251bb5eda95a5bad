"""Model folders from weights without a vocabulary, whose configuration is elsewhere."""

import json
from pathlib import Path

import pytest
import torch

from albert import AlbertForPreTraining
from albert.checkpoint.snapshots import TrainingState, load_snapshot_weights, save_snapshot
from albert.conversion.bare_weights import bare_folder, write_bare_folder
from albert.errors import CheckpointError
from albert.optim.optimizers import make_optimizer
from samples.original_files import SHAPE, random_model, write_tensorflow


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "shape.json"
    path.write_text(json.dumps(SHAPE))
    return path


def holds(folder: Path, model: AlbertForPreTraining) -> bool:
    found = AlbertForPreTraining.from_pretrained(folder).state_dict()
    return all(torch.equal(found[name], tensor) for name, tensor in model.state_dict().items())


def snapshot_of(folder: Path, model: AlbertForPreTraining) -> Path:
    save_snapshot(folder, TrainingState(step=3), model, make_optimizer("lamb", model, weight_decay=0.01))
    return folder / "step-3"


def test_a_prefix_becomes_a_folder_once(config: Path, tmp_path: Path) -> None:
    prefix = write_tensorflow(tmp_path / "albert" / "model.ckpt-7", random_model())
    folder = bare_folder(prefix, config)
    assert holds(folder, random_model())
    written = (folder / "model.safetensors").stat().st_mtime_ns
    assert bare_folder(prefix, config) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == written
    config.write_text(json.dumps({**SHAPE, "hidden_dropout_prob": 0.5}))
    assert bare_folder(prefix, config) != folder
    assert not [path for path in folder.parent.iterdir() if path.name.startswith(".")]


def test_a_folder_is_used_as_it_is(config: Path, tmp_path: Path) -> None:
    random_model().save_pretrained(tmp_path / "model")
    assert bare_folder(tmp_path / "model", config) == tmp_path / "model"


def test_a_snapshot_becomes_a_folder(config: Path, tmp_path: Path) -> None:
    snapshot = snapshot_of(tmp_path / "checkpoints", random_model())
    write_bare_folder(snapshot, config, tmp_path / "out")
    assert holds(tmp_path / "out", random_model())


def test_a_snapshot_of_another_shape_or_damaged_is_refused(tmp_path: Path) -> None:
    snapshot = snapshot_of(tmp_path / "checkpoints", random_model())
    with pytest.raises(CheckpointError, match=r"step-3: albert\.\S+ has shape .* the model needs"):
        load_snapshot_weights(snapshot, random_model(intermediate_size=16))
    content = bytearray((snapshot / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (snapshot / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="checksum"):
        load_snapshot_weights(snapshot, random_model())


def test_groups_are_those_of_the_weights_on_request(config: Path, tmp_path: Path) -> None:
    prefix = write_tensorflow(tmp_path / "albert" / "model.ckpt-7", random_model())
    config.write_text(json.dumps({**SHAPE, "num_hidden_groups": 2}))
    with pytest.raises(CheckpointError, match="num_hidden_groups is 2, the weights in"):
        bare_folder(prefix, config)
    assert holds(bare_folder(prefix, config, own_groups=True), random_model())
