"""How pipelines are called: with one input, with a list, or with a stream of any length.

One input gives one answer, a list gives a list in its order, anything else that can be iterated gives a
generator. Inputs are answered many at a time, so that those of similar length can be computed together, and a
stream is never held as a whole.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from albert.errors import ConfigError, DataError

BATCH_SIZE = 512
"""Inputs that are read, sorted by length and answered together."""


def answer_inputs(
    inputs: Any, answer: Callable[[list[Any]], list[Any]], *, batch_size: int = BATCH_SIZE
) -> Any:
    """Returns what `answer` says to `inputs`, in their form.

    Args:
        inputs: A text or a dict, which is one input; a list or tuple of them; or any other iterable, of
            which `batch_size` are read before the first of their answers comes.
        answer: Gives the answers of some inputs, in their order.
        batch_size: Inputs that are answered together.

    Raises:
        ConfigError: `batch_size` is less than 1.
        DataError: `inputs` is none of these.
    """
    if batch_size < 1:
        raise ConfigError(f"batch_size is {batch_size}; expected 1 or more inputs")
    if isinstance(inputs, str | Mapping):
        return answer([inputs])[0]
    if not isinstance(inputs, Iterable):
        raise DataError(f"expected a text, a list or an iterable of them, found {type(inputs).__name__}")
    answers = _stream(inputs, answer, batch_size)
    return list(answers) if isinstance(inputs, Sequence) else answers


def _stream(
    inputs: Iterable[Any], answer: Callable[[list[Any]], list[Any]], batch_size: int
) -> Iterator[Any]:
    waiting = iter(inputs)
    while some := list(islice(waiting, batch_size)):
        yield from answer(some)


def text_of(given: Any) -> str:
    """Returns an input that is to be a text.

    Raises:
        DataError: It is none.
    """
    if not isinstance(given, str):
        raise DataError(f"expected a text, found {type(given).__name__}")
    return given


def field_of(given: Mapping[str, Any], name: str, *, known: Sequence[str]) -> str:
    """Returns the text in the field `name` of an input.

    Raises:
        DataError: There is no such field, or one that is not in `known`, or it holds no text.
    """
    others = [key for key in given if key not in known]
    if others or name not in given:
        found = ", ".join(map(repr, given)) or "none"
        raise DataError(f"expected the fields {', '.join(map(repr, known))}, found {found}")
    if not isinstance(given[name], str):
        raise DataError(f"field {name!r} holds {type(given[name]).__name__}, expected a text")
    return str(given[name])
