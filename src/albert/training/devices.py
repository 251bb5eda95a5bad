"""Where a model is computed, and in which number type."""

import torch

from albert.errors import ConfigError
from albert.model import kernels
from albert.training.settings import Precision


def find_device(name: str) -> torch.device:
    """Return the device `name`; for `auto` a GPU if there is one, else the CPU.

    Raises:
        ConfigError: There is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"--device is {name!r}; expected auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"--device is {name!r}, but this machine has no GPU that torch can use")
    return device


def autocast_dtype(precision: Precision, device: torch.device) -> torch.dtype | None:
    """Return the type that autocast uses on `device`; None for plain float32."""
    if precision == "float32":
        return None
    if precision == "bf16" or _computes_bf16(device):
        return torch.bfloat16
    return None


def _computes_bf16(device: torch.device) -> bool:
    """Return whether `device` multiplies bf16 matrices in hardware, faster than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return kernels.cpu_has("avx512_bf16") or kernels.cpu_has("amx_tile")
    return False
