"""What of transformers' Python names is honoured here, without effect, refused, or left out, and why.

The sources are the tables that the package itself uses; what it leaves out is named here.
tests/docs/test_surface.py walks the signatures of transformers and requires a row for every name.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

import albert
from albert.hub import HubOptions
from albert.inference import pipeline_base, pipelines
from albert.inference.feature_extraction import FeatureExtractionPipeline
from albert.inference.fill_mask import FillMaskPipeline
from albert.inference.text_classification import TextClassificationPipeline
from albert.inference.token_classification import TokenClassificationPipeline
from albert.inference.zero_shot import ZeroShotClassificationPipeline
from albert.model import loading, pretrained
from albert.text import loading as text_loading
from albert.text import options
from albert.text.options import CallOptions


@dataclass(frozen=True)
class Surface:
    """The arguments of one callable of transformers."""

    name: str
    """What is called."""
    honoured: list[str]
    """Arguments that do what they do there."""
    without_effect: Mapping[str, str] = field(default_factory=dict)
    """Arguments that change nothing, and why."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Arguments that are an error, and what to do instead."""
    only: Mapping[str, tuple[object, str]] = field(default_factory=dict)
    """Arguments with the one value that is not an error, and why."""


def _arguments(function: Any) -> list[str]:
    """Return the names of the arguments of one of our functions."""
    kinds = (1, 3)  # by position or name; by name
    parameters = signature(function).parameters.values()
    return [p.name for p in parameters if p.kind in kinds and p.name not in {"self", "cls"}]


_SETTINGS = [
    "id2label",
    "label2id",
    "num_labels",
    "output_attentions",
    "output_hidden_states",
    "problem_type",
]
_LOADING = [
    "add_pooling_layer", "config", "device_map", "dtype", "ignore_mismatched_sizes", "output_loading_info",
    "state_dict", "subfolder", "torch_dtype",
]  # fmt: skip
_PIPELINES = (
    FillMaskPipeline,
    FeatureExtractionPipeline,
    TextClassificationPipeline,
    TokenClassificationPipeline,
    ZeroShotClassificationPipeline,
)

MODEL_LOADING = Surface(
    "`Model.from_pretrained`",
    sorted([*_SETTINGS, *_LOADING, *HubOptions.__annotations__]),
    loading.WITHOUT_EFFECT,
    loading.REFUSED,
)
MODEL_SAVING = Surface(
    "`model.save_pretrained`",
    _arguments(albert.AlbertModel.save_pretrained),
    pretrained.SAVING_WITHOUT_EFFECT,
    pretrained.SAVING_REFUSED,
)
MODEL_CALLS = [
    Surface(f"`{name}(...)`", _arguments(getattr(albert, name).forward))
    for name in albert.__all__
    if name.startswith(("AlbertFor", "AlbertModel")) and not name.endswith("BeamSearch")
]
TOKENIZER_LOADING = Surface(
    "`AlbertTokenizer.from_pretrained`",
    sorted(
        [
            "additional_special_tokens", "do_lower_case", "extra_special_tokens", "max_len", "subfolder",
            *text_loading.HONOURED, *HubOptions.__annotations__,
        ]
    ),
    text_loading.WITHOUT_EFFECT,
    text_loading.REFUSED,
    text_loading.ONLY,
)  # fmt: skip
TOKENIZER_CALL = Surface(
    "`tokenizer(...)` and `tokenizer.encode`",
    [
        "text",
        "text_pair",
        *(name for name in CallOptions.__annotations__ if name not in options.WITHOUT_EFFECT),
    ],
    options.WITHOUT_EFFECT,
    options.REFUSED,
)
TOKENIZER_METHODS = [
    Surface(f"`tokenizer.{name}`", _arguments(getattr(albert.AlbertTokenizer, name)))
    for name in ("pad", "decode", "batch_decode", "tokenize", "add_tokens")
]
PIPELINE = Surface(
    "`pipeline(...)`",
    [*_arguments(albert.pipeline), "device_map", "torch_dtype"],
    pipelines.WITHOUT_EFFECT,
    pipelines.REFUSED,
)
PIPELINE_CALLS = [
    Surface(
        f"`{each.task}`",
        [name for name in _arguments(each.predict) if name != "inputs"],
        pipeline_base.WITHOUT_EFFECT,
        pipeline_base.REFUSED,
        pipeline_base.ONLY,
    )
    for each in _PIPELINES
]

