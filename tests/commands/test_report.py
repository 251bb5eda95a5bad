"""`albert report`: logs in every state of a run, and messages where nothing can be drawn."""

import json
import math
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from albert.cli.main import run as run_command
from albert.commands.finetune import FinetuneSettings, finetune
from albert.commands.pretrain import PretrainSettings, pretrain
from albert.commands.report import ReportSettings, differing_settings, report, summaries
from albert.data.examples.settings import ExampleSettings
from albert.errors import ConfigError, RunError
from albert.reports import curves
from albert.reports.runs import LoggedRun, read_runs, score_names
from albert.training.settings import LoopSettings, OptimizerSettings

Row = dict[str, Any]


def training(step: int, **changes: Any) -> Row:
    return {
        "step": step,
        "learning_rate": 1e-3,
        "tokens_per_second": 1000.0,
        "skipped": 0,
        "loss": 3.0,
        "grad_norm": 1.0,
        "masked_lm_loss": 2.0,
        "sentence_order_loss": 1.0,
        "tokens": 36_000,
        **changes,
    }


def evaluation(step: int, **scores: float) -> Row:
    return {"step": step, "held_out": {"masked_lm_loss": 2.5, "masked_lm_accuracy": 0.25, **scores}}


def make_run(folder: Path, *rows: Row, rest: str = "", settings: Row | None = None, **record: Any) -> Path:
    folder.mkdir(parents=True)
    asked = {"output": str(folder), "loop": {"max_steps": 100, "seed": 0}, **(settings or {})}
    content = {"command": "pretrain", "settings": asked, "inputs": {"data": "a1"}, **record}
    (folder / "run.json").write_text(json.dumps(content))
    if rows or rest:
        (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + rest)
    return folder


def read(folder: Path) -> LoggedRun:
    (found,) = read_runs([folder])
    return found


