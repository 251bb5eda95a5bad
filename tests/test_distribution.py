"""Texts, messages and pyproject.toml agree on the distribution's name, its extras and what it imports."""

import ast
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import albert
from albert.distribution import NAME, VERSION, install_command

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
FOLDERS = (".ci", "benchmarks", "docs", "examples", "scripts", "src", "tests")
SUFFIXES = {".cff", ".ipynb", ".md", ".py", ".sh", ".toml", ".txt", ""}
DISTRIBUTION_OF_PACKAGE = {"absl": "absl-py", "sklearn": "scikit-learn"}  # where the two names differ
NOT_INSTALLED_BY_US = {"transformers", "flash_attn"}  # compared with, or used, where the user has them


def texts() -> dict[str, str]:
    paths = [*ROOT.iterdir(), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))]
    return {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for path in paths
        if path.is_file() and path.suffix in SUFFIXES and "golden" not in path.parts
    }


def distribution_of(requirement: str) -> str:
    return re.split(r"[\[><=~! ;]", requirement)[0].lower().replace("_", "-")


def imported_packages() -> set[str]:
    found = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"albert"}


def test_the_package_knows_the_name_and_version_of_its_distribution() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert PROJECT["name"] == NAME
    assert albert.__version__ == VERSION
    assert f"\nversion: {VERSION}\n" in citation
    assert f'\ntitle: "{NAME}: ' in citation


def test_no_text_names_the_stranger_that_has_our_import_name_on_pypi() -> None:
    stranger = re.compile(r"""pip3? install (?:-\S+ )*['"]?albert(?![\w-])|['"`]albert\[""")
    assert stranger.search("pip install 'alb" + "ert[zh]'")
    assert stranger.search("pip install -U alb" + "ert now")
    assert [name for name, text in texts().items() if stranger.search(text)] == []


def test_every_extra_that_a_hint_names_exists() -> None:
    hint = re.compile(rf"""(?:{NAME}|['"]\.)\[([\w,]+)\]|install_command\(['"](\w+)['"]\)""")
    found = [match for text in texts().values() for match in hint.finditer(text)]
    named = {extra for match in found for extra in (match[1] or match[2]).split(",")}
    assert named >= {"dev", "hub", "ray", "s3", "zh"}
    assert named <= set(EXTRAS)
    assert {"tensorboard", "trackio"} <= set(EXTRAS)  # the values of --log-to, which is their hint


def test_the_command_that_adds_an_extra_can_be_pasted_into_a_shell() -> None:
    assert install_command("zh") == f"pip install '{NAME}" + "[zh]'"


def test_the_extra_of_developers_has_all_others() -> None:
    own = next(requirement for requirement in EXTRAS["dev"] if requirement.startswith(f"{NAME}["))
    # Weights of 90 MB, which make installs where they can be had.
    others = set(EXTRAS) - {"dev", "minilm"}
    assert set(own.removeprefix(f"{NAME}[").removesuffix("]").split(",")) == others


def test_everything_imported_is_declared_and_everything_plain_is_imported() -> None:
    imported = {
        DISTRIBUTION_OF_PACKAGE.get(package, package).lower().replace("_", "-")
        for package in imported_packages() - NOT_INSTALLED_BY_US
    }
    plain = {distribution_of(requirement) for requirement in PROJECT["dependencies"]}
    extra = {
        distribution_of(requirement)
        for name, extras in EXTRAS.items()
        if name != "dev"
        for requirement in extras
    }
    assert imported <= plain | extra
    assert plain <= imported


@pytest.mark.parametrize("package", sorted(EXTRAS.keys() - {"dev"}))
def test_what_an_extra_brings_is_not_installed_by_default(package: str) -> None:
    plain = {distribution_of(requirement) for requirement in PROJECT["dependencies"]}
    assert plain.isdisjoint(map(distribution_of, EXTRAS[package]))
