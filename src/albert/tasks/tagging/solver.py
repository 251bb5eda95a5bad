"""The kind `tagging`: a tag for every word of a sentence, such as its entity.

A linear head predicts a row of logits for every word, and the likeliest tag is taken, without regard to its
neighbours: no CRF. Impossible sequences, such as I- after O, are interpreted as in CoNLL's scorer. Tags that
do not mark entities, such as parts of speech, are scored by accuracy alone.
Letters: S sentences, W words of all of them, N tokens, K tags.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from albert.config import AlbertConfig
from albert.errors import DataError
from albert.metrics.entities import BEGINNINGS, CONTINUATIONS, OUTSIDE, entity_spans, score_entities
from albert.tasks.cuts import Cuts
from albert.tasks.features import taken_positions
from albert.tasks.labels import labels_of_model, six_digits
from albert.tasks.prediction_files import PredictionFile, certain_logits, ids_of, with_more_labels
from albert.tasks.predictions import LineFormat, PredictionRow, RowContent, clue_lines, json_lines
from albert.tasks.solver import LINES, Solver, groups_of_similar_length, refuse_null_odds, without_loss
from albert.tasks.submissions import Submission
from albert.tasks.tagging.features import TagFeatures, make_tag_features
from albert.tasks.tagging.files import TaggedExample, read_sentences, read_tagged, tags_in
from albert.tasks.tagging.predictions import entities_by_type, read_predicted_tags
from albert.tasks.task import Lengths, Task
from albert.text.tokenizer import AlbertTokenizer

if TYPE_CHECKING:
    from torch import Tensor

    from albert.model.losses import LossSum
    from albert.model.pretrained import Pretrained
    from albert.model.task_models import AlbertForTokenClassification

_SENTENCES = re.compile(rb"[^\r\n]\r?\n\r?\n|[^\r\n]\s*\Z")


@dataclass(frozen=True, slots=True)
class TagPredictions:
    """Logits of every word of some sentences."""

    logits: NDArray[np.float32]
    """A row for each word of all sentences, in order, (W, K)."""
    num_words: NDArray[np.int64]
    """Number of words of each sentence, (S,)."""

    def __len__(self) -> int:
        """Return the number of sentences."""
        return len(self.num_words)

    def tags(self, names: Sequence[str]) -> list[list[str]]:
        """Return the likeliest tags of each sentence, given the names of all tags, (K,)."""
        return [[names[id_] for id_ in ids] for ids in self._by_sentence(self.logits.argmax(-1))]

    def probabilities(self) -> list[list[float]]:
        """Return the probability of each word's likeliest tag, by sentence."""
        from scipy.special import log_softmax

        return self._by_sentence(np.exp(log_softmax(self.logits, axis=-1).max(-1)))

    def _by_sentence(self, values: NDArray[Any]) -> list[list[Any]]:
        # (W,) -> one list for each of S sentences
        return [part.tolist() for part in np.split(values, self.num_words.cumsum()[:-1])][: len(self)]


@dataclass(frozen=True, slots=True)
class TaggingObjective:
    """Cross-entropy over the tags, averaged over words."""

    def counts(self, batch: TagFeatures) -> dict[str, int]:
        """Return the number of words with a tag."""
        from albert.model.losses import IGNORED_LABEL

        return {"task": int(np.count_nonzero(batch.labels != IGNORED_LABEL))}

    def sums(self, model: AlbertForTokenClassification, batch: TagFeatures) -> dict[str, LossSum]:
        """Return the summed loss of the words of `batch`."""
        from albert.model.losses import cross_entropy_sum
        from albert.model.packing import on_device

        logits = _packed_logits(model, batch)
        return {"task": cross_entropy_sum(logits, on_device(batch.labels, logits.device))}


