"""The tasks of reading comprehension: SQuAD 1.1 and 2.0, CMRC 2018 and DRCD in Chinese, and own questions.

Files are in SQuAD's layout, or JSON lines with the fields of the Hub's data sets.

Source: Rajpurkar et al. (2016), (2018); Cui et al. (2019); Shao et al. (2018). Hyperparameters of SQuAD are
those of the ALBERT paper, those of CMRC 2018 are albert_zh's for its largest model.
"""

from collections.abc import Mapping
from types import MappingProxyType

from albert.tasks.published_figures import TABLE_14
from albert.tasks.submissions import clue
from albert.tasks.task import HubData, Hyperparameters, Task, TaskData

_CHINESE = Hyperparameters(
    learning_rate=2e-5,
    batch_size=32,
    num_epochs=3,
    warmup_share=0.1,
    max_seq_length=512,
    source="README of albert_zh, CMRC 2018 with the model xlarge",
)


def _squad_data(*, folder: str, files: Mapping[str, tuple[str, ...]], hub: str | None = None) -> TaskData:
    """Return the record of a data set in SQuAD's layout; the one on the Hub, `hub`, has the same fields."""
    splits = MappingProxyType({"train": "train", "dev": "validation"})
    return TaskData(
        folder=folder,
        files=MappingProxyType(
            {split: (*names, f"{split}.json", f"{split}.jsonl") for split, names in files.items()}
        ),
        layout="squad",
        text_column="context",
        pair_column="question",
        label_column="answers",
        id_column="id",
        hub=None if hub is None else HubData(name=hub, splits=splits),
    )


READING_TASKS = (
    Task(
        name="squad1",
        title="SQuAD 1.1: which words of a paragraph answer the question",
        kind="spans",
        data=_squad_data(
            folder="squad1",
            files={"train": ("train-v1.1.json",), "dev": ("dev-v1.1.json", "dev-v1.1*.json")},
            hub="rajpurkar/squad",
        ),
        metrics=("f1", "exact_match"),
        hyperparameters=Hyperparameters(
            learning_rate=5e-5,
            batch_size=48,
            max_steps=3649,
            warmup_steps=365,
            max_seq_length=384,
            source=TABLE_14,
        ),
    ),
    Task(
        name="squad2",
        title="SQuAD 2.0: which words of a paragraph answer the question, if any",
        kind="spans",
        data=_squad_data(
            folder="squad2",
            files={"train": ("train-v2.0.json",), "dev": ("dev-v2.0.json", "dev-v2.0*.json")},
            hub="rajpurkar/squad_v2",
        ),
        metrics=("f1", "exact"),
        hyperparameters=Hyperparameters(
            learning_rate=3e-5,
            batch_size=48,
            max_steps=8144,
            warmup_steps=814,
            max_seq_length=512,
            source=f"{TABLE_14}; the original's scripts cut at 384 tokens",
        ),
        may_lack_answer=True,
    ),
    Task(
        name="cmrc2018",
        title="CMRC 2018: which characters of a Chinese passage answer the question",
        kind="spans",
        language="zh",
        data=_squad_data(
            folder="cmrc2018",
            files={"train": ("cmrc2018_train.json",), "dev": ("cmrc2018_dev.json",)},
            hub="hfl/cmrc2018",
        ),
        metrics=("f1", "exact_match"),
        submission=clue("cmrc2018_predict.json", layout="answers"),
        hyperparameters=_CHINESE,
    ),
    Task(
        name="drcd",
        title="DRCD: which characters of a passage in traditional Chinese answer the question",
        kind="spans",
        language="zh",
        data=_squad_data(
            folder="drcd",
            files={
                "train": ("DRCD_training.json",),
                "dev": ("DRCD_dev.json",),
                "test": ("DRCD_test.json",),
            },
        ),
        metrics=("f1", "exact_match"),
        hyperparameters=_CHINESE,
    ),
    Task(
        name="spans",
        title="own data: which words of a text answer the question",
        kind="spans",
        data=_squad_data(folder="", files={"train": (), "dev": (), "test": ()}),
        metrics=("f1",),
        hyperparameters=Hyperparameters(
            learning_rate=3e-5,
            batch_size=48,
            num_epochs=2,
            max_seq_length=384,
            source=f"{TABLE_14}, SQuAD; two passes over the data",
        ),
    ),
)
