"""The machine and the package versions that a measurement depends on."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from albert.training.versions import versions

PACKAGES = ("numpy", "pyarrow", "sentencepiece", "tokenizers", "transformers")


def machine(device: torch.device | None = None) -> dict[str, Any]:
    """Return system, processor, cores, threads and load, and the name of the GPU if one is used."""
    found: dict[str, Any] = {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }
    if hasattr(os, "getloadavg"):
        found["load_before"] = round(os.getloadavg()[0], 2)
    if device is not None and device.type == "cuda":
        found["gpu"] = torch.cuda.get_device_name(device)
    return found


def all_versions() -> dict[str, str]:
    """Return the versions of this package and of the installed packages it uses or is compared with."""
    found = versions()
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    """Return the name of the processor as far as the system reports it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
