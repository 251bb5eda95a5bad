"""Exact match and F1 of answers in words, as SQuAD 1.1 and SQuAD 2.0 define them.

Gold answers are question id -> texts, without texts for a question that has no answer; predictions are
question id -> text, "" for "no answer". Predictions for other questions are ignored. Scores of one question
are 0 to 1, those of a data set are percentages. Plain sums of floats in the order of the gold answers agree
with the official scripts to the last digit.

Source: Rajpurkar et al. (2016) and (2018), and the behaviour of their scripts evaluate-v1.1 and -v2.0.
"""

import math
import re
import string
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from albert.errors import DataError

ARTICLES = re.compile(r"\b(?:a|an|the)\b")
WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize_answer(text: str) -> str:
    """Return `text` in lower case, without ASCII punctuation, articles, and superfluous whitespace."""
    words = ARTICLES.sub(" ", text.lower().translate(WITHOUT_PUNCTUATION))
    return " ".join(words.split())


def exact_match(gold: str, predicted: str) -> float:
    """Return 1.0 if both texts are equal once normalised, else 0.0."""
    return float(normalize_answer(gold) == normalize_answer(predicted))


def f1_overlap(gold: str, predicted: str, *, empty_matches: bool = True) -> float:
    """Return the F1 of the words that two texts have in common, counted as often as both have them.

    Two texts that are empty once normalised score 1.0, as in SQuAD 2.0; without `empty_matches` 0.0, as in
    1.1.
    """
    return _f1_of_words(
        normalize_answer(gold).split(), normalize_answer(predicted).split(), empty_matches=empty_matches
    )


def score_answers_v1(gold: Mapping[str, Sequence[str]], predictions: Mapping[str, str]) -> dict[str, float]:
    """Return `exact_match` and `f1` of SQuAD 1.1 in percent, `total`, and `missing`.

    A question scores what its best gold answer gives; `missing` questions, without a prediction, score 0.

    Raises:
        DataError: There are no questions, or one of them has no gold answer.
    """
    _require_questions(gold)
    exact, f1 = [], []
    for question, answers in gold.items():
        if not answers:
            raise DataError(
                f"question {question!r} has no gold answer; score unanswerable questions as SQuAD 2.0"
            )
        if question in predictions:
            scores = _best_scores(answers, predictions[question], empty_matches=False)
            exact.append(scores[0])
            f1.append(scores[1])
    total = len(gold)
    return {
        "exact_match": _percent(exact, total),
        "f1": _percent(f1, total),
        "total": total,
        "missing": total - len(exact),
    }


def score_answers_v2(
    gold: Mapping[str, Sequence[str]],
    predictions: Mapping[str, str],
    *,
    null_odds: Mapping[str, float] | None = None,
    threshold: float = 1.0,
    missing_score_zero: bool = False,
) -> dict[str, float]:
    """Return the official scores of SQuAD 2.0: `exact` and `f1` in percent, and their `total`.

    `HasAns_exact, HasAns_f1, HasAns_total` are for the questions that have an answer, `NoAns_...` for the
    others; each is present if there are such questions. Gold answers that are empty once normalised are
    dropped; if none is left, "" is right. `missing` is the number of questions without a prediction. No total
    includes them, as in evaluate-v2.0, which then ends with an error; with `missing_score_zero` they score 0,
    as in SQuAD 1.1.

    `null_odds`, question id -> how likely there is no answer, may have any scale. Above `threshold` a
    question counts as answered by "". `best_exact, best_exact_thresh, best_f1, best_f1_thresh` are the
    results of `find_best_threshold`.

    The original ALBERT passes raw logits with a threshold of 1.0, which is meant for probabilities. It then
    empties the answers whose logit is not below `best_f1_thresh`, scores again, and reports that. Since the
    search counts a logit equal to the threshold as answered, its report can be below `best_f1`.

    Raises:
        DataError: There are no questions, none has a prediction, or one has a prediction but no null odds.
    """
    _require_questions(gold)
    has_answer = {question: bool(answers) for question, answers in gold.items()}
    exact, f1 = _scores_by_question(gold, predictions)
    missing = len(gold) - len(exact)
    if missing_score_zero:
        exact, f1 = ({question: scores.get(question, 0.0) for question in gold} for scores in (exact, f1))
    elif not exact:
        raise DataError(
            f"none of the {len(gold)} questions has a prediction; are the ids those of this data set?"
        )
    best = {}
    if null_odds is not None:
        for name, scores in (("exact", exact), ("f1", f1)):
            best[f"best_{name}"], best[f"best_{name}_thresh"] = find_best_threshold(
                scores, predictions=predictions, null_odds=null_odds, has_answer=has_answer
            )
        nulls = {question for question in predictions if null_odds.get(question, 0.0) > threshold}
        exact, f1 = (
            {q: float(not has_answer[q]) if q in nulls else score for q, score in scores.items()}
            for scores in (exact, f1)
        )
    return _report(exact, f1, has_answer=has_answer) | best | {"missing": missing}


