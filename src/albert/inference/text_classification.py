"""Labels of texts and pairs, or numbers for them.

Letters: B texts, K labels.
"""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, softmax

from albert.errors import ConfigError
from albert.inference.encoding import Cutting, Pair, encode_pairs, groups
from albert.inference.inputs import BATCH_SIZE, answer_inputs, field_of, text_of
from albert.inference.precision import ensure_agreement
from albert.model.task_models import AlbertForSequenceClassification
from albert.tasks.catalogue import SOLVERS
from albert.tasks.labels import label_names
from albert.text.tokenizer import AlbertTokenizer

ScoreFunction = Literal["softmax", "sigmoid", "none"]
"""How logits become scores: probabilities of one label, of each label by itself, or the logits themselves."""


class TextClassificationPipeline:
    """Classifies texts, or gives them a number where the model was trained on numbers.

    Args:
        model: With a classification head.
        tokenizer: The model's.
    """

    def __init__(self, model: AlbertForSequenceClassification, tokenizer: AlbertTokenizer) -> None:
        self.model, self.tokenizer = model, tokenizer

    def __call__(
        self,
        inputs: Any,
        *,
        top_k: int | Literal["best"] | None = "best",
        function_to_apply: ScoreFunction | None = None,
        truncation: bool = False,
        max_length: int | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> Any:
        """Returns `label` and `score` of the likeliest label of each text.

        A single text gives a list of one such dict, a single pair the dict itself, as in transformers. Where
        `top_k` is given, each input gives a list.

        Args:
            inputs: A text, a pair as `{"text": ..., "text_pair": ...}`, a list of either, or a stream of
                them; see `answer_inputs`.
            top_k: Labels of each text, best first; None for all.
            function_to_apply: Makes scores of logits: `softmax`, `sigmoid` or `none`; by what the model was
                trained for where missing: `none` for numbers, else `softmax`.
            truncation: Whether texts that are too long are cut; else they are an error.
            max_length: Pieces a text is cut to; as many as the model takes where missing.
            batch_size: Texts that are answered together.

        Raises:
            DataError: An input is no text and no pair, or is too long.
            ConfigError: There is no such function.
        """
        function = self._default_function() if function_to_apply is None else function_to_apply
        if function not in get_args(ScoreFunction):
            raise ConfigError(
                f"function_to_apply is {function!r}; expected {', '.join(get_args(ScoreFunction))}"
            )
        longest = self.model.config.max_position_embeddings
        cutting = Cutting(truncation=truncation, max_length=min(max_length or longest, longest))

        def answer(some: list[Any]) -> list[Any]:
            scores = _scores(self._logits([_pair_of(given) for given in some], cutting), function)
            if top_k == "best":
                return [ranked[0] for ranked in self._ranked(scores, 1)]
            return self._ranked(scores, top_k)

        answers = answer_inputs(inputs, answer, batch_size=batch_size)
        return [answers] if isinstance(inputs, str) and top_k == "best" else answers

    def _default_function(self) -> ScoreFunction:
        return "none" if SOLVERS["regression"].is_made_for(self.model.config) else "softmax"

    @torch.inference_mode()
    def _logits(self, pairs: list[Pair], cutting: Cutting) -> NDArray[np.float32]:
        """Returns logits (B, K)."""
        logits = np.zeros((len(pairs), self.model.config.num_labels), np.float32)
        features = encode_pairs(self.tokenizer, pairs, cutting)
        ensure_agreement(self.model, features)
        for group in groups(features, self.model.device):
            found = self.model.packed_logits(group.input_ids, group.token_type_ids, group.lengths)
            logits[group.indices] = found.float().cpu().numpy()
        return logits

    def _ranked(self, scores: NDArray[np.float32], top_k: int | None) -> list[list[dict[str, Any]]]:
        names = label_names(self.model.config)
        order = np.argsort(-scores, axis=-1, kind="stable")[:, :top_k]
        return [
            [{"label": names[index], "score": float(row[index])} for index in best]
            for row, best in zip(scores, order.tolist(), strict=True)
        ]


def _scores(logits: NDArray[np.float32], function: ScoreFunction) -> NDArray[np.float32]:
    match function:
        case "softmax":
            return softmax(logits, axis=-1)
        case "sigmoid":
            return expit(logits)
        case "none":
            return logits


def _pair_of(given: Any) -> Pair:
    if not isinstance(given, Mapping):
        return text_of(given), None
    known = ("text", "text_pair")
    text = field_of(given, "text", known=known)
    return text, field_of(given, "text_pair", known=known) if "text_pair" in given else None
