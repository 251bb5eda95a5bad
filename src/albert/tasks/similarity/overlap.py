"""What comparing words reaches without any model: the baseline of similarities.

Two texts are as similar as the cosine of their words, each weighted by its rarity among the texts at hand. A
word is a run of letters and digits, or a single ideograph.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"[\u3400-\u9fff]|[^\W_\u3400-\u9fff]+")

Words = dict[str, float]
"""The words of a text, with their weights."""


def words_of(text: str) -> list[str]:
    """Return the words of a text, lower-cased."""
    return _WORD.findall(text.lower())


def weighted_words(texts: Sequence[str]) -> list[Words]:
    """Return the words of each text with weights of length 1; a word's is the log of its rarity."""
    counted = [Counter(words_of(text)) for text in texts]
    spread = Counter(word for words in counted for word in words)
    weighted = []
    for words in counted:
        found = {word: count * math.log(1 + len(texts) / spread[word]) for word, count in words.items()}
        length = math.sqrt(sum(weight * weight for weight in found.values())) or 1.0
        weighted.append({word: weight / length for word, weight in found.items()})
    return weighted


def overlaps(first: Sequence[str], second: Sequence[str]) -> NDArray[np.float64]:
    """Return how much the words of two texts overlap, (B,), from 0 to 1."""
    words = weighted_words([*first, *second])
    pairs = zip(words[: len(first)], words[len(first) :], strict=True)
    return np.array([sum(weight * b.get(word, 0.0) for word, weight in a.items()) for a, b in pairs])
