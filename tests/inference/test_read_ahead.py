"""Reading ahead: order, errors, and that the next item is made while the caller works."""

import threading
from collections.abc import Iterator

import pytest

from albert.inference.read_ahead import read_ahead


@pytest.mark.parametrize("count", [0, 1, 5])
def test_all_items_are_yielded_in_their_order(count: int) -> None:
    assert list(read_ahead(iter(range(count)))) == list(range(count))


def test_the_next_item_is_made_while_the_caller_works_on_one() -> None:
    second_is_made = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        second_is_made.set()
        yield 2

    stream = read_ahead(items())
    assert next(stream) == 1
    assert second_is_made.wait(timeout=30)
    assert list(stream) == [2]


def test_at_most_one_item_is_made_ahead() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(10):
            made.append(number)
            yield number

    for number in read_ahead(items()):
        assert len(made) <= number + 2


def test_an_error_is_raised_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("line 2 is not text")

    stream = read_ahead(items())
    assert next(stream) == 1
    with pytest.raises(ValueError, match="line 2"):
        next(stream)


def test_stopping_early_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    stream = read_ahead(iter(range(100)))
    assert next(stream) == 0
    [thread] = set(threading.enumerate()) - before
    stream.close()  # type: ignore[attr-defined]  # a generator has it
    thread.join(timeout=30)
    assert not thread.is_alive()


def test_an_error_of_the_caller_does_not_wait_for_a_source_that_blocks() -> None:
    released = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        released.wait()

    def fail() -> None:
        for _ in read_ahead(items()):
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert not released.is_set()
    released.set()
