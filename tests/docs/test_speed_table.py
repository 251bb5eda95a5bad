"""The tables in docs/speed.md are those of the committed results."""

import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TABLE = runpy.run_path(str(ROOT / "benchmarks" / "table.py"))


def row(candidate: str, **values: Any) -> dict[str, Any]:
    return {"job": "pretraining step", "lengths": "full", "unit": "step", "candidate": candidate, **values}


def test_the_page_shows_the_committed_results() -> None:
    page = (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")
    assert page == TABLE["with_tables"](page, TABLE["read_results"]())


def test_a_result_becomes_a_row_with_ratios_lower_bound_and_memory() -> None:
    ours = row("albert", milliseconds=2000.0, tokens_per_second=512, utilisation=0.84)
    ours |= {"lower_bound_ratio": {"median": 0.9}, "memory": {"peak_mb": 500.0}}
    theirs = row("transformers, sdpa", ratio={"median": 0.8, "min": 0.75, "max": 0.85})
    theirs |= {"lower_bound_ratio": {"median": 0.7}, "memory": {"peak_mb": 1000.0}}
    bound = row("matrix products alone", ratio={"median": 1.1, "min": 1.0, "max": 1.2})
    result = {
        "settings": {"size": "base", "precision": "float32", "rounds": 5},
        "versions": {"torch": "2.13", "commit": "abc"},
        "machine": {"threads": 2, "processor": "P"},
        "matrix_peak": 126e9,
        "rows": [ours, theirs, bound],
    }
    page = TABLE["with_tables"](f"a\n{TABLE['BEGIN']}\nold\n{TABLE['END']}\nb\n", [result])
    assert page.startswith(f"a\n{TABLE['BEGIN']}\n")
    assert page.endswith(f"{TABLE['END']}\nb\n")
    assert "old" not in page
    assert "`base`, float32, 2 threads of P (126 GFLOP/s" in page
    assert (
        "| pretraining step, full | 2,000 ms per step, 512 tokens/s, 84% of peak | "
        "transformers, sdpa 0.80 (0.75 to 0.85) | 0.90 | 0.70 | 0.50 |\n"
    ) in page


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(SystemExit, match="expected one"):
        TABLE["with_tables"]("no marks", [])
