"""Reading and encoding the next items while the model works on the current ones."""

import queue
import threading
from collections.abc import Iterator
from typing import TypeVar

T = TypeVar("T")


def read_ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield `items` in their order; a thread makes the next one while the caller works on the current one.

    An error in making an item is raised here, after the items before it. Where the model leaves a core idle,
    as on a GPU, reading and encoding then cost no time.
    """
    end = object()
    requests: queue.SimpleQueue[bool] = queue.SimpleQueue()
    made: queue.SimpleQueue[tuple[T | object, BaseException | None]] = queue.SimpleQueue()

    def work() -> None:
        while requests.get():
            try:
                made.put((next(items, end), None))
            except BaseException as error:  # raised in the caller's thread
                made.put((end, error))

    # A daemon: when the caller has failed, the source may block for ever, as a pipe can.
    threading.Thread(target=work, name="read-ahead", daemon=True).start()
    requests.put(True)
    try:
        while True:
            item, error = made.get()
            if error is not None:
                raise error
            if item is end:
                return
            requests.put(True)
            yield item  # type: ignore[misc]  # it is not the end
    finally:
        requests.put(False)
