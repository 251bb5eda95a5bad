"""Flags of the fine-tuning scripts: run_classifier, run_squad_v1, run_squad_v2, run_race.

Source: the `flags.DEFINE_*` of google-research/albert at b772393; the explanations are ours.
"""

from albert.legacy.flags import TPU, Flag, Script, boolean, integer, real, string

_OUR_NAMES = {
    "data": "data_dir",
    "output": "output_dir",
    "model": "init_checkpoint",
    "task": "task_name",
    "max-steps": "train_step",
    "warmup-steps": "warmup_step",
    "batch-size": "train_batch_size",
    "save-steps": "save_checkpoints_steps",
}

_MODEL = (
    string("vocab_file", None, "WordPiece vocabulary."),
    string("init_checkpoint", None, "Weights to start from."),
    string("albert_hub_module_handle", None, "TF-Hub module with weights, shape and vocabulary."),
)
_LOWER_CASE = boolean("do_lower_case", True, "Whether to lower-case text.")
_TRAIN_BATCH = integer("train_batch_size", 32, "Examples per step.")
_EVAL_BATCH = integer("eval_batch_size", 8, "Examples per batch of the evaluation.")
_PREDICT_BATCH = integer("predict_batch_size", 8, "Examples per batch of the prediction.")
_OUTPUT = string("output_dir", None, "Folder of checkpoints and results.", required=True)

RUN_CLASSIFIER = Script(
    name="run_classifier",
    summary="Fine-tune on a task of GLUE, evaluate and predict.",
    our_names=_OUR_NAMES,
    flags=(
        string("data_dir", None, "Folder with a subfolder for each task.", required=True),
        string("albert_config_file", None, "JSON file of the model's shape."),
        string(
            "task_name",
            None,
            "cola, mnli, mismnli, mrpc, rte, sst-2, sts-b, qqp, qnli or wnli.",
            required=True,
        ),
        string("spm_model_file", None, "SentencePiece model.", required=True),
        _OUTPUT,
        string("cached_dir", None, "Folder for caches of features; no caches if not given."),
        *_MODEL,
        _LOWER_CASE,
        integer("max_seq_length", 512, "Tokens of a sequence."),
        boolean("do_train", False, "Whether to train."),
        boolean("do_eval", False, "Whether to evaluate."),
        boolean("do_predict", False, "Whether to predict the test set."),
        _TRAIN_BATCH,
        _EVAL_BATCH,
        _PREDICT_BATCH,
        Flag(
            name="optimizer",
            kind="enum",
            default="adamw",
            choices=("adamw", "lamb"),
            help="Optimiser.",
        ),
        real("learning_rate", 5e-5, "Peak learning rate."),
        integer("train_step", 1000, "Number of steps."),
        integer("warmup_step", 0, "Steps over which the rate rises."),
        integer("save_checkpoints_steps", 1000, "Steps between checkpoints."),
        integer("keep_checkpoint_max", 5, "Number of newest checkpoints to keep; the original ignored it."),
        string("export_dir", None, "Folder to export the best model to."),
        real("threshold_to_export", float("nan"), "Number to write next to the exported model."),
        *TPU,
    ),
)

_SQUAD = (
    string("albert_config_file", None, "JSON file of the model's shape.", required=True),
    string("spm_model_file", None, "SentencePiece model.", required=True),
    _OUTPUT,
    *_MODEL,
    string("train_file", None, "SQuAD file to train on."),
    string("predict_file", None, "SQuAD file to predict."),
    string("train_feature_file", None, "Cache of training features."),
    string("predict_feature_file", None, "Cache of features to predict."),
    string("predict_feature_left_file", None, "Cache of the positions of those features in their texts."),
    _LOWER_CASE,
    integer("max_seq_length", 384, "Tokens of a window."),
    integer("doc_stride", 128, "Tokens between the starts of two windows."),
    integer("max_query_length", 64, "Tokens of a question."),
    boolean("do_train", False, "Whether to train."),
    boolean("do_predict", False, "Whether to predict and score."),
    _TRAIN_BATCH,
    _PREDICT_BATCH,
    real("learning_rate", 5e-5, "Peak learning rate."),
    real("num_train_epochs", 3.0, "Passes over the questions."),
    real("warmup_proportion", 0.1, "Share of the steps over which the rate rises."),
    integer("save_checkpoints_steps", 1000, "Steps between checkpoints."),
    integer("n_best_size", 20, "Answers in the n-best list."),
    integer("max_answer_length", 30, "Most tokens of an answer."),
)

