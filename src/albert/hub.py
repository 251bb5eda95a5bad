"""Models by name: a path is used as it is, a Hub id is fetched, a handle of tfhub.dev is mapped to the Hub.

A model inside an installed Python package is `package:NAME`.

Files are fetched with huggingface_hub: HF_HOME, HF_HUB_OFFLINE, HF_ENDPOINT and tokens have their usual
meaning, and a fetched model is read from its cache.
"""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import TypedDict, Unpack

from albert.console import say
from albert.errors import CheckpointError

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
INDEX_FILES = tuple(f"{name}.index.json" for name in WEIGHT_FILES)
"""Files that say which of several files, the shards of `WEIGHT_FILES`, holds which tensor."""

PACKAGE_PREFIX = "package:"
"""Prefix of the name of a Python package with a model in it."""
_SMALL_FILES = ("*.json", "*.txt", "*.model", "README.md", "[0-9]_*/*")
_TFHUB_HANDLE = re.compile(r"https?://tfhub\.dev/google/albert_(base|large|xlarge|xxlarge)/([123])/?")
_HUB_ID = re.compile(r"(?!\.)[\w.-]+(/[\w.-]+)?")


class HubOptions(TypedDict, total=False):
    """How a model is fetched, by the names of huggingface_hub; without effect on a local path."""

    revision: str | None
    """Branch, tag or commit."""
    cache_dir: str | Path | None
    """Where fetched files are kept."""
    token: str | bool | None
    """Access token, or whether to use the one of `hf auth login`."""
    local_files_only: bool
    """Only look into the cache."""
    force_download: bool
    """Fetch again what the cache has."""


def local_path(source: str | Path, **options: Unpack[HubOptions]) -> Path:
    """Return the local path of `source`, which is fetched if it is the id of a model on the Hub.

    Args:
        source: A path, a Hub id such as `albert/albert-base-v2`, a handle of the former tfhub.dev, or
            `package:NAME` for the model inside an installed Python package.
        options: How it is fetched; see `HubOptions`.

    Raises:
        CheckpointError: There is no such path, and no such model on the Hub.
    """
    name = str(source)
    if Path(name).exists():
        return Path(name)
    if name.startswith(PACKAGE_PREFIX):
        return _in_package(name.removeprefix(PACKAGE_PREFIX))
    if handle := _TFHUB_HANDLE.fullmatch(name):
        hub_id = f"albert/albert-{handle[1]}-v{1 if handle[2] == '1' else 2}"
        say(f"{name}: using {hub_id} of the Hugging Face Hub, which has the same weights")
        name = hub_id
    if not _HUB_ID.fullmatch(name):
        raise CheckpointError(f"{name}: no such file or folder")
    return _fetch(name, options)


def _in_package(name: str) -> Path:
    """Return the folder of the model inside an installed package, which is not imported.

    Raises:
        CheckpointError: The package is not installed, or has not one folder with a config.json.
    """
    found = find_spec(name) if name.isidentifier() else None
    if found is None or not found.submodule_search_locations:
        raise CheckpointError(f"{PACKAGE_PREFIX}{name}: no such package; install it with pip first")
    folders = sorted(
        path.parent
        for place in found.submodule_search_locations
        for path in Path(place).rglob("config.json")
        if any((path.parent / weights).is_file() for weights in WEIGHT_FILES)
    )
    if len(folders) != 1:
        names = ", ".join(map(str, folders)) or "none"
        raise CheckpointError(
            f"{PACKAGE_PREFIX}{name}: expected one folder with config.json and weights, found {names}"
        )
    return folders[0]


def _fetch(hub_id: str, options: HubOptions) -> Path:
    """Fetch the files of a model, among them the weights in one of the forms, in one file or in shards."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        for name, index in zip(WEIGHT_FILES, INDEX_FILES, strict=True):
            shards = name.replace(".", "-*-of-*.")
            patterns = [*_SMALL_FILES, name, shards]
            folder = Path(snapshot_download(hub_id, allow_patterns=patterns, **options))
            if (folder / name).is_file() or (folder / index).is_file():
                break
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"{hub_id}: no such folder, and it cannot be fetched from the Hugging Face Hub ({reason})"
        ) from error
    return folder


def upload(folder: Path, hub_id: str) -> str:
    """Upload a model folder to the Hub, into a new repository if needed, and return its address.

    Raises:
        CheckpointError: The Hub refuses.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    api = HfApi()
    try:
        api.create_repo(hub_id, exist_ok=True)
        api.upload_folder(repo_id=hub_id, folder_path=folder, commit_message="Upload ALBERT model")
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"{hub_id}: not uploaded ({reason}); {folder} is complete: log in with `hf auth login` and "
            "try again"
        ) from error
    return f"{api.endpoint}/{hub_id}"
