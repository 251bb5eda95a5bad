"""Multiple choice: the best of several choices for a question on a passage."""

from collections.abc import Mapping, Sequence
from string import ascii_uppercase as LETTERS
from typing import Any

from scipy.special import softmax

from albert.errors import ConfigError, DataError
from albert.inference.inputs import BATCH_SIZE, map_inputs
from albert.inference.opening import sequence_length
from albert.inference.pipeline_base import Pipeline
from albert.inference.precision import ensure_agreement
from albert.model.task_models import AlbertForMultipleChoice
from albert.tasks.bad_rows import OnBadRow
from albert.tasks.catalogue import find_task
from albert.tasks.choice.files import ChoiceExample
from albert.tasks.choice.solver import ChoiceSolver
from albert.tasks.task import Lengths
from albert.text.tokenizer import AlbertTokenizer

_FIELDS = ("passage", "question", "choices")


class MultipleChoicePipeline(Pipeline):
    """The pipeline that picks the best of several choices.

    Args:
        model: A model with the head that scores a choice.
        tokenizer: The model's.
        options: Options of the calls.
    """

    task = "multiple-choice"

    def __init__(self, model: AlbertForMultipleChoice, tokenizer: AlbertTokenizer, **options: Any) -> None:
        super().__init__(model, tokenizer, **options)
        self._solver, self._task = ChoiceSolver(), find_task("choice")

    def predict(
        self,
        inputs: Any = None,
        *,
        passage: str = "",
        question: str = "",
        choices: Sequence[str] | None = None,
        top_k: int = 1,
        max_seq_len: int | None = None,
        max_qa_len: int | None = None,
        batch_size: int = BATCH_SIZE,
        on_bad_row: OnBadRow = "error",
    ) -> Any:
        """Return the best choice of each question, or the `top_k` best as a list.

        A choice has `label` (its letter, from A), `choice` (its text) and `score` (its probability among the
        choices).

        Args:
            inputs: A dict with `choices`, `passage` and maybe `question`, a list of them, or a stream; see
                `map_inputs`.
            passage: The passage, instead of `inputs`.
            question: The question; "_" in it is where a choice belongs.
            choices: Two to 26 texts.
            top_k: Number of choices to return, best first; with 1 there is no list around it.
            max_seq_len: Tokens of passage, question and choice together.
            max_qa_len: Tokens to keep of question and choice; their last ones are kept.
            batch_size: Questions that are predicted together.
            on_bad_row: What to do with inputs that cannot be used: an error names them, skip returns None.

        Raises:
            DataError: A field is missing or of the wrong type.
            ConfigError: The lengths leave no room for text, or `top_k` is less than 1.
        """
        if top_k < 1:
            raise ConfigError(f"top_k is {top_k}; expected 1 choice or more")
        if inputs is None:
            inputs = {"passage": passage, "question": question, "choices": choices}
        elif passage or question or choices is not None:
            raise DataError("expected either inputs, or passage=, question= and choices=; found both")
        lengths = self._lengths(max_seq_len, max_qa_len)

        def predict(batch: list[Any]) -> list[Any]:
            ranked = self._ranked([_example_of(given) for given in batch], top_k, lengths)
            return [rows[0] for rows in ranked] if top_k == 1 else ranked

        return map_inputs(inputs, predict, batch_size=batch_size, on_bad_row=on_bad_row)

    def _lengths(self, max_seq_len: int | None, max_qa_len: int | None) -> Lengths:
        length = sequence_length(
            max_seq_len,
            self.model.config,
            default=self.tokenizer.model_max_length,
            setting="max_seq_len",
        )
        if max_qa_len is None:
            return Lengths(max_seq_length=length)
        return Lengths(max_seq_length=length, max_qa_length=max_qa_len)

    def _ranked(
        self, examples: list[ChoiceExample], top_k: int, lengths: Lengths
    ) -> list[list[dict[str, Any]]]:
        features = self._solver.encode(self._task, examples, self.tokenizer, lengths=lengths)
        ensure_agreement(self.model, features)
        logits = self._solver.predict(self._task, self.model, examples, features)
        scores = softmax(logits, axis=-1)  # (B, K), 0 where a question has fewer choices
        ranked = []
        for example, row in zip(examples, scores.tolist(), strict=True):
            rows: list[dict[str, Any]] = [
                {"label": letter, "choice": choice, "score": score}
                for letter, choice, score in zip(LETTERS, example.choices, row, strict=False)
            ]
            ranked.append(sorted(rows, key=lambda one: -one["score"])[:top_k])
        return ranked


def _example_of(given: Any) -> ChoiceExample:
    if not isinstance(given, Mapping) or not set(given) <= set(_FIELDS):
        found = ", ".join(map(repr, given)) if isinstance(given, Mapping) else type(given).__name__
        raise DataError(f"expected a dict with 'passage', 'question' and 'choices', found {found}")
    passage, question, choices = given.get("passage"), given.get("question") or "", given.get("choices")
    for name, text in (("passage", passage), ("question", question)):
        if not isinstance(text, str) or (name == "passage" and not text.strip()):
            raise DataError(f"the {name} is {text!r}; expected a text")
    if isinstance(choices, str) or not isinstance(choices, Sequence) or not 2 <= len(choices) <= len(LETTERS):
        raise DataError(f"choices is {str(choices)[:60]!r}; expected a list of 2 to {len(LETTERS)} texts")
    if not all(isinstance(choice, str) and choice.strip() for choice in choices):
        raise DataError(f"choices is {list(choices)!r}; expected texts that are not empty")
    return ChoiceExample(passage=str(passage), question=str(question), choices=tuple(choices))
