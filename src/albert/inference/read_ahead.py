"""Reading and encoding of what comes next, while a model works on what is there."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def read_ahead(items: Iterator[T]) -> Iterator[T]:
    """Yields `items` in their order; a thread makes the next one while the caller works on one.

    Whatever making an item raises is raised here, behind the items before it. Where computing leaves a core
    idle, as on a GPU, text costs no time so.
    """
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as pool:
        coming = pool.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, items, end)
            yield item  # type: ignore[misc]  # it is not the end
