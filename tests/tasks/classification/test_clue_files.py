"""CSL and CLUEWSC: their examples as texts, and every error in their lines."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from albert.errors import DataError
from albert.tasks.catalogue import find_task, solver_of
from albert.tasks.classification.clue_files import mark_words
from albert.tasks.tables import Example

TEXT = "树叶飘入林中，它很美。"
TARGET = {"span1_text": "树叶", "span1_index": 0, "span2_text": "它", "span2_index": 7}


def read(name: str, path: Path, *lines: dict[str, Any], labelled: bool = True) -> list[Example]:
    path.write_text("".join(json.dumps(fields) + "\n" for fields in lines), encoding="utf-8")
    task = find_task(name)
    return list(solver_of(task).read(task, [path], split="train", labelled=labelled))


def test_keywords_are_the_first_text_of_the_pair(tmp_path: Path) -> None:
    fields = {"id": 5, "abst": "摘要", "keyword": ["水稻", "耐 旱"], "label": "1"}
    assert read("csl", tmp_path / "a.json", fields) == [Example("水稻 耐 旱", "摘要", 1, id="5")]
    del fields["label"]
    assert read("csl", tmp_path / "a.json", fields, labelled=False) == [Example("水稻 耐 旱", "摘要", id="5")]


def test_the_words_of_cluewsc_are_marked(tmp_path: Path) -> None:
    fields = {"idx": 3, "text": TEXT, "target": TARGET, "label": "false"}
    assert read("cluewsc", tmp_path / "a.json", fields) == [
        Example("_树叶_飘入林中，[它]很美。", None, 1, id="3")
    ]


def marked_as_albert_zh(text: str, span: tuple[int, int], pronoun: tuple[int, int]) -> str:
    """Insert the marks character by character, the earlier word first, as albert_zh describes it."""
    characters = list(text)
    for (begin, end), (opening, closing) in sorted([(span, "__"), (pronoun, "[]")], reverse=True):
        characters.insert(end, closing)
        characters.insert(begin, opening)
    return "".join(characters)


@given(st.text(min_size=4, max_size=12), st.data())
def test_marks_enclose_two_words_in_either_order(text: str, data: st.DataObject) -> None:
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), min_size=4, max_size=4, unique=True)))
    first, second = (places[0], places[1]), (places[2], places[3])
    for span, pronoun in ((first, second), (second, first)):
        assert mark_words(text, span=span, pronoun=pronoun) == marked_as_albert_zh(text, span, pronoun)


def test_marks_of_a_word_inside_another_are_nested() -> None:
    assert mark_words("他的书", span=(0, 3), pronoun=(0, 1)) == "_[他]的书_"
    assert mark_words("书他的", span=(0, 3), pronoun=(2, 3)) == "_书他[的]_"
    assert mark_words("他她", span=(0, 1), pronoun=(1, 2)) == "_他_[她]"


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("csl", {"abst": "x", "label": 1}, "expected a list of keywords in field 'keyword'"),
        ("csl", {"abst": "x", "keyword": "a", "label": 1}, "expected a list of keywords in field 'keyword'"),
        ("csl", {"abst": "x", "keyword": [], "label": 1}, "the text in column 'keyword' is empty"),
        ("csl", {"abst": " ", "keyword": ["a"], "label": 1}, "the text in column 'abst' is empty"),
        ("csl", {"keyword": ["a"], "label": 1}, "no field 'abst'"),
        ("csl", {"abst": "x", "keyword": ["a"]}, "no field 'label'"),
        ("csl", {"abst": "x", "keyword": ["a"], "label": 2}, "unknown label '2'"),
        ("cluewsc", {"text": TEXT, "label": "true"}, "expected an object with span1_text"),
        (
            "cluewsc",
            {"text": TEXT, "target": {**TARGET, "span1_index": "0"}, "label": "true"},
            "a number in span1_",
        ),
        (
            "cluewsc",
            {"text": TEXT, "target": {**TARGET, "span2_index": 6}, "label": "true"},
            "expected '它' at character 6 of the text, found '，'",
        ),
        (
            "cluewsc",
            {"text": TEXT, "target": {**TARGET, "span2_index": -4}, "label": "true"},
            "at character -4",
        ),
    ],
)
def test_a_bad_line_is_refused_with_file_and_line(
    tmp_path: Path, name: str, fields: dict[str, Any], message: str
) -> None:
    good = {
        "csl": {"abst": "x", "keyword": ["a"], "label": 1},
        "cluewsc": {"text": TEXT, "target": TARGET, "label": "true"},
    }
    with pytest.raises(DataError, match=rf"a\.json:2: .*{message}"):
        read(name, tmp_path / "a.json", good[name], fields)
