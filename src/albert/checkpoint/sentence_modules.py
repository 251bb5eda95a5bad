"""What a folder of sentence-transformers has beside its encoder: pooling, dense layers, lengths, prompts."""

import json
import shutil
from pathlib import Path

from albert.console import note

MODULES_FILE = "modules.json"
"""The list of the modules of such a folder."""
LENGTHS_FILE = "sentence_bert_config.json"
"""The length of its texts."""
PROMPTS_FILE = "config_sentence_transformers.json"
"""Its prompts."""


def copy_sentence_modules(source: Path, target: Path) -> None:
    """Copy them from `source` to `target`, if the encoder is in `source` itself; else say that they are left.

    A folder whose encoder is in a folder of its own is opened as a whole by `albert embed`.
    """
    try:
        modules = json.loads((source / MODULES_FILE).read_text(encoding="utf-8"))
        places = [str(module["path"]) for module in modules]
    except FileNotFoundError:
        return
    except (OSError, ValueError, TypeError, KeyError) as error:
        note(f"{source / MODULES_FILE}: not copied, because it cannot be read ({error})", is_warning=True)
        return
    if "" not in places or any(Path(place).is_absolute() or ".." in Path(place).parts for place in places):
        note(f"{source / MODULES_FILE}: not copied; its encoder is in a folder of its own", is_warning=True)
        return
    for place in filter(None, places):
        if (source / place).is_dir():
            shutil.copytree(source / place, target / place, dirs_exist_ok=True)
    for name in (MODULES_FILE, LENGTHS_FILE, PROMPTS_FILE):
        if (source / name).is_file():
            shutil.copy2(source / name, target / name)
