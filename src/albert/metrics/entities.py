"""Precision, recall and F1 of entities, by the conventions of CoNLL and of CLUENER.

An entity is right if its type, start and end are. Scores are 0 to 1; a precision, recall or F1 whose
denominator is zero is 0.0, as in conlleval.

Source: Tjong Kim Sang and De Meulder (2003), the shared task of CoNLL-2003, and the behaviour of its script
conlleval; Xu et al. (2020), CLUENER2020, and the behaviour of its script score.py.
"""

from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence

from albert.errors import DataError

Spans = Mapping[str, Collection[Hashable]]

OUTSIDE = "O"
BEGINNINGS = frozenset("BSU")
CONTINUATIONS = frozenset("IMEL")
ENDINGS = frozenset("ELSU")


def entity_spans(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """Return type, start and end (exclusive) of each entity of a sentence, in order.

    A tag is `O`, or a letter, a hyphen and a type; a letter alone is an entity of type "". One rule reads
    IOB1, IOB2, IOE1, IOE2, BIOES, BMES and BILOU: `B S U` start an entity, `E L S U` end one, and `I M E L`
    continue the entity before them. If there is none, or one of another type, they start one, as in
    conlleval.

    Raises:
        DataError: A tag has another form.
    """
    spans: list[tuple[str, int, int]] = []
    running = False
    for place, tag in enumerate(tags):
        if tag == OUTSIDE:
            running = False
            continue
        letter, hyphen, kind = tag.partition("-")
        if letter not in BEGINNINGS | CONTINUATIONS or (hyphen and not kind):
            raise DataError(
                f"tag {tag!r} at place {place} is not a tag of an entity; expected O, or one of "
                f"{', '.join(sorted(BEGINNINGS | CONTINUATIONS))} and a type, such as B-PER"
            )
        if running and letter in CONTINUATIONS and spans[-1][0] == kind:
            spans[-1] = (kind, spans[-1][1], place + 1)
        else:
            spans.append((kind, place, place + 1))
        running = letter not in ENDINGS
    return spans


def score_entities(
    gold_tags: Sequence[Sequence[str]], predicted_tags: Sequence[Sequence[str]]
) -> dict[str, float]:
    """Return `precision, recall, f1` over all entities, from one list of tags per sentence.

    Raises:
        DataError: The two differ in the number of sentences or the length of one, are empty, or have an
            unknown
            tag.
    """
    spans = _checked_spans(gold_tags, predicted_tags)
    return _scores(*(counts.total() for counts in _counts(*spans)))


def score_entities_by_type(
    gold_tags: Sequence[Sequence[str]], predicted_tags: Sequence[Sequence[str]]
) -> dict[str, dict[str, float]]:
    """Return type -> `precision, recall, f1`, for each type of gold or predicted entities, sorted by name.

    Raises:
        DataError: As `score_entities`.
    """
    return score_spans_by_type(*_checked_spans(gold_tags, predicted_tags))


def score_spans(gold: Sequence[Spans], predicted: Sequence[Spans]) -> dict[str, float]:
    """Return `precision, recall, f1` over all entities, and `f1_macro`, the mean F1 of the types.

    A sentence is type -> its entities: (start, end), or anything else that distinguishes them; repeated ones
    count once. CLUENER's script reports `f1_macro` and the F1 of each type, and distinguishes entities by
    their text.

    Raises:
        DataError: The two differ in the number of sentences, or are empty.
    """
    by_type = score_spans_by_type(gold, predicted)
    micro = _scores(*(counts.total() for counts in _counts(gold, predicted)))
    macro = sum(scores["f1"] for scores in by_type.values()) / max(len(by_type), 1)
    return micro | {"f1_macro": macro}


def score_spans_by_type(gold: Sequence[Spans], predicted: Sequence[Spans]) -> dict[str, dict[str, float]]:
    """Return type -> `precision, recall, f1`, for each type of gold or predicted entities, sorted by name.

    Raises:
        DataError: The two differ in the number of sentences, or are empty.
    """
    right, expected, found = _counts(gold, predicted)
    return {kind: _scores(right[kind], expected[kind], found[kind]) for kind in sorted(expected | found)}


def _checked_spans(
    gold_tags: Sequence[Sequence[str]], predicted_tags: Sequence[Sequence[str]]
) -> tuple[list[Spans], list[Spans]]:
    """Return the entities of both sides, as one mapping type -> spans per sentence."""
    _require_as_many(gold_tags, predicted_tags)
    for number, (gold, predicted) in enumerate(zip(gold_tags, predicted_tags, strict=True)):
        if len(gold) != len(predicted):
            raise DataError(
                f"sentence {number} has {len(gold)} gold tags and {len(predicted)} predicted ones; "
                "give one for each token"
            )
    return [_by_type(tags) for tags in gold_tags], [_by_type(tags) for tags in predicted_tags]


def _by_type(tags: Sequence[str]) -> Spans:
    spans: dict[str, set[tuple[int, int]]] = {}
    for kind, begin, end in entity_spans(tags):
        spans.setdefault(kind, set()).add((begin, end))
    return spans


def _counts(
    gold: Sequence[Spans], predicted: Sequence[Spans]
) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Return the number of right, gold and predicted entities of each type."""
    _require_as_many(gold, predicted)
    right, expected, found = Counter[str](), Counter[str](), Counter[str]()
    for sentence, prediction in zip(gold, predicted, strict=True):
        for kind, spans in sentence.items():
            expected[kind] += len(set(spans))
            right[kind] += len(set(spans) & set(prediction.get(kind, ())))
        for kind, spans in prediction.items():
            found[kind] += len(set(spans))
    return right, expected, found


def _scores(right: int, expected: int, found: int) -> dict[str, float]:
    """Return the scores of `right` entities among `expected` gold and `found` predicted ones."""
    return {
        "precision": right / found if found else 0.0,
        "recall": right / expected if expected else 0.0,
        "f1": 2 * right / (expected + found) if right else 0.0,
    }


def _require_as_many(gold: Sequence[object], predicted: Sequence[object]) -> None:
    if len(gold) != len(predicted):
        raise DataError(
            f"{len(gold)} gold sentences and {len(predicted)} predicted ones cannot be compared; "
            "give one prediction for each sentence"
        )
    if not gold:
        raise DataError("there is nothing to score: no sentences were given")
