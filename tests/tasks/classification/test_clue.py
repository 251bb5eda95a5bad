"""Chinese classification in every layout in which the data circulate."""

import json
from pathlib import Path
from typing import Any

import pytest

from albert.errors import DataError
from albert.tasks.catalogue import find_task, solver_of
from albert.tasks.classification.clue import CLUE_TASKS
from albert.tasks.files import require_files
from albert.tasks.tables import Example


def read(name: str, path: Path, content: str, *, labelled: bool = True) -> list[Example]:
    path.write_bytes(content.encode("utf-8"))
    task = find_task(name)
    return list(solver_of(task).read(task, [path], split=path.stem, labelled=labelled))


def line(**fields: Any) -> str:
    return json.dumps(fields, ensure_ascii=False) + "\n"


def test_every_task_is_known_and_chinese() -> None:
    names = "lcqmc afqmc tnews iflytek cmnli ocnli csl cluewsc xnli-zh bq chnsenticorp"
    assert {task.name for task in CLUE_TASKS} == set(names.split())
    assert {task.language for task in CLUE_TASKS} == {"zh"}


@pytest.mark.parametrize("task", CLUE_TASKS, ids=lambda task: task.name)
@pytest.mark.parametrize("name", ["{}.json", "{}.tsv", "{}.jsonl", "{}_few_all.json"])
def test_files_of_every_split_are_found(tmp_path: Path, task: Any, name: str) -> None:
    for split in ("train", "dev", "test"):
        (tmp_path / name.format(split)).touch()
        assert require_files(task, tmp_path, split) == (tmp_path / name.format(split),)


def test_labels_of_tnews_and_iflytek_are_the_benchmarks_numbers(tmp_path: Path) -> None:
    tnews = find_task("tnews").labels
    assert (len(tnews), tnews[0], tnews[5], tnews[10], tnews[-1]) == (15, "100", "106", "112", "116")
    assert find_task("iflytek").labels == tuple(str(number) for number in range(119))
    content = line(label=106, label_desc="news_finance", sentence="股市", keywords="", id=3) + line(
        label="116", sentence="游戏", id="4"
    )
    assert read("tnews", tmp_path / "train.json", content) == [
        Example("股市", None, 5, id="3"),
        Example("游戏", None, 14, id="4"),
    ]
    with pytest.raises(DataError, match=r"train\.json:1: unknown label '105'"):
        read("tnews", tmp_path / "train.json", line(label=105, sentence="x"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("dev.json", line(sentence1="一", sentence2="二", label="1")),
        ("dev.tsv", "text_a\ttext_b\tlabel\r\n一\t二\t1\r\n"),
        ("dev.txt", "一\t二\t1\n"),
        ("dev.csv", "\ufeffsentence1,sentence2,label\r\n一,二,1\r\n"),
        ("dev.csv", "一,二,1\n"),
    ],
)
@pytest.mark.parametrize("task", ["lcqmc", "bq", "afqmc"])
def test_pairs_of_questions_are_read_in_every_layout(
    tmp_path: Path, task: str, name: str, content: str
) -> None:
    assert read(task, tmp_path / name, content) == [Example("一", "二", 1)]


def test_pairs_without_labels_are_read_with_and_without_header(tmp_path: Path) -> None:
    expected = [Example("一", "二")]
    assert read("afqmc", tmp_path / "test.csv", "sentence1,sentence2\n一,二\n", labelled=False) == expected
    assert read("lcqmc", tmp_path / "test.tsv", "一\t二\n", labelled=False) == expected
    assert read("lcqmc", tmp_path / "test.txt", "一\t二\t0\n", labelled=False) == expected


@pytest.mark.parametrize("task", ["cmnli", "ocnli"])
def test_pairs_without_a_gold_label_are_skipped_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], task: str
) -> None:
    content = line(sentence1="一", sentence2="二", label="-", id=1) + line(
        sentence1="三", sentence2="四", label="neutral", id=2
    )
    assert read(task, tmp_path / "train.json", content) == [Example("三", "四", 2, id="2")]
    said = capsys.readouterr().err
    assert "skipped examples labelled '-'" in said
    assert "train.json:1" in said
    assert len(read(task, tmp_path / "train.json", content, labelled=False)) == 2


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train.json", line(premise="一", hypo="二", label="contradiction")),
        ("multinli.train.zh.tsv", "premise\thypo\tlabel\n一\t二\tcontradictory\n"),
        ("dev.tsv", "text_a\ttext_b\tlabel\n一\t二\tcontradiction\n"),
        (
            "xnli.dev.tsv",
            "language\tgold_label\tsentence1\tsentence2\n"
            "en\tneutral\tone\ttwo\nzh\tcontradiction\t一\t二\nur\tneutral\tx\ty\n",
        ),
    ],
)
def test_the_chinese_part_of_xnli_is_read_in_every_layout(tmp_path: Path, name: str, content: str) -> None:
    assert read("xnli-zh", tmp_path / name, content) == [Example("一", "二", 0)]


def test_reviews_are_read_with_their_quotation_marks(tmp_path: Path) -> None:
    content = 'qid\tlabel\ttext_a\n0\t1\t"很好\n1\t0\t差"\n'
    assert read("chnsenticorp", tmp_path / "dev.tsv", content) == [
        Example('"很好', None, 1, id="0"),
        Example('差"', None, 0, id="1"),
    ]
