"""Keys of stored configurations that are no settings of the model, and what their presence tells."""

from collections.abc import Iterable

# Keys of the original's JSON that its model never reads, nor does transformers' ALBERT.
UNUSED_ORIGINAL_KEYS = {
    "down_scale_factor", "gap_size", "layers_to_keep", "net_structure_type", "num_memory_blocks",
    "directionality", "pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers",
    "pooler_size_per_head", "pooler_type",
}  # fmt: skip
# Keys that every release of transformers writes, and none writes into the original's JSON.
HUGGING_FACE_MARKS = {
    "_num_labels", "architectures", "id2label", "label2id", "model_type", "num_labels", "output_attentions",
    "problem_type", "torchscript", "transformers_version",
}  # fmt: skip
# Keys that nearly every file of transformers has, and that change nothing; not worth a line.
HARMLESS = {
    "_attn_implementation_autoset", "_name_or_path", "add_cross_attention", "attn_implementation", "auto_map",
    "bos_token_id", "chunk_size_feed_forward", "dtype", "eos_token_id", "finetuning_task",
    "gradient_checkpointing", "is_decoder", "is_encoder_decoder", "output_hidden_states", "output_past",
    "return_dict", "sep_token_id", "task_specific_params", "tokenizer_class", "torch_dtype",
    "transformers.js_config", "use_cache",
}  # fmt: skip
# Keys that nobody writes by hand: in such a file a key that resembles a known one is no misspelling.
WRITTEN_MARKS = {"_num_labels", "architectures", "output_attentions", "torchscript", "transformers_version"}
# Keys of transformers that change numbers, with the values for which the model is the one built here.
ONLY_VALUES: dict[str, tuple[object, ...]] = {
    "position_embedding_type": ("absolute", None),
    "tie_word_embeddings": (True, None),
    "pruned_heads": ({}, [], None),
    "quantization_config": (None, {}),
}
# What other libraries ask a configuration for, with the answer where nobody has set it.
CONSTANTS: dict[str, object] = {
    "add_cross_attention": False,
    "architectures": None,
    "attribute_map": {},
    "bos_token_id": None,
    "chunk_size_feed_forward": 0,
    "dtype": None,
    "eos_token_id": None,
    "is_composition": False,
    "is_decoder": False,
    "is_encoder_decoder": False,
    "keys_to_ignore_at_inference": [],
    "name_or_path": "",
    "pruned_heads": {},
    "quantization_config": None,
    "sub_configs": {},
    "tie_word_embeddings": True,
    "torch_dtype": None,
    "transformers_version": None,
    "use_cache": False,
}
# Other names of the same functions in transformers.
ACTIVATION_NAMES = {"gelu_pytorch_tanh": "gelu_new", "gelu_fast": "gelu_new", "gelu_python": "gelu"}


def unused_keys(content: Iterable[str], settings: Iterable[str]) -> list[str]:
    """Return the keys of a configuration that are no setting of the model, sorted.

    Those that nearly every file has, and that are known to change nothing, are left out.

    Args:
        content: Keys of a file.
        settings: Keys of the model.
    """
    known = {*settings} | UNUSED_ORIGINAL_KEYS | ONLY_VALUES.keys() | HUGGING_FACE_MARKS | HARMLESS
    return sorted(set(content) - known)
