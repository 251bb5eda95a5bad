"""What happens to rows that cannot be used: all are named in one error, or they are left out and counted.

Readers yield a bad row as the DataError that says what is wrong with it, in its place among the good ones, so
that one policy, applied once, holds for all layouts of files. Errors that concern a whole file, such as a
missing column, are raised.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from albert import console
from albert.errors import DataError, did_you_mean

T = TypeVar("T")
S = TypeVar("S")
OnBadRow = Literal["error", "skip"]
"""error: no row is used if one is bad; skip: bad rows are left out."""
ADVICE = "correct them, or leave them out with --on-bad-row skip"
NUM_NAMED = 10
"""Bad rows that an error names."""


class UnknownLabelError(DataError):
    """A label that the task does not have.

    Args:
        label: The label.
        known: The task's.
        where: File and line.
    """

    def __init__(self, label: str, known: Iterable[str], where: str) -> None:
        self.label, self.known = label, tuple(known)
        super().__init__(
            f"{where}: unknown label {label[:60]!r}{did_you_mean(label[:60], list(self.known))}; "
            f"known: {', '.join(self.known[:20])}"
        )


@dataclass(frozen=True, slots=True)
class SkippedRow:
    """A row that is left out, where each row keeps its place."""

    reason: str
    """What is wrong with it, with file and line."""


def attempt(make: Callable[..., T], *arguments: Any) -> T | DataError:
    """Return what `make` returns, or the DataError that it raises."""
    try:
        return make(*arguments)
    except DataError as error:
        return error


def each(rows: Iterable[S | DataError], make: Callable[[S], T | None]) -> Iterator[T | DataError]:
    """Yield what `make` makes of each row, unless it is None; bad rows, of whichever step, as errors."""
    for row in rows:
        made = row if isinstance(row, DataError) else attempt(make, row)
        if made is not None:
            yield made


def strict(rows: Iterable[T | DataError]) -> Iterator[T]:
    """Yield the rows; raise the error of the first bad one."""
    for row in rows:
        if isinstance(row, DataError):
            raise row
        yield row


def usable(rows: Iterable[T | DataError], bad: list[DataError]) -> Iterator[T]:
    """Yield the good rows; the first bad one is put into `bad`, and a later pass decides about them."""
    for row in rows:
        if not isinstance(row, DataError):
            yield row
        elif not bad:
            bad.append(row)


class BadRows:
    """The policy for bad rows, and their number.

    Args:
        policy: What happens to them.
        advice: How the user goes on after the error.
        keeps_place: Whether a row that is left out is yielded as a `SkippedRow`.
    """

    def __init__(
        self, policy: OnBadRow = "error", *, advice: str = "correct them", keeps_place: bool = False
    ) -> None:
        self._policy, self._advice, self._keeps_place = policy, advice, keeps_place
        self._named: list[DataError] = []
        self._labels: Counter[str] = Counter()
        self.count = 0

    def sift(self, rows: Iterable[T | DataError]) -> Iterator[T | Any]:
        """Yield the good rows, and `SkippedRow` for the others if each keeps its place.

        Raises:
            DataError: At the end, if there are bad rows and the policy is `error`; it names the first ten and
                counts all.
        """
        first = self.count
        num_good = 0
        for row in rows:
            if not isinstance(row, DataError):
                num_good += 1
                yield row
                continue
            self._add(row)
            if self._keeps_place and self._policy == "skip":
                yield SkippedRow(str(row))
        if self.count == first:
            return
        if self._policy == "error":
            raise self._error(num_good)
        console.note(f"left out {self.count - first:,} rows that cannot be used (first: {self._named[0]})")

    def _add(self, error: DataError) -> None:
        self.count += 1
        if len(self._named) < NUM_NAMED:
            self._named.append(error)
        if isinstance(error, UnknownLabelError):
            self._labels[error.label[:60]] += 1

    def _error(self, num_good: int) -> DataError:
        """Return one error for all bad rows; that of the row if there is only one, or no good one."""
        if self.count == 1:
            return self._named[0]
        if not num_good:
            return DataError(f"{self._named[0]} (none of the {self.count:,} rows can be used)")
        more = "" if self.count <= NUM_NAMED else f"; the first {NUM_NAMED}"
        lines = [f"{self.count:,} rows cannot be used, {self._advice}{more}:", *map(str, self._named)]
        if self._labels:
            counts = ", ".join(f"{label!r} ({count:,})" for label, count in self._labels.most_common(20))
            lines.append(f"unknown labels, with the number of rows: {counts}")
        return DataError("\n  ".join(lines))
