"""`python -m albert.export_to_tfhub`: says what to use in its place."""

from albert.errors import ConfigError
from albert.process import exit_code_of, run_and_leave


def main(arguments: list[str]) -> int:  # noqa: ARG001  # whatever the flags, the answer is the same
    """Refuse, with what to do instead."""
    return exit_code_of(_refuse)


def _refuse() -> None:
    raise ConfigError(
        "TF-Hub modules are graphs of TensorFlow, which is not used here; albert convert CHECKPOINT FOLDER "
        "writes a model folder that transformers and this package load, and that all scripts here take in "
        "place of the handle of a module"
    )


if __name__ == "__main__":
    run_and_leave(main)
