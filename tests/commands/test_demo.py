"""`albert demo`: its text, its baselines, and a folder that continues where it was stopped."""

import random
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from albert.commands import demo as demo_command
from albert.commands.demo import DemoSettings, run_demo
from albert.config import AlbertConfig
from albert.data.examples.settings import ExampleSettings
from albert.demo import stages
from albert.demo.stages import DemoScale, most_frequent_share, steps_within
from albert.demo.state import State
from albert.demo.text import (
    MIN_DOCUMENTS,
    TOPICS,
    Document,
    find_documents,
    majority_share,
    split_sentences,
    standard_library,
    write_tables,
)
from albert.errors import ConfigError, DataError, RunError
from albert.pretraining.settings import PretrainSettings
from albert.reports.curves import Baselines, LoggedStage, draw_stages, held_out_points
from albert.training.log import StepLog
from albert.training.settings import LoopSettings, OptimizerSettings

WORDS = """the value returns a list of file names when this object is closed by its owner and reads
it""".split()  # noqa: SIM905  # readable as a text


def make_documents(*, packages: int = 3, per_package: int = MIN_DOCUMENTS) -> list[Document]:
    draw = random.Random(0)
    return [
        Document(
            package=f"package{index % packages}",
            sentences=tuple(f"{' '.join(draw.choices(WORDS, k=8))} {index}-{n}." for n in range(5)),
        )
        for index in range(packages * per_package)
    ]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small library of two packages whose modules have docstrings."""
    root = tmp_path_factory.mktemp("library")
    draw = random.Random(1)
    for package in ("alpha", "beta"):
        (root / package).mkdir()
        for number in range(3 * MIN_DOCUMENTS):
            sentences = [" ".join(draw.choices(WORDS, k=9)).capitalize() + "." for _ in range(6)]
            text = "\n\n".join(sentences)
            (root / package / f"module{number}.py").write_text(
                f'"""{text}\n"""\nraise SystemExit("never run")\n'
            )
    return root


@pytest.fixture
def scale(library: Path) -> DemoScale:
    return DemoScale(
        python_folder=library, vocab_size=40, embedding_size=6, hidden_size=8, heads=2, layers=(1, 2),
        max_seq_length=32, batch_size=4, steps=6, finetune_steps=3,
    )  # fmt: skip


def steps_of(folder: Path) -> list[tuple[int, int]]:
    """The layers and steps of the stages in a demo's folder."""
    return [(stage.layers, stage.steps) for stage in State.read(folder).stages]


def test_the_documentation_of_this_python_is_a_megabyte_of_unique_sentences() -> None:
    documents = find_documents(standard_library())
    sentences = [sentence for document in documents for sentence in document.sentences]
    assert sum(map(len, sentences)) > 1_000_000
    assert len(set(sentences)) == len(sentences)
    assert {"asyncio", "email", "unittest", TOPICS} <= {document.package for document in documents}
    assert not any("\n" in sentence or "\t" in sentence or ">>>" in sentence for sentence in sentences)


def test_a_docstring_is_cleaned_to_its_sentences() -> None:
    text = """Return the length of a line.  It is counted
    in characters, not bytes.

    >>> length("abc")
    3

    - `first` is the first of the arguments
    - **second** may be left out entirely

    |----|----|
    """
    assert split_sentences(text) == [
        "Return the length of a line.",
        "It is counted in characters, not bytes.",
        "first is the first of the arguments",
        "second may be left out entirely",
    ]


def test_modules_are_read_and_never_run(library: Path) -> None:
    assert {document.package for document in find_documents(library)} == {"alpha", "beta"}


def test_a_folder_without_documentation_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bare.py").write_text("x = 1\n")
    with pytest.raises(DataError, match="no Python source with documentation"):
        find_documents(tmp_path)


def test_the_tables_of_the_classifier_never_share_a_document(tmp_path: Path) -> None:
    documents = make_documents()
    held_out = [index % 4 == 0 for index in range(len(documents))]
    write_tables(tmp_path, documents, held_out)
    train, dev = (
        {
            row.split("\t")[0].split()[-1].split("-")[0]
            for row in (tmp_path / f"{name}.tsv").read_text().splitlines()[1:]
        }
        for name in ("train", "dev")
    )
    assert train | dev == {str(index) for index in range(len(documents))}
    assert not train & dev


