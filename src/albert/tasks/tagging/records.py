"""The tagging tasks: CoNLL-2003 in English, CLUENER and MSRA in Chinese, and the user's own tags.

All are scored by whole entities, as in CoNLL.

Source: Tjong Kim Sang and De Meulder (2003); Xu et al. (2020), CLUENER2020; Levow (2006).
"""

from types import MappingProxyType

from albert.tasks.submissions import clue
from albert.tasks.task import HubData, Hyperparameters, Task, TaskData

_METRICS = ("f1", "precision", "recall", "accuracy")
_BERT = "Devlin et al. (2019), appendix A.3"
_HYPERPARAMETERS = Hyperparameters(
    learning_rate=5e-5,
    batch_size=32,
    num_epochs=3,
    max_seq_length=256,
    source=f"{_BERT}, for fine-tuning BERT",
)


def _tags_of(*types: str) -> tuple[str, ...]:
    return ("O", *(f"{mark}-{kind}" for kind in types for mark in "BI"))


ENTITY_TASKS = (
    Task(
        name="conll2003",
        title="CoNLL-2003: persons, organisations, places and others in English news",
        kind="tagging",
        data=TaskData(
            folder="conll2003",
            files=MappingProxyType(
                {
                    "train": ("train.txt", "eng.train", "train.jsonl"),
                    "dev": ("valid.txt", "dev.txt", "eng.testa", "dev.jsonl"),
                    "test": ("test.txt", "eng.testb", "test.jsonl"),
                }
            ),
            layout="conll",
            text_column="tokens",
            label_column="ner_tags",
            hub=HubData(name="tomaarsen/conll2003"),
        ),
        labels=_tags_of("PER", "ORG", "LOC", "MISC"),
        metrics=_METRICS,
        hyperparameters=Hyperparameters(
            learning_rate=5e-5,
            batch_size=32,
            num_epochs=3,
            max_seq_length=128,
            source=f"{_BERT}, for fine-tuning BERT; ALBERT xxlarge v1 reached 91.39 F1 on test with "
            "transformers (pull request 1683)",
        ),
    ),
    Task(
        name="cluener",
        title="CLUENER: entities of ten types in Chinese news",
        kind="tagging",
        language="zh",
        data=TaskData(
            folder="cluener",
            files=MappingProxyType({"train": ("train.json",), "dev": ("dev.json",), "test": ("test.json",)}),
            layout="cluener",
        ),
        labels=_tags_of(
            "address",
            "book",
            "company",
            "game",
            "government",
            "movie",
            "name",
            "organization",
            "position",
            "scene",
        ),
        metrics=_METRICS,
        submission=clue("cluener_predict.json", layout="cluener", is_required=False),
        hyperparameters=Hyperparameters(
            learning_rate=5e-5,
            batch_size=32,
            num_epochs=5,
            max_seq_length=128,
            source=f"{_BERT}, with more passes over a small training set",
        ),
    ),
    Task(
        name="msra-ner",
        title="MSRA: persons, organisations and places in Chinese news",
        kind="tagging",
        language="zh",
        data=TaskData(
            folder="msra_ner",
            files=MappingProxyType(
                {
                    "train": ("train.txt", "msra_train_bio.txt"),
                    "dev": ("dev.txt",),
                    "test": ("test.txt", "msra_test_bio.txt"),
                }
            ),
            layout="conll",
        ),
        labels=_tags_of("PER", "ORG", "LOC"),
        metrics=_METRICS,
        hyperparameters=_HYPERPARAMETERS,
    ),
    Task(
        name="tagging",
        title="own data: a tag for every word",
        kind="tagging",
        data=TaskData(
            files=MappingProxyType(
                {
                    "train": ("train.conll", "train.txt", "train.jsonl"),
                    "dev": ("dev.conll", "dev.txt", "dev.jsonl"),
                    "test": ("test.conll", "test.txt", "test.jsonl"),
                }
            ),
            layout="conll",
            text_column="words",
            label_column="tags",
        ),
        metrics=_METRICS,
        hyperparameters=_HYPERPARAMETERS,
    ),
)