RUN_SQUAD_V1 = Script(
    name="run_squad_v1",
    summary="Fine-tune on SQuAD 1.1, predict and score.",
    our_names=_OUR_NAMES,
    flags=(
        *_SQUAD,
        boolean("use_einsum", True, "TensorFlow's way to multiply.", effect=False),
        string("export_dir", None, "Folder to export the model to."),
        *TPU,
    ),
)

RUN_SQUAD_V2 = Script(
    name="run_squad_v2",
    summary="Fine-tune on SQuAD 2.0, predict and score.",
    our_names=_OUR_NAMES,
    flags=(
        *_SQUAD,
        integer("start_n_top", 5, "Starts to consider."),
        integer("end_n_top", 5, "Ends to consider for each start."),
        real("dropout_prob", 0.1, "Dropout of the head that predicts whether there is an answer."),
        *TPU,
    ),
)

RUN_RACE = Script(
    name="run_race",
    summary="Fine-tune on RACE, evaluate and test.",
    our_names=_OUR_NAMES,
    flags=(
        string("data_dir", None, "Folder that contains the folder RACE.", required=True),
        string("spm_model_file", None, "SentencePiece model.", required=True),
        string("albert_config_file", None, "JSON file of the model's shape.", required=True),
        _OUTPUT,
        string("task_name", "race", "race."),
        *_MODEL,
        string("train_file", None, "Cache of training features."),
        string("eval_file", None, "Cache of features of the development set."),
        string("predict_file", None, "The original ignored it."),
        _LOWER_CASE,
        real("dropout_prob", 0.1, "Dropout before the classifier."),
        integer("max_seq_length", 512, "Tokens of a sequence."),
        integer("max_qa_length", 128, "Tokens of a question with an option."),
        integer("num_keep_checkpoint", 5, "Number of newest checkpoints to keep; the original ignored it."),
        boolean("high_only", False, "Whether to use only the questions of high schools."),
        boolean("middle_only", False, "Whether to use only those of middle schools."),
        boolean("do_train", True, "Whether to train."),
        boolean("do_eval", True, "Whether to evaluate."),
        boolean("do_predict", False, "Whether to score the test set."),
        _TRAIN_BATCH,
        _EVAL_BATCH,
        _PREDICT_BATCH,
        real("learning_rate", 1e-5, "Peak learning rate."),
        integer("train_step", 12000, "Number of steps."),
        integer("warmup_step", 1000, "Steps over which the rate rises."),
        integer("save_checkpoints_steps", 100, "Steps between checkpoints."),
        *TPU,
    ),
)

RUN_CLASSIFIER_CLUE = Script(
    name="run_classifier_clue",
    summary="Fine-tune on Chinese classification, evaluate and predict, with the flags of albert_zh.",
    our_names=_OUR_NAMES | {"max-steps": "num_train_epochs", "warmup-steps": "warmup_proportion"},
    flags=(
        string("data_dir", None, "Folder of the task's files.", required=True),
        string("bert_config_file", None, "JSON file of the model's shape.", required=True),
        string(
            "task_name",
            None,
            "lcqmc_pair, lcqmc, sentence_pair, xnli, tnews, iflytek, afqmc, cmnli, csl, wsc, copa, "
            "or one of run_classifier.",
            required=True,
        ),
        string("vocab_file", None, "WordPiece vocabulary.", required=True),
        string("spm_model_file", None, "SentencePiece model to use instead."),
        _OUTPUT,
        string("init_checkpoint", None, "Weights to start from."),
        _LOWER_CASE,
        integer("max_seq_length", 128, "Tokens of a sequence."),
        boolean("do_train", False, "Whether to train."),
        boolean("do_eval", False, "Whether to evaluate."),
        boolean("do_predict", False, "Whether to predict the test set."),
        _TRAIN_BATCH,
        _EVAL_BATCH,
        _PREDICT_BATCH,
        real("learning_rate", 5e-5, "Peak learning rate."),
        real("num_train_epochs", 3.0, "Passes over the examples."),
        real("warmup_proportion", 0.1, "Share of the steps over which the rate rises."),
        integer("save_checkpoints_steps", 1000, "Steps between checkpoints."),
        integer(
            "keep_checkpoint_max", 20, "Number of newest checkpoints to keep; albert_zh had no such flag."
        ),
        *TPU,
    ),
)
