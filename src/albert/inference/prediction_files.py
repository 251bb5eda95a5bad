"""The files that `albert predict` writes: our own grow line by line, official ones appear complete or not.

`tasks.predictions` and `tasks.submissions` define their content.
"""

import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from albert.choices import OutputFormat
from albert.console import UNWRITABLE
from albert.errors import ConfigError, DataError
from albert.tasks.catalogue import files_of_benchmark
from albert.tasks.predictions import Chunk, LineFormat, ObjectFormat, listed
from albert.tasks.solver import Solver
from albert.tasks.submissions import Submission
from albert.tasks.task import Task
from albert.writing import replacing

Append = Callable[[Chunk], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """The file to which predictions are written."""

    task: Task
    """The task with its labels."""
    solver: Solver
    """The solver of its kind."""
    path: Path
    """The file, or the archive."""
    submission: Submission | None
    """The official file's format; None for rows of our own formats."""

    @property
    def member(self) -> str | None:
        """The name of the file inside the archive; None without an archive."""
        return self.submission.file if self.submission and self.path.suffix == ".zip" else None

    def paths(self) -> tuple[Path, ...]:
        """Return all files that may be written."""
        if self.submission is None or self.member:
            return (self.path,)
        format_ = self.solver.official_format(self.task, self.submission)
        also = format_.also if isinstance(format_, ObjectFormat) else ()
        return (self.path, *map(self.path.with_name, also))

    def open(self) -> AbstractContextManager[Append]:
        """Open the file for writing; the context manager returns a function that appends a chunk.

        Rows are in the file as soon as they are appended. An official file replaces the earlier one, or its
        entry in the archive, at the end of the block.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.submission is None:
            return _grown(self.path, self.solver.row_format(self.task, self.path.suffix))
        format_ = self.solver.official_format(self.task, self.submission)
        if self.member is not None:
            return _archived(self.path, format_, name=self.submission.file)
        if isinstance(format_, ObjectFormat):
            return _whole_objects(self.path, format_, alone=False)
        return _whole_lines(self.path, format_)

    def missing(self) -> list[str]:
        """Return the files that an archive still lacks for a complete submission."""
        if self.submission is None or self.member is None:
            return []
        with _reading(self.path) as archive:
            found = set(archive.namelist())
        return [name for name in files_of_benchmark(self.submission.benchmark) if name not in found]


def find_destination(task: Task, solver: Solver, output: Path, *, output_format: OutputFormat) -> Destination:
    """Return the file and the format for the predictions of `task`.

    With the format "auto", the official one is used for a folder, an archive, a .json file, and a file of the
    name that the benchmark expects.

    Raises:
        ConfigError: The task has no such format, or the name of the file does not fit any.
        DataError: The file is not an archive, though its name says so.
    """
    submission = solver.submission(task)
    official = output_format == "official" or (
        output_format == "auto"
        and submission is not None
        and (output.is_dir() or output.suffix in {".zip", ".json"} or output.name == submission.file)
    )
    if not official:
        known = solver.row_suffixes
        if output.suffix not in known:
            also = f", or {_official_places(submission)}" if submission and output_format == "auto" else ""
            raise ConfigError(f"--output {output}: expected a name ending in {listed(known)}{also}")
        return Destination(task=task, solver=solver, path=output, submission=None)
    if submission is None:
        raise ConfigError(f"task {task.name!r} has no official format; drop --format official")
    if output.is_dir():
        output = output / submission.file
    if output.suffix != Path(submission.file).suffix and (
        output.suffix != ".zip" or not submission.benchmark
    ):
        raise ConfigError(
            f"--output {output}: the official format of task {task.name!r} goes to "
            f"{_official_places(submission)}"
        )
    if output.suffix == ".zip" and output.exists():
        with _reading(output):
            pass  # Fail on a damaged archive before anything is computed.
    return Destination(task=task, solver=solver, path=output, submission=submission)


def _official_places(submission: Submission) -> str:
    archive = " or .zip" if submission.benchmark else ""
    return f"an existing folder, or a name ending in {Path(submission.file).suffix}{archive}"


@contextmanager
def _grown(path: Path, format_: LineFormat) -> Iterator[Append]:
    """Open a file that grows by complete chunks of lines, even if the block ends with an error."""
    with path.open("wb", buffering=0) as file:
        whole = 0

        def append(text: str) -> None:
            nonlocal whole
            rest = memoryview(text.encode("utf-8", UNWRITABLE))
            while rest:
                rest = rest[file.write(rest) :]
            whole = file.tell()

        try:
            append(format_.header)
            yield lambda chunk: append(format_.lines(chunk))
        except BaseException:
            file.truncate(whole)
            raise


@contextmanager
def _whole_lines(path: Path, format_: LineFormat) -> Iterator[Append]:
    """Open a file of lines that gets its name when it is complete."""
    with _named_at_end(path) as file:
        file.write(format_.header)

        def append(chunk: Chunk) -> None:
            file.write(format_.lines(chunk))

        yield append


@contextmanager
def _whole_objects(path: Path, format_: ObjectFormat, *, alone: bool) -> Iterator[Append]:
    """Open a file of one JSON object and, if not `alone`, its companions; all get their names at the end."""
    with ExitStack() as stack:
        files: dict[str, TextIO] = {}
        written: set[str] = set()

        def append(chunk: Chunk) -> None:
            for row in chunk.rows:
                if row.id in written:
                    raise DataError(
                        f"two examples have the id {row.id!r}, but a JSON object holds each id once; "
                        "give every example its own id, or name an --output that ends in .jsonl or .tsv"
                    )
                written.add(row.id)
            for number, (name, members) in enumerate(format_.members(chunk).items()):
                if alone and number:
                    continue
                # As `json.dump` would write all at once: without the outer braces and their line ends.
                text = json.dumps(members, ensure_ascii=False, indent=4)[2:-2]
                if name in files:
                    files[name].write(",\n" + text)
                else:
                    place = path.with_name(name) if number else path
                    files[name] = stack.enter_context(_named_at_end(place, end="\n}\n"))
                    files[name].write("{\n" + text)

        yield append


@contextmanager
def _named_at_end(path: Path, *, end: str = "") -> Iterator[TextIO]:
    """Open a text file that gets its name, after `end` is appended, if the block ends without an error."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", errors=UNWRITABLE) as file:
        yield file
        file.write(end)


