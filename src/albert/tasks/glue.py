"""The tasks of the GLUE benchmark, one record each.

Columns are named as in the headers of the official files. Labels stand in the order of the original's
processors, so that a position is the original's label id. Recipes are those of the paper.

Source: Wang et al. (2019); `classifier_utils.py` of the original; Lan et al. (2020), table 14.
"""

from types import MappingProxyType

from albert.tasks.task import Recipe, TableFiles, Task

_TABLE_14 = "Lan et al. (2020), table 14"
_NOT_OR_YES = ("0", "1")
_ENTAILMENT = ("entailment", "not_entailment")
_COLA_COLUMNS = ("source", "label", "mark", "sentence")

GLUE_TASKS = (
    Task(
        name="cola",
        title="CoLA: is the sentence acceptable English",
        kind="classification",
        data=TableFiles(
            folder="CoLA",
            text_column="sentence",
            headerless=MappingProxyType({"train": _COLA_COLUMNS, "dev": _COLA_COLUMNS}),
        ),
        labels=_NOT_OR_YES,
        metrics=("matthews_correlation", "accuracy"),
        recipe=Recipe(learning_rate=1e-5, batch_size=16, max_steps=5336, warmup_steps=320, source=_TABLE_14),
    ),
    Task(
        name="sst2",
        title="SST-2: is the review positive",
        kind="classification",
        data=TableFiles(folder="SST-2", text_column="sentence"),
        labels=_NOT_OR_YES,
        metrics=("accuracy",),
        recipe=Recipe(
            learning_rate=1e-5, batch_size=32, max_steps=20935, warmup_steps=1256, source=_TABLE_14
        ),
    ),
    Task(
        name="mrpc",
        title="MRPC: do the sentences say the same",
        kind="classification",
        data=TableFiles(
            folder="MRPC",
            text_column="#1 String",
            pair_column="#2 String",
            label_column="Quality",
        ),
        labels=_NOT_OR_YES,
        metrics=("accuracy", "f1"),
        recipe=Recipe(learning_rate=2e-5, batch_size=32, max_steps=800, warmup_steps=200, source=_TABLE_14),
    ),
    Task(
        name="stsb",
        title="STS-B: how similar are the sentences, 0 to 5",
        kind="regression",
        data=TableFiles(
            folder="STS-B", text_column="sentence1", pair_column="sentence2", label_column="score"
        ),
        metrics=("pearson", "spearman"),
        recipe=Recipe(learning_rate=2e-5, batch_size=16, max_steps=3598, warmup_steps=214, source=_TABLE_14),
    ),
    Task(
        name="rte",
        title="RTE: does the first text entail the second",
        kind="classification",
        data=TableFiles(folder="RTE", text_column="sentence1", pair_column="sentence2"),
        labels=_ENTAILMENT,
        metrics=("accuracy",),
        recipe=Recipe(
            learning_rate=3e-5,
            batch_size=32,
            max_steps=800,
            warmup_steps=200,
            hidden_dropout_prob=0.1,
            source=_TABLE_14,
        ),
    ),
    Task(
        name="wnli",
        title="WNLI: does the pronoun mean what the second sentence says",
        kind="classification",
        data=TableFiles(folder="WNLI", text_column="sentence1", pair_column="sentence2"),
        labels=_NOT_OR_YES,
        metrics=("accuracy",),
        recipe=Recipe(
            learning_rate=2e-5,
            batch_size=16,
            max_steps=2000,
            warmup_steps=250,
            hidden_dropout_prob=0.1,
            source=_TABLE_14,
        ),
    ),
)
