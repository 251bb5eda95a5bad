"""A run records the commit of this package, never that of a repository around it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from albert import distribution
from albert.training import versions as module
from albert.training.versions import commit_of, versions

PYPROJECT = f'[project]\nname = "{distribution.NAME}"\n'


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def git(folder: Path, *arguments: str) -> str:
    identity = (
        "-c",
        "user.name=Somebody",
        "-c",
        "user.email=somebody@example.org",
        "-c",
        "commit.gpgsign=false",
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", *identity, *arguments],
        cwd=folder,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def make_repository(folder: Path, pyproject: str) -> str:
    """Make a repository with one commit and return that."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(pyproject)
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "A commit")
    return git(folder, "rev-parse", "HEAD")[:12]


def install(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the package look as if it was installed in `environment`."""
    package = environment / "lib" / "python3" / "site-packages" / "albert"
    monkeypatch.setattr(distribution, "__file__", str(package / "distribution.py"))
    package.mkdir(parents=True)


def test_a_clone_gives_its_commit(tmp_path: Path) -> None:
    commit = make_repository(tmp_path / "clone", PYPROJECT)
    assert commit_of(tmp_path / "clone") == commit


def test_a_worktree_and_a_link_to_a_clone_give_the_commit(tmp_path: Path) -> None:
    commit = make_repository(tmp_path / "clone", PYPROJECT)
    git(tmp_path / "clone", "worktree", "add", "--quiet", "--detach", str(tmp_path / "worktree"))
    (tmp_path / "link").symlink_to(tmp_path / "clone")
    assert commit_of(tmp_path / "worktree") == commit_of(tmp_path / "link") == commit


def test_an_editable_installation_records_the_commit_of_its_clone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = make_repository(tmp_path / "clone", PYPROJECT)
    file = tmp_path / "clone" / "src" / "albert" / "distribution.py"
    monkeypatch.setattr(distribution, "__file__", str(file))
    assert versions()["commit"] == commit


@pytest.mark.parametrize("pyproject", ['[project]\nname = "analysis"\n', "not toml [", PYPROJECT])
def test_an_environment_inside_somebodys_repository_gives_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pyproject: str
) -> None:
    make_repository(tmp_path / "work", pyproject)
    install(tmp_path / "work" / ".venv", monkeypatch)
    assert versions()["commit"] == ""


@pytest.mark.parametrize(
    "pyproject", ["", "not toml [", "project = 3\n", '[project]\nname = "albert"\n', '[tool]\nname = "x"\n']
)
def test_a_repository_of_another_project_gives_no_commit(tmp_path: Path, pyproject: str) -> None:
    make_repository(tmp_path / "work", pyproject)
    assert commit_of(tmp_path / "work") == ""


def test_a_copy_of_our_tree_inside_another_repository_gives_no_commit(tmp_path: Path) -> None:
    make_repository(tmp_path / "work", '[project]\nname = "analysis"\n')
    copy = tmp_path / "work" / "vendor" / "albert"
    copy.mkdir(parents=True)
    (copy / "pyproject.toml").write_text(PYPROJECT)
    git(tmp_path / "work", "add", ".")
    git(tmp_path / "work", "commit", "--quiet", "--message", "A copy")
    assert commit_of(copy) == ""


def test_variables_of_a_hook_do_not_lead_to_another_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = make_repository(tmp_path / "clone", PYPROJECT)
    theirs = make_repository(tmp_path / "work", '[project]\nname = "analysis"\n')
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "work" / ".git"))
    assert ours != theirs
    assert commit_of(tmp_path / "clone") == ours


def test_a_tree_without_commits_or_without_git_gives_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    assert commit_of(tmp_path) == ""
    git(tmp_path, "init", "--quiet")
    assert commit_of(tmp_path) == ""
    shutil.rmtree(tmp_path / ".git")
    make_repository(tmp_path, PYPROJECT)
    monkeypatch.setattr(module.subprocess, "run", no_git)
    assert commit_of(tmp_path) == ""


def no_git(*_: object, **__: object) -> None:
    raise FileNotFoundError("git")