class Page(HTMLParser):
    """The texts, the tags and the addresses of a page; every tag must be closed."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self._open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        assert self._open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attributes if name in {"src", "href"}]
        if tag not in {"img", "meta"}:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_real_runs_of_both_kinds_give_picture_page_and_rows(
    prepared_data: Path, tiny_config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = pretrain(
        PretrainSettings(
            data=(prepared_data,),
            output=tmp_path / "run",
            config=tiny_config,
            eval_examples=20,
            examples=ExampleSettings(max_seq_length=32),
            optimizer=OptimizerSettings(warmup_steps=1),
            loop=LoopSettings(max_steps=4, batch_size=4, eval_steps=2, log_steps=1, device="cpu"),
        )
    )
    data = tmp_path / "data"
    data.mkdir()
    for split in ("train", "dev"):
        (data / f"{split}.tsv").write_text("text\tlabel\n" + "one value\ta\ntwo types\tb\n" * 8)
    tuned = finetune(
        FinetuneSettings(
            task="classification", model=scores["model"], data=data, output=tmp_path / "tuned",
            max_steps=2, batch_size=4, max_seq_length=16, log_steps=1, device="cpu",
        )
    )  # fmt: skip
    capsys.readouterr()
    assert run_command(["report", str(tmp_path / "run"), str(tmp_path / "tuned"), "--json"]) == 0
    captured = capsys.readouterr()
    first, second = json.loads(captured.out)
    assert first["state"] == second["state"] == "finished"
    assert first["step"] == 4
    evaluations = [row["held_out"] for row in read_log(tmp_path / "run") if "held_out" in row]
    assert first["masked_lm_loss"] == evaluations[-1]["masked_lm_loss"]
    assert second["accuracy"] == tuned["accuracy"]
    assert read(tmp_path / "run").vocab_size == json.loads(tiny_config.read_text())["vocab_size"]
    assert score_names([read(tmp_path / "tuned")]) == ["loss", "accuracy", "f1_macro"]
    assert str(tmp_path / "run" / "report" / "report.html") in captured.err
    assert (tmp_path / "run" / "report" / "report.png").read_bytes().startswith(b"\x89PNG")


def read_log(folder: Path) -> list[Row]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_the_page_stands_alone_and_shows_texts_as_they_are(tmp_path: Path) -> None:
    event = {"step": 10, "event": "roll-back", "text": "loss rose to 9 > 3 & <b>fell</b>"}
    first = make_run(tmp_path / "a&b", training(10), evaluation(10), event)
    second = make_run(tmp_path / "c", training(10), settings={"batch_size": 8})
    report(ReportSettings(runs=(first, second), output=tmp_path / "out"))
    page = Page(tmp_path / "out" / "report.html")
    assert "loss rose to 9 > 3 & <b>fell</b>" in page.texts
    assert "Training of a&b, c" in page.texts
    assert "--batch-size" in page.texts
    assert not {"script", "link", "iframe"} & set(page.tags)
    (address,) = page.addresses
    assert address.startswith("data:image/png;base64,")
    assert "http" not in (tmp_path / "out" / "report.html").read_text()


def test_a_picture_grows_with_what_is_logged_and_shows_every_run(tmp_path: Path) -> None:
    def picture(name: str, *runs: Path) -> np.ndarray[Any, Any]:
        report(ReportSettings(runs=runs, output=tmp_path / name))
        return imread(tmp_path / name / "report.png")[:, :, :3]

    def has(image: np.ndarray[Any, Any], colour: tuple[int, int, int]) -> bool:
        return bool((np.abs(image - np.array(colour) / 255).max(axis=2) < 0.01).any())

    first = make_run(tmp_path / "a", *(training(step) for step in (10, 20)), evaluation(20))
    second = make_run(tmp_path / "b", training(10), evaluation(10), evaluation(20, masked_lm_loss=1.0))
    third = make_run(tmp_path / "c", training(10, mfu=0.4, memory_gb=3.0, trust_ratio_max=1.0))
    blue, vermilion = (0, 114, 178), (213, 94, 0)
    one, both = picture("one", first), picture("both", first, second)
    assert has(one, blue)
    assert not has(one, vermilion)
    assert has(both, blue)
    assert has(both, vermilion)
    assert len(picture("more", first, third)) > len(both)


def test_a_run_without_records_is_reported_without_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_run(tmp_path / "run")
    (folder / "report").mkdir()
    (folder / "report" / "report.png").write_bytes(b"of another day")
    (row,) = report(ReportSettings(runs=(folder,)))
    assert row == {
        "run": "run",
        "state": "no records yet",
        "step": 0,
        "max_steps": 100,
        "skipped": 0,
        "events": 0,
    }
    assert "no run has records yet, so there are no curves" in capsys.readouterr().err
    assert [path.name for path in (folder / "report").iterdir()] == ["report.html"]
    assert "img" not in Page(folder / "report" / "report.html").tags


def test_without_held_out_data_the_scores_are_those_of_training_and_marked_as_such(tmp_path: Path) -> None:
    (row,) = report(ReportSettings(runs=(make_run(tmp_path / "run", training(10), training(20)),)))
    assert (row["state"], row["step"], row["scores"], row["masked_lm_loss"]) == (
        "unfinished",
        20,
        "training",
        2.0,
    )
    assert row["tokens_per_second"] == 1000
    assert "loss" not in row, "the sum of the parts is not a score"


def test_an_unfinished_last_line_is_skipped_silently_and_a_damaged_one_with_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rest = 'no record\n{"loss": 1}\n' + json.dumps(training(20)) + '\n{"step": 30, "lo'
    folder = make_run(tmp_path / "run", training(10), rest=rest)
    assert [row["step"] for row in read(folder).training] == [10, 20]
    messages = capsys.readouterr().err.splitlines()
    assert len(messages) == 2
    assert "log.jsonl:2: expected a record with a step, found 'no record'; skipped" in messages[0]
    assert "log.jsonl:3" in messages[1]


def test_records_undone_by_a_roll_back_are_not_drawn_but_the_event_is_listed(tmp_path: Path) -> None:
    event = {"step": 10, "event": "roll-back", "text": "back to step 10"}
    rows = [training(10), training(20, masked_lm_loss=9.0), evaluation(20, masked_lm_loss=9.0), event]
    again = [training(20), evaluation(20), training(30)]
    found = read(make_run(tmp_path / "run", *rows, *again))
    assert found.curve("masked_lm_loss", "steps") == ([10, 20, 30], [2.0, 2.0, 2.0])
    assert found.curve("masked_lm_loss", "steps", held_out=True) == ([20], [2.5])
    assert found.events == [event]


def test_values_that_are_not_finite_are_not_drawn(tmp_path: Path) -> None:
    folder = make_run(
        tmp_path / "run", training(10, grad_norm=math.nan), training(20), training(30, mfu=None)
    )
    found = read(folder)
    assert found.curve("grad_norm", "steps") == ([20, 30], [1.0, 1.0])
    assert found.numbers("mfu") == []
    report(ReportSettings(runs=(folder,)))


def test_tokens_and_hours_are_computed_from_the_training_records(tmp_path: Path) -> None:
    rows = [training(10), training(20, tokens_per_second=500.0), evaluation(20), evaluation(15)]
    found = read(make_run(tmp_path / "run", *rows))
    assert found.curve("loss", "tokens") == ([], [])
    assert found.curve("grad_norm", "tokens")[0] == [36_000, 72_000]
    assert found.curve("grad_norm", "hours")[0] == pytest.approx([0.01, 0.03])
    assert found.curve("masked_lm_loss", "hours", held_out=True)[0] == pytest.approx([0.02])


def test_an_axis_that_a_log_lacks_is_an_error_that_names_the_run(tmp_path: Path) -> None:
    rows = [{name: value for name, value in training(10).items() if name != "tokens"}]
    folder = make_run(tmp_path / "run", *rows)
    with pytest.raises(
        ConfigError, match=r"run: its log has no token counts, which --x hours needs; use --x steps"
    ):
        report(ReportSettings(runs=(folder,), x="hours"))


def test_settings_that_differ_are_listed_with_the_value_of_each_run(tmp_path: Path) -> None:
    first = make_run(tmp_path / "a", versions={"torch": "2"})
    second = make_run(tmp_path / "b", versions={"torch": "2"}, settings={"loop": {"max_steps": 50}})
    assert differing_settings(read_runs([first, second])) == {"max_steps": [100, 50], "seed": [0, None]}
    assert differing_settings(read_runs([first, first])) == {}


def test_runs_of_the_same_name_get_different_titles_and_one_given_twice_is_shown_once(tmp_path: Path) -> None:
    folders = [make_run(tmp_path / place / "run") for place in ("a", "b")]
    assert [found.title for found in read_runs([*folders, tmp_path / "b" / ".." / "a" / "run"])] == [
        "a/run",
        "b/run",
    ]


def test_a_folder_that_is_not_a_run_is_refused_with_a_hint(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs" / "one")
    model = make_run(run / "model")
    (model / "config.json").write_text('{"vocab_size": 31}')
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "run.json").write_text("{")
    expected = {
        tmp_path / "nothing": "no such folder; expected the folder of a run",
        run.parent: rf"is not a run \(no run.json\); these folders in it are runs: {run}",
        model: f"is a model, not a run; give the folder of the run, such as {run}",
        tmp_path / "damaged": r"run\.json: damaged",
    }
    for folder, message in expected.items():
        with pytest.raises(RunError, match=message):
            read_runs([folder])
    assert read(run).vocab_size == 31


def test_no_run_and_an_output_that_is_a_file_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no run was given"):
        ReportSettings(runs=())
    folder = make_run(tmp_path / "run", training(10))
    with pytest.raises(ConfigError, match="is a file; expected a folder"):
        report(ReportSettings(runs=(folder,), output=folder / "run.json"))


def test_a_run_is_compared_and_labelled_by_the_model_that_is_its_result(tmp_path: Path) -> None:
    rows = [evaluation(step, accuracy=value) for step, value in ((10, 0.5), (20, 0.75), (30, 0.625))]
    result = {"best": {"step": 20}, "model": str(tmp_path / "best-run" / "best")}
    best = read(make_run(tmp_path / "best-run", *rows, result=result))
    last = read(make_run(tmp_path / "last-run", *rows, result=result | {"model": "last-run/model"}))
    unfinished = read(make_run(tmp_path / "unfinished", *rows))
    assert [row["accuracy"] for row in summaries([best, last, unfinished])] == [0.75, 0.625, 0.625]
    figure = curves._new_figure(4, 4)
    axes = figure.subplots()
    curves._draw_score(axes, [best], "accuracy", axis="steps")
    assert "75.0%" in [text.get_text() for text in axes.texts]


@pytest.mark.parametrize(
    ("vocab_size", "loss", "comparable"),
    [(30_000, "auto", True), (297, "auto", False), (30_000, "nsp", False)],
)
def test_the_papers_scores_are_drawn_only_where_they_can_be_compared(
    tmp_path: Path, vocab_size: int, loss: str, comparable: bool
) -> None:
    settings = {"examples": {"sentence_loss": loss}, "shape": {"vocab_size": vocab_size}}
    run = read(make_run(tmp_path / "run", settings=settings))
    assert bool(curves._references([run], "sentence_order_accuracy")) is comparable
    assert not curves._references([run], "accuracy")
