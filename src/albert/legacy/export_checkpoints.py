"""`python -m albert.export_checkpoints`: the weights of a checkpoint as a model folder."""

from pathlib import Path

from absl.flags import FlagValues

from albert.console import say
from albert.conversion.bare_weights import write_bare_folder
from albert.conversion.release import check_tokenizer
from albert.errors import CheckpointError, TokenizerError
from albert.legacy.checkpoints import resolve
from albert.text.files import find_vocabulary
from albert.text.tokenizer import AlbertTokenizer

CONFIG_NAME = "albert_config.json"


def export_checkpoints(flags: FlagValues) -> None:
    """Write a model folder of the checkpoint's weights, with the vocabulary if there is one next to them.

    Raises:
        CheckpointError: There is no such checkpoint, it has another shape, or the output exists.
        TokenizerError: The vocabulary next to it has another size.
    """
    folder, output = Path(flags.albert_directory), Path(flags.export_path)
    checkpoint = resolve(folder / flags.checkpoint_name)
    if checkpoint is None:
        raise CheckpointError(
            f"{folder / flags.checkpoint_name}: no such checkpoint; name one with --checkpoint_name"
        )
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise CheckpointError(f"{output}: exists; give --export_path a new folder")
    tokenizer = _find_tokenizer(folder, lower_case=flags.do_lower_case)
    config = write_bare_folder(checkpoint, folder / CONFIG_NAME, output)
    if tokenizer is not None:
        check_tokenizer(tokenizer, config.vocab_size, source=str(folder))
        tokenizer.save_pretrained(output)
    say(f"{checkpoint}: exported to {output}")


def _find_tokenizer(folder: Path, *, lower_case: bool) -> AlbertTokenizer | None:
    """Return the tokenizer of the vocabulary in a folder; None if there is none."""
    try:
        find_vocabulary(folder)
    except TokenizerError:
        return None
    return AlbertTokenizer.from_pretrained(folder, do_lower_case=lower_case)
