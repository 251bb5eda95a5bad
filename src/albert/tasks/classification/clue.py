"""Chinese text classification: the tasks of CLUE, and LCQMC, BQ, XNLI and ChnSentiCorp, one record each.

Files are found and read in CLUE's layout, JSON lines, and as the tables in which the data circulate, whose
columns have several names. Labels are in the order of albert_zh's processors, where it has one.

Source: Xu et al. (2020), CLUE; run_classifier_clue.py, run_classifier_clue.sh and run_classifier_lcqmc.sh
of albert_zh, whose hyperparameters are for `tiny`; `published` adapts them to larger models.
"""

from collections.abc import Mapping
from types import MappingProxyType

from albert.tasks.submissions import clue
from albert.tasks.task import HubData, Hyperparameters, Task, TaskData

CLUE_SCRIPT = "albert_zh, run_classifier_clue.sh (tiny)"
LCQMC_SCRIPT = "albert_zh, run_classifier_lcqmc.sh (tiny)"

_NOT_OR_YES = ("0", "1")
_INFERENCE = ("contradiction", "entailment", "neutral")
_ALIASES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "sentence1": ("text_a", "premise", "query1", "question1", "text1"),
        "sentence2": ("text_b", "hypothesis", "hypo", "query2", "question2", "text2"),
        "sentence": ("text_a", "text", "review"),
        "label": ("gold_label",),
    }
)
TNEWS_DESCRIPTIONS: Mapping[str, str] = MappingProxyType(
    {
        "100": "news_story",
        "101": "news_culture",
        "102": "news_entertainment",
        "103": "news_sports",
        "104": "news_finance",
        "106": "news_house",
        "107": "news_car",
        "108": "news_edu",
        "109": "news_tech",
        "110": "news_military",
        "112": "news_travel",
        "113": "news_world",
        "114": "news_stock",
        "115": "news_agriculture",
        "116": "news_game",
    }
)
"""The subjects of TNEWS by label; a submission contains both."""
_PAIR = ("sentence1", "sentence2", "label")


def _files(*, names: tuple[str, ...] = (), train: tuple[str, ...] = ()) -> Mapping[str, tuple[str, ...]]:
    """Return patterns for CLUE's files, tables, those in `names` ("{}" is the split), and FewCLUE's files."""
    patterns = ("{}.json", "{}", "{}.txt", *names, "{}_few_all.json", "{}_0.json")
    files = {
        split: tuple(pattern.replace("{}", split) for pattern in patterns)
        for split in ("train", "dev", "test")
    }
    return MappingProxyType(files | {"train": (*files["train"], *train)})


def _hub(config: str) -> HubData:
    return HubData(name="clue/clue", config=config, columns=MappingProxyType({"idx": "id"}))


def _hyperparameters(
    *, batch_size: int, learning_rate: float, num_epochs: float, source: str = CLUE_SCRIPT
) -> Hyperparameters:
    return Hyperparameters(
        learning_rate=learning_rate,
        batch_size=batch_size,
        num_epochs=num_epochs,
        max_seq_length=128,
        hidden_dropout_prob=None,
        source=source,
    )


_LCQMC = _hyperparameters(batch_size=64, learning_rate=1e-4, num_epochs=5, source=LCQMC_SCRIPT)
_NLI = _hyperparameters(batch_size=64, learning_rate=3e-5, num_epochs=2)

