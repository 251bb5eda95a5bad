"""Flags of the scripts around pretraining: create_pretraining_data, run_pretraining, export_checkpoints.

Source: the `flags.DEFINE_*` of google-research/albert at b772393; the explanations are ours.
"""

from albert.legacy.flags import TPU, Flag, Script, boolean, integer, real, string

OPTIMIZER = Flag(
    name="optimizer",
    kind="enum",
    default="lamb",
    choices=("adamw", "lamb"),
    help="How the weights are moved.",
)

CREATE_PRETRAINING_DATA = Script(
    name="create_pretraining_data",
    does="Makes TFRecord files of masked examples from raw text, a sentence a line.",
    our_names={
        "input": "input_file",
        "output": "output_file",
        "tokenizer": "spm_model_file",
        "max-ngram": "ngram",
        "seed": "random_seed",
    },
    flags=(
        string("input_file", None, "Text files or globs of them, with commas between.", required=True),
        string("output_file", None, "TFRecord files to write, with commas between.", required=True),
        string("vocab_file", None, "WordPiece vocabulary; not read beside --spm_model_file.", required=True),
        string("spm_model_file", None, "SentencePiece model."),
        string("input_file_mode", "r", "r: the text must be UTF-8; rb: bytes that are not are replaced."),
        boolean("do_lower_case", True, "Whether text is lower-cased."),
        boolean("do_whole_word_mask", True, "Whether words are masked whole."),
        boolean("do_permutation", False, "Whether other pieces change places and are to be told, too."),
        boolean("favor_shorter_ngram", True, "Whether n words are drawn with probability ~ 1/n."),
        boolean("random_next_sentence", False, "Whether half of the second segments are random ones (NSP)."),
        integer("max_seq_length", 512, "Pieces of a sequence."),
        integer("ngram", 3, "Words of the longest n-gram."),
        integer("max_predictions_per_seq", 20, "Pieces masked in a sequence at most."),
        integer("random_seed", 12345, "Seed of all draws."),
        integer("dupe_factor", 40, "Passes over the text, each with masks of its own."),
        real("masked_lm_prob", 0.15, "Share of the pieces to mask."),
        real("short_seq_prob", 0.1, "Share of documents packed into shorter sequences."),
    ),
)

RUN_PRETRAINING = Script(
    name="run_pretraining",
    does="Pretrains on TFRecord files and evaluates: masked LM and sentence order.",
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
        string("input_file", None, "TFRecord files or globs of them, with commas between.", required=True),
        string("output_dir", None, "Folder of checkpoints and results.", required=True),
        string("init_checkpoint", None, "Weights to begin with."),
        integer("max_seq_length", 512, "Pieces of a sequence; that of the files."),
        integer("max_predictions_per_seq", 20, "Room for masked pieces in a sequence; that of the files."),
        boolean("do_train", True, "Whether to train."),
        boolean("do_eval", False, "Whether to evaluate, on the same files."),
        integer("train_batch_size", 4096, "Examples of a step."),
        integer("eval_batch_size", 64, "Examples of a batch of the evaluation."),
        OPTIMIZER,
        real("learning_rate", 0.00176, "Highest learning rate."),
        real("poly_power", 1.0, "Exponent of its decay."),
        integer("num_train_steps", 125000, "Steps in all."),
        integer("num_warmup_steps", 3125, "Steps over which the rate rises."),
        integer("start_warmup_step", 0, "Step at which it begins to rise."),
        integer("save_checkpoints_steps", 5000, "Steps between checkpoints."),
        integer("keep_checkpoint_max", 5, "Newest checkpoints that are kept; 0: all."),
        integer("max_eval_steps", 100, "Batches of an evaluation."),
        boolean("init_from_group0", False, "Whether groups of layers that lack weights begin as the first."),
        integer("masked_lm_budget", 0, "Masking while training, which never worked; refused if above 0."),
        *TPU,
    ),
)

EXPORT_CHECKPOINTS = Script(
    name="export_checkpoints",
    does="Writes the weights of a checkpoint, without what only training needs.",
    our_names={"output": "export_path"},
    flags=(
        string("albert_directory", None, "Folder of checkpoint and albert_config.json.", required=True),
        string("checkpoint_name", "model.ckpt-best", "Name of the checkpoint in it."),
        boolean("do_lower_case", True, "Whether the vocabulary, if there is one, is of lower-cased text."),
        string("export_path", None, "Folder to write.", required=True),
    ),
)
