"""Vectors in fewer bytes, as sentence-transformers has them."""

import json
from pathlib import Path

import numpy as np
import pytest

from albert.cli.main import run
from albert.inference import quantization
from albert.inference.quantization import quantized_file
from samples.toy_task import write_encoder


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    path = tmp_path / "vectors.npy"
    np.save(path, np.random.default_rng(0).standard_normal((50, 12)).astype(np.float32))
    return path


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantization, "ROWS_AT_ONCE", 7)


@pytest.mark.parametrize(("kind", "theirs"), [("int8", "int8"), ("binary", "ubinary")])
def test_the_bytes_are_those_of_sentence_transformers(vectors: Path, kind: str, theirs: str) -> None:
    library = pytest.importorskip("sentence_transformers.util.quantization")
    out = vectors.with_name("out.npy")
    quantized_file(vectors, out, kind)  # type: ignore[arg-type]  # one of its values
    expected = library.quantize_embeddings(np.load(vectors), precision=theirs)
    found = np.load(out)
    assert found.dtype == expected.dtype
    # A number in the middle between two steps may fall on either.
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= (1 if kind == "int8" else 0)
    assert (found == expected).mean() > 0.99


def test_int8_can_be_turned_back_with_its_steps(vectors: Path) -> None:
    out = vectors.with_name("out.npy")
    steps = quantized_file(vectors, out, "int8")
    again = (np.load(out).astype(np.float32) + 128) * np.array(steps["steps"]) + np.array(steps["starts"])
    assert np.abs(again - np.load(vectors)).max() <= max(steps["steps"])


def test_vectors_of_skipped_texts_and_constant_numbers_are_no_trouble(tmp_path: Path) -> None:
    rows = np.array([[1.0, 2.0], [np.nan, np.nan], [1.0, 257.0]], np.float32)
    np.save(tmp_path / "in.npy", rows)
    quantized_file(tmp_path / "in.npy", tmp_path / "out.npy", "int8")
    assert np.load(tmp_path / "out.npy").tolist() == [[-128, -128], [-128, -128], [-128, 127]]
    quantized_file(tmp_path / "in.npy", tmp_path / "out.npy", "binary")
    assert np.load(tmp_path / "out.npy").tolist() == [[192], [0], [192]]


def test_the_command_writes_them(tmp_path: Path, golden: Path, capsys: pytest.CaptureFixture[str]) -> None:
    encoder = write_encoder(tmp_path / "encoder", golden)
    (tmp_path / "texts.txt").write_text("the error\nof the type\n")
    words = ["embed", "--model", str(encoder), "--input", str(tmp_path / "texts.txt"), "--device", "cpu"]
    out = tmp_path / "v.npy"
    asked = ["--output", str(out), "--output-dtype", "int8", "--dimensions", "8", "--normalize"]
    assert run([*words, *asked]) == 0
    assert np.load(out).shape == (2, 8)
    assert len(json.loads((tmp_path / "v.json").read_text())["steps"]) == 8
    assert sorted(path.name for path in tmp_path.iterdir()) == ["encoder", "texts.txt", "v.json", "v.npy"]
    assert run([*words, "--output", str(out), "--dimensions", "17"]) == 1
    assert "--dimensions is 17, but the vectors have 16 numbers; lower it" in capsys.readouterr().err
    assert np.load(out).shape == (2, 8), "an earlier file stays as it was"
