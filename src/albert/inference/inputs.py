"""What all pipelines accept: one input, a list, or a stream of any length.

One input gives one prediction, a list gives a list in its order, any other iterable gives a generator. Inputs
are predicted many at a time, so that those of similar length are computed together, and a stream is never
held in memory as a whole.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, get_args

from albert.errors import ConfigError, DataError
from albert.tasks.bad_rows import BadRows, OnBadRow, SkippedRow, attempt

BATCH_SIZE = 512
"""Inputs that are read, sorted by length and predicted together."""


def map_inputs(
    inputs: Any,
    predict: Callable[[list[Any]], list[Any]],
    *,
    batch_size: int = BATCH_SIZE,
    on_bad_row: OnBadRow = "error",
) -> Any:
    """Return the predictions for `inputs`, in the form of the inputs.

    Args:
        inputs: A text or a dict, which is one input; a list or tuple of them; or any other iterable, of which
            `batch_size` are read before the first prediction is yielded.
        predict: Returns the predictions for some inputs, in their order.
        batch_size: Inputs that are predicted together.
        on_bad_row: What to do with inputs that cannot be used: an error names them, skip yields None.

    Raises:
        ConfigError: `batch_size` is less than 1, or there is no such policy.
        DataError: `inputs` is none of these, or some of them cannot be used; the message names those among
            the inputs that are predicted together, by index.
    """
    if on_bad_row not in get_args(OnBadRow):
        raise ConfigError(f"on_bad_row is {on_bad_row!r}; expected {' or '.join(get_args(OnBadRow))}")
    if batch_size < 1:
        raise ConfigError(f"batch_size is {batch_size}; expected 1 or more inputs")
    if isinstance(inputs, str | Mapping):
        return next(iter(_stream([inputs], predict, 1, on_bad_row, is_list=False)))
    if hasattr(inputs, "__getitem__") and hasattr(inputs, "__len__") and not isinstance(inputs, Iterable):
        inputs = map(inputs.__getitem__, range(len(inputs)))  # a dataset of torch
    if not isinstance(inputs, Iterable):
        raise DataError(f"expected a text, a list or an iterable of them, found {type(inputs).__name__}")
    predictions = _stream(inputs, predict, batch_size, on_bad_row)
    return list(predictions) if isinstance(inputs, Sequence) else predictions


def _stream(
    inputs: Iterable[Any],
    predict: Callable[[list[Any]], list[Any]],
    batch_size: int,
    on_bad_row: OnBadRow,
    *,
    is_list: bool = True,
) -> Iterator[Any]:
    remaining, done = iter(inputs), 0
    bad_rows = BadRows(on_bad_row, advice='correct them, or give on_bad_row="skip"', keeps_place=True)
    while batch := list(islice(remaining, batch_size)):
        try:
            predictions = predict(batch)
        except DataError:
            found = (_one(predict, given, done + place, is_list) for place, given in enumerate(batch))
            predictions = [None if isinstance(x, SkippedRow) else x for x in bad_rows.sift(found)]
        yield from predictions
        done += len(batch)


def _one(predict: Callable[[list[Any]], list[Any]], given: Any, place: int, is_list: bool) -> Any:
    """Return the prediction for one input, or its error, which names its place in a list.

    Inputs with an error among them are predicted one by one: an error must name its place, and need not be
    fast.
    """
    found = attempt(predict, [given])
    if isinstance(found, DataError):
        return DataError(f"input {place} (from 0): {found}") if is_list else found
    return found[0]


def text_of(given: Any) -> str:
    """Return an input that must be a text.

    Raises:
        DataError: It is something else.
    """
    if not isinstance(given, str):
        raise DataError(f"expected a text, found {type(given).__name__}")
    return given


def field_of(given: Mapping[str, Any], name: str, *, known: Sequence[str]) -> str:
    """Return the text in the field `name` of an input.

    Raises:
        DataError: The field is missing or holds no text, or there is a field that is not in `known`.
    """
    others = [key for key in given if key not in known]
    if others or name not in given:
        found = ", ".join(map(repr, given)) or "none"
        raise DataError(f"expected the fields {', '.join(map(repr, known))}, found {found}")
    if not isinstance(given[name], str):
        raise DataError(f"field {name!r} holds {type(given[name]).__name__}, expected a text")
    return str(given[name])
