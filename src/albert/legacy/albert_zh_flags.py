"""Flags of albert_zh's scripts of data and pretraining, where they differ from those of the original.

Flags of the original that albert_zh lacked are accepted, too, with values that do what albert_zh did.
Source: the `flags.DEFINE_*` of brightmart/albert_zh; the explanations are ours.
"""

from albert.legacy.finetuning_flags import RUN_CLASSIFIER_CLUE
from albert.legacy.flags import Flag, Script, boolean, ignored, integer, string
from albert.legacy.pretraining_flags import CREATE_PRETRAINING_DATA, RUN_PRETRAINING

_CONFIG = "bert_config_file"


def _changed(script: Script, *flags: Flag) -> tuple[Flag, ...]:
    """Return the flags of a script, some of them replaced, and new ones after them."""
    names = {flag.name for flag in flags}
    return (*(flag for flag in script.flags if flag.name not in names), *flags)


CREATE_PRETRAINING_DATA_ZH = Script(
    name="create_pretraining_data_zh",
    called="create_pretraining_data",
    job="create_pretraining_data",
    summary="Make TFRecord files of masked examples from Chinese text, with albert_zh's flags.",
    our_names=CREATE_PRETRAINING_DATA.our_names,
    flags=_changed(
        CREATE_PRETRAINING_DATA,
        boolean("do_whole_word_mask", False, "Whether to mask whole words, which jieba finds."),
        boolean("non_chinese", False, "Whether the text is not Chinese: words are those of the vocabulary."),
        integer("max_seq_length", 128, "Tokens of a sequence."),
        integer("ngram", 1, "Words of the longest n-gram; albert_zh masked single words."),
        integer("dupe_factor", 10, "Passes over the text, each with different masks."),
    ),
)
RUN_PRETRAINING_ZH = Script(
    name="run_pretraining_zh",
    called="run_pretraining",
    job="run_pretraining",
    summary="Pretrain on TFRecord files and evaluate, with albert_zh's flags.",
    our_names={**RUN_PRETRAINING.our_names, "config": _CONFIG, "tokenizer": _CONFIG},
    flags=_changed(
        RUN_PRETRAINING,
        string("albert_config_file", None, "A second name of --bert_config_file."),
        string(_CONFIG, None, "JSON file of the model's shape.", required=True),
        boolean("do_train", False, "Whether to train."),
        integer("max_seq_length", 128, "Tokens of a sequence, as in the files."),
        integer("train_batch_size", 32, "Examples per step."),
        integer("eval_batch_size", 8, "Examples per batch of the evaluation."),
        Flag(name="learning_rate", kind="float", default=5e-5, help="Peak learning rate."),
        integer("num_train_steps", 100000, "Number of steps."),
        integer("num_warmup_steps", 10000, "Steps over which the rate rises."),
        integer("save_checkpoints_steps", 1000, "Steps between checkpoints."),
        integer("keep_checkpoint_max", 20, "Number of newest checkpoints to keep; 0: all."),
    ),
)
RUN_PRETRAINING_GOOGLE = Script(
    name="run_pretraining_google",
    job="run_pretraining",
    summary="Pretrain on TFRecord files and evaluate, as run_pretraining_google.py of albert_zh.",
    our_names=RUN_PRETRAINING.our_names,
    flags=_changed(
        RUN_PRETRAINING,
        string("albert_config_file", None, "JSON file of the model's shape."),
        string(_CONFIG, None, "A second name of --albert_config_file."),
        ignored("export_dir", "Folder that albert_zh made and left empty."),
    ),
)
RUN_CLASSIFIER_SP_GOOGLE = Script(
    name="run_classifier_sp_google",
    job="run_classifier_clue",
    summary="Fine-tune on classification, as run_classifier_sp_google.py of albert_zh.",
    our_names=RUN_CLASSIFIER_CLUE.our_names,
    flags=_changed(
        RUN_CLASSIFIER_CLUE,
        string(_CONFIG, None, "A second name of --albert_config_file."),
        string("albert_config_file", None, "JSON file of the model's shape."),
        boolean("use_pooled_output", True, "Whether the classifier uses the pooled [CLS]; only true."),
        ignored("cached_dir", "Folder for caches of features."),
    ),
)