class TaggingSolver(Solver):
    """A tag for every word of a sentence."""

    features_class = TagFeatures
    row_suffixes = (".csv", ".tsv", ".jsonl", ".conll")

    def rows(
        self, task: Task, paths: Sequence[Path], *, split: str, labelled: bool
    ) -> Iterator[TaggedExample | DataError]:
        """Yield the sentences of columns, lists in JSON lines, or CLUENER's files."""
        del split
        for path in paths:
            yield from read_tagged(task, path, labelled=labelled)

    def text_rows(self, task: Task, path: Path) -> Iterator[TaggedExample | DataError]:
        """Yield each line as a sentence, split into words at spaces, and Chinese into characters."""
        return read_sentences(task, path)

    def example_pattern(self, task: Task, path: Path) -> re.Pattern[bytes] | None:
        """Return the pattern of a sentence's end: a blank line in files of columns, else a line's end."""
        del task
        return LINES if path.suffix in {".json", ".jsonl"} else _SENTENCES

    def with_labels_in(self, task: Task, paths: Sequence[Path]) -> Task:
        """Return `task` with the tags of its training files: O, then the others by type.

        If the tags do not mark entities, `accuracy` is the only score.

        Raises:
            DataError: There is only one tag, or so many that they can hardly be tags.
        """
        return task if task.labels else _with_tags(task, tags_in(task, paths))

    def encode(
        self,
        task: Task,
        examples: Sequence[TaggedExample],
        tokenizer: AlbertTokenizer,
        *,
        lengths: Lengths,
        cuts: Cuts | None = None,
    ) -> TagFeatures:
        """Return every sentence as `[CLS] words [SEP]`, a long one in several windows."""
        label_ids = {label: number for number, label in enumerate(task.labels)}
        return make_tag_features(
            examples,
            tokenizer,
            label_ids=label_ids,
            max_seq_length=lengths.max_seq_length,
            cuts=cuts,
        )

    def model_class(self, task: Task) -> type[Pretrained]:
        """Return the class with a linear head on every token."""
        from albert.model.task_models import AlbertForTokenClassification

        del task
        return AlbertForTokenClassification

    def model_classes(self) -> tuple[type[Pretrained], ...]:
        """Return the class with a linear head on every token."""
        from albert.model.task_models import AlbertForTokenClassification

        return (AlbertForTokenClassification,)

    def config_changes(self, task: Task) -> dict[str, Any]:
        """Return the tags and the dropout before the classifier."""
        return {
            "classifier_dropout_prob": task.hyperparameters.classifier_dropout_prob,
            "id2label": dict(enumerate(task.labels)),
        }

    def with_labels_of(self, task: Task, config: AlbertConfig) -> Task:
        """Return `task` with its tags in the order of the model's outputs.

        A model that does not name its tags (LABEL_0, LABEL_1, ...) is taken to have the task's order.

        Raises:
            ConfigError: The model has other tags than the task.
        """
        names = labels_of_model(task, config)
        return task if names == task.labels else _with_tags(task, names)

    def objective(self, task: Task) -> TaggingObjective:
        """Return the cross-entropy."""
        del task
        return TaggingObjective()

    def guess(
        self, task: Task, known: Sequence[TaggedExample], examples: Sequence[TaggedExample]
    ) -> TagPredictions:
        """Return the frequencies of the tags for every word, so that the most frequent one is predicted."""
        found = Counter(tag for example in known for tag in example.tags or ())
        counts = np.array([found[label] + 0.5 for label in task.labels])
        num_words = np.array([len(example.words) for example in examples], np.int64)
        logits = np.log(counts / counts.sum()).astype(np.float32)
        return TagPredictions(np.tile(logits, (int(num_words.sum()), 1)), num_words)

    def predict(
        self, task: Task, model: Pretrained, examples: Sequence[TaggedExample], features: TagFeatures
    ) -> TagPredictions:
        """Return the logits of every word, taken at its first token."""
        import torch

        from albert.model.packing import on_device
        from albert.model.task_models import AlbertForTokenClassification

        del task
        assert isinstance(model, AlbertForTokenClassification)
        num_words = features.num_words
        logits = np.zeros((num_words.sum(), model.config.num_labels), np.float32)
        model.eval()
        with torch.inference_mode():
            for indices in groups_of_similar_length(features.lengths):
                batch = features.take(indices)
                # (N, K) -> (words of the batch, K)
                found = _packed_logits(model, batch)[on_device(batch.opens_word, model.device)]
                logits[taken_positions(num_words, indices)] = found.float().cpu().numpy()
        return TagPredictions(logits, np.array([len(example.words) for example in examples], np.int64))

    def scores(
        self, task: Task, examples: Sequence[TaggedExample], predictions: TagPredictions
    ) -> dict[str, float]:
        """Return the scores of whole entities, the accuracy over words, and the mean `loss`."""
        losses, right = _word_losses(task, examples, predictions)
        found = {"accuracy": float(right.mean())}
        if _mark_entities(task.labels):
            found |= score_entities(
                [example.tags or () for example in examples], predictions.tags(task.labels)
            )
        return {**{name: found[name] for name in task.metrics}, "loss": float(losses.mean())}

    def losses(
        self, task: Task, examples: Sequence[TaggedExample], predictions: TagPredictions
    ) -> NDArray[np.float64]:
        """Return the mean cross-entropy of the words of each sentence, (S,)."""
        if not len(predictions):
            return np.zeros(0)
        starts = predictions.num_words.cumsum() - predictions.num_words
        return np.add.reduceat(_word_losses(task, examples, predictions)[0], starts) / predictions.num_words

    def records(
        self, task: Task, examples: Sequence[TaggedExample], predictions: TagPredictions
    ) -> Iterator[dict[str, Any]]:
        """Yield `tags`, one a word, and `entities`, an empty list if the tags do not mark entities.

        An entity has its `type`, the `text` from character `start` to `end` (exclusive) of the sentence, and
        as `score` the mean probability of its tags.
        """
        marked = _mark_entities(task.labels)
        found = zip(examples, predictions.tags(task.labels), predictions.probabilities(), strict=True)
        for example, tags, probabilities in found:
            entities = _entities(example, tags, probabilities) if marked else ()
            yield {"tags": tags, "entities": list(entities)}

    def shown(self, task: Task, example: TaggedExample) -> dict[str, str]:
        """Return the text, and as label the words whose tag is not O, with their tags."""
        del task
        if example.tags is None:
            return {"text": example.text}
        tagged = [
            f"{word}/{tag}" for word, tag in zip(example.words, example.tags, strict=True) if tag != OUTSIDE
        ]
        return {"text": example.text, "label": " ".join(tagged) or OUTSIDE}

    def row_content(self, task: Task) -> RowContent:
        """Return the words and their tags, in a table each separated by spaces."""
        del task
        return RowContent(
            inputs={"words": lambda example: " ".join(example.words)},
            outputs=[("tags", lambda record: " ".join(record["tags"]))],
        )

    def row_format(self, task: Task, suffix: str) -> LineFormat:
        """Return a table, JSON lines with lists, or columns with one word a line."""
        if suffix == ".jsonl":
            return json_lines(lambda row: {"id": row.id, "words": list(row.example.words), **row.record})
        if suffix == ".conll":
            return LineFormat(line=_columns, skipped=lambda _: "\n")
        return super().row_format(task, suffix)

    def official_format(self, task: Task, submission: Submission) -> LineFormat:
        """Return CLUENER's JSON lines of entities."""
        del task, submission
        return clue_lines(lambda row: {"label": entities_by_type(row.record["entities"])})

    def scores_of_file(
        self, task: Task, examples: Sequence[TaggedExample], file: PredictionFile
    ) -> dict[str, float]:
        """Return the scores of predicted tags."""
        refuse_null_odds(task, file)
        tags = read_predicted_tags(task, examples, file)
        task = with_more_labels(task, [tag for sentence in tags for tag in sentence])
        ids = ids_of(task, [tag for sentence in tags for tag in sentence])
        logits = certain_logits(ids, len(task.labels)).astype(np.float32)
        num_words = np.array([len(sentence) for sentence in tags], np.int64)
        return without_loss(self.scores(task, examples, TagPredictions(logits, num_words)))


