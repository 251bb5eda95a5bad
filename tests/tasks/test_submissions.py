"""Official files: their names, and lines like those that the benchmarks show."""

import pytest

from albert.tasks.catalogue import TASKS, files_of_benchmark, find_task, solver_of
from albert.tasks.choice.files import ChoiceExample
from albert.tasks.predictions import LineFormat, PredictionRow
from albert.tasks.tables import Example
from albert.tasks.tagging.predictions import entities_by_type

GLUE_FILES = "CoLA SST-2 MRPC STS-B QQP MNLI-m MNLI-mm QNLI RTE WNLI AX"


def line_of(name: str, example: object, **record: object) -> str:
    task = find_task(name)
    assert task.submission is not None
    format_ = solver_of(task).official_format(task, task.submission)
    assert isinstance(format_, LineFormat)
    return format_.line(PredictionRow(place=4, example=example, record=record))


def test_no_two_tasks_share_an_official_file() -> None:
    files = [task.submission.file for task in TASKS.values() if task.submission is not None]
    assert len(set(files)) == len(files) == 21


def test_glue_is_complete_with_eleven_files() -> None:
    assert sorted(files_of_benchmark("GLUE")) == sorted(f"{name}.tsv" for name in GLUE_FILES.split())


def test_clue_is_complete_without_the_tasks_it_no_longer_ranks() -> None:
    files = files_of_benchmark("CLUE")
    assert len(files) == 8
    assert not {"cmnli_predict.json", "cluener_predict.json"} & set(files)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (line_of("rte", Example("a", "b", id="12"), label="entailment"), "12\tentailment\n"),
        (line_of("cola", Example("a"), label="0"), "4\t0\n"),
        (line_of("stsb", Example("a", "b"), score=5.25), "4\t5.0\n"),
        (line_of("stsb", Example("a", "b"), score=3.12345678), "4\t3.12346\n"),
        (line_of("afqmc", Example("a", "b", id="0"), label="1"), '{"id": 0, "label": "1"}\n'),
        (line_of("cluewsc", Example("a", id="x1"), label="true"), '{"id": "x1", "label": "true"}\n'),
        (
            line_of("tnews", Example("a", id="7"), label="102"),
            '{"id": 7, "label": "102", "label_desc": "news_entertainment"}\n',
        ),
        (
            line_of("c3", ChoiceExample(passage="p", choices=("x", "y"), id="3"), label="B"),
            '{"id": 3, "label": 1}\n',
        ),
    ],
)
def test_a_line_equals_the_benchmarks_example(found: str, expected: str) -> None:
    assert found == expected


def test_entities_are_named_by_first_and_last_character() -> None:
    entities = [
        {"type": "name", "text": "李白", "start": 0, "end": 2, "score": 1.0},
        {"type": "name", "text": "李白", "start": 5, "end": 7, "score": 1.0},
        {"type": "book", "text": "诗", "start": 9, "end": 10, "score": 1.0},
    ]
    assert entities_by_type(entities) == {"name": {"李白": [[0, 1], [5, 6]]}, "book": {"诗": [[9, 9]]}}


def test_own_labels_have_no_official_file() -> None:
    own = find_task("classification")
    assert solver_of(own).submission(own) is None
    spans = find_task("spans")
    submission = solver_of(spans).submission(spans)
    assert submission is not None
    assert submission.file == "predictions.json"
