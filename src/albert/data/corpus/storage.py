"""Files by local path or by URL (s3://, gs://, hf://, memory:// ...), the latter through fsspec.

A file appears whole or not at all: a local one gets a temporary name, is synced and renamed; a remote one
is gathered on the local disk, which needs room for it, and uploaded in one go.
"""

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from albert.distribution import install_command
from albert.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pyarrow as pa
    from fsspec.spec import AbstractFileSystem

TEMPORARY_SUFFIX = ".partial"
"""Suffix of a local file that is not yet complete."""
REMOTE_BLOCK_BYTES = 1 << 23
"""Size of one request; a larger block costs memory, a smaller one time."""

_VERSION_KEYS = ("ETag", "etag", "generation", "last_modified", "LastModified", "mtime", "created")


def is_url(path: str | Path) -> bool:
    """Whether a path is a URL, which is opened through fsspec."""
    return "://" in str(path)


def filesystem_of(path: str | Path) -> tuple["AbstractFileSystem", str]:
    """Return the file system that holds `path`, and the path inside it.

    Raises:
        ConfigError: The protocol is unknown, or its package is not installed.
    """
    import fsspec

    try:
        filesystem, inside = fsspec.core.url_to_fs(str(path))
    except ImportError as error:
        remedy = f"; run: {install_command('s3')}" if str(path).startswith("s3") else ""
        raise ConfigError(f"{path}: {one_line(error)}{remedy}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: {one_line(error)}") from error
    return filesystem, inside


def join(folder: str | Path, name: str) -> str:
    """Return the path of `name` in `folder`."""
    return f"{str(folder).rstrip('/')}/{name}" if is_url(folder) else str(Path(folder) / name)


def exists(path: str | Path) -> bool:
    """Whether a file or folder exists; an object store has only folders with something in them."""
    if not is_url(path):
        return Path(path).exists()
    filesystem, inside = filesystem_of(path)
    with reaching(path):
        filesystem.invalidate_cache()  # other processes write as well
        return bool(filesystem.exists(inside))


def list_names(folder: str | Path) -> list[str]:
    """Return the sorted names of the files and folders in a folder; none if it does not exist."""
    if not is_url(folder):
        return sorted(os.listdir(folder)) if Path(folder).is_dir() else []  # noqa: PTH208
    filesystem, inside = filesystem_of(folder)
    with reaching(folder):
        filesystem.invalidate_cache()
        try:
            found = filesystem.ls(inside, detail=False)
        except FileNotFoundError:
            return []
    return sorted(name for path in found if (name := path.rstrip("/").rpartition("/")[2]))


def make_folder(path: str | Path) -> None:
    """Make a local folder and its parents; in an object store folders come with their files.

    Raises:
        DataError: It cannot be made.
    """
    if is_url(path):
        return
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error


def remove(path: str | Path) -> None:
    """Remove a file if it exists."""
    if not is_url(path):
        Path(path).unlink(missing_ok=True)
        return
    filesystem, inside = filesystem_of(path)
    with reaching(path):
        try:
            filesystem.rm_file(inside)
        except FileNotFoundError:
            return


def read_bytes(path: str | Path) -> bytes:
    """Return the content of a file.

    Raises:
        DataError: It is missing or cannot be read.
    """
    try:
        if not is_url(path):
            return Path(path).read_bytes()
        filesystem, inside = filesystem_of(path)
        with reaching(path):
            return bytes(filesystem.cat_file(inside))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


def write_whole(path: str | Path, content: bytes) -> None:
    """Write a file, whole or not at all.

    Raises:
        DataError: The file cannot be written, as on a full disk.
    """
    with whole_file(path) as file:
        file.write(content)


@contextmanager
def whole_file(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file for writing that gets its name when the block succeeds; otherwise nothing is left of it.

    Raises:
        DataError: The file cannot be written, as on a full disk.
    """
    if is_url(path):
        with _uploaded(str(path)) as file:
            yield file
        return
    final = Path(path)
    temporary = final.with_name(final.name + TEMPORARY_SUFFIX)
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(final)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def one_line(error: Exception) -> str:
    """Return the message of an exception on one line, or its class if the message is empty."""
    text = "".join(character if character.isprintable() else " " for character in str(error)[:1000])
    return " ".join(text.split())[:300] or type(error).__name__


@contextmanager
def reaching(path: str | Path) -> Iterator[None]:
    """Turn any exception that a storage client raises inside the block into a DataError.

    Raises:
        DataError: In place of any exception that is not ours; the clients have no common base class.
    """
    try:
        yield
    except (DataError, ConfigError):
        raise
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file or folder") from error
    except Exception as error:
        if not is_url(path):
            raise DataError(f"{path}: cannot be read ({one_line(error)})") from error
        raise DataError(
            f"{path}: cannot be reached ({one_line(error)}); check the address, the network and the "
            "credentials, then run the same command again"
        ) from error


def stored_bytes(path: str | Path) -> int | None:
    """Return the size of a file; None if its server does not know it."""
    if not is_url(path):
        with reaching(path):
            return Path(path).stat().st_size
    filesystem, inside = filesystem_of(path)
    with reaching(path):
        size = filesystem.info(inside).get("size")
    return None if size is None else int(size)


def version_of(path: str | Path) -> str:
    """Return a text that changes when the content of a file does, as far as its storage knows."""
    if not is_url(path):
        with reaching(path):
            status = Path(path).stat()
        return f"{status.st_size} bytes, written at {status.st_mtime_ns / 1e9:.6f}"
    filesystem, inside = filesystem_of(path)
    with reaching(path):
        filesystem.invalidate_cache()
        info = filesystem.info(inside)
    version = next((info[key] for key in _VERSION_KEYS if info.get(key)), "unknown")
    return f"{info.get('size')} bytes, version {version}"


@contextmanager
def open_stored(path: str | Path) -> Iterator["pa.NativeFile"]:
    """Open a file for reading with random access.

    Raises:
        DataError: The file is missing or its storage cannot be reached, now or while it is read.
    """
    import pyarrow as pa

    if not is_url(path):
        with reaching(path):
            local = pa.OSFile(str(path))
        with local:
            yield local
        return
    filesystem, inside = filesystem_of(path)
    with reaching(path):
        remote = filesystem.open(inside, "rb", block_size=REMOTE_BLOCK_BYTES)
    with pa.PythonFile(_RemoteFile(str(path), remote), mode="r") as file:
        yield file


class _RemoteFile(io.RawIOBase):
    """A file of fsspec that raises DataError."""

    def __init__(self, url: str, file: BinaryIO) -> None:
        self._url, self._file = url, file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        with reaching(self._url):
            return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        with reaching(self._url):
            return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
        super().close()


@contextmanager
def _uploaded(url: str) -> Iterator[BinaryIO]:
    """Gather a file on the local disk and upload it when it is complete: a store never has half a file."""
    filesystem, inside = filesystem_of(url)
    try:
        with tempfile.NamedTemporaryFile(prefix="albert-") as file:
            yield file  # type: ignore[misc]
            file.flush()
            with reaching(url):
                filesystem.put_file(file.name, inside)
    except OSError as error:
        raise _unwritable(url, error) from error


def _unwritable(path: str | Path, error: OSError) -> DataError:
    return DataError(
        f"{path}: cannot be written ({error.strerror or error}); free space or choose another --output"
    )
