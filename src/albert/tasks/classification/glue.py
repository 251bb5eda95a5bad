"""The tasks of the GLUE benchmark, one record each.

Columns have the names in the headers of the official files. Labels are in the order of the original's
processors, so a label's position is its id there. Hyperparameters are those of the paper.

Source: Wang et al. (2019); `classifier_utils.py` of the original; Lan et al. (2020), table 14.
"""

from dataclasses import replace
from types import MappingProxyType

from albert.tasks.published_figures import TABLE_14
from albert.tasks.submissions import glue
from albert.tasks.task import HubData, Hyperparameters, Task, TaskData

_NOT_OR_YES = ("0", "1")
_ENTAILMENT = ("entailment", "not_entailment")
_INFERENCE = ("contradiction", "entailment", "neutral")
_COLA_COLUMNS = ("source", "label", "mark", "sentence")


def _hub(config: str, *, id_column: str = "index", **columns: str) -> HubData:
    """Return a data set of GLUE on the Hub; `columns` maps its column names to ours, where they differ."""
    return HubData(
        name="nyu-mll/glue", config=config, columns=MappingProxyType({"idx": id_column, **columns})
    )


_MNLI = Task(
    name="mnli",
    title="MNLI: does the first text entail, contradict or leave open the second",
    kind="classification",
    data=TaskData(
        folder="MNLI",
        files=MappingProxyType(
            {"train": ("train",), "dev": ("dev_matched", "dev"), "test": ("test_matched", "test")}
        ),
        text_column="sentence1",
        pair_column="sentence2",
        label_column="gold_label",
        id_column="index",
        dropped_labels=("-",),
        may_end_early=True,
        hub=replace(
            _hub("mnli", premise="sentence1", hypothesis="sentence2", label="gold_label"),
            splits=MappingProxyType({"train": "train", "dev": "validation_matched", "test": "test_matched"}),
        ),
    ),
    labels=_INFERENCE,
    metrics=("accuracy",),
    submission=glue("MNLI-m.tsv"),
    hyperparameters=Hyperparameters(
        learning_rate=3e-5, batch_size=128, max_steps=10000, warmup_steps=1000, source=TABLE_14
    ),
)

_MNLI_MISMATCHED = replace(
    _MNLI,
    name="mnli-mm",
    title="MNLI, evaluated on other genres than it is trained on",
    submission=glue("MNLI-mm.tsv"),
    data=replace(
        _MNLI.data,
        files=MappingProxyType(
            {"train": ("train",), "dev": ("dev_mismatched", "dev"), "test": ("test_mismatched", "test")}
        ),
        hub=replace(
            _hub("mnli", premise="sentence1", hypothesis="sentence2", label="gold_label"),
            splits=MappingProxyType(
                {"train": "train", "dev": "validation_mismatched", "test": "test_mismatched"}
            ),
        ),
    ),
)

_AX = replace(
    _MNLI,
    name="ax",
    title="AX: the diagnostic sentences of GLUE, for models fine-tuned on MNLI; without labels",
    submission=glue("AX.tsv"),
    data=TaskData(
        folder="diagnostic",
        files=MappingProxyType({"test": ("diagnostic", "test")}),
        text_column="sentence1",
        pair_column="sentence2",
        id_column="index",
        hub=replace(
            _hub("ax", premise="sentence1", hypothesis="sentence2"),
            splits=MappingProxyType({"test": "test"}),
        ),
    ),
)

