"""Files of the project that README and docs name exist, and so do the rooms of the tree."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
PLACES = (ROOT, ROOT / "src" / "albert", ROOT / "docs")


def rooms_of(page: str) -> set[str]:
    """The names at the beginning of each line of a tree, up to two spaces."""
    starts = re.findall(
        r"^ {0,2}([\w/ ]+?) {2,}", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    return {name.strip("/") for start in starts for name in start.split()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_source_files_that_a_page_names_exist(page: Path) -> None:
    named = re.findall(
        r"`([a-z_./]+/[a-z_]+\.(?:py|sh|txt|json|ipynb|toml))`", page.read_text(encoding="utf-8")
    )
    written_by_a_run = {"run/run.json", "albert_tiny_zh/vocab.txt"}
    missing = [
        name
        for name in named
        if name not in written_by_a_run and not any((place / name).exists() for place in PLACES)
    ]
    assert not missing


@pytest.mark.parametrize("page", ["README.md", "docs/architecture.md"])
def test_the_tree_has_a_line_for_every_room(page: str) -> None:
    rooms = {path.parent.name for path in (ROOT / "src" / "albert").glob("*/__init__.py")}
    assert rooms <= rooms_of(page)
