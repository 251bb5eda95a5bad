"""Released archives, `.tar.gz` and `.zip`, unpacked temporarily and without trusting their content.

Only plain files and folders within the archive's own root are unpacked. A path out of it, a link or a device
is an error, and so is more data than the disk has room for.
"""

import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from albert.errors import CheckpointError

SUFFIXES = (".tar.gz", ".tgz", ".tar", ".zip")


def is_archive(path: Path) -> bool:
    """Return whether a file is an archive, by its name."""
    return path.is_file() and path.name.lower().endswith(SUFFIXES)


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Yield a folder with the files of the archive `path`, which is removed after the block.

    Raises:
        CheckpointError: The archive is damaged, contains unsafe entries, or does not fit on the disk.
    """
    with tempfile.TemporaryDirectory(prefix="albert-") as name:
        folder = Path(name)
        try:
            if path.name.lower().endswith(".zip"):
                _unzip(path, folder)
            else:
                _untar(path, folder)
        except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, ValueError) as error:
            raise CheckpointError(f"{path}: damaged or not an archive ({error}); fetch it again") from error
        yield folder


def _untar(path: Path, folder: Path) -> None:
    with tarfile.open(path, "r:*") as archive:
        members = archive.getmembers()
        for member in members:
            _check_name(path, member.name)
            if not (member.isfile() or member.isdir()):
                raise CheckpointError(f"{path}: {member.name} is a link or a device; only files are unpacked")
        _check_size(path, sum(member.size for member in members), folder)
        archive.extractall(folder, members, filter="data")


def _unzip(path: Path, folder: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        for member in members:
            _check_name(path, member.filename)
            mode = member.external_attr >> 16
            if stat.S_IFMT(mode) not in {0, stat.S_IFREG, stat.S_IFDIR}:
                raise CheckpointError(
                    f"{path}: {member.filename} is a link or a device; only files are unpacked"
                )
        _check_size(path, sum(member.file_size for member in members), folder)
        archive.extractall(folder)


def _check_name(path: Path, name: str) -> None:
    parts = Path(name.replace("\\", "/")).parts
    if ".." in parts or Path(name).is_absolute() or (parts and ":" in parts[0]):
        raise CheckpointError(f"{path}: {name!r} leads out of the archive; it is not unpacked")


def _check_size(path: Path, size: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise CheckpointError(f"{path}: unpacks to {size:,} bytes, the disk has {free:,} free")
