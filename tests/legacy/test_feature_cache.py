"""Caches of features: used if they fit, made again if not, never written over other files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from albert.legacy.feature_cache import LEFT, cached_features
from albert.tasks.features import TextFeatures
from albert.tasks.spans.windows import SpanFeatures


def features_of(number: int) -> TextFeatures:
    ids = np.arange(number, dtype=np.int64)
    return TextFeatures(ids, ids % 2, np.array([number]), np.array([np.nan]))


def windows() -> SpanFeatures:
    numbers = np.arange(4)
    return SpanFeatures(
        input_ids=numbers,
        lengths=numbers[:1],
        context_starts=numbers[:1],
        questions=numbers[:1],
        start_positions=numbers[:1],
        end_positions=numbers[:1],
        character_starts=numbers.astype(np.int32),
        character_ends=numbers.astype(np.int32),
        is_max_context=numbers > 1,
    )


def never() -> TextFeatures:
    raise AssertionError


def test_features_of_another_version_are_made_again(tmp_path: Path) -> None:
    path = tmp_path / "features"

    @dataclass(frozen=True)
    class Earlier:
        pieces: NDArray[np.int64]

    cached_features([path], "one", Earlier, lambda: Earlier(np.arange(3)))
    assert len(cached_features([path], "one", TextFeatures, lambda: features_of(5)).input_ids) == 5


def test_features_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "features"
    made = cached_features([path], "one", TextFeatures, lambda: features_of(5))
    read = cached_features([path], "one", TextFeatures, never)
    for name in ("input_ids", "token_type_ids", "lengths", "labels"):
        np.testing.assert_array_equal(getattr(read, name), getattr(made, name))
        assert getattr(read, name).dtype == getattr(made, name).dtype


def test_features_that_do_not_fit_are_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "features"
    cached_features([path], "one", TextFeatures, lambda: features_of(5))
    assert len(cached_features([path], "two", TextFeatures, lambda: features_of(7)).input_ids) == 7
    assert "they are made again" in capsys.readouterr().err
    assert len(cached_features([path], "two", TextFeatures, never).input_ids) == 7


@pytest.mark.parametrize("content", [b"", b"\x80\x04pickle", b"\xff" * 64])
def test_a_file_of_another_program_is_left_unchanged(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "features"
    path.write_bytes(content)
    assert len(cached_features([path], "one", TextFeatures, lambda: features_of(5)).input_ids) == 5
    assert path.read_bytes() == content
    assert "left unchanged" in capsys.readouterr().err


def test_a_file_of_weights_is_not_a_cache(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"weight": np.zeros(3)}, path)
    content = path.read_bytes()
    cached_features([path], "one", TextFeatures, lambda: features_of(5))
    assert path.read_bytes() == content


def test_a_second_file_gets_the_fields_that_no_model_reads(tmp_path: Path) -> None:
    from safetensors import safe_open

    paths = [tmp_path / "features", tmp_path / "left"]
    cached_features(paths, "one", SpanFeatures, windows)
    names = []
    for path in paths:
        with safe_open(path, framework="numpy") as file:
            names.append(set(file.keys()))
    assert names[1] == LEFT
    assert not names[0] & LEFT
    read = cached_features(paths, "one", SpanFeatures, never)  # type: ignore[arg-type]
    np.testing.assert_array_equal(read.is_max_context, windows().is_max_context)
    paths[1].unlink()
    with pytest.raises(AssertionError):
        cached_features(paths, "one", SpanFeatures, never)  # type: ignore[arg-type]


def test_without_a_file_features_are_made_every_time(tmp_path: Path) -> None:
    assert len(cached_features([], "one", TextFeatures, lambda: features_of(3)).input_ids) == 3
    assert list(tmp_path.iterdir()) == []