LEFT_OUT_OF_MODELS: dict[str, list[str]] = {
    "adapters: peft wraps the model (`peft.get_peft_model(model, settings)`)": [
        "active_adapters", "add_adapter", "delete_adapter", "disable_adapters", "enable_adapters",
        "enable_peft_hotswap", "get_adapter_state_dict", "load_adapter", "set_adapter",
    ],
    "several devices and processes: a model is on one device, or trained by DistributedDataParallel": [
        "barrier_after_gathered_checkpoint_save", "ep_plan", "fsdp_plan", "fsdp_size",
        "gather_sharded_state_dict_for_save", "init_parallel_plans", "is_distributed_loading_by_transformers",
        "maybe_distribute_model", "pp_plan", "prepare_distribute_model", "save_distributed_checkpoint",
        "should_save_on_this_rank", "supports_context_parallel", "supports_pp_plan", "supports_tp_plan",
        "tp_plan", "tp_size",
    ],
    "choice of kernels: the fastest way for the device is used, and `prepare_for_inference` quantises": [
        "dequantize", "get_compiled_call", "get_correct_attn_implementation",
        "get_correct_experts_implementation", "get_experts_implementation", "is_backend_compatible",
        "set_attn_implementation", "set_experts_implementation", "set_use_kernels", "use_kernels",
    ],
    "the Hub: `albert convert --push-to-hub` uploads a folder with its card": [
        "add_model_tags", "model_tags", "push_to_hub", "register_for_auto_class",
    ],
    "decoders and generation: an encoder has none": [
        "generation_config_class", "get_decoder", "get_encoder", "set_decoder", "set_encoder",
    ],
    "positions: `albert pretrain --init-from` changes their number; transformers has it for no ALBERT": [
        "get_position_embeddings", "resize_position_embeddings",
    ],
    "losses: each class has that of its task; another one is computed from `logits`": ["loss_function"],
    "inner workings, which nobody calls": [
        "can_record_outputs", "dummy_inputs", "get_expanded_tied_weights_keys", "get_init_context",
        "get_parameter_or_buffer", "init_weights", "initialize_weights", "input_modalities", "is_custom_code",
        "is_remote_code", "mark_tied_weights_as_initialized", "named_non_persistent_buffers", "post_init",
        "retrieve_modules_from_names", "warn_if_padding_and_no_attention_mask",
    ],
}  # fmt: skip
"""Methods and attributes of transformers' models that ours lack, by the reason."""
LEFT_OUT_OF_TOKENIZERS: dict[str, list[str]] = {
    "conversations: these models do not chat": [
        "apply_chat_template", "encode_message_with_chat_template", "get_chat_template",
        "get_response_parser", "parse_response", "save_chat_templates",
    ],
    "training: `albert vocab` makes vocabularies": ["train_new_from_iterator"],
    "the Hub: `albert convert --push-to-hub` uploads a folder with its card": [
        "push_to_hub", "register_for_auto_class",
    ],
    "special tokens around texts: they are those of ALBERT": [
        "add_bos_token", "add_eos_token", "update_post_processor",
    ],
    "the library `tokenizers` inside: there is none; `save_pretrained` writes tokenizer.json": [
        "backend_tokenizer", "can_save_slow_tokenizer", "convert_added_tokens", "convert_to_native_format",
        "decoder", "model", "set_truncation_and_padding", "slow_tokenizer_class",
    ],
    "inner workings, which nobody calls": [
        "SPECIAL_TOKENS_ATTRIBUTES", "pretrained_vocab_files_map", "vocab_files_names",
    ],
}  # fmt: skip
"""Methods and attributes of transformers' tokenizers that ours lack, by the reason."""


def make_section() -> str:
    """Return the section of docs/api.md."""
    calls = [MODEL_LOADING, MODEL_SAVING, *MODEL_CALLS]
    calls += [TOKENIZER_LOADING, TOKENIZER_CALL, *TOKENIZER_METHODS, PIPELINE, *PIPELINE_CALLS]
    rows = ["| call | honoured |", "| --- | --- |"]
    rows += [f"| {each.name} | {_codes(each.honoured)} |" for each in calls]
    others = ["| call | argument | here | reason, or what to do |", "| --- | --- | --- | --- |"]
    for each in (MODEL_LOADING, MODEL_SAVING, TOKENIZER_LOADING, TOKENIZER_CALL, PIPELINE, PIPELINE_CALLS[0]):
        name = "every pipeline" if each is PIPELINE_CALLS[0] else each.name
        for here, reasons in (("without effect", each.without_effect), ("refused", each.refused)):
            others += [f"| {name} | `{key}` | {here} | {reason} |" for key, reason in reasons.items()]
        others += [
            f"| {name} | `{key}` | only `{value}` | {reason} |" for key, (value, reason) in each.only.items()
        ]
    parts = [
        "## What transformers takes",
        "The names, arguments and results above are those of transformers, so its users and the libraries "
        "around it can call these classes: Trainer, peft, accelerate, data collators. Tests compare them "
        "with transformers 5, argument by argument. What it takes and is honoured here:",
        "\n".join(rows),
        "Every other argument is one of these; unknown ones are refused by name:",
        "\n".join(others),
        "Left out of models:",
        _list(LEFT_OUT_OF_MODELS),
        "Left out of tokenizers:",
        _list(LEFT_OUT_OF_TOKENIZERS),
    ]
    return "\n\n".join(parts)


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _list(groups: Mapping[str, list[str]]) -> str:
    return "\n".join(f"- {reason}: {_codes(names)}" for reason, names in groups.items())
