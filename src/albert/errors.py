"""The errors a user can cause; each says what was expected, what was found, where, and what to do.

The command line prints them as one line, `error: ...`, and exits with 1. Anything else that is raised
is a defect of this package.
"""


class AlbertError(Exception):
    """The user's error; the base of all others."""


class UsageError(AlbertError):
    """A command line cannot be understood; the exit code is 2."""


class ConfigError(AlbertError):
    """A model's shape or a job's settings cannot be used."""


class DataError(AlbertError):
    """A text, table or prepared file cannot be used."""


class TokenizerError(AlbertError):
    """A vocabulary cannot be used, or does not fit the model or the data."""


class CheckpointError(AlbertError):
    """Weights cannot be read, or do not fit the model."""


class RunError(AlbertError):
    """An output folder holds something else than this run."""


def did_you_mean(name: str, known: list[str]) -> str:
    """Return `; did you mean 'x'?` for the known name nearest to `name`, or an empty string."""
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
