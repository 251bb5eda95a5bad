"""What is installed: the distribution's name and version, and the command that adds an extra to it."""

NAME = "albert-lm"
"""Name on PyPI, where `albert` is somebody else's package; the import and the command are `albert`."""
VERSION = "0.1.0"


def install_command(extra: str) -> str:
    """Return the command that installs the packages of an extra, which pyproject.toml defines."""
    return f"pip install '{NAME}[{extra}]'"
