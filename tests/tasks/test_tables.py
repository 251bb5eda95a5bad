"""Tables in every format that circulates, and every error in them."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from albert.errors import DataError
from albert.tasks.bad_rows import strict
from albert.tasks.catalogue import find_task, solver_of
from albert.tasks.tables import Columns, Example, Row, labels_in, read_examples, read_rows
from albert.tasks.task import ColumnSettings, with_columns

CELLS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\n\r"), min_size=1).filter(
    str.strip
)


def read_columns(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    return read_rows(path, Columns(required=tuple(columns)))


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


def examples(name: str, path: Path, **settings: object) -> list[Example]:
    task = find_task(name)
    parse = solver_of(task).label_parser(task)  # type: ignore[attr-defined]  # of a kind with texts
    return list(strict(read_examples(task, path, parse=parse, **settings)))  # type: ignore[arg-type]


def test_quotation_marks_in_tsv_are_ordinary_characters(tmp_path: Path) -> None:
    path = write(tmp_path, "train.tsv", 'text\tlabel\n"never closed\t1\na "b" c\t0\n')
    assert [row.cells for row in read_columns(path, ["text", "label"])] == [
        ('"never closed', "1"),
        ('a "b" c', "0"),
    ]


def test_byte_order_mark_crlf_and_blank_lines_are_dropped(tmp_path: Path) -> None:
    path = write(tmp_path, "train.tsv", b"\xef\xbb\xbftext\tlabel\r\nyes\t1\r\n\r\nno\t0\r\n")
    rows = list(read_columns(path, ["text", "label"]))
    assert [(row.line, row.cells) for row in rows] == [(2, ("yes", "1")), (4, ("no", "0"))]


def test_a_csv_cell_may_hold_commas_quotes_and_line_ends(tmp_path: Path) -> None:
    path = write(tmp_path, "train.csv", 'label,text\n1,"a, ""b""\nc"\n0,d\n')
    rows = list(read_columns(path, ["text", "label"]))
    assert [(row.line, row.cells) for row in rows] == [(2, ('a, "b"\nc', "1")), (4, ("d", "0"))]


def test_jsonl_fields_may_be_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, "train.jsonl", '{"text": "a", "label": 1}\n\n{"label": 0.5, "text": "b"}\n')
    assert [row.cells for row in read_columns(path, ["text", "label"])] == [("a", "1"), ("b", "0.5")]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5))
def test_a_table_is_read_as_written_in_every_format(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    buffer = io.StringIO()
    csv.writer(buffer).writerows([("text", "label"), *rows])
    jsonl = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows)
    for name, content in (("t.csv", buffer.getvalue()), ("t.jsonl", jsonl)):
        path = write(tmp_path, name, content)
        assert [row.cells for row in read_columns(path, ["text", "label"])] == rows


def test_cola_is_read_without_a_header(tmp_path: Path) -> None:
    path = write(tmp_path, "train.tsv", "gj04\t0\t*\tThem runs.\ngj04\t1\t\tThey run.\n")
    assert examples("cola", path, split="train") == [
        Example("Them runs.", None, 0),
        Example("They run.", None, 1),
    ]


def test_cola_test_has_a_header_and_no_labels(tmp_path: Path) -> None:
    path = write(tmp_path, "test.tsv", "index\tsentence\n0\tThey run.\n")
    assert examples("cola", path, split="test", labelled=False) == [Example("They run.", id="0")]


def test_regression_labels_are_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, "dev.tsv", "sentence1\tsentence2\tscore\na\tb\t3.800\n")
    assert examples("stsb", path) == [Example("a", "b", 3.8)]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.tsv", "", r"t\.tsv: the file is empty; expected a header line"),
        (
            "t.tsv",
            "sentence1\tsentence\tlabel\n",
            r"t\.tsv:1: no column 'sentence2'; did you mean 'sentence'",
        ),
        ("t.tsv", "sentence1\tsentence2\n", r"t\.tsv:1: no column 'label'"),
        ("t.tsv", "sentence1\tsentence2\tlabel\na\tb\n", r"t\.tsv:2: expected 3 columns, found 2"),
        ("t.tsv", "sentence1\tsentence2\tlabel\na\tb\tc\td\n", r"t\.tsv:2: expected 3 columns, found 4"),
        (
            "t.tsv",
            "sentence1\tsentence2\tlabel\na\tb\tentailed\n",
            r"t\.tsv:2: unknown label 'entailed'; did you mean",
        ),
        ("t.tsv", "sentence1\tsentence2\tlabel\na\tb\t\n", r"t\.tsv:2: the label is empty"),
        (
            "t.tsv",
            "sentence1\tsentence2\tlabel\n \tb\tentailment\n",
            r"t\.tsv:2: the text in column 'sentence1' is empty",
        ),
        ("t.tsv", b"sentence1\tsentence2\tlabel\n\xff\tb\t0\n", r"t\.tsv:2: .*UTF-8"),
        ("t.csv", 'sentence1,sentence2,label\na,"b,entailment\n', r"t\.csv:2: not a row of CSV"),
        ("t.jsonl", '{"sentence1": "a"', r"t\.jsonl:1: not a JSON object"),
        ("t.jsonl", "[" * 100_000, r"t\.jsonl:1: not a JSON object"),
        ("t.jsonl", "[1]", r"t\.jsonl:1: expected a JSON object, found a list"),
        ("t.jsonl", '{"sentence1": "a", "sentence2": "b"}', r"t\.jsonl:1: no field 'label'"),
        (
            "t.jsonl",
            '{"sentence1": [], "sentence2": "b", "label": 0}',
            r"t\.jsonl:1: expected a text or a number in field 'sentence1', found a list",
        ),
        ("t.jsonl", '{"sentence1": null, "sentence2": "b", "label": 0}', r"t\.jsonl:1: the text in column"),
        ("t.xlsx", "", r"expected a file ending in \.tsv, \.csv, \.jsonl, \.txt, \.json, found '\.xlsx'"),
    ],
)
def test_a_bad_table_is_refused_with_file_and_line(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        examples("rte", write(tmp_path, name, content))


@pytest.mark.parametrize("label", ["high", "nan", "inf", ""])
def test_a_regression_label_that_is_not_a_number_is_refused(tmp_path: Path, label: str) -> None:
    path = write(tmp_path, "t.tsv", f"sentence1\tsentence2\tscore\na\tb\t{label}\n")
    with pytest.raises(DataError, match=r"t\.tsv:2: expected a finite number"):
        examples("stsb", path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.tsv"):
        examples("rte", tmp_path / "absent.tsv")


def test_own_labels_come_from_the_training_files_in_order(tmp_path: Path) -> None:
    task = with_columns(find_task("classification"), ColumnSettings(text_column="t", label_column="y"))
    words = write(tmp_path, "a.tsv", "t\ty\na\tsports\nb\tarts\nc\tsports\n")
    numbers = write(tmp_path, "b.tsv", "t\ty\na\t10\nb\t9\nc\t-1\n")
    assert labels_in(task, [words]) == ("arts", "sports")
    assert labels_in(task, [numbers]) == ("-1", "9", "10")
    assert labels_in(task, [words, numbers]) == ("-1", "9", "10", "arts", "sports")


def test_a_training_file_with_one_label_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", "text\tlabel\na\tyes\nb\tyes\n")
    with pytest.raises(DataError, match="1 different labels"):
        labels_in(find_task("classification"), [path])


def test_a_text_column_given_as_label_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", "text\tlabel\n" + "".join(f"a\tfree text {n}\n" for n in range(1200)))
    with pytest.raises(DataError, match=r"a\.tsv:1002: column 'label' holds more than 1000"):
        labels_in(find_task("classification"), [path])


def test_the_id_of_an_example_comes_from_its_column_if_there_is_one(tmp_path: Path) -> None:
    named = write(tmp_path, "test.tsv", "index\tsentence1\tsentence2\n7\ta\tb\n")
    unnamed = write(tmp_path, "dev.jsonl", '{"sentence1": "a", "sentence2": "b", "label": "entailment"}\n')
    assert examples("rte", named, labelled=False) == [Example("a", "b", id="7")]
    assert examples("rte", unnamed) == [Example("a", "b", 0)]


def test_short_rows_of_qqp_are_skipped_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
    path = write(tmp_path, "train.tsv", header + "1\t2\t3\ta\n1\t2\t3\ta\tb\t1\n4\t5\t6\t\tc\t0\n")
    assert examples("qqp", path) == [Example("a", "b", 1, id="1"), Example("", "c", 0, id="4")]
    assert "rows with too few columns: 1 (first: " in (said := capsys.readouterr().err)
    assert "train.tsv:2)" in said
    write(tmp_path, "train.tsv", header + "1\t2\t3\ta\tb\t1\t1\n")
    with pytest.raises(DataError, match=r"train\.tsv:2: expected 6 columns, found 7"):
        examples("qqp", path)


def test_no_row_of_a_test_set_is_skipped(tmp_path: Path) -> None:
    path = write(tmp_path, "test.tsv", "id\tquestion1\tquestion2\n0\ta\tb\n1\tc\n")
    with pytest.raises(DataError, match=r"test\.tsv:3: expected 3 columns, found 2"):
        examples("qqp", path, labelled=False)


def test_a_byte_order_mark_where_files_were_joined_is_dropped(tmp_path: Path) -> None:
    path = write(tmp_path, "t.json", '\ufeff{"text": "a"}\r\n\ufeff{"text": "b"}\r\n')
    assert [row.cells for row in read_columns(path, ["text"])] == [("a",), ("b",)]


def test_a_line_separator_inside_a_text_does_not_end_the_line(tmp_path: Path) -> None:
    path = write(tmp_path, "t.json", '{"text": "a\u2028b"}\n')
    assert [row.cells for row in read_columns(path, ["text"])] == [("a\u2028b",)]


PAIRS = Columns(
    required=("sentence1", "sentence2"),
    optional=("id",),
    aliases={"sentence2": ("text_b", "hypo")},
    bare=("sentence1", "sentence2", "label"),
)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.tsv", "sentence1\thypo\na\tb\n"),
        ("t.tsv", "text_b \tsentence1\nb\ta\n"),
        ("t.tsv", "a\tb\t1\n"),
        ("t.txt", "a\tb\n"),
        ("t.csv", '"a",b,1\r\n'),
        ("t.json", '{"sentence1": "a", "text_b": "b"}\n'),
    ],
)
def test_columns_are_found_under_other_names_and_without_a_header(
    tmp_path: Path, name: str, content: str
) -> None:
    assert [row.cells for row in read_rows(write(tmp_path, name, content), PAIRS)] == [("a", "b", "")]


def test_the_own_name_of_a_column_has_priority_over_aliases(tmp_path: Path) -> None:
    path = write(tmp_path, "t.tsv", "hypo\tsentence2\tsentence1\nno\tb\ta\n")
    assert [row.cells[1] for row in read_rows(path, PAIRS)] == ["b"]


def test_a_table_without_header_keeps_its_width(tmp_path: Path) -> None:
    path = write(tmp_path, "t.tsv", "a\tb\t1\nc\td\n")
    with pytest.raises(DataError, match=r"t\.tsv:2: expected 3 columns, found 2"):
        list(read_rows(path, PAIRS))


RAW = ["gold_label", "parse", "sentence1", "sentence2", "genre", "label1", "label2"]


def test_raw_multinli_may_lack_cells_that_are_not_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [["neutral", "p", "a", "b", "g", "neutral"], ["-", "p", "c", "d"], ["entailment", "p", "e", "f"]]
    path = write(tmp_path, "train.tsv", "\n".join("\t".join(row) for row in [RAW, *rows]) + "\n")
    task = find_task("mnli")
    examples = list(solver_of(task).read(task, [path], split="train"))
    assert [(x.text, x.pair, task.labels[x.label]) for x in examples] == [
        ("a", "b", "neutral"),
        ("e", "f", "entailment"),
    ]
    shown = capsys.readouterr().err
    assert "read rows without their last cells, which are not read: 3 (first: " in shown
    assert "skipped examples labelled '-', which means no label: 1 (first: " in shown


def test_a_row_that_lacks_a_cell_that_is_read_is_refused_for_mnli_too(tmp_path: Path) -> None:
    path = write(tmp_path, "train.tsv", "\t".join(RAW) + "\nneutral\tp\ta\n")
    task = find_task("mnli")
    with pytest.raises(DataError, match=r"train\.tsv:2: expected 7 columns, found 3"):
        list(solver_of(task).read(task, [path], split="train"))


def test_line_ends_of_old_macs_are_refused_with_the_command_that_converts_them(tmp_path: Path) -> None:
    path = write(tmp_path, "t.tsv", b"text\tlabel\rone\ta\rtwo\tb\r")
    with pytest.raises(
        DataError, match=r"t\.tsv:1: lines end in a carriage return alone; .*tr '\\r' '\\n' <"
    ):
        list(read_columns(path, ("text", "label")))
    converted = write(tmp_path, "new.tsv", path.read_bytes().replace(b"\r", b"\n"))
    assert [row.cells for row in read_columns(converted, ("text", "label"))] == [("one", "a"), ("two", "b")]
    mixed = write(tmp_path, "mixed.tsv", b"text\tlabel\r\none\ta\ntwo\tb\r\n")
    assert [row.cells for row in read_columns(mixed, ("text", "label"))] == [("one", "a"), ("two", "b")]


def test_labels_match_in_another_case_unless_that_is_ambiguous(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("text\tlabel\na\tPositive\nb\tnegative\nc\tNEGATIVE\n", encoding="utf-8")
    task = replace(find_task("classification"), labels=("positive", "negative"))
    examples = list(solver_of(task).read(task, [path], split="dev"))
    assert [example.label for example in examples] == [0, 1, 1]
    assert "labels that are known in another case: 2 (first: " in capsys.readouterr().err
    both = replace(task, labels=("negative", "Negative", "positive"))
    with pytest.raises(DataError, match="unknown label 'NEGATIVE'"):
        list(solver_of(both).read(both, [path], split="dev"))
    assert labels_in(find_task("classification"), [path]) == ("NEGATIVE", "Positive", "negative")
    assert "some labels differ only in case, and count as different: NEGATIVE, negative" in (
        capsys.readouterr().err
    )