@contextmanager
def _archived(path: Path, format_: LineFormat | ObjectFormat, *, name: str) -> Iterator[Append]:
    """Open a file that replaces the entry of its name in an archive when it is complete."""
    member = path.with_name(f".{path.name}.{os.getpid()}-{name}")
    if isinstance(format_, ObjectFormat):
        opened = _whole_objects(member, format_, alone=True)
    else:
        opened = _whole_lines(member, format_)
    try:
        with opened as append:
            yield append
        with replacing(path) as temporary:
            _rewrite(path, temporary, member, name=name)
    finally:
        member.unlink(missing_ok=True)


def _rewrite(path: Path, target: Path, member: Path, *, name: str) -> None:
    """Write an archive with the content of `path`, if it exists, and the file `member` as `name`."""
    with zipfile.ZipFile(target, "w", compression=zipfile.ZIP_DEFLATED) as new:
        if path.exists():
            with _reading(path) as old:
                for entry in old.infolist():
                    if entry.filename != name:
                        with old.open(entry) as source, new.open(entry, "w") as copy:
                            shutil.copyfileobj(source, copy)
        new.write(member, arcname=name)


@contextmanager
def _reading(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open an archive for reading.

    Raises:
        DataError: The file is not an archive, or is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise DataError(
            f"{path}: not a zip archive, or a damaged one ({error}); name another --output"
        ) from error
