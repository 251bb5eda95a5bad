"""`albert predict`: labels or numbers for every text of a file, as a stream.

Texts are read, encoded, classified and written a thousand at a time, in the order of the file, so memory
does not depend on its size.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from albert.checkpoint.conversion import model_folder
from albert.console import progress
from albert.errors import ConfigError, DataError
from albert.tasks.catalogue import find_task
from albert.tasks.classification import classify, label_names, model_kind, read_classifier, sequence_length
from albert.tasks.features import stream_features
from albert.tasks.own import with_columns
from albert.tasks.tables import Example, read_examples, read_text_lines
from albert.training.settings import find_device

OUTPUT_SUFFIXES = (".tsv", ".jsonl")
Writer = Callable[[NDArray[np.float32]], str]


@dataclass(frozen=True, kw_only=True)
class PredictSettings:
    """Labels the texts of a file with a fine-tuned model."""

    model: str
    """Model that `albert finetune` wrote, such as RUN/best; or anything that `albert convert` takes."""
    input: Path
    """Texts: .txt with one a line, or .tsv, .csv, .jsonl with columns."""
    output: Path
    """Predictions, one a line in the order of the input: .tsv or .jsonl."""
    task: str | None = None
    """Task whose column names and test file the input has, as listed by `albert tasks`."""
    text_column: str | None = None
    """Column of the text; the task's own where missing, `text` without a task."""
    pair_column: str | None = None
    """Column of the second text of a pair; the task's own where missing."""
    max_seq_length: int | None = None
    """Pieces a text is cut to; the length of the fine-tuning where missing."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto takes a GPU where there is one."""


def predict(settings: PredictSettings) -> dict[str, object]:
    """Writes one line for each text, and returns their number.

    A class comes as `label` with its probability `score` and the probability of every label; a number
    comes as `score`.

    Raises:
        AlbertError: The model is no classifier, or the input cannot be read; what was written stays.
    """
    if settings.output.suffix not in OUTPUT_SUFFIXES:
        raise ConfigError(f"--output {settings.output}: expected a name ending in .tsv or .jsonl")
    if settings.output.resolve() == settings.input.resolve():
        raise ConfigError(f"--output {settings.output} is the input; name another file")
    examples = _read(settings)
    model, tokenizer = read_classifier(model_folder(settings.model))
    model.to(find_device(settings.device))
    length = sequence_length(settings.max_seq_length, model.config, default=tokenizer.model_max_length)
    labels = label_names(model.config) if model_kind(model.config) == "classification" else ()
    header, line_of = _tsv(labels) if settings.output.suffix == ".tsv" else _jsonl(labels)
    chunks = stream_features(examples, tokenizer, max_seq_length=length)
    first = next(chunks, None)  # What is wrong from the start must not cost an earlier output file.
    if first is None:
        raise DataError(f"{settings.input}: holds no text; expected one or more")
    settings.output.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with (
        settings.output.open("w", encoding="utf-8") as file,
        progress("predicting", unit=" texts") as bar,
    ):
        file.write(header)
        for features in chain([first], chunks):
            file.writelines(map(line_of, classify(model, features)))
            count += len(features)
            bar.advance(len(features))
    return {"output": str(settings.output), "examples": count}


def _read(settings: PredictSettings) -> Iterator[Example]:
    """Returns the texts of the input; problems of the file come up while it is read."""
    if settings.input.suffix == ".txt":
        if settings.pair_column or settings.text_column or settings.task:
            raise ConfigError(
                f"--input {settings.input}: lines of text have no columns; drop --task and the columns, "
                "or give a .tsv, .csv or .jsonl file"
            )
        return _read_lines(settings.input)
    task = with_columns(
        find_task(settings.task or "classification"), text=settings.text_column, pair=settings.pair_column
    )
    split = "test" if settings.task else ""
    return read_examples(task, settings.input, split=split, labelled=False)


def _read_lines(path: Path) -> Iterator[Example]:
    for number, line in read_text_lines(path):
        if not line.strip():
            raise DataError(f"{path}:{number}: the line is empty; drop it, as each line is one text")
        yield Example(line)


def _jsonl(labels: tuple[str, ...]) -> tuple[str, Writer]:
    """Returns the header, which is empty, and what turns logits (K,) into a line."""

    def write(logits: NDArray[np.float32]) -> str:
        content: dict[str, object]
        if labels:
            scores = dict(zip(labels, _probabilities(logits), strict=True))
            best = labels[int(logits.argmax())]
            content = {"label": best, "score": scores[best], "scores": scores}
        else:
            content = {"score": _rounded(logits[0])}
        return json.dumps(content, ensure_ascii=False) + "\n"

    return "", write


def _tsv(labels: tuple[str, ...]) -> tuple[str, Writer]:
    """Returns the header and what turns logits (K,) into a line."""
    names = [" ".join(label.split()) for label in labels]

    def write(logits: NDArray[np.float32]) -> str:
        if not labels:
            return f"{_rounded(logits[0])}\n"
        best = int(logits.argmax())
        scores = _probabilities(logits)
        return "\t".join([names[best], *map(str, (scores[best], *scores))]) + "\n"

    return "\t".join(["label", "score", *names] if labels else ["score"]) + "\n", write


def _probabilities(logits: NDArray[np.float32]) -> list[float]:
    return [_rounded(probability) for probability in softmax(logits.astype(np.float64))]


def _rounded(number: float) -> float:
    """Returns the number with the six digits that float32 carries."""
    return float(f"{number:.6g}")