def find_best_threshold(
    scores: Mapping[str, float],
    *,
    predictions: Mapping[str, str],
    null_odds: Mapping[str, float],
    has_answer: Mapping[str, bool],
) -> tuple[float, float]:
    """Return the best mean of `scores`, in percent, and the threshold of `null_odds` that gives it.

    A question whose odds exceed the threshold counts as answered by "". `scores` are those of the questions
    as predicted, each 0 to 1; a question without a prediction counts as 0. Of equally good thresholds the
    lowest is returned. If answering nothing is best that is 0.0, as in evaluate-v2.0, which expects
    probabilities; below the lowest of odds that are not all above 0, where 0.0 would answer some. As there,
    questions with equal odds are added one by one in the order of `null_odds`, so the best score may be that
    of only some of them.

    Raises:
        DataError: There are no scores, or a predicted question has no number in `null_odds`.
    """
    _require_questions(scores)
    predicted = dict.fromkeys(question for question in scores if question in predictions)
    for question in predicted:
        if math.isnan(null_odds.get(question, math.nan)):
            raise DataError(
                f"question {question!r} has a prediction but no null odds; give a number for each"
            )
    current = best = float(sum(not has_answer[question] for question in predicted))
    lowest = min((null_odds[question] for question in predicted), default=math.inf)
    threshold = 0.0 if lowest > 0 else math.nextafter(lowest, -math.inf)
    for question in sorted((q for q in null_odds if q in predicted), key=null_odds.__getitem__):
        if has_answer[question]:
            current += scores[question]
        elif predictions[question]:
            current -= 1
        if current > best:
            best, threshold = current, null_odds[question]
    return 100.0 * best / len(scores), threshold


def _scores_by_question(
    gold: Mapping[str, Sequence[str]], predictions: Mapping[str, str]
) -> tuple[dict[str, float], dict[str, float]]:
    """Return exact match and F1, by the rules of SQuAD 2.0, of the questions that have a prediction."""
    exact, f1 = {}, {}
    for question, answers in gold.items():
        if question in predictions:
            possible = [answer for answer in answers if normalize_answer(answer)] or [""]
            exact[question], f1[question] = _best_scores(possible, predictions[question], empty_matches=True)
    return exact, f1


def _best_scores(answers: Sequence[str], predicted: str, *, empty_matches: bool) -> tuple[float, float]:
    """Return the best exact match and the best F1, possibly of different answers."""
    normalized = normalize_answer(predicted)
    candidates = {normalize_answer(answer) for answer in answers}
    words = normalized.split()
    f1 = max(_f1_of_words(answer.split(), words, empty_matches=empty_matches) for answer in candidates)
    return float(normalized in candidates), f1


def _f1_of_words(gold: Sequence[str], predicted: Sequence[str], *, empty_matches: bool) -> float:
    if not gold and not predicted:
        return float(empty_matches)
    shared = sum((Counter(gold) & Counter(predicted)).values())
    if shared == 0:
        return 0.0
    precision, recall = shared / len(predicted), shared / len(gold)
    return 2 * precision * recall / (precision + recall)


def _report(
    exact: Mapping[str, float], f1: Mapping[str, float], *, has_answer: Mapping[str, bool]
) -> dict[str, float]:
    """Return `exact, f1, total` of all questions, then of those with and of those without an answer."""
    report: dict[str, float] = {}
    parts = {
        "": list(exact),
        "HasAns_": [question for question in exact if has_answer[question]],
        "NoAns_": [question for question in exact if not has_answer[question]],
    }
    for prefix, questions in parts.items():
        if questions:
            total = len(questions)
            report[f"{prefix}exact"] = _percent((exact[question] for question in questions), total)
            report[f"{prefix}f1"] = _percent((f1[question] for question in questions), total)
            report[f"{prefix}total"] = total
    return report


def _percent(scores: Iterable[float], total: int) -> float:
    added = 0.0
    for score in scores:  # not sum(), which rounds differently since Python 3.12
        added += score
    return 100.0 * added / total


def _require_questions(questions: Mapping[str, object]) -> None:
    if not questions:
        raise DataError("there is nothing to score: no questions were given")
