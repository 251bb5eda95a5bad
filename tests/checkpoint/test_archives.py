"""Archives: what is unpacked, and what is refused."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from albert.checkpoint.archives import unpacked
from albert.errors import CheckpointError


def tar_of(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.size = 3 if kind == tarfile.REGTYPE else 0
    for field, value in fields.items():
        setattr(info, field, value)
    return info


@pytest.mark.parametrize("suffix", [".tar.gz", ".zip"])
def test_files_exist_in_the_block_and_are_removed_after_it(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"albert_base{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("albert_base/albert_config.json", "xxx")
    else:
        tar_of(path, member("albert_base", tarfile.DIRTYPE), member("albert_base/albert_config.json"))
    with unpacked(path) as folder:
        assert (folder / "albert_base" / "albert_config.json").read_text() == "xxx"
    assert not folder.exists()


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil"])
def test_a_path_out_of_the_archive_is_refused(tmp_path: Path, name: str) -> None:
    with (
        pytest.raises(CheckpointError, match="leads out of the archive"),
        unpacked(tar_of(tmp_path / "a.tar.gz", member(name))),
    ):
        pass
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(name, "x")
    with pytest.raises(CheckpointError, match="leads out of the archive"), unpacked(tmp_path / "a.zip"):
        pass


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    path = tar_of(tmp_path / "a.tar.gz", member("x", kind, linkname="/etc/passwd"))
    with pytest.raises(CheckpointError, match="x is a link or a device"), unpacked(path):
        pass


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("x")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(CheckpointError, match="x is a link or a device"), unpacked(tmp_path / "a.zip"):
        pass


def test_an_archive_larger_than_the_free_disk_is_refused_before_unpacking(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    huge = member("x")
    huge.size = 1 << 60
    path.write_bytes(huge.tobuf() + b"\0" * 1024)
    with pytest.raises(CheckpointError, match=r"the disk has|damaged"), unpacked(path):
        pass


@pytest.mark.parametrize("name", ["a.tar.gz", "a.zip"])
@pytest.mark.parametrize("content", [b"", b"not an archive", b"\x1f\x8b\x08" + b"\0" * 40])
def test_a_damaged_archive_is_an_error_of_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged or not an archive"), unpacked(tmp_path / name):
        pass
