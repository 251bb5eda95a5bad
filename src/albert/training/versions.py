"""The versions that the numbers of a run depend on, in addition to its settings."""

import os
import platform
import subprocess
import tomllib
from pathlib import Path

import torch

from albert import distribution


def versions() -> dict[str, str]:
    """Return the versions of this package, its commit, Python and torch."""
    return {
        "albert": distribution.VERSION,
        "commit": commit_of(Path(distribution.__file__).parents[2]),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
    }


def commit_of(tree: Path) -> str:
    """Return the commit of the repository whose root is `tree`, if that is the source tree of this package.

    Return "" for an installed package and for a copy of the source tree inside another repository: git would
    give the commit of whatever repository is around them.
    """
    if not _is_our_source_tree(tree):
        return ""
    # In a hook of git such variables name the repository of the hook, wherever git is called.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--show-toplevel", "--short=12", "HEAD"],
            cwd=tree,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=5,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    root, _, commit = done.stdout.strip().partition("\n")
    return commit if done.returncode == 0 and Path(root).resolve() == tree.resolve() else ""


def _is_our_source_tree(tree: Path) -> bool:
    """Return whether the pyproject.toml in `tree` is that of this distribution."""
    try:
        project = tomllib.loads((tree / "pyproject.toml").read_text(encoding="utf-8")).get("project", {})
    except (OSError, ValueError):
        return False
    return isinstance(project, dict) and project.get("name") == distribution.NAME
