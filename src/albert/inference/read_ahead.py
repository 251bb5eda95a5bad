"""Reading and encoding of what comes next, while a model works on what is there."""

import queue
import threading
from collections.abc import Iterator
from typing import TypeVar

T = TypeVar("T")


def read_ahead(items: Iterator[T]) -> Iterator[T]:
    """Yields `items` in their order; a thread makes the next one while the caller works on one.

    Whatever making an item raises is raised here, behind the items before it. Where computing leaves a core
    idle, as on a GPU, text costs no time so.
    """
    end = object()
    asked: queue.SimpleQueue[bool] = queue.SimpleQueue()
    made: queue.SimpleQueue[tuple[T | object, BaseException | None]] = queue.SimpleQueue()

    def work() -> None:
        while asked.get():
            try:
                made.put((next(items, end), None))
            except BaseException as error:  # the caller's
                made.put((end, error))

    # Nobody waits for it: a source may block for ever, a pipe for instance, when the caller has failed.
    threading.Thread(target=work, name="read-ahead", daemon=True).start()
    asked.put(True)
    try:
        while True:
            item, error = made.get()
            if error is not None:
                raise error
            if item is end:
                return
            asked.put(True)
            yield item  # type: ignore[misc]  # it is not the end
    finally:
        asked.put(False)
