"""Questions of SQuAD's layout and of JSON lines: reading, corrected places, and errors."""

import json
from pathlib import Path
from typing import Any

import pytest

from albert.errors import DataError
from albert.tasks.bad_rows import strict
from albert.tasks.catalogue import find_task
from albert.tasks.spans.files import Answer, Question, lacks_answers, read_questions
from albert.tasks.spans.records import READING_TASKS
from albert.tasks.task import Task

CONTEXT = "Rust checks every borrow. A borrow ends early."
TASK: Task = next(task for task in READING_TASKS if task.name == "spans")


def asked(**changes: Any) -> dict[str, Any]:
    answers = [{"text": "every borrow", "answer_start": 12}]
    return {"id": "q1", "question": "What does Rust check?", "answers": answers} | changes


def write_articles(folder: Path, *records: dict[str, Any], context: str = CONTEXT) -> Path:
    path = folder / "train.json"
    content = {"version": "1", "data": [{"paragraphs": [{"context": context, "qas": records}]}]}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def write_rows(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read(path: Path, **options: bool) -> list[Question]:
    return list(strict(read_questions(TASK, [path], **options)))


def test_squad_layout_is_read_with_places_for_messages(tmp_path: Path) -> None:
    path = write_articles(tmp_path, asked(), asked(id="q2", answers=[], is_impossible=True))
    first, second = read(path)
    assert first == Question(
        id="q1",
        context=CONTEXT,
        question="What does Rust check?",
        answers=(Answer(text="every borrow", start=12),),
        where=f"{path}: article 1, paragraph 1, question 1",
    )
    assert not first.is_impossible
    assert second.is_impossible


@pytest.mark.parametrize(
    "answers",
    [
        {"text": ["every borrow"], "answer_start": [12]},
        [{"text": "every borrow", "answer_start": 12}],
        ["every borrow"],
        "every borrow",
    ],
)
def test_answers_of_json_lines_may_have_any_usual_form(tmp_path: Path, answers: Any) -> None:
    [question] = read(write_rows(tmp_path, asked(answers=answers) | {"context": CONTEXT}))
    assert question.answers == (Answer(text="every borrow", start=12),)


@pytest.mark.parametrize("answers", [{"text": [], "answer_start": []}, [], "", None])
def test_a_row_without_answers_is_unanswerable(tmp_path: Path, answers: Any) -> None:
    path = write_rows(tmp_path, asked(answers=answers) | {"context": CONTEXT})
    [question] = read(path)
    assert question.is_impossible
    assert lacks_answers(TASK, [path])


def test_answer_start_decides_between_occurrences(tmp_path: Path) -> None:
    row = asked(answers="borrow", answer_start=28) | {"context": CONTEXT}
    [question] = read(write_rows(tmp_path, row))
    assert question.answers == (Answer(text="borrow", start=28),)


def test_json_lines_without_id_are_identified_by_their_line(tmp_path: Path) -> None:
    row = asked() | {"context": CONTEXT}
    del row["id"]
    path = write_rows(tmp_path, row, row)
    assert [question.id for question in read(path)] == [f"{path}:1", f"{path}:2"]


def test_answers_are_not_read_without_labels(tmp_path: Path) -> None:
    [question] = read(write_articles(tmp_path, asked(answers=[])), labelled=False)
    assert question.answers is None
    assert not question.is_impossible


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    path = write_articles(tmp_path, asked())
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(read(path)) == 1


def test_an_answer_that_occurs_once_is_found_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_articles(tmp_path, asked(answers=[{"text": "every borrow", "answer_start": 3}]))
    [question] = read(path, for_training=True)
    assert question.answers == (Answer(text="every borrow", start=12),)
    [line] = capsys.readouterr().err.splitlines()
    assert "1 answers are not at their answer_start" in line
    assert "question 1" in line


@pytest.mark.parametrize(
    "answer", [{"text": "borrow", "answer_start": 3}, {"text": "C++", "answer_start": 0}]
)
def test_a_question_without_a_located_answer_is_left_out_of_training_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], answer: dict[str, Any]
) -> None:
    path = write_articles(tmp_path, asked(), asked(id="q2", answers=[answer]))
    assert [question.id for question in read(path, for_training=True)] == ["q1"]
    assert "1 questions that have no other answer are left out" in capsys.readouterr().err
    assert [question.texts for question in read(path)][1] == (answer["text"],)
    assert "scored by text" in capsys.readouterr().err


