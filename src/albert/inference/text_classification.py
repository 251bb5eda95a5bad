"""Text classification: labels of texts and pairs, or a number for each.

Letters: B texts, K labels.
"""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from albert.errors import ConfigError
from albert.inference.encoding import LengthLimit, Pair, encode_pairs, groups
from albert.inference.inputs import BATCH_SIZE, field_of, map_inputs, text_of
from albert.inference.pipeline_base import Pipeline
from albert.inference.precision import ensure_agreement
from albert.tasks.bad_rows import OnBadRow
from albert.tasks.labels import ScoreFunction, activation_of, label_names, scores_of_logits


class TextClassificationPipeline(Pipeline):
    """The pipeline that classifies texts, or predicts a number for each where the model does regression.

    Args:
        model: A model with a classification head.
        tokenizer: The model's.
        options: Options of the calls.
    """

    task = "text-classification"

    def __call__(self, inputs: Any, **options: Any) -> Any:
        """Return the predictions; those of a single text in a list, unless the call gives `top_k`.

        So it is in transformers.
        """
        found = super().__call__(inputs, **options)
        return [found] if isinstance(inputs, str) and "top_k" not in options else found

    def predict(
        self,
        inputs: Any,
        *,
        top_k: int | Literal["best"] | None = "best",
        function_to_apply: ScoreFunction | None = None,
        truncation: bool = False,
        max_length: int | None = None,
        batch_size: int = BATCH_SIZE,
        on_bad_row: OnBadRow = "error",
    ) -> Any:
        """Return `label` and `score` of the most probable label of each text.

        With `top_k`, each input gives a list.

        Args:
            inputs: A text, a pair as `{"text": ..., "text_pair": ...}`, a list of either or of tuples of two
                texts, or a stream of them; see `map_inputs`.
            top_k: Number of labels of each text, best first; None for all.
            function_to_apply: Turns logits into scores: `softmax`, `sigmoid` or `none`; by default what the
                model was trained for, see `activation_of`.
            truncation: Whether to truncate texts that are too long; otherwise they are an error.
            max_length: Tokens of the longest sequence; by default as many as the model takes.
            batch_size: Texts that are predicted together.
            on_bad_row: What to do with inputs that cannot be used: an error names them, skip returns None.

        Raises:
            DataError: An input is neither a text nor a pair, or is too long.
            ConfigError: There is no such function.
        """
        function = activation_of(self.model.config) if function_to_apply is None else function_to_apply
        if function not in get_args(ScoreFunction):
            raise ConfigError(
                f"function_to_apply is {function!r}; expected {', '.join(get_args(ScoreFunction))}"
            )
        longest = self.model.config.max_position_embeddings
        limit = LengthLimit(truncation=truncation, max_length=min(max_length or longest, longest))

        def predict(batch: list[Any]) -> list[Any]:
            scores = scores_of_logits(self._logits([_pair_of(given) for given in batch], limit), function)
            if top_k == "best":
                return [ranked[0] for ranked in self._ranked(scores, 1)]
            return self._ranked(scores, top_k)

        return map_inputs(inputs, predict, batch_size=batch_size, on_bad_row=on_bad_row)

    @torch.inference_mode()
    def _logits(self, pairs: list[Pair], limit: LengthLimit) -> NDArray[np.float32]:
        """Return logits (B, K)."""
        logits = np.zeros((len(pairs), self.model.config.num_labels), np.float32)
        features = encode_pairs(self.tokenizer, pairs, limit)
        ensure_agreement(self.model, features)
        for group in groups(features, self.model.device):
            found = self.model.packed_logits(group.input_ids, group.token_type_ids, group.lengths)
            logits[group.indices] = found.float().cpu().numpy()
        return logits

    def _ranked(self, scores: NDArray[np.floating[Any]], top_k: int | None) -> list[list[dict[str, Any]]]:
        names = label_names(self.model.config)
        order = np.argsort(-scores, axis=-1, kind="stable")[:, :top_k]  # (B, K) -> (B, top_k)
        return [
            [{"label": names[index], "score": float(row[index])} for index in best]
            for row, best in zip(scores, order.tolist(), strict=True)
        ]


def _pair_of(given: Any) -> Pair:
    if isinstance(given, list | tuple) and len(given) == 2:
        return text_of(given[0]), text_of(given[1])
    if not isinstance(given, Mapping):
        return text_of(given), None
    known = ("text", "text_pair")
    text = field_of(given, "text", known=known)
    return text, field_of(given, "text_pair", known=known) if "text_pair" in given else None