def _with_tags(task: Task, tags: tuple[str, ...]) -> Task:
    return replace(task, labels=tags, metrics=task.metrics if _mark_entities(tags) else ("accuracy",))


def _mark_entities(tags: Sequence[str]) -> bool:
    """Whether tags mark the beginning and the rest of entities."""
    letters = BEGINNINGS | CONTINUATIONS
    return all(tag == OUTSIDE or (tag[:1] in letters and (tag[1:2] == "-") == (len(tag) > 1)) for tag in tags)


def _entities(
    example: TaggedExample, tags: list[str], probabilities: list[float]
) -> Iterator[dict[str, Any]]:
    """Yield the entities of a sentence, given its tags and their probabilities."""
    ends = list(example.ends())
    for kind, first, stop in entity_spans(tags):
        start, end = example.starts[first], ends[stop - 1]
        yield {
            "type": kind,
            "text": example.text[start:end],
            "start": start,
            "end": end,
            "score": six_digits(float(np.mean(probabilities[first:stop]))),
        }


def _word_losses(
    task: Task, examples: Sequence[TaggedExample], predictions: TagPredictions
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the cross-entropy of every word, and whether its likeliest tag is right, each (W,)."""
    from scipy.special import log_softmax

    label_ids = {label: number for number, label in enumerate(task.labels)}
    labels = np.array([label_ids[tag] for example in examples for tag in example.tags or ()], np.int64)
    losses = -log_softmax(predictions.logits.astype(np.float64), axis=-1)[np.arange(len(labels)), labels]
    return losses, predictions.logits.argmax(-1) == labels


def _packed_logits(model: AlbertForTokenClassification, batch: TagFeatures) -> Tensor:
    """Return the logits of a batch, (N, K)."""
    return model.packed_logits(*model.packed_inputs(batch))


def _columns(row: PredictionRow) -> str:
    """Return a line with word and tag for each word, and a blank line after the sentence.

    Raises:
        DataError: A word contains a space.
    """
    example = row.example
    for word in example.words:
        if not word.strip() or len(word.split()) > 1:
            raise DataError(
                f"{example.where}: the word {word[:40]!r} contains a space, which separates columns; "
                "name an --output that ends in .jsonl or .tsv"
            )
    tagged = zip(example.words, row.record["tags"], strict=True)
    return "".join(f"{word} {tag}\n" for word, tag in tagged) + "\n"
