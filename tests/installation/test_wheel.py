"""The wheel has the package, all of it, and nothing else."""

import configparser
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from albert.distribution import NAME, VERSION

ROOT = Path(__file__).parents[2]
FILES = ("pyproject.toml", "README.md", "LICENSE")
FOLDERS = ("benchmarks", "docs", "examples", "scripts", "src", "tests")
PACKAGE = ROOT / "src" / "albert"
RECORDS = f"{NAME.replace('-', '_')}-{VERSION}.dist-info"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without a network from a copy of the source tree, its tests included."""
    tree, built = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("built")
    for name in FILES:
        shutil.copy(ROOT / name, tree)
    for name in FOLDERS:
        shutil.copytree(
            ROOT / name, tree / name, ignore=shutil.ignore_patterns("golden", "__pycache__", "*.egg-info")
        )
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(built)], cwd=tree, check=True, capture_output=True)
    [path] = built.glob("*.whl")
    return path


def content(wheel: Path) -> set[str]:
    with ZipFile(wheel) as archive:
        return set(archive.namelist())


def text_of(wheel: Path, name: str) -> str:
    with ZipFile(wheel) as archive:
        return archive.read(f"{RECORDS}/{name}").decode()


def test_the_wheel_has_every_file_of_the_package_and_no_other(wheel: Path) -> None:
    files = {
        f"albert/{path.relative_to(PACKAGE).as_posix()}"
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert "albert/py.typed" in files
    assert {name for name in content(wheel) if not name.startswith(f"{RECORDS}/")} == files


def test_the_wheel_has_the_licence_and_one_command(wheel: Path) -> None:
    scripts = configparser.ConfigParser()
    scripts.read_string(text_of(wheel, "entry_points.txt"))
    assert {name: dict(scripts[name]) for name in scripts.sections()} == {
        "console_scripts": {"albert": "albert.cli.main:main"}
    }
    assert f"{RECORDS}/licenses/LICENSE" in content(wheel)


def test_the_wheel_says_what_it_is_and_needs(wheel: Path) -> None:
    lines = text_of(wheel, "METADATA").splitlines()
    assert {f"Name: {NAME}", f"Version: {VERSION}", "Requires-Python: >=3.11"} <= set(lines)
    needed = [line for line in lines if line.startswith("Requires-Dist:") and "extra ==" not in line]
    assert "Requires-Dist: torch>=2.6" in needed
    assert not [
        line for line in needed if any(name in line for name in ("datasets", "ray", "pytest", "ruff"))
    ]
