"""docs/published-numbers.md is what scripts/published_page.py makes."""

import runpy
from pathlib import Path

from albert.tasks.published_figures import FIGURES

ROOT = Path(__file__).parents[2]


def test_the_page_on_published_numbers_is_up_to_date() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "published_page.py"))
    page = (ROOT / "docs" / "published-numbers.md").read_text(encoding="utf-8")
    assert page == script["make_page"](), "run: python scripts/published_page.py"
    tasks = {figure.task for figure in FIGURES if figure.size == "base" and figure.version != "v1"}
    assert all(f"| `{task}` |" in page for task in tasks)
