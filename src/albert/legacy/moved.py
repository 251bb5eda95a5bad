"""Names that other people's code imports from the original's modules, and where their work is done now."""

from collections.abc import Mapping
from typing import NoReturn


def refuse(module: str, name: str, moved: Mapping[str, str]) -> NoReturn:
    """Raise the error of a name that a module lacks.

    Raises:
        ImportError: The original's module had it; the message says what to use. (Python replaces the message
            of an AttributeError.)
        AttributeError: Nobody knows the name.
    """
    if name in moved:
        raise ImportError(f"{module}.{name} is not offered: {moved[name]}")
    raise AttributeError(f"module {module!r} has no attribute {name!r}")
