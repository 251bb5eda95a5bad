"""The report of a fine-tuning: its content, and that it needs no other file."""

import re
from html import unescape
from pathlib import Path

import pytest

from albert.commands.finetune import finetune
from albert.config import AlbertConfig
from albert.finetuning import report as finetuning_report
from albert.tasks.catalogue import find_task
from albert.tasks.published import band
from samples.toy_task import sentences, settings, write_encoder, write_table, write_toy


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory, golden: Path) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder"), golden)


def cells_of_row(page: str, first: str) -> list[str]:
    """Return the cells of the table row whose first cell is `first`."""
    for row in re.findall(r"<tr>(.*?)</tr>", page, flags=re.DOTALL):
        cells = [unescape(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, flags=re.DOTALL)]
        if cells and cells[0] == first:
            return cells
    raise AssertionError(f"no row {first!r}")


def test_the_report_shows_scores_confusions_worst_predictions_and_settings(
    encoder: Path, tmp_path: Path
) -> None:
    write_toy(tmp_path / "data")
    asked = settings(
        encoder,
        tmp_path / "data",
        tmp_path / "runs" / "one",
        max_steps=60,
        learning_rate=2e-3,
        from_scratch=True,
    )
    result = finetune(asked)
    page = (tmp_path / "runs" / "one" / "report.html").read_text(encoding="utf-8")
    assert f"{result['best']['accuracy']:.4g}" in cells_of_row(page, "best evaluation")
    assert cells_of_row(page, "guessing")[2] == "0.5"
    headline = re.findall(r'<p class="headline">(.*?)</p>', page)[0]
    assert headline == (
        f"Accuracy {result['accuracy']:.4g} on 40 dev examples, learnt from 96. "
        "Guessing without the texts reaches 0.5."
    )
    assert ("doubt" in result) == ('class="caution"' in page)
    confusions = [cells_of_row(page, label) for label in ("bad", "good")]
    counts = [[int(cell) for cell in row[1:3]] for row in confusions]
    assert sum(map(sum, counts)) == 40
    assert (counts[0][0] + counts[1][1]) / 40 == pytest.approx(result["best"]["accuracy"])
    assert cells_of_row(page, "learning rate")[1:] == ["0.002", "given"]
    assert "data:image/png;base64," in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_a_model_folder_next_to_the_run_is_not_listed(encoder: Path, tmp_path: Path) -> None:
    write_toy(tmp_path / "data")
    finetune(settings(encoder, tmp_path / "data", tmp_path / "runs" / "one"))
    (tmp_path / "runs" / "one" / "model").rename(tmp_path / "runs" / "kept")
    result = finetune(settings(encoder, tmp_path / "data", tmp_path / "runs" / "two", seed=3))
    assert result["steps"] == 6
    assert (tmp_path / "runs" / "two" / "report.html").is_file()


def test_earlier_runs_of_the_task_are_listed(encoder: Path, tmp_path: Path) -> None:
    write_toy(tmp_path / "data")
    first = finetune(settings(encoder, tmp_path / "data", tmp_path / "runs" / "one"))
    finetune(settings(encoder, tmp_path / "data", tmp_path / "runs" / "two", seed=3))
    page = (tmp_path / "runs" / "two" / "report.html").read_text(encoding="utf-8")
    assert cells_of_row(page, "one")[1] == f"{first['accuracy']:.4g}"


def test_published_scores_are_shown_next_to_ours(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        ("1", text, text, "entailment" if n % 2 else "not_entailment")
        for n, (text, _) in enumerate(sentences(8, seed=5))
    ]
    for split in ("train", "dev"):
        write_table(tmp_path / "RTE" / f"{split}.tsv", rows, "index", "sentence1", "sentence2", "label")
    published = band(find_task("rte"), AlbertConfig.of_size("base", vocab_size=30000))
    assert published is not None
    monkeypatch.setattr(finetuning_report, "band", lambda *_: published)
    result = finetune(settings(encoder, tmp_path, tmp_path / "run", task="rte"))
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    cells = cells_of_row(page, published.model)
    assert cells[1:5] == [
        "accuracy",
        *(f"{x:.4g}" for x in (published.low, published.high, result["accuracy"])),
    ]
