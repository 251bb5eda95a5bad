"""The errors a user can cause; each message has what was expected, what was found, where, and what to do.

The command line prints them as one line, `error: ...`, and exits with 1. Any other exception is a defect of
this package.
"""


class AlbertError(Exception):
    """An error of the user; the base of all others."""


class UsageError(AlbertError):
    """A command line that cannot be understood; the exit code is 2."""


class ConfigError(AlbertError):
    """A configuration or settings that cannot be used."""


class DataError(AlbertError):
    """A text, table or prepared file that cannot be used."""


class TokenizerError(AlbertError):
    """A vocabulary that cannot be used, or does not fit the model or the data."""


class CheckpointError(AlbertError):
    """Weights that cannot be read, or do not fit the model."""


class RunError(AlbertError):
    """An output folder that has something other than this run in it."""


def did_you_mean(name: str, known: list[str]) -> str:
    """Return `; did you mean 'x'?` for the known name most similar to `name`, or an empty string."""
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
