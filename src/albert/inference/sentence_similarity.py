"""Sentence similarity: the cosines between the vectors of a sentence and of others."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from albert.errors import DataError
from albert.inference.embedding import Embedder
from albert.inference.inputs import BATCH_SIZE, map_inputs
from albert.inference.pipeline_base import Pipeline
from albert.tasks.bad_rows import OnBadRow

_FIELDS = ("source_sentence", "sentences")


class SentenceSimilarityPipeline(Pipeline):
    """The pipeline that compares a sentence with others; inputs and outputs are those of the Hub's task.

    Args:
        embedder: The encoder with its pooling.
        options: Options of the calls.
    """

    task = "sentence-similarity"

    def __init__(self, embedder: Embedder, **options: Any) -> None:
        super().__init__(embedder.model, embedder.tokenizer, **options)
        self.embedder = embedder
        """Returns the vectors that are compared."""

    def predict(
        self,
        inputs: Any,
        sentences: Any = None,
        *,
        batch_size: int = BATCH_SIZE,
        on_bad_row: OnBadRow = "error",
    ) -> Any:
        """Return the cosine, from -1 to 1, of each of `sentences` with the source sentence.

        Args:
            inputs: A dict with `source_sentence` and `sentences`, a list of them, or a stream; see
                `map_inputs`. Or the source sentence, if `sentences` are given.
            sentences: Texts that are compared with it.
            batch_size: Source sentences whose texts are computed together.
            on_bad_row: What to do with inputs that cannot be used: an error names them, skip returns None.

        Raises:
            DataError: A field is missing or holds no text.
        """
        if sentences is not None:
            inputs = {"source_sentence": inputs, "sentences": sentences}
        return map_inputs(inputs, self._cosines, batch_size=batch_size, on_bad_row=on_bad_row)

    def _cosines(self, batch: list[Any]) -> list[list[float]]:
        rows = [_sentences_of(given) for given in batch]
        vectors = self.embedder.embed([text for row in rows for text in row])
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        found, start = [], 0
        for row in rows:
            own = vectors[start : start + len(row)]
            found.append([float(cosine) for cosine in own[1:] @ own[0]])
            start += len(row)
        return found


def _sentences_of(given: Any) -> list[str]:
    """Return the source sentence of an input, and then the others."""
    if not isinstance(given, Mapping) or set(given) != set(_FIELDS):
        found = ", ".join(map(repr, given)) if isinstance(given, Mapping) else type(given).__name__
        raise DataError(f"expected a dict with 'source_sentence' and 'sentences', found {found}")
    sentences = given["sentences"]
    texts = [given["source_sentence"], *([sentences] if isinstance(sentences, str) else sentences)]
    if wrong := next((text for text in texts if not isinstance(text, str)), None):
        raise DataError(f"expected texts, found {type(wrong).__name__}")
    return texts
