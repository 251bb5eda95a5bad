"""Tables in every spelling people have, and each way they can be wrong."""

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from albert.errors import DataError
from albert.tasks.catalogue import find_task
from albert.tasks.own import with_columns, with_labels_of
from albert.tasks.tables import Example, find_table, read_columns, read_examples, require_table

CELLS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\n\r"), min_size=1).filter(
    str.strip
)


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


def examples(name: str, path: Path, **settings: object) -> list[Example]:
    return list(read_examples(find_task(name), path, **settings))  # type: ignore[arg-type]


def test_a_benchmark_file_is_found_in_its_own_folder_and_without_it(tmp_path: Path) -> None:
    inner = write(tmp_path, "RTE/dev.tsv", "")
    assert find_table(find_task("rte"), tmp_path, "dev") == inner
    assert find_table(find_task("rte"), tmp_path / "RTE", "dev") == inner
    assert find_table(find_task("rte"), tmp_path, "test") is None


def test_a_missing_split_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no dev file of task 'rte'; expected RTE/dev\.tsv or dev\.tsv"):
        require_table(find_task("rte"), tmp_path, "dev")


def test_a_missing_data_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="absent: no such folder"):
        find_table(find_task("rte"), tmp_path / "absent", "dev")


def test_a_split_stored_twice_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "train.tsv", "")
    write(tmp_path, "train.csv", "")
    with pytest.raises(DataError, match=r"both train\.tsv and train\.csv"):
        find_table(find_task("classification"), tmp_path, "train")


def test_quotation_marks_in_tsv_are_letters(tmp_path: Path) -> None:
    path = write(tmp_path, "train.tsv", 'text\tlabel\n"never closed\t1\na "b" c\t0\n')
    assert [row.cells for row in read_columns(path, ["text", "label"])] == [
        ('"never closed', "1"),
        ('a "b" c', "0"),
    ]


def test_byte_order_mark_crlf_and_blank_lines_leave_no_trace(tmp_path: Path) -> None:
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
def test_what_is_written_is_read_in_every_format(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
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
    assert examples("cola", path, split="test", labelled=False) == [Example("They run.")]


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
        ("t.jsonl", "[1]", r"t\.jsonl:1: expected a JSON object, found list"),
        ("t.jsonl", '{"sentence1": "a", "sentence2": "b"}', r"t\.jsonl:1: no field 'label'"),
        (
            "t.jsonl",
            '{"sentence1": [], "sentence2": "b", "label": 0}',
            r"t\.jsonl:1: field 'sentence1' holds list",
        ),
        ("t.jsonl", '{"sentence1": null, "sentence2": "b", "label": 0}', r"t\.jsonl:1: the text in column"),
        ("t.xlsx", "", r"expected a file ending in \.tsv, \.csv, \.jsonl, found '\.xlsx'"),
    ],
)
def test_a_bad_table_is_refused_with_file_and_line(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        examples("rte", write(tmp_path, name, content))


@pytest.mark.parametrize("label", ["high", "nan", "inf", ""])
def test_a_regression_label_that_is_no_number_is_refused(tmp_path: Path, label: str) -> None:
    path = write(tmp_path, "t.tsv", f"sentence1\tsentence2\tscore\na\tb\t{label}\n")
    with pytest.raises(DataError, match=r"t\.tsv:2: expected a number"):
        examples("stsb", path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.tsv"):
        examples("rte", tmp_path / "absent.tsv")


def test_own_labels_come_from_the_training_file_in_order(tmp_path: Path) -> None:
    task = with_columns(find_task("classification"), text="t", label="y")
    words = write(tmp_path, "a.tsv", "t\ty\na\tsports\nb\tarts\nc\tsports\n")
    numbers = write(tmp_path, "b.tsv", "t\ty\na\t10\nb\t9\nc\t-1\n")
    assert with_labels_of(task, words).labels == ("arts", "sports")
    assert with_labels_of(task, numbers).labels == ("-1", "9", "10")


def test_a_training_file_with_one_label_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", "text\tlabel\na\tyes\nb\tyes\n")
    with pytest.raises(DataError, match="1 different labels"):
        with_labels_of(find_task("classification"), path)


def test_a_text_column_named_as_label_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", "text\tlabel\n" + "".join(f"a\tfree text {n}\n" for n in range(1200)))
    with pytest.raises(DataError, match=r"a\.tsv:1002: column 'label' holds more than 1000"):
        with_labels_of(find_task("classification"), path)
