"""The tasks of multiple choice, one record each, own data included.

C3 and COPA are encoded as RACE is, passage first, then question and choice. Published results on them used
another encoding: one more [SEP] between question and choice (C3), each choice as a separate example (COPA).

Source: Lan et al. (2020), table 14; `run_race.py` of the original; `run_classifier_clue.py` of albert_zh.
"""

from types import MappingProxyType

from albert.tasks.choice.files import DEFAULT_QUESTION
from albert.tasks.published_figures import TABLE_14
from albert.tasks.submissions import clue
from albert.tasks.task import HubData, Hyperparameters, Task, TaskData

_RACE = Hyperparameters(
    learning_rate=2e-5,
    batch_size=32,
    max_steps=12_000,
    warmup_steps=1000,
    max_seq_length=512,
    hidden_dropout_prob=0.1,
    source=TABLE_14,
)
_OWN = Hyperparameters(
    learning_rate=2e-5,
    batch_size=32,
    source=f"RACE in {TABLE_14}; three passes over the data",
)

CHOICE_TASKS = (
    Task(
        name="race",
        title="RACE: which of four options answers the question of an English exam",
        kind="choice",
        data=TaskData(
            folder="RACE",
            layout="race",
            files=MappingProxyType(
                {
                    split: (f"{split}/*/all.txt", f"{split}/*/*.txt", f"{split}_*.jsonl", f"{split}.jsonl")
                    for split in ("train", "dev", "test")
                }
            ),
            hub=HubData(name="ehovy/race", config="all"),
        ),
        metrics=("accuracy",),
        hyperparameters=_RACE,
    ),
    Task(
        name="c3",
        title="C3: which of two to four choices answers the question of a Chinese exam",
        kind="choice",
        data=TaskData(
            folder="c3",
            layout="c3",
            files=MappingProxyType(
                {
                    "train": ("*[dm]-train.json", "train.jsonl"),
                    "dev": ("*[dm]-dev.json", "dev.jsonl"),
                    "test": ("*[dm]-test.json", "test*.json", "test.jsonl"),
                }
            ),
            hub=HubData(name="clue/clue", config="c3"),
        ),
        metrics=("accuracy",),
        submission=clue("c311_predict.json", layout="c3"),
        hyperparameters=_OWN,
        language="zh",
    ),
    Task(
        name="copa",
        title="COPA: which of two choices is the cause or the effect",
        kind="choice",
        data=TaskData(
            folder="copa",
            layout="copa",
            files=MappingProxyType(
                {
                    "train": ("train.jsonl", "train.json"),
                    "dev": ("dev.jsonl", "dev.json", "val.jsonl"),
                    "test": ("test.jsonl", "test.json"),
                }
            ),
        ),
        metrics=("accuracy",),
        hyperparameters=_OWN,
        language="zh",
    ),
    Task(
        name="choice",
        title="own data: one of several choices, on a passage",
        kind="choice",
        data=TaskData(
            text_column="passage",
            pair_column=DEFAULT_QUESTION,
            aliases=MappingProxyType({"passage": ("sent1",)}),  # SWAG
        ),
        metrics=("accuracy",),
        hyperparameters=_OWN,
    ),
)
