"""Files and folders that are written as a whole or not at all."""

from pathlib import Path

import pytest

from albert.writing import move_finished, replacing, write_json


def is_whole(folder: Path) -> bool:
    return (folder / "done").is_file()


def make(folder: Path, content: str, *, whole: bool) -> Path:
    folder.mkdir()
    (folder / ("done" if whole else "half")).write_text(content)
    return folder


def test_a_finished_folder_gets_its_name(tmp_path: Path) -> None:
    move_finished(make(tmp_path / "new", "mine", whole=True), tmp_path / "model", is_whole=is_whole)
    assert (tmp_path / "model" / "done").read_text() == "mine"


def test_the_folder_of_a_faster_process_stays(tmp_path: Path) -> None:
    other = make(tmp_path / "model", "theirs", whole=True)
    mine = make(tmp_path / "new", "mine", whole=True)
    move_finished(mine, other, is_whole=is_whole)
    assert (other / "done").read_text() == "theirs"
    assert (mine / "done").exists()


def test_what_a_killed_process_left_is_replaced(tmp_path: Path) -> None:
    left = make(tmp_path / "model", "half of it", whole=False)
    move_finished(make(tmp_path / "new", "mine", whole=True), left, is_whole=is_whole)
    assert [path.name for path in left.iterdir()] == ["done"]


def test_an_interrupted_file_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})

    def interrupt() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert path.read_text() == '{\n  "old": 1\n}\n'
    assert [each.name for each in tmp_path.iterdir()] == ["a.json"]
