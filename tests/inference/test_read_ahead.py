"""Reading ahead: the order and the errors of what is read, made while something else is done."""

import threading
from collections.abc import Iterator

import pytest

from albert.inference.read_ahead import read_ahead


@pytest.mark.parametrize("count", [0, 1, 5])
def test_all_items_come_in_their_order(count: int) -> None:
    assert list(read_ahead(iter(range(count)))) == list(range(count))


def test_the_next_item_is_made_while_one_is_worked_on() -> None:
    second_is_made = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        second_is_made.set()
        yield 2

    stream = read_ahead(items())
    assert next(stream) == 1
    assert second_is_made.wait(timeout=30)
    assert list(stream) == [2]


def test_no_more_than_one_item_waits() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(10):
            made.append(number)
            yield number

    for number in read_ahead(items()):
        assert len(made) <= number + 2


def test_an_error_comes_behind_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("line 2 is no text")

    stream = read_ahead(items())
    assert next(stream) == 1
    with pytest.raises(ValueError, match="line 2"):
        next(stream)


def test_whoever_stops_early_leaves_no_thread_behind() -> None:
    before = set(threading.enumerate())
    stream = read_ahead(iter(range(100)))
    assert next(stream) == 0
    [thread] = set(threading.enumerate()) - before
    stream.close()  # type: ignore[attr-defined]  # a generator has it
    thread.join(timeout=30)
    assert not thread.is_alive()


def test_an_error_of_the_caller_does_not_wait_for_a_source_that_blocks() -> None:
    goes_on = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        goes_on.wait()

    def fail() -> None:
        for _ in read_ahead(items()):
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert not goes_on.is_set()
    goes_on.set()
