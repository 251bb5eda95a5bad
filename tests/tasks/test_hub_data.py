"""Data sets of the Hub become files that tasks read; a failed fetch leaves nothing behind."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import datasets
import huggingface_hub.constants
import pytest

from albert.errors import ConfigError, DataError
from albert.tasks.catalogue import TASKS, find_task, solver_of
from albert.tasks.files import require_files
from albert.tasks.hub_data import cache_folder, fetch
from albert.tasks.task import HubData, Task


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    return tmp_path / "home" / "albert"


def store(folder: Path, features: dict[str, Any], **splits: list[dict[str, Any]]) -> Path:
    """Write the splits as Parquet files with the classes in their schema, and the card that names them."""
    datasets.disable_progress_bars()
    folder.mkdir()
    for split, rows in splits.items():
        data = datasets.Dataset.from_list(rows, features=datasets.Features(features))
        data.to_parquet(folder / f"{split}.parquet")
    files = "".join(f"  - split: {split}\n    path: {split}.parquet\n" for split in splits)
    card = f"---\nconfigs:\n- config_name: default\n  data_files:\n{files}---\n"
    (folder / "README.md").write_text(card, encoding="utf-8")
    return folder


def from_folder(task: Task, folder: Path) -> Task:
    """Return the task with a local folder as its data set of the Hub."""
    assert task.data.hub is not None
    return replace(task, data=replace(task.data, hub=replace(task.data.hub, name=str(folder), config=None)))


def read(task: Task, folder: Path, split: str) -> list[Any]:
    paths = require_files(task, folder, split)
    return list(solver_of(task).read(task, paths, split=split, labelled=split != "test"))


TEXT = datasets.Value("string")
NUMBER = datasets.Value("int32")


@pytest.fixture
def mrpc(tmp_path: Path) -> Task:
    """MRPC as nyu-mll/glue has it."""
    label = datasets.ClassLabel(names=["not_equivalent", "equivalent"])
    rows = [{"sentence1": "a", "sentence2": 'b "', "label": 1, "idx": 5}]
    folder = store(
        tmp_path / "glue",
        {"sentence1": TEXT, "sentence2": TEXT, "label": label, "idx": NUMBER},
        train=rows,
        validation=[{**rows[0], "label": 0}],
        test=[{**rows[0], "label": -1}],
    )
    return from_folder(find_task("mrpc"), folder)


def test_glue_from_the_hub_is_read_as_from_its_files(mrpc: Task) -> None:
    folder = fetch(mrpc)
    (train,), (dev,), (test,) = (read(mrpc, folder, split) for split in ("train", "dev", "test"))
    assert (train.text, train.pair, train.label, train.id) == ("a", 'b "', 1, "5")
    assert (dev.label, test.label) == (0, None)
    line = json.loads((folder / "train.jsonl").read_text(encoding="utf-8"))
    assert line == {"#1 String": "a", "#2 String": 'b "', "Quality": "1", "index": 5}


def test_classes_of_the_hub_in_another_order_keep_their_names(tmp_path: Path) -> None:
    label = datasets.ClassLabel(names=["entailment", "neutral", "contradiction"])
    features = {"premise": TEXT, "hypothesis": TEXT, "label": label, "idx": NUMBER}
    row = {"premise": "a", "hypothesis": "b", "idx": 0}
    folder = store(
        tmp_path / "mnli",
        features,
        train=[{**row, "label": number} for number in range(3)],
        validation_matched=[{**row, "label": 1}],
        validation_mismatched=[{**row, "label": 2}],
        test_matched=[{**row, "label": -1}],
        test_mismatched=[{**row, "label": -1}],
    )
    matched, mismatched = (from_folder(find_task(name), folder) for name in ("mnli", "mnli-mm"))
    found = [matched.labels[example.label] for example in read(matched, fetch(matched), "train")]
    assert found == ["entailment", "neutral", "contradiction"]
    assert [matched.labels[e.label] for e in read(matched, fetch(matched), "dev")] == ["neutral"]
    assert [matched.labels[e.label] for e in read(mismatched, fetch(mismatched), "dev")] == ["contradiction"]


def test_labels_without_names_stay_unchanged(tmp_path: Path) -> None:
    features = {"sentence1": TEXT, "sentence2": TEXT, "score": datasets.Value("float64")}
    rows = [{"sentence1": "一", "sentence2": "二", "score": score} for score in (1.0, 0.0)]
    folder = store(tmp_path / "lcqmc", features, train=rows, validation=rows, test=rows)
    task = from_folder(find_task("lcqmc"), folder)
    assert [example.label for example in read(task, fetch(task), "train")] == [1, 0]


def test_regression_labels_stay_numbers(tmp_path: Path) -> None:
    features = {"sentence1": TEXT, "sentence2": TEXT, "label": datasets.Value("float32"), "idx": NUMBER}
    rows = [{"sentence1": "a", "sentence2": "b", "label": 2.5, "idx": 0}]
    task = from_folder(
        find_task("stsb"), store(tmp_path / "s", features, train=rows, validation=rows, test=rows)
    )
    assert [example.label for example in read(task, fetch(task), "dev")] == [2.5]


def test_other_layouts_of_clue_are_read_from_the_hub(tmp_path: Path) -> None:
    target = {"span1_text": TEXT, "span2_text": TEXT, "span1_index": NUMBER, "span2_index": NUMBER}
    label = datasets.ClassLabel(names=["true", "false"])
    row = {
        "idx": 3,
        "text": "树叶飘，它落。",
        "label": 0,
        "target": {"span1_text": "树叶", "span2_text": "它", "span1_index": 0, "span2_index": 4},
    }
    features = {"idx": NUMBER, "text": TEXT, "label": label, "target": target}
    folder = store(tmp_path / "wsc", features, train=[row], validation=[row], test=[{**row, "label": -1}])
    task = from_folder(find_task("cluewsc"), folder)
    (example,) = read(task, fetch(task), "train")
    assert (example.text, example.label, example.id) == ("_树叶_飘，[它]落。", 0, "3")
    keywords = {"idx": NUMBER, "abst": TEXT, "label": datasets.ClassLabel(names=["0", "1"])}
    row = {"idx": 1, "abst": "文章", "label": 1, "keyword": ["一", "二"]}
    folder = store(
        tmp_path / "csl",
        {**keywords, "keyword": datasets.List(TEXT)},
        train=[row],
        validation=[row],
        test=[row],
    )
    task = from_folder(find_task("csl"), folder)
    (example,) = read(task, fetch(task), "dev")
    assert (example.text, example.pair, example.label) == ("一 二", "文章", 1)


def test_nested_rows_pass_through_with_their_classes_in_words(tmp_path: Path) -> None:
    features = {
        "tokens": datasets.List(TEXT),
        "ner_tags": datasets.List(datasets.ClassLabel(names=["O", "B-LOC"])),
        "answers": {"text": datasets.List(TEXT), "answer_start": datasets.List(NUMBER)},
    }
    row = {"tokens": ["in", "Rome"], "ner_tags": [0, 1], "answers": {"text": ["x"], "answer_start": [7]}}
    hub = HubData(
        name=str(store(tmp_path / "n", features, train=[row])), splits=MappingProxyType({"train": "train"})
    )
    task = find_task("classification")
    folder = fetch(replace(task, data=replace(task.data, hub=hub)))
    found = json.loads((folder / "train.jsonl").read_text(encoding="utf-8"))
    assert found == {**row, "ner_tags": ["O", "B-LOC"]}


def test_fetched_data_are_read_again_without_the_hub(mrpc: Task, cache: Path) -> None:
    folder = fetch(mrpc)
    assert folder.parent == cache
    before = (folder / "train.jsonl").stat()
    for path in Path(mrpc.data.hub.name).iterdir():  # type: ignore[union-attr]  # set by the fixture
        path.unlink()
    assert fetch(mrpc) == folder
    assert (folder / "train.jsonl").stat() == before


def test_a_failed_fetch_leaves_nothing_behind(mrpc: Task, cache: Path) -> None:
    Path(mrpc.data.hub.name, "test.parquet").unlink()  # type: ignore[union-attr]  # as above
    with pytest.raises(DataError, match="cannot be fetched from the Hugging Face Hub"):
        fetch(mrpc)
    assert list(cache.iterdir()) == []


def test_a_folder_that_another_process_finished_first_is_used(
    mrpc: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert mrpc.data.hub is not None
    folder = cache_folder(mrpc, mrpc.data.hub)
    load = datasets.load_dataset

    def slow(*arguments: Any, **options: Any) -> Any:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "train.jsonl").write_text("the other's", encoding="utf-8")
        return load(*arguments, **options)

    monkeypatch.setattr(datasets, "load_dataset", slow)
    assert fetch(mrpc) == folder
    assert (folder / "train.jsonl").read_text(encoding="utf-8") == "the other's"
    assert list(folder.parent.iterdir()) == [folder]


def test_an_unreachable_hub_is_an_error_of_one_line() -> None:
    with pytest.raises(
        DataError, match=r"task 'rte': nyu-mll/glue \(rte\) cannot be fetched .*--data"
    ) as caught:
        fetch(find_task("rte"))
    assert "\n" not in str(caught.value)


def test_a_task_without_data_on_the_hub_needs_files() -> None:
    with pytest.raises(DataError, match=r"no data set of the Hub is known for it; .* --data"):
        fetch(find_task("classification"))


def test_every_fetched_split_is_found(tmp_path: Path) -> None:
    for task in TASKS.values():
        if task.data.hub is None:
            continue
        folder = tmp_path / task.name
        folder.mkdir()
        for split in task.data.hub.splits:
            (folder / f"{split}.jsonl").touch()
            assert require_files(task, folder, split) == (folder / f"{split}.jsonl",), task.name


def test_without_the_package_for_it_the_error_names_what_to_install(
    mrpc: Task, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ConfigError, match=r"not installed; run: pip install 'albert-lm\[hub\]'$"):
        fetch(mrpc)
    assert not cache.exists()
