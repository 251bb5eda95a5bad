"""Exact match and F1 of answers in Chinese, as CMRC 2018 defines them; DRCD is scored the same way.

An answer is a sequence of segments: each Chinese character, and each word between them that is not Chinese.
F1 is that of the longest run of segments that two answers have in common, regardless of other common
segments.

Source: Cui et al. (2019), A Span-Extraction Dataset for Chinese Machine Reading Comprehension, and the
behaviour of their script cmrc2018_evaluate. Words are split by the conventions of the Penn Treebank, as
there; the trained model of sentence ends that the script applies first is not used, nor its list of
contractions such as "cannot": a full stop inside a run of English stays with its word.
"""

import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher

from albert.errors import DataError

REMOVED = str.maketrans("", "", "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
CHINESE = re.compile(r"([\u4e00-\u9fa5])")
OPENING_QUOTES = re.compile(r'(?:^|(?<=[\s(\[{<]))"+')

MARK = r";@#$%&?!()\[\]{}<>“”‘«»„\u2012-\u2015"
CLITIC = r"re|ve|ll|m|t|s|d|n"
SEPARATE = rf"""
    [{MARK}]
    | \.{{2,}}
    | (?<!\.)\.(?=[\])}}>”'\s]*$)                           # the last full stop
    | ,(?!\d)                                               # a comma, except in 3,000
    | (?<!\w)'(?!(?:{CLITIC})\b)(?=\w)                      # an opening quote
    | (?:n't|'(?:s|m|d|ll|re|ve)?)(?=[\s,{MARK}]|\.?$)      # don't, she's, the students'
"""
SEGMENT = re.compile(rf"{SEPARATE} | (?:(?!{SEPARATE})\S)+", re.VERBOSE)


def score_chinese_answers(
    gold: Mapping[str, Sequence[str]], predictions: Mapping[str, str]
) -> dict[str, float]:
    """Return `exact_match`, `f1` and their mean, `average`, in percent, `total`, and `missing`.

    `gold` is question id -> texts, `predictions` question id -> text; predictions for other questions are
    ignored. A question scores what its best gold answer gives; `missing` questions, without a prediction,
    score 0.

    Raises:
        DataError: There are no questions, or one of them has no gold answer.
    """
    if not gold:
        raise DataError("there is nothing to score: no questions were given")
    exact = f1 = 0.0
    for question, answers in gold.items():
        if not answers:
            raise DataError(f"question {question!r} has no gold answer; each question needs one")
        if question in predictions:
            predicted = predictions[question]
            exact += _without_punctuation(predicted) in map(_without_punctuation, answers)
            f1 += max(longest_run_f1(answer, predicted) for answer in dict.fromkeys(answers))
    exact, f1 = 100.0 * exact / len(gold), 100.0 * f1 / len(gold)
    return {
        "exact_match": exact,
        "f1": f1,
        "average": (exact + f1) * 0.5,
        "total": len(gold),
        "missing": sum(question not in predictions for question in gold),
    }


def longest_run_f1(gold: str, predicted: str) -> float:
    """Return the F1 of the longest run of segments that two texts have in common, 0 to 1."""
    sides = segments(gold), segments(predicted)
    shared = SequenceMatcher(None, *sides, autojunk=False).find_longest_match().size
    if shared == 0:
        return 0.0
    precision, recall = shared / len(sides[1]), shared / len(sides[0])
    return 2 * precision * recall / (precision + recall)


def segments(text: str) -> list[str]:
    """Return the Chinese characters and the other words of `text`, in lower case, without punctuation.

    Most ASCII punctuation inside other words counts as a word, as in the official script.
    """
    found: list[str] = []
    for index, part in enumerate(CHINESE.split(_without_punctuation(text))):
        # Parts with odd indices are the Chinese characters that separate the others.
        found += [part] if index % 2 else _words(part)
    return found


def _words(text: str) -> list[str]:
    # Typographic quotes were removed before: here they distinguish opening and closing straight quotes.
    return SEGMENT.findall(OPENING_QUOTES.sub(lambda quotes: "“" * len(quotes[0]), text).replace('"', "”"))


def _without_punctuation(text: str) -> str:
    return text.lower().strip().translate(REMOVED)
