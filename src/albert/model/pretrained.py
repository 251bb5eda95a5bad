"""The base of the public models: how they are read from a folder and written to one.

The models are in `albert_model`, `language_models`, `task_models` and `answer_models`. Arguments and output
names are those of transformers. Each model has two entry points. `forward` takes padded batches (`input_ids`,
`attention_mask`, `token_type_ids`, each (B, T)); positions without a token come out as 0. `packed_logits`
takes the same sequences end to end (N,) with their lengths (B,), and is what training uses. Both compute on
real tokens only.
Letters: B sequences, T padded length, N tokens.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from albert.checkpoint.folder import Filled, fill, read_config, read_weights, write_model
from albert.checkpoint.names import from_hugging_face
from albert.choices import Dtype
from albert.config import AlbertConfig
from albert.errors import ConfigError, did_you_mean
from albert.hub import local_path
from albert.model.loading import LoadOptions
from albert.model.packing import on_device
from albert.model.tools import ModelTools


class PackedBatch(Protocol):
    """Sequences end to end, in arrays of int64."""

    @property
    def input_ids(self) -> NDArray[np.int64]:
        """Tokens, (N,)."""

    @property
    def token_type_ids(self) -> NDArray[np.int64]:
        """Segments, (N,)."""

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each sequence, (B,), summing to N."""


class Pretrained(ModelTools):
    """A model that is read from a folder and written to one."""

    pipeline_task: ClassVar[str]
    """Name of the pipeline that uses the model, here and on the Hub."""

    @classmethod
    def from_pretrained(cls, folder: str | Path | None, **options: Any) -> Self:
        """Read a model folder, ready for inference (dropout off).

        Args:
            folder: Contains `config.json` and `model.safetensors` or `pytorch_model.bin`; or the id of a
                model on the Hub; None if `config` and `state_dict` are given.
            options: Fields of the configuration to change, such as `hidden_dropout_prob`, `num_labels` or
                `id2label`, and the arguments of transformers: `config`, `state_dict`, `dtype`, `device_map`,
                `ignore_mismatched_sizes`, `output_loading_info` (the result is then a pair of the model and
                what matched), `revision`, `cache_dir`, `token`, `local_files_only`, `force_download`,
                `subfolder`. docs/api.md lists the others.

        Raises:
            CheckpointError: The folder contains no ALBERT weights, or only a part of the encoder.
            ConfigError: The configuration cannot be used, or an argument is not supported.
        """
        how = LoadOptions.of(options)
        place = None if folder is None else local_path(folder, **how.hub) / how.subfolder
        if place is None and (how.config is None or how.state_dict is None):
            raise ConfigError("without a folder, config and state_dict must be given")
        config = how.config
        if config is None:
            assert place is not None  # above
            config = read_config(place)
        config.update(how.changes)
        model = cls(config, **how.arguments)
        model.name_or_path = "" if folder is None else str(folder)
        if how.state_dict is not None:
            stored = from_hugging_face(dict(how.state_dict), has_map=config.has_map)
        else:
            assert place is not None  # above
            stored = read_weights(place, has_map=config.has_map)
        found = fill(model, stored, source=str(place or "state_dict"), skips_mismatched=how.skips_mismatched)
        if isinstance(how.dtype, torch.dtype):
            model.to(how.device, how.dtype)
        else:
            model.to(how.device, next(iter(stored.values())).dtype)
        model.eval()
        return (model, _loading_info(found)) if how.with_report else model  # type: ignore[return-value]  # as documented

    @classmethod
    def of_folder(cls, config: AlbertConfig, folder: Path) -> Self:
        """Return a model with random weights, and whatever a folder says beside its configuration."""
        del folder
        return cls(config)

    @classmethod
    def from_config(cls, config: AlbertConfig) -> Self:
        """Return a model with random weights."""
        return cls(config)

    def save_pretrained(
        self,
        folder: str | Path,
        is_main_process: bool = True,
        state_dict: Mapping[str, Tensor] | None = None,
        *,
        max_shard_size: int | str = "50GB",
        **others: Any,
    ) -> None:
        """Write `config.json` and `model.safetensors`, which transformers loads unchanged.

        Args:
            folder: Made if missing.
            is_main_process: Whether this process writes; the others of a training call this to no effect.
            state_dict: Weights in place of the model's own, such as those gathered from several processes.
            max_shard_size: Size of the largest file of weights, in bytes or as "5GB".
            others: Further arguments of transformers, without effect or refused: "What transformers takes" in
                docs/api.md.

        Raises:
            ConfigError: Another argument, or one that is not supported.
            CheckpointError: What was written is not what is read.
        """
        _check_saving(others)
        if is_main_process:
            write_model(
                Path(folder),
                self.config,
                self.state_dict() if state_dict is None else state_dict,
                architecture=type(self).__name__,
                max_shard_size=max_shard_size,
            )

    def prepare_for_inference(self, dtype: Dtype = "float32") -> Self:
        """Prepare the encoder for inference in `dtype`, dropout off; see `AlbertEncoder`."""
        self.eval()
        self.encoder_of_layers.prepare_for_inference(dtype)
        return self

    def packed_inputs(self, batch: PackedBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Return tokens (N,) and segments (N,) of a batch on the device, and lengths (B,) on the host.

        Boundaries are computed from lengths on the host, so that nothing waits for a GPU.
        """
        ids, types = (on_device(x, self.device) for x in (batch.input_ids, batch.token_type_ids))
        return ids, types, torch.from_numpy(batch.lengths)


def without_classes(config: AlbertConfig) -> AlbertConfig:
    """Return `config` without the fields of classifiers of texts or tokens."""
    return config.changed(problem_type=None, id2label=None)


def _loading_info(found: Filled) -> dict[str, Any]:
    """Return what matched, by the names of transformers."""
    return {
        "missing_keys": {*found.missing},
        "unexpected_keys": {*found.unused},
        "mismatched_keys": {*found.mismatched},
        "error_msgs": [],
    }


SAVING_WITHOUT_EFFECT: dict[str, str] = {
    "commit_message": "nothing is uploaded",
    "create_pr": "nothing is uploaded",
    "repo_id": "nothing is uploaded",
    "save_function": "weights are written as safetensors",
    "save_original_format": "there is one format",
    "save_peft_format": "adapters are stored by peft",
    "token": "nothing is uploaded",
}
"""Arguments of `save_pretrained` that change nothing here, and why."""
SAVING_REFUSED: dict[str, str] = {
    "distributed_checkpoint": "give state_dict, gathered from all processes",
    "push_to_hub": "albert convert FOLDER COPY --push-to-hub NAME uploads a saved folder",
    "safe_serialization": "weights are written as safetensors",
    "variant": "rename the file",
}
"""Arguments of `save_pretrained` that would change something, and what to do instead."""


def _check_saving(others: Mapping[str, Any]) -> None:
    """Check the further arguments of `save_pretrained`."""
    for name, value in others.items():
        if name in SAVING_WITHOUT_EFFECT:
            continue
        is_default = value is True if name == "safe_serialization" else not value
        if name in SAVING_REFUSED and not is_default:
            raise ConfigError(f"{name}={value!r} is not supported: {SAVING_REFUSED[name]}")
        if name not in SAVING_REFUSED:
            known = [*SAVING_REFUSED, *SAVING_WITHOUT_EFFECT, "max_shard_size", "state_dict"]
            raise ConfigError(f"save_pretrained has no argument {name!r}{did_you_mean(name, known)}")
