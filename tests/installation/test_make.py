"""`make` installs what a target needs, once, whatever was made before."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = ("Makefile", "pyproject.toml", "constraints.txt")
DEVELOPER_TARGETS = ("test", "test-reference", "check", "format", "bench")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A fresh clone, as far as make looks at it."""
    for name in FILES:
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
        os.utime(tmp_path / name, (1, 1))
    return tmp_path


def planned(clone: Path, *targets: str) -> list[str]:
    """Return the commands that make would run."""
    command = ["make", "--dry-run", "--no-print-directory", *targets]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(command, cwd=clone, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def installed(clone: Path, *targets: str) -> list[str]:
    """Return what make would give to pip."""
    lines = [shlex.split(line) for line in planned(clone, *targets) if " pip " in line]
    return [words[words.index("--editable") + 1] for words in lines]


def do_stamps(clone: Path, target: str) -> None:
    """Make the stamps that `make target` leaves."""
    (clone / ".venv").mkdir(exist_ok=True)
    for line in planned(clone, target):
        if line.startswith("touch "):
            subprocess.run(line.split(), cwd=clone, check=True)


def test_the_demo_makes_an_environment_with_the_package_alone(clone: Path) -> None:
    assert planned(clone, "demo")[0] == "python3 -m venv .venv"
    assert installed(clone, "demo") == ["."]


@pytest.mark.parametrize("target", DEVELOPER_TARGETS)
def test_a_developers_target_makes_an_environment_with_all(clone: Path, target: str) -> None:
    assert planned(clone, target)[0] == "python3 -m venv .venv"
    assert installed(clone, target) == [".[dev]", ".[minilm]"]


def test_after_the_demo_the_tests_add_what_is_missing_once(clone: Path) -> None:
    do_stamps(clone, "demo")
    assert installed(clone, "demo") == []
    assert installed(clone, "test") == [".[dev]", ".[minilm]"]
    do_stamps(clone, "test")
    assert installed(clone, "demo", *DEVELOPER_TARGETS) == []


def test_after_the_tests_the_demo_has_all_it_needs(clone: Path) -> None:
    do_stamps(clone, "check")
    assert installed(clone, "demo") == []


@pytest.mark.parametrize("name", FILES[1:])
def test_changed_requirements_are_installed(clone: Path, name: str) -> None:
    do_stamps(clone, "test")
    later = (clone / ".venv" / "dev").stat().st_mtime + 10
    os.utime(clone / name, (later, later))
    assert installed(clone, "demo") == ["."]
    assert installed(clone, "test") == [".[dev]", ".[minilm]"]
