"""The records of GLUE against the original's processors and the paper."""

import json
from pathlib import Path

from albert.tasks.catalogue import TASKS, find_task, solver_of
from albert.tasks.classification.glue import GLUE_TASKS, TABLE_14
from albert.tasks.files import require_files
from albert.tasks.tables import Example


def test_labels_are_in_the_originals_order(golden: Path) -> None:
    labels = json.loads((golden / "glue" / "labels.json").read_text())
    assert len(labels) == len(GLUE_TASKS)
    for name, known in labels.items():
        task = find_task("mnli-mm" if name == "mismnli" else name)
        assert task.labels == tuple(label for label in known if label is not None)


def test_every_task_of_the_benchmark_is_known() -> None:
    names = "cola sst2 mrpc stsb qqp mnli mnli-mm qnli rte wnli ax"
    assert {task.name for task in GLUE_TASKS} == set(names.split()) <= set(TASKS)
    assert {task.hyperparameters.source for task in GLUE_TASKS} == {TABLE_14}


def test_rows_of_test_files_have_the_ids_of_the_submission(golden: Path) -> None:
    for task in GLUE_TASKS:
        (path,) = require_files(task, golden / "glue" / "data", "test")
        found = [example.id for example in solver_of(task).read(task, [path], split="test", labelled=False)]
        assert found == [str(number) for number in range(len(found))]


def test_the_mismatched_task_trains_on_the_files_of_the_matched(golden: Path) -> None:
    matched, mismatched = (find_task(name) for name in ("mnli", "mnli-mm"))
    data = golden / "glue" / "data"
    assert require_files(matched, data, "train") == require_files(mismatched, data, "train")
    assert require_files(matched, data, "dev") != require_files(mismatched, data, "dev")


def test_blemishes_of_the_official_files_do_no_harm(tmp_path: Path) -> None:
    """MRPC's dev file starts with a byte order mark, and some texts with an unpaired quotation mark."""
    rows = [
        "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String",
        '1\t1355540\t1355592\tHe said so .\t" He said so',
        "",
        '0\t2\t3\t"a" b "c\td',
    ]
    path = tmp_path / "dev.tsv"
    path.write_bytes(("\ufeff" + "\r\n".join(rows) + "\r\n").encode("utf-8"))
    assert list(solver_of(find_task("mrpc")).read(find_task("mrpc"), [path], split="dev")) == [
        Example("He said so .", '" He said so', 1),
        Example('"a" b "c', "d", 0),
    ]
