"""The arguments of `from_pretrained`: those of transformers, each honoured, without effect, or refused.

What is none of them is a setting of the configuration.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from albert.config import AlbertConfig
from albert.errors import ConfigError
from albert.hub import HubOptions

WITHOUT_EFFECT: dict[str, str] = {
    "adapter_kwargs": "adapters are loaded by peft",
    "adapter_name": "adapters are loaded by peft",
    "allow_all_kernels": "the kernels are chosen here",
    "attn_implementation": "the fastest way for the device is used; the numbers are the same",
    "disable_mmap": "weights are read as the file system allows",
    "experts_implementation": "the models have no experts",
    "generation_config": "the models do not generate text",
    "low_cpu_mem_usage": "weights are copied into the model at once",
    "max_memory": "the model is on one device",
    "offload_buffers": "the model is on one device",
    "offload_folder": "the model is on one device",
    "offload_state_dict": "the model is on one device",
    "proxies": "huggingface_hub reads the usual environment variables",
    "tqdm_class": "reading is reported in one line",
    "trust_remote_code": "code in a model folder is never run",
    "use_kernels": "the kernels are chosen here",
    "use_safetensors": "safetensors is preferred, and no code in a pickle is ever run",
    "weights_only": "code in a pickle is never run",
}
"""Arguments that change nothing here, and why."""
REFUSED: dict[str, str] = {
    "device_mesh": "models are on one device, or trained by DistributedDataParallel",
    "distributed_config": "models are on one device, or trained by DistributedDataParallel",
    "from_flax": "only PyTorch weights are read; convert them with transformers 4",
    "from_tf": "convert the checkpoint first: albert convert CHECKPOINT FOLDER",
    "fusion_config": "query, key and value are always joined",
    "gguf_file": "only safetensors and PyTorch files are read",
    "key_mapping": "rename the tensors, or give them as state_dict",
    "kernel_config": "the kernels are chosen here",
    "load_in_4bit": "use model.prepare_for_inference('int8') on a CPU",
    "load_in_8bit": "use model.prepare_for_inference('int8') on a CPU",
    "quantization_config": "use model.prepare_for_inference('int8') on a CPU",
    "tp_plan": "models are on one device, or trained by DistributedDataParallel",
    "tp_size": "models are on one device, or trained by DistributedDataParallel",
    "variant": "rename the file to model.safetensors",
}
"""Arguments that would change something, and what to do instead."""
_ATTENTIONS = ("eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention", None)


@dataclass(slots=True, kw_only=True)
class LoadOptions:
    """How a model is read."""

    config: AlbertConfig | None
    """The configuration; None for that of the folder."""
    hub: HubOptions
    """How it is fetched."""
    subfolder: str
    """Folder inside of the given one."""
    state_dict: Mapping[str, Tensor] | None
    """Weights in place of those of the folder."""
    dtype: torch.dtype | str
    """Type of the parameters; "auto" for that of the stored ones."""
    device: torch.device | None
    """Where the model is to be; None for the default device."""
    skips_mismatched: bool
    """Whether tensors of a head may have other shapes, and are then left out."""
    with_report: bool
    """Whether the result is a pair of the model and what matched."""
    arguments: dict[str, Any]
    """Further arguments of the class."""
    changes: dict[str, Any]
    """Settings to change in the configuration."""

    @classmethod
    def of(cls, given: dict[str, Any]) -> "LoadOptions":
        """Sort the arguments of `from_pretrained`.

        Raises:
            ConfigError: One is refused, or has a value that cannot be honoured.
        """
        rest = dict(given)
        for name, remedy in REFUSED.items():
            if rest.pop(name, None):
                raise ConfigError(f"{name} is not supported: {remedy}")
        if rest.get("attn_implementation") not in _ATTENTIONS:
            known = ", ".join(str(name) for name in _ATTENTIONS[:-1])
            raise ConfigError(f"attn_implementation is {rest['attn_implementation']!r}; known are {known}")
        for name in WITHOUT_EFFECT:
            rest.pop(name, None)
        hub: dict[str, Any] = {n: rest.pop(n) for n in HubOptions.__annotations__ if n in rest}
        old_type = rest.pop("torch_dtype", None)
        arguments = {n: rest.pop(n) for n in ("add_pooling_layer",) if n in rest}
        return cls(
            config=config_of(rest.pop("config", None), hub),
            hub=HubOptions(**hub),  # type: ignore[typeddict-item]  # the keys are its own
            subfolder=rest.pop("subfolder", None) or "",
            state_dict=rest.pop("state_dict", None),
            dtype=_dtype_of(rest.pop("dtype", None) or old_type),
            device=_device_of(rest.pop("device_map", None)),
            skips_mismatched=bool(rest.pop("ignore_mismatched_sizes", False)),
            with_report=bool(rest.pop("output_loading_info", False)),
            arguments=arguments,
            changes=rest,
        )


def config_of(given: Any, hub: Mapping[str, Any]) -> AlbertConfig | None:
    """Return a configuration given as ours, as transformers', as a dictionary, or by its place."""
    if given is None:
        return None
    if isinstance(given, AlbertConfig):
        return given.changed()
    if isinstance(given, str | Path):
        return AlbertConfig.from_pretrained(given, **hub)
    content = given.to_dict() if hasattr(given, "to_dict") else given
    if not isinstance(content, Mapping):
        raise ConfigError(f"config is {type(given).__name__}; expected an AlbertConfig or the path of one")
    return AlbertConfig.from_dict(content)


def _dtype_of(given: Any) -> torch.dtype | str:
    """Return a type given as such or by name; float32 without one."""
    found = torch.float32 if given is None else given
    if isinstance(found, str) and found != "auto":
        found = getattr(torch, found.removeprefix("torch."), found)
    if found != "auto" and not (isinstance(found, torch.dtype) and found.is_floating_point):
        raise ConfigError(f'dtype is {given!r}; expected "auto", float32, bfloat16, float16 or float64')
    return found


def _device_of(given: Any) -> torch.device | None:
    """Return the one device of a `device_map`."""
    if given is None:
        return None
    if given in ("auto", "balanced", "balanced_low_0", "sequential"):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if isinstance(given, Mapping):
        places = {str(place) for place in given.values()}
        if len(places) != 1:
            raise ConfigError(f"device_map names {sorted(places)}; the model is on one device, so name one")
        given = next(iter(given.values()))
    try:
        return torch.device("cuda", given) if isinstance(given, int) else torch.device(given)
    except (RuntimeError, TypeError) as error:
        raise ConfigError(f"device_map is {given!r}; expected auto, cpu, cuda or cuda:1") from error
