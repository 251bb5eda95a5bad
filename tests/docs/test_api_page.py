"""docs/api.md is what scripts/api_page.py makes, and covers every public name."""

import runpy
from pathlib import Path
from typing import Any

import pytest

import albert

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "scripts" / "api_page.py"))


def test_the_page_is_up_to_date(script: dict[str, Any]) -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert page == script["make_page"](), "run: python scripts/api_page.py"


def test_every_public_name_has_a_section_with_its_methods(script: dict[str, Any]) -> None:
    page = script["make_page"]()
    for name in albert.__all__:
        assert name == "__version__" or f"\n## {name}\n\n" in page, name
    for method in (
        "from_pretrained(folder",
        "`save_pretrained(folder, is_main_process, state_dict",
        "model(input_ids",
        "`tokenizer(text",
    ):
        assert method in page, method


def test_a_section_has_description_arguments_return_and_errors(script: dict[str, Any]) -> None:
    def convert(text: str, *, limit: int | None = None) -> list[int]:
        """Return the ids of a text.

        They are new.

        Args:
            text: Any text,
                on several lines.
            limit: The most ids.

        Raises:
            ValueError: The text is empty.
        """
        raise ValueError(text, limit)

    assert [*script["_callable"]("convert", convert)] == [
        "### `convert(text, *, limit)`",
        "Return the ids of a text.\n\nThey are new.",
        "| argument | type | default | meaning |\n"
        "| --- | --- | --- | --- |\n"
        "| `text` | `str` |  | Any text, on several lines. |\n"
        "| `limit` | `int \\| None` | `None` | The most ids. |",
        "- Returns `list[int]`.\n- Raises `ValueError`: The text is empty.",
    ]