def test_good_data_are_read_without_messages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read(write_articles(tmp_path, asked()), for_training=True)
    assert capsys.readouterr().err == ""


def test_an_id_that_occurs_twice_is_refused_with_both_places(tmp_path: Path) -> None:
    path = write_articles(tmp_path, asked(), asked())
    with pytest.raises(DataError, match=r"question 2: the id 'q1' is already used at .*question 1"):
        read(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"question": " "}, "question 1: the field 'question' is empty"),
        ({"question": 7}, "expected a text in field 'question', found a whole number"),
        ({"id": ""}, "the id is empty"),
        ({"id": None}, "expected a text or a whole number in field 'id', found null"),
        ({"answers": "Rust"}, "expected a list in field 'answers', found a text"),
        ({"answers": ["Rust"]}, "expected a JSON object with 'text', found a text"),
        ({"answers": [{"text": "", "answer_start": 0}]}, "the answer 'text' is empty"),
        ({"answers": [{"text": "Rust", "answer_start": "0"}]}, "answer_start is '0'"),
        ({"is_impossible": True}, "is_impossible is true, but there are answers"),
    ],
)
def test_a_bad_question_is_refused_with_its_place(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = write_articles(tmp_path, asked(**changes))
    with pytest.raises(DataError, match=message) as error:
        read(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train.json", b"{", "not JSON"),
        ("train.json", b"[]", "expected SQuAD's layout, an object with the list 'data', found a list"),
        ("train.json", b'{"data": [{}]}', "article 1: no field 'paragraphs'"),
        ("train.json", b'{"data": [{"paragraphs": [{"qas": []}]}]}', "paragraph 1: no field 'context'"),
        ("train.json", '{"data": "é"}'.encode("latin-1"), "not UTF-8"),
        ("train.jsonl", b"\n[1]\n", "jsonl:2: expected a JSON object with 'id'|jsonl:2: .*found a list"),
        ("train.jsonl", b"no json\n", "jsonl:1: not a JSON object"),
        ("train.jsonl", b'{"contxt": "a"}\n', "no field 'context'; did you mean 'contxt'"),
        ("train.tsv", b"a\tb\n", "expected a file ending in .json"),
    ],
)
def test_a_file_of_another_layout_is_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(path)


def test_an_unequal_number_of_texts_and_starts_is_refused(tmp_path: Path) -> None:
    row = asked(answers={"text": ["Rust"], "answer_start": []}) | {"context": CONTEXT}
    with pytest.raises(DataError, match="holds 1 texts but 0 values of answer_start"):
        read(write_rows(tmp_path, row))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path / "train.json")


def test_the_flat_rows_of_run_qa_are_read_as_lines_with_the_same_fields(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "title": "t", "context": "Anna went to Oslo.", "question": "Where?",
         "answers": {"text": ["Oslo"], "answer_start": [13]}},
        {"id": "b", "context": "Peter stayed.", "question": "Where?",
         "answers": {"text": [], "answer_start": []}},
    ]  # fmt: skip
    (tmp_path / "flat.json").write_text(json.dumps({"version": "0.1", "data": rows}))
    (tmp_path / "lines.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    flat, lines = (
        list(strict(read_questions(find_task("squad2"), [tmp_path / name])))
        for name in ("flat.json", "lines.jsonl")
    )
    assert [(q.id, q.context, q.question, q.answers) for q in flat] == [
        (q.id, q.context, q.question, q.answers) for q in lines
    ]
    assert flat[1].where.endswith("flat.json: row 2")
    del rows[1]["question"]
    (tmp_path / "flat.json").write_text(json.dumps({"data": rows}))
    with pytest.raises(DataError, match=r"flat\.json: row 2: no field 'question'"):
        list(strict(read_questions(find_task("squad2"), [tmp_path / "flat.json"])))
