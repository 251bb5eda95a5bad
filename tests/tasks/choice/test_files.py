"""Questions with choices are read in every published layout; errors in a file name their place."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from albert.errors import DataError
from albert.tasks.bad_rows import strict
from albert.tasks.catalogue import find_task
from albert.tasks.choice.files import ChoiceExample, read_choices
from albert.tasks.choice.records import CHOICE_TASKS
from albert.tasks.files import find_files

TASKS = {task.name: task for task in CHOICE_TASKS}
PASSAGE: dict[str, Any] = {
    "id": "high7.txt",
    "article": "The cat sat on the mat.\nIt slept.",
    "questions": ["Where did it sit?", "It _ ."],
    "options": [["mat", "hat", "bed", "roof"], ["ran", "slept", "flew", ""]],
    "answers": ["A", "B"],
}
C3 = [
    [
        ["男：去哪儿？", "女：学校。"],
        [{"question": "去哪儿？", "choice": ["学校", "家"], "answer": "家"}],
        "1-7",
    ],
    [["他走了。"], [{"question": "谁？", "choice": ["我", "你", "他"], "answer": "他"}], "m1"],
]


def write(path: Path, *records: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(record, ensure_ascii=False)}\n" for record in records), "utf-8")
    return path


def read(name: str, path: Path, *, labelled: bool = True) -> list[ChoiceExample]:
    return list(strict(read_choices(TASKS[name], path, labelled=labelled)))


@pytest.mark.parametrize(
    "name", ["RACE/dev/high/all.txt", "RACE/dev/high/7.txt", "dev_high.jsonl", "dev.jsonl"]
)
def test_race_is_found_and_read_the_same_way_in_every_layout(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, PASSAGE)
    assert find_files(TASKS["race"], tmp_path, "dev") == (path,)
    where, what = read("race", path)
    assert (where.question, where.choices, where.label) == (
        "Where did it sit?",
        ("mat", "hat", "bed", "roof"),
        0,
    )
    assert (what.choices[3], what.label) == ("", 1)
    assert {(example.passage, example.group) for example in (where, what)} == {(PASSAGE["article"], "high")}
    assert [where.id, what.id] == ["high7.txt-1", "high7.txt-2"]


def test_rows_of_the_hub_give_the_questions_of_the_passage(tmp_path: Path) -> None:
    lists = (PASSAGE["questions"], PASSAGE["options"], PASSAGE["answers"])
    rows = [
        {"example_id": PASSAGE["id"], "article": PASSAGE["article"], "question": q, "options": o, "answer": a}
        for q, o, a in zip(*lists, strict=True)
    ]
    found = read("race", write(tmp_path / "dev.jsonl", *rows))
    expected = read("race", write(tmp_path / "passage.jsonl", PASSAGE))
    assert found == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"options": [["mat", "hat", "bed"], ["a"] * 4]}, r":1: question 1: expected 4 options, found 3"),
        ({"options": [["mat", None], ["a"] * 4]}, r"question 1: expected a text as item 2 of 'options'"),
        ({"answers": ["A", "E"]}, r":1: question 2: expected an answer A to D, found 'E'"),
        (
            {"answers": ["A"]},
            r":1: expected the same number of each, found 2 questions, 2 options, 1 answers",
        ),
        ({"questions": "Where?"}, r":1: expected a list in field 'questions', found a text"),
        ({"questions": [1, "b"]}, r"question 1: expected a text, found a whole number"),
        ({"article": None}, r":1: expected a text in field 'article', found null"),
    ],
)  # fmt: skip
def test_a_broken_passage_of_race_is_refused_with_line_and_question(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=f"all.txt{message}|all.txt:1: {message}"):
        read("race", write(tmp_path / "high" / "all.txt", PASSAGE | change))


def test_a_missing_field_is_named_with_the_nearest_one(tmp_path: Path) -> None:
    broken = {"text" if name == "article" else name: value for name, value in PASSAGE.items()}
    with pytest.raises(DataError, match=r"a\.txt:2: no field 'article'; found id, text, questions"):
        read("race", write(tmp_path / "a.txt", PASSAGE, broken))


def test_a_line_that_is_not_json_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "all.txt", PASSAGE)
    path.write_text(path.read_text() + "{'id': 1}\n")
    with pytest.raises(DataError, match=r"all\.txt:2: not a JSON object"):
        read("race", path)
    whole = tmp_path / "d-dev.json"
    whole.write_text('[\n [["a"],\n')
    with pytest.raises(DataError, match=r"d-dev\.json:3: not JSON"):
        read("c3", whole)


def test_without_labels_answers_are_ignored(tmp_path: Path) -> None:
    bare = {name: value for name, value in PASSAGE.items() if name != "answers"}
    assert [e.label for e in read("race", write(tmp_path / "all.txt", bare), labelled=False)] == [None, None]
    path = tmp_path / "m-test.json"
    path.write_text(json.dumps([[["a"], [{"question": "b", "choice": ["c", "d"], "id": 5}], "7"]]))
    (example,) = read("c3", path, labelled=False)
    assert (example.label, example.id) == (None, "5")


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_c3_has_two_to_four_choices_named_by_their_text(tmp_path: Path, line_end: str) -> None:
    path = tmp_path / "c3-d-dev.json"
    content = json.dumps(C3, ensure_ascii=False, indent=1).replace("\n", line_end)
    path.write_bytes(content.encode())
    assert find_files(TASKS["c3"], tmp_path, "dev") == (path,)
    first, second = read("c3", path)
    assert first.passage == "男：去哪儿？\n女：学校。"
    assert (first.choices, first.label, first.group, first.id) == (("学校", "家"), 1, "d", "1-7-1")
    assert (len(second.choices), second.label) == (3, 2)


def test_rows_of_c3_from_the_hub_give_the_same_questions(tmp_path: Path) -> None:
    rows = [{"id": index, "context": lines, **qs[0]} for index, (lines, qs, _) in enumerate(C3)]  # type: ignore[dict-item]  # mixed lists
    whole = tmp_path / "dev.json"
    whole.write_text(json.dumps(C3))
    found = [replace(example, id="") for example in read("c3", write(tmp_path / "dev.jsonl", *rows))]
    assert found == [replace(example, id="") for example in read("c3", whole)]


def test_an_answer_of_c3_that_is_not_a_choice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "d-dev.json"
    path.write_text(json.dumps([[["a"], [{"question": "b", "choice": ["c", "d"], "answer": "e"}], "7"]]))
    with pytest.raises(
        DataError, match=r"passage 1, question 1: the answer 'e' is none of the choices 'c', 'd'"
    ):
        read("c3", path)


def test_choices_of_copa_are_causes_or_effects_of_the_premise(tmp_path: Path) -> None:
    rows = [
        {"premise": "p", "choice0": "a", "choice1": "b", "question": "cause", "label": 1, "id": 3},
        {"premise": "p", "choice1": "a", "choice2": "b", "question": "effect", "label": 0, "idx": 4},
    ]
    cause, effect = read("copa", write(tmp_path / "train.jsonl", *rows))
    assert (cause.relation, cause.choices, cause.label, cause.id) == ("cause", ("a", "b"), 1, "3")
    assert (effect.relation, effect.choices, effect.label, effect.id) == ("effect", ("a", "b"), 0, "4")
    for change, message in (
        ({"question": "why"}, "cause or effect, found 'why'"),
        ({"label": 2}, "label 0 or 1, found 2"),
        ({"label": True}, "a whole number in field 'label', found true"),
    ):
        with pytest.raises(DataError, match=rf"b\.jsonl:1: expected .*{message}"):
            read("copa", write(tmp_path / "b.jsonl", rows[0] | change))


def test_own_choices_are_a_list_or_columns_in_json_lines_and_tables(tmp_path: Path) -> None:
    own = {"passage": "p", "question": "q", "label": "y"}
    expected = [ChoiceExample(passage="p", question="q", choices=("x", "y"), label=1)]
    assert read("choice", write(tmp_path / "a.jsonl", own | {"choices": ["x", "y"]})) == expected
    assert read("choice", write(tmp_path / "b.jsonl", own | {"choice1": "x", "choice2": "y"})) == expected
    table = tmp_path / "c.tsv"
    table.write_text('passage\tquestion\tchoices\tlabel\np\tq\t["x", "y"]\ty\n')
    assert read("choice", table) == expected
    table.write_text("passage\tquestion\tchoice0\tchoice1\tchoice2\tlabel\np\tq\tx\ty\t\t1\n")
    assert read("choice", table) == expected


def test_own_data_may_lack_questions_unless_their_column_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"passage": "p", "choices": ["x", "y"], "label": 0})
    assert read("choice", path)[0].question == ""
    task = replace(TASKS["choice"], data=replace(TASKS["choice"].data, pair_column="asked"))
    with pytest.raises(DataError, match="no field 'asked'"):
        list(strict(read_choices(task, path)))


@pytest.mark.parametrize(
    ("label", "expected"), [(0, 0), ("2", 2), ("B", 1), ("green", 2), ("  red ", 0), ("A", 0)]
)
def test_the_right_choice_is_named_by_number_letter_or_text(
    tmp_path: Path, label: object, expected: int
) -> None:
    row = {"passage": "p", "choices": ["red", "blue", "green"], "label": label}
    assert read("choice", write(tmp_path / "a.jsonl", row))[0].label == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": "D"}, "the label 'D' is none of the choices '1', '0', 'x'; expected a text, a letter A"),
        ({"label": "3"}, "the label '3' is none"),
        ({"label": ""}, "the label '' is none"),
        ({"label": "1"}, "the label '1' may mean choice A or B, by text, letter or number"),
        ({"choices": ["x"]}, "expected 2 to 26 choices, found 1"),
        ({"choices": ["x", " "]}, "choice B is empty"),
        ({"choices": "x"}, "expected a list in field 'choices', found a text"),
        ({"choices": None}, "no choices; expected a list in 'choices', or the columns choice0, choice1"),
        ({"choices": None, "choice0": "x", "choice2": "y"}, "expected choices in choice0, choice1, ... wi"),
        ({"passage": " "}, "the text in column 'passage' is empty"),
    ],
)  # fmt: skip
def test_a_bad_question_of_own_data_is_refused_with_file_and_line(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    row = {"passage": "p", "choices": ["1", "0", "x"], "label": "x"}
    with pytest.raises(DataError, match=rf"a\.jsonl:2: {message}"):
        read("choice", write(tmp_path / "a.jsonl", row, row | change))


def test_choices_in_a_table_that_are_not_json_are_refused(tmp_path: Path) -> None:
    table = tmp_path / "c.tsv"
    table.write_text("passage\tchoices\tlabel\np\tx, y\ty\n")
    with pytest.raises(DataError, match=r"c\.tsv:2: column 'choices' does not hold a JSON list"):
        read("choice", table)


def test_swags_table_gives_its_choices_with_their_common_beginning(tmp_path: Path) -> None:
    header = "video-id,sent1,sent2,ending0,ending1,ending2,ending3,label"
    (tmp_path / "swag.csv").write_text(
        f'{header}\nv0,"A man, a dog.",The man,walks.,"sits, then rises.",sings.,eats.,1\n'
    )
    (example,) = strict(read_choices(find_task("choice"), tmp_path / "swag.csv"))
    assert (example.passage, example.question, example.label) == ("A man, a dog.", "", 1)
    assert example.choices == (
        "The man walks.",
        "The man sits, then rises.",
        "The man sings.",
        "The man eats.",
    )


def test_arcs_choices_have_names_of_their_own(tmp_path: Path) -> None:
    def write(choices: dict[str, list[str]], label: str) -> Path:
        row = {"passage": "The box.", "question": "Which?", "choices": choices, "label": label}
        (tmp_path / "arc.jsonl").write_text(json.dumps(row) + "\n")
        return tmp_path / "arc.jsonl"

    task = find_task("choice")
    for names, label, expected in (
        (["1", "2", "3"], "1", 0),
        (["A", "B", "C"], "B", 1),
        (["C", "A", "B"], "C", 0),
        (["B", "C", "D"], "D", 2),
    ):
        path = write({"text": ["one", "two", "2"], "label": names}, label)
        (example,) = strict(read_choices(task, path))
        assert (example.choices, example.label) == (("one", "two", "2"), expected)
    (unlabelled,) = strict(read_choices(task, path, labelled=False))
    assert unlabelled.label is None
    with pytest.raises(DataError, match=r"arc\.jsonl:1: the label 'Z' is none of A, B"):
        list(strict(read_choices(task, write({"text": ["one", "two"], "label": ["A", "B"]}, "Z"))))
    with pytest.raises(DataError, match=r"arc\.jsonl:1: 2 choices but 1 names of them"):
        list(strict(read_choices(task, write({"text": ["one", "two"], "label": ["A"]}, "A"))))
