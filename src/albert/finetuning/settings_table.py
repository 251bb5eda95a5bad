"""The settings used by a fine-tuning, as people read them: values in words, and each source once."""

from collections import Counter
from collections.abc import Sequence

from albert.tasks.published import GIVEN

Row = dict[str, object]

NOT_SET = "the model's own"
"""A value that stays as the model has it."""
_OFF = "off"
_OFF_AT_ZERO = ("hidden_dropout_prob", "classifier_dropout_prob", "warmup_steps", "warmup_share")
"""Settings that do nothing at 0."""


def table_lines(rows: Sequence[Row]) -> list[str]:
    """Return a line for each row of `hyperparameter_rows`, then one for each source of several settings.

    Such a source is a number in brackets in the table, also where it follows other words: "10% of the steps
    [1]".
    """
    sources = [str(row["source"]) for row in rows]
    notes = _shared_sources(sources)
    names = [str(row["setting"]) for row in rows]
    values = [_in_words(name, row["value"]) for name, row in zip(names, rows, strict=True)]
    widths = [max(map(len, column), default=0) for column in (names, values)]
    lines = [
        f"{name:{widths[0]}}  {value:{widths[1]}}  {_shortened(source, notes)}"
        for name, value, source in zip(names, values, sources, strict=True)
    ]
    return lines + [f"[{number}] {source}" for number, source in enumerate(notes, 1)]


def _in_words(setting: str, value: object) -> str:
    """Return the value of a setting for people: None and zeros by what they mean."""
    if value is None:
        return NOT_SET
    if value == 0 and setting in _OFF_AT_ZERO:
        return _OFF
    return f"{value:,}" if isinstance(value, int) else str(value)


def _shared_sources(sources: Sequence[str]) -> list[str]:
    """Return the sources that occur more than once, alone or after other words, in their order."""
    counts = Counter(whole for whole in dict.fromkeys(sources) for other in sources if _has(other, whole))
    return [source for source, count in counts.items() if count > 1 and source != GIVEN]


def _shortened(source: str, notes: Sequence[str]) -> str:
    """Return a source with the number of its note in place of the note's text."""
    for number, note in enumerate(notes, 1):
        if _has(source, note):
            words = source.removesuffix(note).removesuffix("; ")
            return f"{words} [{number}]".strip()
    return source


def _has(source: str, note: str) -> bool:
    """Whether a source is a note, or ends with it."""
    return source == note or source.endswith(f"; {note}")
