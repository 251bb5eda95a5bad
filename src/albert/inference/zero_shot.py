"""Zero-shot classification: any labels, by a model that was trained on inference between sentences.

The text is the premise, and "This example is {label}." the hypothesis that it may entail.
Source: Yin et al. (2019), section 5. Letters: B texts, K labels.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from albert.errors import ConfigError, DataError
from albert.inference.encoding import features_of_rows, groups
from albert.inference.inputs import BATCH_SIZE, map_inputs, text_of
from albert.inference.pipeline_base import Pipeline
from albert.inference.precision import ensure_agreement
from albert.model.task_models import AlbertForSequenceClassification
from albert.tasks.bad_rows import OnBadRow
from albert.text.tokenizer import AlbertTokenizer


class ZeroShotClassificationPipeline(Pipeline):
    """The pipeline that classifies texts by labels that are given with them.

    Args:
        model: A classifier with a label that starts with "entail", such as one trained on MNLI.
        tokenizer: The model's.
        options: Options of the calls.

    Raises:
        ConfigError: The model has no such label.
    """

    task = "zero-shot-classification"

    def __init__(
        self, model: AlbertForSequenceClassification, tokenizer: AlbertTokenizer, **options: Any
    ) -> None:
        super().__init__(model, tokenizer, **options)
        names = [name.lower() for name in (model.config.id2label or {}).values()]
        found = [index for index, name in enumerate(names) if name.startswith("entail")]
        if len(found) != 1:
            raise ConfigError(
                f"zero-shot-classification needs a model with one label that starts with entail, found "
                f"{', '.join(names) or 'no names'}; give the names of a model trained on MNLI: "
                "AlbertForSequenceClassification.from_pretrained(folder, id2label={...})"
            )
        self.entailment_id = found[0]
        """Number of the label for "the text says so"."""
        opposite = [index for index, name in enumerate(names) if name.startswith(("contra", "not"))]
        last = len(names) - 1 if self.entailment_id == 0 else 0
        self._contradiction_id = opposite[0] if opposite else last

    def predict(
        self,
        inputs: Any,
        candidate_labels: str | Sequence[str],
        *,
        hypothesis_template: str = "This example is {}.",
        multi_label: bool = False,
        batch_size: int = BATCH_SIZE,
        on_bad_row: OnBadRow = "error",
    ) -> Any:
        """Return `sequence`, `labels` and `scores` of each text, best label first.

        Args:
            inputs: A text, a list of texts, or a stream of them; see `map_inputs`. Long ones are cut.
            candidate_labels: The labels, or one text with commas between them.
            hypothesis_template: The sentence in which a label stands, at `{}`.
            multi_label: Whether several labels can be true, so that each has a probability of its own;
                otherwise those of all labels sum to 1.
            batch_size: Texts that are predicted together.
            on_bad_row: What to do with inputs that cannot be used: an error names them, skip returns None.

        Raises:
            ConfigError: There are no labels, or the template has no place for them.
            DataError: An input is no text.
        """
        labels = _labels_of(candidate_labels)
        hypotheses = [hypothesis_template.format(label) for label in labels]
        if len(set(hypotheses)) < len(set(labels)):
            raise ConfigError(f"hypothesis_template is {hypothesis_template!r}; expected {{}} for the label")

        def predict(batch: list[Any]) -> list[Any]:
            texts = [text_of(given) for given in batch]
            logits = self._logits(texts, hypotheses)  # (B, K, outputs)
            if multi_label or len(labels) == 1:
                pair = logits[..., [self._contradiction_id, self.entailment_id]]
                scores = softmax(pair, axis=-1)[..., 1]
            else:
                scores = softmax(logits[..., self.entailment_id], axis=-1)
            return [self._ranked(text, labels, row) for text, row in zip(texts, scores, strict=True)]

        return map_inputs(inputs, predict, batch_size=batch_size, on_bad_row=on_bad_row)

    @torch.inference_mode()
    def _logits(self, texts: list[str], hypotheses: list[str]) -> NDArray[np.float32]:
        """Return logits (B, K, outputs)."""
        length = min(self.tokenizer.model_max_length, self.model.config.max_position_embeddings)
        encoding = self.tokenizer(
            [(text, hypothesis) for text in texts for hypothesis in hypotheses],
            truncation="only_first",
            max_length=length,
            split_special_tokens=True,
        )
        features = features_of_rows(encoding["input_ids"], encoding["token_type_ids"])
        ensure_agreement(self.model, features)
        logits = np.zeros((len(features), self.model.config.num_labels), np.float32)
        for group in groups(features, self.model.device):
            found = self.model.packed_logits(group.input_ids, group.token_type_ids, group.lengths)
            logits[group.indices] = found.float().cpu().numpy()
        return logits.reshape(len(texts), len(hypotheses), -1)

    def _ranked(self, text: str, labels: list[str], scores: NDArray[np.floating[Any]]) -> dict[str, Any]:
        order = scores.argsort()[::-1].tolist()
        return {
            "sequence": text,
            "labels": [labels[index] for index in order],
            "scores": [float(scores[index]) for index in order],
        }


def _labels_of(given: str | Sequence[str]) -> list[str]:
    labels = given.split(",") if isinstance(given, str) else list(given)
    if not all(isinstance(label, str) for label in labels):
        raise DataError(f"candidate_labels is {given!r}; expected texts")
    labels = [label.strip() for label in labels if label.strip()]
    if not labels:
        raise ConfigError(f"candidate_labels is {given!r}; expected one label or more")
    return labels
