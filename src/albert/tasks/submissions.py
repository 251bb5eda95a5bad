"""What benchmarks take: the names of their files, and how predictions are written in them.

Stands beside `predictions`, above the records of tasks. GLUE takes a table of `index` and `prediction` for
each of eleven tasks; CLUE takes JSON lines of `id` and `label`, for reading one JSON object; the scripts of
SQuAD take an object of answers by question, which we write for RACE, too, with letters.

Source: the FAQ of gluebenchmark.com; CLUEbenchmark/CLUE, submission notes of September 2021, whose names are
those of version 1.1 of the test sets; `write_predictions_v2` (squad_utils.py) of the original.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from string import ascii_uppercase as LETTERS
from types import MappingProxyType
from typing import Any, Literal

from albert.tasks.labels import six_digits
from albert.tasks.predictions import Chunk, LineFormat, Prediction
from albert.tasks.spans.decoding import best_spans_by_id, null_odds_by_id, predicted_texts
from albert.tasks.task import Task

Layout = Literal["glue", "clue", "c3", "cluener", "answers", "letters"]

PREDICTIONS_FILE = "predictions.json"
BEST_SPANS_FILE = "nbest_predictions.json"
NULL_ODDS_FILE = "null_odds.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """The file that a benchmark takes for one task."""

    benchmark: Literal["GLUE", "CLUE", ""]
    """Takes one archive of all its files; "" where each file goes alone."""
    file: str
    """Its name."""
    layout: Layout
    """What is in it."""

    @property
    def is_object(self) -> bool:
        """Tells whether the file is one JSON object rather than lines."""
        return self.layout in {"answers", "letters"}


def _glue(file: str) -> Submission:
    return Submission(benchmark="GLUE", file=file, layout="glue")


def _clue(file: str, layout: Layout = "clue") -> Submission:
    return Submission(benchmark="CLUE", file=file, layout=layout)


SUBMISSIONS: Mapping[str, Submission] = MappingProxyType(
    {
        "cola": _glue("CoLA.tsv"),
        "sst2": _glue("SST-2.tsv"),
        "mrpc": _glue("MRPC.tsv"),
        "stsb": _glue("STS-B.tsv"),
        "qqp": _glue("QQP.tsv"),
        "mnli": _glue("MNLI-m.tsv"),
        "mnli-mm": _glue("MNLI-mm.tsv"),
        "qnli": _glue("QNLI.tsv"),
        "rte": _glue("RTE.tsv"),
        "wnli": _glue("WNLI.tsv"),
        "ax": _glue("AX.tsv"),
        "afqmc": _clue("afqmc_predict.json"),
        "tnews": _clue("tnews11_predict.json"),
        "iflytek": _clue("iflytek_predict.json"),
        "ocnli": _clue("ocnli_50k_predict.json"),
        "cluewsc": _clue("cluewsc11_predict.json"),
        "csl": _clue("csl_predict.json"),
        "cmrc2018": _clue("cmrc2018_predict.json", "answers"),
        "c3": _clue("c311_predict.json", "c3"),
        "cmnli": _clue("cmnli_predict.json"),
        "cluener": _clue("cluener_predict.json", "cluener"),
    }
)
"""The file of each task that a benchmark takes by a name of its own."""

COMPLETE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "GLUE": tuple(s.file for s in SUBMISSIONS.values() if s.benchmark == "GLUE"),
        # CMNLI was CLUE's before OCNLI took its place; CLUENER has a ranking of its own.
        "CLUE": tuple(
            submission.file
            for name, submission in SUBMISSIONS.items()
            if submission.benchmark == "CLUE" and name not in {"cmnli", "cluener"}
        ),
    }
)
"""The files of a whole submission to each benchmark, as far as there are tasks for them."""

TNEWS_NAMES: Mapping[str, str] = MappingProxyType(
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
"""The subjects of TNEWS by label, which a submission names, too."""


def find_submission(task: Task) -> Submission | None:
    """Returns the official file of `task`; for answers and choices of any task what the scripts take."""
    if task.name in SUBMISSIONS:
        return SUBMISSIONS[task.name]
    if task.kind == "spans":
        return Submission(benchmark="", file=PREDICTIONS_FILE, layout="answers")
    if task.kind == "choice":
        return Submission(benchmark="", file=PREDICTIONS_FILE, layout="letters")
    return None


def official_lines(task: Task, layout: Layout) -> LineFormat:
    """Returns the lines of the official file of `task`, which is no JSON object."""
    if layout == "glue":
        return LineFormat(header="index\tprediction\n", line=_glue_line)
    labels: dict[Layout, Callable[[Prediction], dict[str, Any]]] = {
        "clue": _tnews_label if task.name == "tnews" else _label,
        "c3": lambda prediction: {"label": LETTERS.index(prediction.record["label"])},
        "cluener": lambda prediction: {"label": entities_by_type(prediction.record["entities"])},
    }
    label = labels[layout]

    def line(prediction: Prediction) -> str:
        content = {"id": _plain_id(prediction.id), **label(prediction)}
        return json.dumps(content, ensure_ascii=False) + "\n"

    return LineFormat(header="", line=line)


def official_members(layout: Layout, chunk: Chunk) -> dict[str, dict[str, Any]]:
    """Returns what some predictions add to each file of JSON, by its name: answers, best spans, null odds.

    The first is the submission itself. There are null odds where a question may lack an answer.
    """
    if layout == "letters":
        return {PREDICTIONS_FILE: {p.id: p.record["label"] for p in chunk.predictions}}
    questions, answers, threshold = chunk.examples, chunk.answers.answers, chunk.answers.threshold
    members: dict[str, dict[str, Any]] = {
        PREDICTIONS_FILE: dict(predicted_texts(questions, answers, null_threshold=threshold)),
        BEST_SPANS_FILE: dict(best_spans_by_id(questions, answers)),
    }
    if threshold is not None:
        members[NULL_ODDS_FILE] = dict(null_odds_by_id(questions, answers))
    return members


def entities_by_type(entities: list[dict[str, Any]]) -> dict[str, dict[str, list[list[int]]]]:
    """Returns entities as CLUENER has them: type, text, and places by first and last character."""
    found: dict[str, dict[str, list[list[int]]]] = {}
    for entity in entities:
        places = found.setdefault(entity["type"], {}).setdefault(entity["text"], [])
        places.append([entity["start"], entity["end"] - 1])
    return found


def _glue_line(prediction: Prediction) -> str:
    record = prediction.record
    if "label" in record:
        return f"{prediction.id}\t{record['label']}\n"
    # The only numbers of GLUE are STS-B's; a regression may leave their scale.
    return f"{prediction.id}\t{six_digits(min(5.0, max(0.0, record['score'])))}\n"


def _label(prediction: Prediction) -> dict[str, Any]:
    return {"label": prediction.record["label"]}


def _tnews_label(prediction: Prediction) -> dict[str, Any]:
    label = prediction.record["label"]
    return {"label": label, "label_desc": TNEWS_NAMES[label]}


def _plain_id(name: str) -> int | str:
    """Returns an id as the number it is in the benchmark's files, if it is one."""
    return int(name) if name.isascii() and name.isdecimal() and str(int(name)) == name else name