def test_packages_with_few_documents_do_not_become_labels(tmp_path: Path) -> None:
    documents = [*make_documents(), Document(package="rare", sentences=("One sentence stands alone.",) * 999)]
    write_tables(tmp_path, documents, [False] * len(documents))
    assert "rare" not in (tmp_path / "train.tsv").read_text()
    with pytest.raises(DataError, match="a classifier needs two"):
        write_tables(tmp_path, documents[-1:], [False])


def test_the_baselines_are_right_on_examples_made_by_hand(tmp_path: Path) -> None:
    assert most_frequent_share([np.array([7, 5, 7]), np.array([7, 9])]) == 3 / 5
    (tmp_path / "dev.tsv").write_text("text\tlabel\nd\ty\ne\ty\nf\ty\ng\tx\n")
    assert majority_share(tmp_path) == 3 / 4


def test_a_finished_demo_run_again_continues_deeper_from_the_last_model(
    scale: DemoScale, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = DemoSettings(output=tmp_path / "demo")
    first = run_demo(settings, scale)
    assert steps_of(settings.output) == [(1, 6)]
    assert first["masked_lm_accuracy"]["most_frequent_token"] > 0
    assert set(first["package_of_a_sentence"]) == {
        "from_pretrained_weights",
        "from_random_weights",
        "majority",
    }
    picture = Path(first["curves"]).read_bytes()
    capsys.readouterr()

    second = run_demo(settings, scale)
    assert steps_of(settings.output) == [(1, 6), (2, 6)]
    assert second["steps"] == 12
    assert f"{first['model']}: " in capsys.readouterr().err
    assert Path(second["curves"]).read_bytes() != picture
    assert second["masked_lm_accuracy"]["at_first"] == first["masked_lm_accuracy"]["at_first"]


def test_a_demo_stopped_while_pretraining_resumes_the_stage(
    scale: DemoScale, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = DemoSettings(output=tmp_path / "demo")
    add = StepLog.add

    def add_and_interrupt(log: StepLog, step: Any) -> None:
        add(log, step)
        if step.number == 3:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(StepLog, "add", add_and_interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_demo(settings, scale)
    capsys.readouterr()
    run_demo(settings, scale)
    assert "resuming after step 3" in capsys.readouterr().err
    assert steps_of(settings.output) == [(1, 6)]


@pytest.mark.parametrize("part", ["write_documents", "vocab", "prepare", "write_tables", "finetune"])
def test_a_demo_stopped_anywhere_else_continues_without_another_stage(
    part: str, scale: DemoScale, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = DemoSettings(output=tmp_path / "demo")

    def interrupt(*_: object) -> None:
        for name in ("vocab", "classifiers/1-pretrained"):
            if name.split("/")[0].startswith(part[:4]):
                (settings.output / name).mkdir(parents=True)
                (settings.output / name / "half-written").touch()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(demo_command, part, interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_demo(settings, scale)
    run_demo(settings, scale)
    assert steps_of(settings.output) == [(1, 6)]


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(RunError, match="is not a demo's folder"):
        demo_command.demo(DemoSettings(output=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_minutes_must_be_positive() -> None:
    with pytest.raises(ConfigError, match="--minutes is 0"):
        DemoSettings(minutes=0)


def test_the_steps_of_a_stage_fill_the_time(
    prepared_data: Path, tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "TRIAL_SECONDS", 0.1)
    settings = PretrainSettings(
        data=(prepared_data,),
        output=tmp_path,
        examples=ExampleSettings(max_seq_length=32),
        optimizer=OptimizerSettings(optimizer="adamw"),
        loop=LoopSettings(batch_size=4, device="cpu"),
    )
    config = AlbertConfig.from_json(tiny_config)
    assert 10 * steps_within(1, settings, config) < steps_within(100, settings, config)


def test_the_curves_of_two_runs_are_joined(tmp_path: Path) -> None:
    def stage(title: str, accuracies: list[float]) -> LoggedStage:
        scores = [
            {"masked_lm_accuracy": a, "sentence_order_accuracy": a, "masked_lm_loss": 1 - a}
            for a in accuracies
        ]
        records = [{"step": 10 * n, "held_out": score} for n, score in enumerate(scores, 1)]
        return LoggedStage(title=title, steps=20, records=[{"step": 5, "masked_lm_loss": 2.0}, *records])

    logged = [stage("1 layer", [0.1, 0.2]), stage("2 layers", [0.3, 0.4])]
    assert held_out_points(logged, "masked_lm_accuracy") == ([10, 20, 30, 40], [0.1, 0.2, 0.3, 0.4])
    draw_stages(tmp_path / "curves.png", logged, Baselines(masked_lm=0.05, sentence_order=0.5))
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]
