"""Official files: their names, and their lines as benchmarks show them."""

import pytest

from albert.tasks.catalogue import TASKS, find_task
from albert.tasks.choice.files import ChoiceExample
from albert.tasks.predictions import Prediction
from albert.tasks.submissions import COMPLETE, SUBMISSIONS, entities_by_type, find_submission, official_lines
from albert.tasks.tables import Example

GLUE_FILES = "CoLA SST-2 MRPC STS-B QQP MNLI-m MNLI-mm QNLI RTE WNLI AX"


def line_of(task: str, example: object, **record: object) -> str:
    submission = SUBMISSIONS[task]
    prediction = Prediction(place=4, example=example, record=record)
    return official_lines(find_task(task), submission.layout).line(prediction)


def test_every_official_file_is_that_of_a_known_task() -> None:
    assert set(SUBMISSIONS) <= set(TASKS)
    assert len({submission.file for submission in SUBMISSIONS.values()}) == len(SUBMISSIONS)


def test_glue_is_complete_with_eleven_files() -> None:
    assert COMPLETE["GLUE"] == tuple(f"{name}.tsv" for name in GLUE_FILES.split())


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
def test_a_line_is_as_the_benchmark_shows_it(found: str, expected: str) -> None:
    assert found == expected


def test_entities_are_named_by_first_and_last_character() -> None:
    entities = [
        {"type": "name", "text": "李白", "start": 0, "end": 2, "score": 1.0},
        {"type": "name", "text": "李白", "start": 5, "end": 7, "score": 1.0},
        {"type": "book", "text": "诗", "start": 9, "end": 10, "score": 1.0},
    ]
    assert entities_by_type(entities) == {"name": {"李白": [[0, 1], [5, 6]]}, "book": {"诗": [[9, 9]]}}


def test_own_labels_have_no_official_file() -> None:
    assert find_submission(find_task("classification")) is None
    own = find_submission(find_task("spans"))
    assert own is not None
    assert own.file == "predictions.json"