GLUE_TASKS = (
    Task(
        name="cola",
        title="CoLA: is the sentence acceptable English",
        kind="classification",
        data=TaskData(
            folder="CoLA",
            text_column="sentence",
            id_column="index",
            headerless=MappingProxyType({"train": _COLA_COLUMNS, "dev": _COLA_COLUMNS}),
            hub=_hub("cola"),
        ),
        labels=_NOT_OR_YES,
        metrics=("matthews_correlation", "accuracy"),
        submission=glue("CoLA.tsv"),
        hyperparameters=Hyperparameters(
            learning_rate=1e-5, batch_size=16, max_steps=5336, warmup_steps=320, source=TABLE_14
        ),
    ),
    Task(
        name="sst2",
        title="SST-2: is the review positive",
        kind="classification",
        data=TaskData(folder="SST-2", text_column="sentence", id_column="index", hub=_hub("sst2")),
        labels=_NOT_OR_YES,
        metrics=("accuracy",),
        submission=glue("SST-2.tsv"),
        hyperparameters=Hyperparameters(
            learning_rate=1e-5, batch_size=32, max_steps=20935, warmup_steps=1256, source=TABLE_14
        ),
    ),
    Task(
        name="mrpc",
        title="MRPC: do the sentences say the same",
        kind="classification",
        data=TaskData(
            folder="MRPC",
            text_column="#1 String",
            pair_column="#2 String",
            label_column="Quality",
            id_column="index",
            hub=_hub("mrpc", sentence1="#1 String", sentence2="#2 String", label="Quality"),
        ),
        labels=_NOT_OR_YES,
        metrics=("accuracy", "f1"),
        submission=glue("MRPC.tsv"),
        hyperparameters=Hyperparameters(
            learning_rate=2e-5, batch_size=32, max_steps=800, warmup_steps=200, source=TABLE_14
        ),
    ),
    Task(
        name="stsb",
        title="STS-B: how similar are the sentences, 0 to 5",
        kind="regression",
        data=TaskData(
            folder="STS-B",
            text_column="sentence1",
            pair_column="sentence2",
            label_column="score",
            id_column="index",
            hub=_hub("stsb", label="score"),
        ),
        metrics=("pearson", "spearman"),
        submission=glue("STS-B.tsv"),
        hyperparameters=Hyperparameters(
            learning_rate=2e-5, batch_size=16, max_steps=3598, warmup_steps=214, source=TABLE_14
        ),
    ),
    Task(
        name="qqp",
        title="QQP: do the questions ask the same",
        kind="classification",
        data=TaskData(
            folder="QQP",
            text_column="question1",
            pair_column="question2",
            label_column="is_duplicate",
            id_column="id",
            has_blemishes=True,
            hub=_hub("qqp", id_column="id", label="is_duplicate"),
        ),
        labels=_NOT_OR_YES,
        metrics=("accuracy", "f1"),
        submission=glue("QQP.tsv"),
        hyperparameters=Hyperparameters(
            learning_rate=5e-5,
            batch_size=128,
            max_steps=14000,
            warmup_steps=1000,
            hidden_dropout_prob=0.1,
            source=TABLE_14,
        ),
    ),
    _MNLI,
    _MNLI_MISMATCHED,
    Task(
        name="qnli",
        title="QNLI: does the sentence answer the question",
        kind="classification",
        data=TaskData(
            folder="QNLI",
            text_column="question",
            pair_column="sentence",
            id_column="index",
            hub=_hub("qnli"),
        ),
        labels=_ENTAILMENT,
        metrics=("accuracy",),
        submission=glue("QNLI.tsv"),
        hyperparameters=Hyperparameters(
            learning_rate=1e-5, batch_size=32, max_steps=33112, warmup_steps=1986, source=TABLE_14
        ),
    ),
    Task(
        name="rte",
        title="RTE: does the first text entail the second",
        kind="classification",
        data=TaskData(
            folder="RTE",
            text_column="sentence1",
            pair_column="sentence2",
            id_column="index",
            hub=_hub("rte"),
        ),
        labels=_ENTAILMENT,
        metrics=("accuracy",),
        submission=glue("RTE.tsv"),
        hyperparameters=Hyperparameters(
            learning_rate=3e-5,
            batch_size=32,
            max_steps=800,
            warmup_steps=200,
            hidden_dropout_prob=0.1,
            source=TABLE_14,
        ),
    ),
    Task(
        name="wnli",
        title="WNLI: does the pronoun mean what the second sentence says",
        kind="classification",
        data=TaskData(
            folder="WNLI",
            text_column="sentence1",
            pair_column="sentence2",
            id_column="index",
            hub=_hub("wnli"),
        ),
        labels=_NOT_OR_YES,
        metrics=("accuracy",),
        submission=glue("WNLI.tsv"),
        hyperparameters=Hyperparameters(
            learning_rate=2e-5,
            batch_size=16,
            max_steps=2000,
            warmup_steps=250,
            hidden_dropout_prob=0.1,
            source=TABLE_14,
        ),
    ),
    _AX,
)