CLUE_TASKS = (
    Task(
        name="lcqmc",
        title="LCQMC: do the questions mean the same (Chinese)",
        kind="classification",
        data=TaskData(
            folder="lcqmc",
            files=_files(names=("LCQMC_{}.json", "LCQMC_{}.csv", "LCQMC_{}.txt", "LCQMC_{}.tsv")),
            text_column="sentence1",
            pair_column="sentence2",
            id_column="id",
            bare_columns=_PAIR,
            aliases=_ALIASES,
            hub=HubData(name="C-MTEB/LCQMC", columns=MappingProxyType({"score": "label"})),
        ),
        labels=_NOT_OR_YES,
        metrics=("accuracy", "f1"),
        language="zh",
        hyperparameters=_LCQMC,
    ),
    Task(
        name="afqmc",
        title="AFQMC: do the questions to a bank mean the same (Chinese)",
        kind="classification",
        data=TaskData(
            folder="afqmc",
            files=_files(),
            text_column="sentence1",
            pair_column="sentence2",
            id_column="id",
            bare_columns=_PAIR,
            aliases=_ALIASES,
            hub=_hub("afqmc"),
        ),
        labels=_NOT_OR_YES,
        metrics=("accuracy", "f1"),
        submission=clue("afqmc_predict.json"),
        language="zh",
        hyperparameters=_hyperparameters(batch_size=16, learning_rate=2e-5, num_epochs=3),
    ),
    Task(
        name="tnews",
        title="TNEWS: which of 15 subjects a headline has (Chinese)",
        kind="classification",
        data=TaskData(
            folder="tnews",
            files=_files(),
            text_column="sentence",
            id_column="id",
            aliases=_ALIASES,
            hub=_hub("tnews"),
        ),
        labels=tuple(TNEWS_DESCRIPTIONS),
        metrics=("accuracy",),
        submission=clue("tnews11_predict.json", label_descriptions=TNEWS_DESCRIPTIONS),
        language="zh",
        hyperparameters=_hyperparameters(batch_size=16, learning_rate=2e-5, num_epochs=3),
    ),
    Task(
        name="iflytek",
        title="IFLYTEK: which of 119 categories an app belongs to (Chinese)",
        kind="classification",
        data=TaskData(
            folder="iflytek",
            files=_files(),
            text_column="sentence",
            id_column="id",
            aliases=_ALIASES,
            hub=_hub("iflytek"),
        ),
        labels=tuple(map(str, range(119))),
        metrics=("accuracy",),
        submission=clue("iflytek_predict.json"),
        language="zh",
        hyperparameters=_hyperparameters(batch_size=32, learning_rate=2e-5, num_epochs=3),
    ),
    Task(
        name="cmnli",
        title="CMNLI: does the first text entail, contradict or leave open the second (Chinese)",
        kind="classification",
        data=TaskData(
            folder="cmnli",
            files=_files(),
            text_column="sentence1",
            pair_column="sentence2",
            id_column="id",
            aliases=_ALIASES,
            dropped_labels=("-",),
            hub=_hub("cmnli"),
        ),
        labels=_INFERENCE,
        metrics=("accuracy",),
        submission=clue("cmnli_predict.json", is_required=False),
        language="zh",
        hyperparameters=_NLI,
    ),
    Task(
        name="ocnli",
        title="OCNLI: does the first text entail, contradict or leave open the second (originally Chinese)",
        kind="classification",
        data=TaskData(
            folder="ocnli",
            files=_files(train=("train.50k.json", "train.30k.json", "train.10k.json", "train.3k.json")),
            text_column="sentence1",
            pair_column="sentence2",
            id_column="id",
            aliases=_ALIASES,
            dropped_labels=("-",),
            hub=_hub("ocnli"),
        ),
        labels=_INFERENCE,
        metrics=("accuracy",),
        submission=clue("ocnli_50k_predict.json"),
        language="zh",
        hyperparameters=_hyperparameters(
            batch_size=64, learning_rate=3e-5, num_epochs=2, source=f"as CMNLI in {CLUE_SCRIPT}"
        ),
    ),
    Task(
        name="csl",
        title="CSL: are all keywords those of the abstract (Chinese)",
        kind="classification",
        data=TaskData(
            folder="csl",
            files=_files(),
            layout="csl",
            text_column="keyword",
            pair_column="abst",
            id_column="id",
            hub=_hub("csl"),
        ),
        labels=_NOT_OR_YES,
        metrics=("accuracy",),
        submission=clue("csl_predict.json"),
        language="zh",
        hyperparameters=_hyperparameters(batch_size=16, learning_rate=1e-5, num_epochs=5),
    ),
    Task(
        name="cluewsc",
        title="CLUEWSC: does the pronoun mean the marked word (Chinese)",
        kind="classification",
        data=TaskData(
            folder="cluewsc",
            files=_files(),
            layout="cluewsc",
            text_column="text",
            id_column="id",
            aliases=MappingProxyType({"id": ("idx",)}),
            hub=_hub("cluewsc2020"),
        ),
        labels=("true", "false"),
        metrics=("accuracy",),
        submission=clue("cluewsc11_predict.json"),
        language="zh",
        hyperparameters=_hyperparameters(batch_size=16, learning_rate=1e-5, num_epochs=10),
    ),
    Task(
        name="xnli-zh",
        title="XNLI: does the first text entail, contradict or leave open the second (Chinese part)",
        kind="classification",
        data=TaskData(
            folder="xnli",
            files=_files(names=("xnli.{}.tsv",), train=("multinli.train.zh.tsv",)),
            text_column="sentence1",
            pair_column="sentence2",
            id_column="id",
            aliases=_ALIASES,
            spellings=MappingProxyType({"contradictory": "contradiction"}),
            rows_with=MappingProxyType({"language": "zh"}),
            hub=HubData(name="facebook/xnli", config="zh"),
        ),
        labels=_INFERENCE,
        metrics=("accuracy",),
        language="zh",
        hyperparameters=_hyperparameters(
            batch_size=64, learning_rate=3e-5, num_epochs=2, source=f"as CMNLI in {CLUE_SCRIPT}"
        ),
    ),
    Task(
        name="bq",
        title="BQ: do the questions to a bank mean the same (Chinese)",
        kind="classification",
        data=TaskData(
            folder="bq",
            files=_files(names=("bq_corpus_{}.tsv", "BQ_{}.json", "BQ_{}.csv")),
            text_column="sentence1",
            pair_column="sentence2",
            id_column="id",
            bare_columns=_PAIR,
            aliases=_ALIASES,
            hub=HubData(name="C-MTEB/BQ", columns=MappingProxyType({"score": "label"})),
        ),
        labels=_NOT_OR_YES,
        metrics=("accuracy", "f1"),
        language="zh",
        hyperparameters=_hyperparameters(
            batch_size=64, learning_rate=1e-4, num_epochs=5, source=f"as LCQMC in {LCQMC_SCRIPT}"
        ),
    ),
    Task(
        name="chnsenticorp",
        title="ChnSentiCorp: is the review positive (Chinese)",
        kind="classification",
        data=TaskData(
            folder="chnsenticorp",
            files=_files(names=("ChnSentiCorp_{}.tsv",)),
            text_column="sentence",
            id_column="id",
            aliases=MappingProxyType({**_ALIASES, "id": ("qid",)}),
            hub=HubData(name="lansinuote/ChnSentiCorp"),
        ),
        labels=_NOT_OR_YES,
        metrics=("accuracy", "f1"),
        language="zh",
        hyperparameters=_hyperparameters(
            batch_size=16, learning_rate=2e-5, num_epochs=3, source=f"as TNEWS in {CLUE_SCRIPT}"
        ),
    ),
)
