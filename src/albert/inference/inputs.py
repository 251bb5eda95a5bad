"""What all pipelines accept: one input, a list, or a stream of any length.

One input gives one prediction, a list gives a list in its order, any other iterable gives a generator. Inputs
are predicted many at a time, so that those of similar length are computed together, and a stream is never
held in memory as a whole.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from albert.errors import ConfigError, DataError

BATCH_SIZE = 512
"""Inputs that are read, sorted by length and predicted together."""


def map_inputs(
    inputs: Any, predict: Callable[[list[Any]], list[Any]], *, batch_size: int = BATCH_SIZE
) -> Any:
    """Return the predictions for `inputs`, in the form of the inputs.

    Args:
        inputs: A text or a dict, which is one input; a list or tuple of them; or any other iterable, of which
            `batch_size` are read before the first prediction is yielded.
        predict: Returns the predictions for some inputs, in their order.
        batch_size: Inputs that are predicted together.

    Raises:
        ConfigError: `batch_size` is less than 1.
        DataError: `inputs` is none of these, or one of them cannot be used; the message names its index.
    """
    if batch_size < 1:
        raise ConfigError(f"batch_size is {batch_size}; expected 1 or more inputs")
    if isinstance(inputs, str | Mapping):
        return predict([inputs])[0]
    if hasattr(inputs, "__getitem__") and hasattr(inputs, "__len__") and not isinstance(inputs, Iterable):
        inputs = map(inputs.__getitem__, range(len(inputs)))  # a dataset of torch
    if not isinstance(inputs, Iterable):
        raise DataError(f"expected a text, a list or an iterable of them, found {type(inputs).__name__}")
    predictions = _stream(inputs, predict, batch_size)
    return list(predictions) if isinstance(inputs, Sequence) else predictions


def _stream(
    inputs: Iterable[Any], predict: Callable[[list[Any]], list[Any]], batch_size: int
) -> Iterator[Any]:
    remaining, done = iter(inputs), 0
    while batch := list(islice(remaining, batch_size)):
        try:
            predictions = predict(batch)
        except DataError:
            _name_the_input(batch, predict, first=done)
            raise
        yield from predictions
        done += len(batch)


def _name_the_input(batch: list[Any], predict: Callable[[list[Any]], list[Any]], *, first: int) -> None:
    """Raise the error of the first input that has one, with its index in the list.

    Inputs are predicted again, one by one: an error must name its place, and need not be fast.
    """
    for index, given in enumerate(batch, start=first):
        try:
            predict([given])
        except DataError as error:
            raise DataError(f"input {index} (from 0): {error}") from error


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
