"""`albert convert`: ALBERT weights of any form become a model folder."""

from typing import Any

from albert.checkpoint.folder import WEIGHTS_FILE
from albert.commands.following import use_of
from albert.commands.settings.convert import ConvertSettings
from albert.console import say
from albert.conversion.conversion import convert as convert_source
from albert.hub import upload

__all__ = ["ConvertSettings", "convert"]


def convert(settings: ConvertSettings) -> dict[str, Any]:
    """Convert a model and return what was found."""
    model = convert_source(
        settings.source,
        settings.output,
        head=settings.head,
        tokenizer=settings.tokenizer,
        depth=settings.depth,
    )
    for note in model.about.notes:
        say(note)
    result: dict[str, Any] = {
        "form": model.about.form,
        "model": model.about.architecture,
        "tensors": model.about.account,
        "parameters": model.about.num_parameters,
        "left_out": f"{model.about.left_out} optimiser moments and counters",
        "checked": model.about.checked,
        "output": str(settings.output),
        "bytes": (settings.output / WEIGHTS_FILE).stat().st_size,
    }
    if settings.push_to_hub is not None:
        result["hub"] = upload(settings.output, settings.push_to_hub)
    return result | {"next": use_of(settings.output, model.about.architecture)}
