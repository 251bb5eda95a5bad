"""Switches that trade compile time, computation or precision for speed or memory, applied to a model.

None of them changes what a model is: names, shapes and state dict stay. Applied before the first step.
"""

import torch
from torch import nn

from albert.errors import ConfigError
from albert.model.encoder import AlbertEncoder, AlbertLayer


def apply_switches(model: nn.Module, *, compile: bool, activation_checkpointing: bool, tf32: bool) -> None:
    """Make the encoder in `model` run as wanted, on the device where it lies.

    Args:
        model: Holds an `AlbertEncoder`.
        compile: Fuse everything between the matrix products. All layers that share weights share the
            kernels, and batches of any size do. With dropout other random numbers are drawn than without.
        activation_checkpointing: Keep each block's input alone for the backward pass and compute the rest
            again: about a third more work, memory of one block instead of all; the same losses and gradients.
        tf32: Multiply float32 matrices with 10 bits of mantissa, on GPUs that can; set for the process.

    Raises:
        ConfigError: The device has no TF32, or no compiler works here.
    """
    device = next(model.parameters()).device
    if tf32:
        if device.type != "cuda":
            raise ConfigError(
                f"--tf32 is a number format of NVIDIA GPUs, the model is on {device}: no effect there; "
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
    """Compile one small function, so that a machine that cannot says so before the first step.

    Raises:
        ConfigError: It could not be compiled.
    """
    try:
        torch.compile(torch.tanh)(torch.ones(8, device=device))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"--compile needs a C++ compiler (CPU) or Triton (GPU) that works, found: {reason}; "
            "install g++ and the headers of Python, or leave --compile out"
        ) from error
