"""Flags of the pretraining scripts: create_pretraining_data, run_pretraining, export_checkpoints.

Source: the `flags.DEFINE_*` of google-research/albert at b772393; the explanations are ours.
"""

from albert.legacy.flags import TPU, Flag, Script, boolean, integer, real, string

OPTIMIZER = Flag(
    name="optimizer",
    kind="enum",
    default="lamb",
    choices=("adamw", "lamb"),
    help="Optimiser.",
)

CREATE_PRETRAINING_DATA = Script(
    name="create_pretraining_data",
    summary="Make TFRecord files of masked examples from raw text with one sentence a line.",
    our_names={
        "input": "input_file",
        "output": "output_file",
        "tokenizer": "spm_model_file",
        "max-ngram": "ngram",
        "seed": "random_seed",
    },
    flags=(
        string("input_file", None, "Text files or globs of them, separated by commas.", required=True),
        string("output_file", None, "TFRecord files to write, separated by commas.", required=True),
        string(
            "vocab_file", None, "WordPiece vocabulary; not read if --spm_model_file is given.", required=True
        ),
        string("spm_model_file", None, "SentencePiece model."),
        string(
            "input_file_mode", "r", "r: the text must be UTF-8; rb: bytes that are not UTF-8 are replaced."
        ),
        boolean("do_lower_case", True, "Whether to lower-case text."),
        boolean("do_whole_word_mask", True, "Whether to mask whole words."),
        boolean(
            "do_permutation", False, "Whether to shuffle other tokens among themselves and predict them, too."
        ),
        boolean("favor_shorter_ngram", True, "Whether to draw n-grams with probability ~ 1/n."),
        boolean("random_next_sentence", False, "Whether half of the second segments are random (NSP)."),
        integer("max_seq_length", 512, "Tokens of a sequence."),
        integer("ngram", 3, "Words of the longest n-gram."),
        integer("max_predictions_per_seq", 20, "Most masked tokens of a sequence."),
        integer("random_seed", 12345, "Random seed."),
        integer("dupe_factor", 40, "Passes over the text, each with different masks."),
        real("masked_lm_prob", 0.15, "Share of the tokens to mask."),
        real("short_seq_prob", 0.1, "Share of documents packed into shorter sequences."),
    ),
)

RUN_PRETRAINING = Script(
    name="run_pretraining",
    summary="Pretrain on TFRecord files and evaluate: masked LM and sentence order.",
    our_names={
        "data": "input_file",
        "output": "output_dir",
        "config": "albert_config_file",
        "tokenizer": "albert_config_file",
        "init-from": "init_checkpoint",
        "max-steps": "num_train_steps",
        "warmup-steps": "num_warmup_steps",
        "decay-power": "poly_power",
        "batch-size": "train_batch_size",
        "save-steps": "save_checkpoints_steps",
        "keep-checkpoints": "keep_checkpoint_max",
    },
    flags=(
        string("albert_config_file", None, "JSON file of the model's shape.", required=True),
        string("input_file", None, "TFRecord files or globs of them, separated by commas.", required=True),
        string("output_dir", None, "Folder of checkpoints and results.", required=True),
        string("init_checkpoint", None, "Weights to start from."),
        integer("max_seq_length", 512, "Tokens of a sequence, as in the files."),
        integer("max_predictions_per_seq", 20, "Most masked tokens of a sequence, as in the files."),
        boolean("do_train", True, "Whether to train."),
        boolean("do_eval", False, "Whether to evaluate, on the same files."),
        integer("train_batch_size", 4096, "Examples per step."),
        integer("eval_batch_size", 64, "Examples per batch of the evaluation."),
        OPTIMIZER,
        real("learning_rate", 0.00176, "Peak learning rate."),
        real("poly_power", 1.0, "Exponent of its decay."),
        integer("num_train_steps", 125000, "Number of steps."),
        integer("num_warmup_steps", 3125, "Steps over which the rate rises."),
        integer("start_warmup_step", 0, "Step at which the rate starts to rise."),
        integer("save_checkpoints_steps", 5000, "Steps between checkpoints."),
        integer("keep_checkpoint_max", 5, "Number of newest checkpoints to keep; 0: all."),
        integer("max_eval_steps", 100, "Batches of an evaluation."),
        boolean(
            "init_from_group0",
            False,
            "Whether groups of layers without weights start as copies of the first.",
        ),
        integer("masked_lm_budget", 0, "Masking during training, which never worked; refused if above 0."),
        *TPU,
    ),
)

EXPORT_CHECKPOINTS = Script(
    name="export_checkpoints",
    summary="Write the weights of a checkpoint without the optimiser's state.",
    our_names={"output": "export_path"},
    flags=(
        string("albert_directory", None, "Folder of checkpoint and albert_config.json.", required=True),
        string("checkpoint_name", "model.ckpt-best", "Name of the checkpoint in it."),
        boolean("do_lower_case", True, "Whether the vocabulary, if there is one, is for lower-cased text."),
        string("export_path", None, "Folder to write.", required=True),
    ),
)
