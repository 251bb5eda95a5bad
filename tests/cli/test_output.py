"""Results as people read them."""

import json

import pytest

from albert.cli.output import LINE_COLUMNS, show


def test_short_rows_are_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    show([{"task": "rte", "batch_size": 1200}, {"task": "cola", "batch_size": 16}], as_json=False)
    assert capsys.readouterr().out.splitlines() == ["task  batch size", "rte   1,200", "cola  16"]


@pytest.mark.parametrize(("word", "width"), [("word", 4), ("汉字", 4)])
def test_long_texts_are_wrapped_below_their_rows(
    word: str, width: int, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"number": 1, "text": " ".join([word] * 60)}, {"number": 2, "text": "short"}]
    show(rows, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith("  ")] == ["number 1", "", "number 2"]
    assert lines[-1] == "  short"
    in_a_line = (LINE_COLUMNS - 2 + 1) // (width + 1)
    assert lines[1] == "  " + " ".join([word] * in_a_line)
    assert " ".join(line.strip() for line in lines[1:-3]) == rows[0]["text"]


def test_lines_of_a_text_and_endless_words_are_not_broken(capsys: pytest.CaptureFixture[str]) -> None:
    show([{"text": f"one\n{'x' * 200} two"}], as_json=False)
    assert capsys.readouterr().out.splitlines()[1:] == ["  one", "  " + "x" * 200, "  two"]


def test_programs_get_the_same_rows_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"number": 1, "text": "汉字 " * 50}]
    show(rows, as_json=True)
    assert json.loads(capsys.readouterr().out) == rows


def test_a_report_is_printed_as_it_is_and_its_numbers_only_as_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    result = {"report": "all is well\nnothing to do", "share": 0.5}
    show(result, as_json=False)
    assert capsys.readouterr().out == "all is well\nnothing to do\n"
    show(result, as_json=True)
    assert json.loads(capsys.readouterr().out) == result


@pytest.mark.parametrize("as_json", [False, True])
def test_an_empty_result_prints_nothing(capsys: pytest.CaptureFixture[str], *, as_json: bool) -> None:
    show({}, as_json=as_json)
    assert capsys.readouterr().out == ""
    show([], as_json=True)
    assert capsys.readouterr().out == "[]\n"


def test_the_next_command_is_a_note_for_people_and_a_field_for_programs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    result = {"documents": 3, "next": "albert show data", "lengths": {"cut": 0}}
    show(result, as_json=False)
    captured = capsys.readouterr()
    assert captured.out == "documents  3\n"
    assert captured.err == "next: albert show data\n"
    show(result, as_json=True)
    captured = capsys.readouterr()
    assert json.loads(captured.out) == result
    assert captured.err == ""
