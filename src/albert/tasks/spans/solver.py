"""The kind `spans`: a question is answered by a span of a passage, or by nothing in it.

If every question has an answer, the head is the linear one of SQuAD 1.1; if some have none, it is the one
with beam search of SQuAD 2.0, as in the original. A model with a linear head that was trained on SQuAD 2.0
elsewhere, as in transformers, can be used, too.
Letters: B windows, Q questions.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from albert.console import say
from albert.errors import DataError
from albert.metrics.answers import f1_overlap, normalize_answer, score_answers_v1, score_answers_v2
from albert.metrics.chinese_answers import longest_run_f1, score_chinese_answers
from albert.tasks.cuts import Cuts
from albert.tasks.labels import six_digits
from albert.tasks.prediction_files import PredictionFile
from albert.tasks.predictions import ObjectFormat, RowContent, recorded
from albert.tasks.solver import Solver, groups_of_similar_length
from albert.tasks.spans.decoding import (
    MAX_ANSWER_LENGTH,
    N_BEST_SIZE,
    SpanAnswer,
    SpanCandidates,
    candidates_of_beams,
    candidates_of_logits,
    decode_spans,
    null_odds_by_id,
    predicted_texts,
)
from albert.tasks.spans.files import Question, lacks_answers, read_questions
from albert.tasks.spans.predictions import (
    BEST_SPANS_FILE,
    NULL_ODDS_FILE,
    SpanPredictions,
    official_members,
    score_answer_file,
)
from albert.tasks.spans.windows import SpanFeatures, make_span_features
from albert.tasks.submissions import Submission
from albert.tasks.task import Lengths, Task
from albert.text.tokenizer import AlbertTokenizer

if TYPE_CHECKING:
    from torch import Tensor

    from albert.model.answer_models import AlbertForQuestionAnswering, AlbertForQuestionAnsweringBeamSearch
    from albert.model.losses import LossSum
    from albert.model.pretrained import Pretrained

    AnswerModel = AlbertForQuestionAnswering | AlbertForQuestionAnsweringBeamSearch

_QUESTIONS = re.compile(rb'"question"')


class SpanObjective:
    """Cross-entropy of start and end, and of answerability if the head has it.

    For a window without its question's answer, the right start and end are [CLS].
    """

    def counts(self, batch: SpanFeatures) -> dict[str, int]:
        """Return the number of windows."""
        return {"task": len(batch)}

    def sums(self, model: AnswerModel, batch: SpanFeatures) -> dict[str, LossSum]:
        """Return the summed loss of the windows of `batch`."""
        from albert.model.answer_models import AlbertForQuestionAnswering
        from albert.model.losses import LossSum
        from albert.model.spans import answerability_loss_sum, span_loss_sum

        inputs = model.packed_inputs(batch)
        start, end = _tensors(model, batch.start_positions, batch.end_positions)
        if isinstance(model, AlbertForQuestionAnswering):
            return {"task": span_loss_sum(model.packed_logits(*inputs), (start, end))}
        [p_mask, is_impossible] = _tensors(model, batch.p_mask, batch.is_impossible)
        found = model.packed_logits(*inputs, p_mask=p_mask, start_positions=start)
        span = span_loss_sum((found.start_logits, found.end_logits), (start, end))
        answerability = answerability_loss_sum(found.cls_logits, is_impossible)
        return {"task": LossSum(span.total + answerability.total, span.correct)}


@dataclass(frozen=True, kw_only=True)
class SpanSolver(Solver):
    """Questions that are answered by a span of a passage, or by nothing in it."""

    features_class = SpanFeatures
    scores_are_percent = True
    threshold_score = "best_f1_thresh"

    n_best_size: int = N_BEST_SIZE
    """Spans kept for each question; with a linear head, also the number of starts and of ends considered."""
    max_answer_length: int = MAX_ANSWER_LENGTH
    """Largest number of tokens in an answer."""
    start_n_top: int = 5
    """Starts considered by the head with beam search; 5 is the original's."""
    end_n_top: int = 5
    """Ends considered for each start; 5 is the original's."""

    def rows(
        self, task: Task, paths: Sequence[Path], *, split: str, labelled: bool
    ) -> Iterator[Question | DataError]:
        """Yield the questions of SQuAD's layout or JSON lines; for training, only located answers."""
        return read_questions(task, paths, labelled=labelled, for_training=labelled and split == "train")

    def example_pattern(self, task: Task, path: Path) -> re.Pattern[bytes] | None:
        """Return the pattern of a question: its key in SQuAD's layout, else a line."""
        is_json = task.data.layout == "squad" and path.suffix == ".json"
        return _QUESTIONS if is_json else super().example_pattern(task, path)

    def group_of(self, example: Question) -> str:
        """Return the passage."""
        return example.context

    def with_labels_in(self, task: Task, paths: Sequence[Path]) -> Task:
        """Return `task` with `may_lack_answer` set if some questions in the training files have no answer."""
        if task.may_lack_answer or not lacks_answers(task, paths):
            return task
        say(f"{task.name}: some questions have no answer, so the model may give none, scored as SQuAD 2.0")
        return replace(task, may_lack_answer=True, metrics=("f1", "exact"))

    def encode(
        self,
        task: Task,
        examples: Sequence[Question],
        tokenizer: AlbertTokenizer,
        *,
        lengths: Lengths,
        cuts: Cuts | None = None,
    ) -> SpanFeatures:
        """Return the windows of all questions."""
        del task
        return make_span_features(examples, tokenizer, lengths=lengths, cuts=cuts)

    def model_class(self, task: Task) -> type[Pretrained]:
        """Return the class with beam search if questions may lack an answer, else the linear one."""
        from albert.model.answer_models import (
            AlbertForQuestionAnswering,
            AlbertForQuestionAnsweringBeamSearch,
        )

        if task.may_lack_answer:
            return AlbertForQuestionAnsweringBeamSearch
        return AlbertForQuestionAnswering

    def model_classes(self) -> tuple[type[Pretrained], ...]:
        """Return the linear class and the one with beam search."""
        from albert.model.answer_models import (
            AlbertForQuestionAnswering,
            AlbertForQuestionAnsweringBeamSearch,
        )

        return (AlbertForQuestionAnswering, AlbertForQuestionAnsweringBeamSearch)

    def config_changes(self, task: Task) -> dict[str, Any]:
        """Return the dropout in the part of the head that predicts whether there is an answer."""
        return {"classifier_dropout_prob": task.hyperparameters.classifier_dropout_prob}

    def objective(self, task: Task) -> SpanObjective:
        """Return the objective; its loss depends on the model's head."""
        del task
        return SpanObjective()

    def guess(
        self, task: Task, known: Sequence[Question], examples: Sequence[Question]
    ) -> SpanPredictions | None:
        """Return no answer to every question, if questions may lack one; else no guess is known."""
        del known
        if not task.may_lack_answer:
            return None
        none = SpanAnswer(spans=(), null_odds=0.0)
        return SpanPredictions(answers=(none,) * len(examples), may_lack_answer=True, null_threshold=-1.0)

    def predict(
        self, task: Task, model: Pretrained, examples: Sequence[Question], features: SpanFeatures
    ) -> SpanPredictions:
        """Return the best spans of every question, with its null odds."""
        import torch

        from albert.model.answer_models import (
            AlbertForQuestionAnswering,
            AlbertForQuestionAnsweringBeamSearch,
        )

        assert isinstance(model, AlbertForQuestionAnswering | AlbertForQuestionAnsweringBeamSearch)
        model.eval()
        groups = list(groups_of_similar_length(features.lengths))
        with torch.inference_mode():
            parts = [self._candidates(model, features.take(indices)) for indices in groups]
        may_lack_answer = task.may_lack_answer or isinstance(model, AlbertForQuestionAnsweringBeamSearch)
        if not parts:
            return SpanPredictions(answers=(), may_lack_answer=may_lack_answer)
        candidates = SpanCandidates.join(parts).take(np.argsort(np.concatenate(groups)))
        answers = decode_spans(
            examples,
            features,
            candidates,
            n_best_size=self.n_best_size,
            max_answer_length=self.max_answer_length,
        )
        return SpanPredictions(answers=tuple(answers), may_lack_answer=may_lack_answer)

    def with_threshold(
        self, task: Task, predictions: SpanPredictions, threshold: float | None
    ) -> SpanPredictions:
        """Return `predictions` with a threshold for the null odds."""
        del task
        return replace(predictions, null_threshold=threshold)

    def scores(
        self, task: Task, examples: Sequence[Question], predictions: SpanPredictions
    ) -> dict[str, float]:
        """Return the scores of the task's official script.

        Those of SQuAD 2.0 are `exact` and `f1` at the null threshold of the predictions or, if that is None,
        at the one with the best F1 on these questions, `best_f1_thresh`.
        """
        gold = {question.id: question.texts for question in examples}
        texts = predicted_texts(examples, predictions.answers)
        if task.language == "zh":
            return score_chinese_answers(gold, texts)
        if not _is_scored_with_nulls(task, examples):
            return score_answers_v1(gold, texts)
        odds = null_odds_by_id(examples, predictions.answers)
        threshold = predictions.null_threshold
        if threshold is None:
            threshold = score_answers_v2(gold, texts, null_odds=odds, threshold=math.inf)["best_f1_thresh"]
        return score_answers_v2(gold, texts, null_odds=odds, threshold=threshold)

    def losses(
        self, task: Task, examples: Sequence[Question], predictions: SpanPredictions
    ) -> NDArray[np.float64]:
        """Return 1 minus the F1 of each answer, (Q,)."""
        texts = [answer.text(predictions.threshold) for answer in predictions.answers]
        pairs = zip(examples, texts, strict=True)
        return np.array([1.0 - _f1(task, question.texts, text) for question, text in pairs], np.float64)

    def records(
        self, task: Task, examples: Sequence[Question], predictions: SpanPredictions
    ) -> Iterator[dict[str, Any]]:
        """Yield `id`, `answer`, its `score`, and the characters `start` to `end` of the passage.

        The score of a span is its probability among the best ones. No answer is "" from 0 to 0, and its score
        is the probability of having none. If questions may lack an answer, `null_odds` come last.
        """
        from scipy.special import expit

        del task
        for question, answer in zip(examples, predictions.answers, strict=True):
            span = answer.best(predictions.threshold)
            record: dict[str, Any] = {"id": question.id, "answer": "", "score": 0.0, "start": 0, "end": 0}
            if span is not None:
                record |= {"answer": span.text, "score": six_digits(span.probability)}
                record |= {"start": span.start, "end": span.end}
            elif predictions.may_lack_answer:
                record["score"] = six_digits(expit(answer.null_odds))
            if predictions.may_lack_answer:
                record["null_odds"] = six_digits(answer.null_odds)
            yield record

    def shown(self, task: Task, example: Question) -> dict[str, str]:
        """Return the question, the passage, and as label the first answer."""
        del task
        texts = {"question": example.question, "context": example.context}
        if example.answers is None:
            return texts
        return texts | {"label": example.texts[0] if example.texts else "(no answer)"}

    def row_content(self, task: Task) -> RowContent:
        """Return the question, and the answer, its probability and its place.

        Passages, which several questions share, are not repeated.
        """
        return RowContent(
            inputs={task.data.pair_column or "question": attrgetter("question")},
            outputs=recorded("answer", "score", "start", "end"),
        )

    def submission(self, task: Task) -> Submission:
        """Return the task's official file, or the one that SQuAD's scripts read."""
        return task.submission or Submission(layout="answers")

    def official_format(self, task: Task, submission: Submission) -> ObjectFormat:
        """Return an object of answers, with best spans and null odds in files next to it."""
        del task, submission
        return ObjectFormat(members=official_members, also=(BEST_SPANS_FILE, NULL_ODDS_FILE))

    def scores_of_file(
        self, task: Task, examples: Sequence[Question], file: PredictionFile
    ) -> dict[str, float]:
        """Return the scores of answers, compared as texts."""
        return score_answer_file(task, examples, file)

    def _candidates(self, model: AnswerModel, batch: SpanFeatures) -> SpanCandidates:
        """Return the starts and ends that the model proposes for the windows of `batch`."""
        from albert.model.answer_models import AlbertForQuestionAnswering

        inputs = model.packed_inputs(batch)
        if isinstance(model, AlbertForQuestionAnswering):
            start, end = (logits.cpu().numpy() for logits in model.packed_logits(*inputs))
            return candidates_of_logits(start, end, n_best_size=self.n_best_size)
        [p_mask] = _tensors(model, batch.p_mask)
        found = model.packed_candidates(
            *inputs, p_mask=p_mask, start_n_top=self.start_n_top, end_n_top=self.end_n_top
        )
        tops = (
            found.start_top_index,
            found.start_top_log_probs,
            found.end_top_index,
            found.end_top_log_probs,
        )
        starts, start_scores, ends, end_scores = (
            tensor.cpu().numpy() for tensor in tops if tensor is not None
        )
        cls_logits = found.cls_logits.float().cpu().numpy()
        return candidates_of_beams((starts, start_scores), (ends, end_scores), cls_logits)


def _is_scored_with_nulls(task: Task, examples: Sequence[Question]) -> bool:
    return task.may_lack_answer or any(question.is_impossible for question in examples)


def _f1(task: Task, gold: Sequence[str], predicted: str) -> float:
    """Return the best F1 of a prediction against the gold answers; without any, the right one is ""."""
    if task.language == "zh":
        return max((longest_run_f1(answer, predicted) for answer in gold), default=float(not predicted))
    if task.may_lack_answer:
        gold = [answer for answer in gold if normalize_answer(answer)]
    return max(f1_overlap(answer, predicted) for answer in gold or ("",))


def _tensors(model: AnswerModel, *arrays: NDArray[np.int64]) -> list[Tensor]:
    from albert.model.packing import on_device

    return [on_device(array, model.device) for array in arrays]
