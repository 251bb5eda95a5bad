"""Switches that trade compile time, computation or precision for speed or memory, applied to a model.

They leave names, shapes and state dict of the model as they are, and are applied before the first step.
"""

import torch
from torch import nn

from albert.errors import ConfigError
from albert.model.encoder import AlbertEncoder
from albert.model.layer import AlbertLayer


def apply_switches(model: nn.Module, *, compile: bool, activation_checkpointing: bool, tf32: bool) -> None:
    """Set how the encoder in `model` computes, on its device.

    Args:
        model: Contains an `AlbertEncoder`.
        compile: Fuse everything between the matrix products. All layers and batches of any size share the
            kernels. Dropout draws other random numbers than without compilation.
        activation_checkpointing: Keep only each block's input for the backward pass and recompute the rest:
            about a third more work, the memory of one block instead of all, the same losses and gradients.
        tf32: Multiply float32 matrices with 10 bits of mantissa, on GPUs that support it; set per process.

    Raises:
        ConfigError: The device has no TF32, or no working compiler was found.
    """
    device = next(model.parameters()).device
    if tf32:
        if device.type != "cuda":
            raise ConfigError(
                f"--tf32 is a number format of NVIDIA GPUs, without effect on {device}, where the model is; "
                "leave it out, or use --device cuda"
            )
        torch.set_float32_matmul_precision("high")
    if compile:
        _check_compiler(device)
    for module in model.modules():
        if isinstance(module, AlbertLayer):
            module.compiled = compile
        if isinstance(module, AlbertEncoder):
            module.recomputes = activation_checkpointing


def _check_compiler(device: torch.device) -> None:
    """Compile one small function, so that a missing compiler is reported before the first step.

    Raises:
        ConfigError: The function could not be compiled.
    """
    try:
        torch.compile(torch.tanh)(torch.ones(8, device=device))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"--compile needs a working C++ compiler (CPU) or Triton (GPU), found: {reason}; "
            "install g++ and the headers of Python, or leave --compile out"
        ) from error
