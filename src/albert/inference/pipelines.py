"""`pipeline(task, model=...)`: one call from text to answer, with transformers' names and output fields.

Texts of a list are encoded together, end to end, so their different lengths cost nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from albert.checkpoint.pretrained import AlbertForMaskedLM, AlbertModel
from albert.checkpoint.release import check_tokenizer
from albert.checkpoint.task_models import AlbertForSequenceClassification
from albert.errors import ConfigError, DataError, did_you_mean
from albert.model.packing import Packing
from albert.text.tokenizer import AlbertTokenizer

BATCH_TEXTS = 32


@dataclass(frozen=True, slots=True)
class PackedTexts:
    """Encoded texts end to end."""

    input_ids: Tensor
    """(N,)"""
    token_type_ids: Tensor
    """(N,)"""
    lengths: Tensor
    """(B,)"""


def pack_texts(tokenizer: AlbertTokenizer, texts: list[str], device: torch.device) -> PackedTexts:
    """Encodes `texts`, at least one, with special pieces."""
    encodings = [tokenizer(text) for text in texts]
    return PackedTexts(
        torch.tensor([id_ for encoding in encodings for id_ in encoding["input_ids"]], device=device),
        torch.tensor([id_ for encoding in encodings for id_ in encoding["token_type_ids"]], device=device),
        torch.tensor([len(encoding["input_ids"]) for encoding in encodings], device=device),
    )


class FillMaskPipeline:
    """Predicts what stands behind each [MASK] of a text.

    Args:
        model: With a masked LM head.
        tokenizer: The model's.
    """

    def __init__(self, model: AlbertForMaskedLM, tokenizer: AlbertTokenizer) -> None:
        self.model, self.tokenizer = model, tokenizer

    def __call__(self, texts: str | list[str], *, top_k: int = 5) -> list[Any]:
        """Returns the `top_k` likeliest fillings, best first.

        Each filling has `score` (its probability), `token` (its id), `token_str` and `sequence` (the
        text with it). A list of texts gives a list of such lists; a text with several masks gives one
        list a mask, whose sequences keep the other masks.

        Raises:
            DataError: A text has no mask.
        """
        single = isinstance(texts, str)
        results = [self._fill(text, top_k) for text in ([texts] if isinstance(texts, str) else texts)]
        return results[0] if single else results

    @torch.inference_mode()
    def _fill(self, text: str, top_k: int) -> list[Any]:
        packed = pack_texts(self.tokenizer, [text], self.model.device)
        masks = (packed.input_ids == self.tokenizer.mask_token_id).nonzero().flatten()
        if not len(masks):
            raise DataError(f"no {self.tokenizer.mask_token} in {text!r}; write it where a word is missing")
        logits = self.model.packed_logits(packed.input_ids, packed.token_type_ids, packed.lengths, masks)
        best = logits.float().softmax(-1).topk(min(top_k, logits.shape[-1]))
        ids = packed.input_ids.tolist()
        filled = [
            [
                self._filling(ids, place, token, score, keep_masks=len(masks) > 1)
                for score, token in zip(scores, tokens, strict=True)
            ]
            for place, scores, tokens in zip(
                masks.tolist(), best.values.tolist(), best.indices.tolist(), strict=True
            )
        ]
        return filled[0] if len(filled) == 1 else filled

    def _filling(
        self, ids: list[int], place: int, token: int, score: float, *, keep_masks: bool
    ) -> dict[str, Any]:
        """Returns one filling: `ids` with `token` at `place`."""
        sequence = [*ids[:place], token, *ids[place + 1 :]]
        return {
            "score": score,
            "token": token,
            "token_str": self.tokenizer.decode([token]),
            "sequence": self.tokenizer.decode(sequence, skip_special_tokens=not keep_masks),
        }


class FeatureExtractionPipeline:
    """Gives the encoder's last hidden states of texts.

    Args:
        model: The encoder.
        tokenizer: The model's.
    """

    def __init__(self, model: AlbertModel, tokenizer: AlbertTokenizer) -> None:
        self.model, self.tokenizer = model, tokenizer

    def __call__(self, texts: str | list[str]) -> list[Any]:
        """Returns for each text a list of one (T, H) nested list; for a single text that list itself."""
        single = isinstance(texts, str)
        every = [texts] if isinstance(texts, str) else texts
        states: list[Any] = []
        for start in range(0, len(every), BATCH_TEXTS):
            states += self._states(every[start : start + BATCH_TEXTS])
        return states[0] if single else states

    @torch.inference_mode()
    def _states(self, texts: list[str]) -> list[Any]:
        packed = pack_texts(self.tokenizer, texts, self.model.device)
        packing = Packing.of_lengths(packed.lengths)
        x = self.model.encode(packed.input_ids, packed.token_type_ids, packing)
        return [[part.tolist()] for part in torch.split(x, packed.lengths.tolist())]


class TextClassificationPipeline:
    """Classifies texts, or gives them a number where the model was trained on numbers.

    Args:
        model: With a classification head.
        tokenizer: The model's.
    """

    def __init__(self, model: AlbertForSequenceClassification, tokenizer: AlbertTokenizer) -> None:
        self.model, self.tokenizer = model, tokenizer

    def __call__(self, texts: str | list[str], *, top_k: int = 1) -> list[Any]:
        """Returns `label` and `score` of the likeliest class of each text; with `top_k` > 1 of that many.

        The score of a class is its probability; that of a regression is the number itself.
        """
        every = [texts] if isinstance(texts, str) else texts
        results: list[Any] = []
        for start in range(0, len(every), BATCH_TEXTS):
            results += self._classify(every[start : start + BATCH_TEXTS], top_k)
        return results

    @torch.inference_mode()
    def _classify(self, texts: list[str], top_k: int) -> list[Any]:
        packed = pack_texts(self.tokenizer, texts, self.model.device)
        logits = self.model.packed_logits(packed.input_ids, packed.token_type_ids, packed.lengths).float()
        config = self.model.config
        scores = logits if config.problem_type == "regression" else logits.softmax(-1)
        best = scores.topk(min(top_k, scores.shape[-1]))
        names = config.id2label or {index: f"LABEL_{index}" for index in range(config.num_labels)}
        ranked = [
            [{"label": names[index], "score": score} for score, index in zip(*row, strict=True)]
            for row in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]
        return [row[0] for row in ranked] if top_k == 1 else ranked


_PIPELINES: dict[str, tuple[Callable[..., Any], Any]] = {
    "fill-mask": (FillMaskPipeline, AlbertForMaskedLM),
    "feature-extraction": (FeatureExtractionPipeline, AlbertModel),
    "text-classification": (TextClassificationPipeline, AlbertForSequenceClassification),
}


def pipeline(task: str, model: str | Path) -> Any:
    """Returns a pipeline from a model folder.

    Args:
        task: `fill-mask`, `feature-extraction` or `text-classification`.
        model: A model folder with its tokenizer.

    Raises:
        ConfigError: There is no such pipeline.
        CheckpointError: `model` is no model folder.
        TokenizerError: Its tokenizer does not fit.
    """
    if task not in _PIPELINES:
        known = list(_PIPELINES)
        raise ConfigError(f"no pipeline {task!r}; known are {', '.join(known)}{did_you_mean(task, known)}")
    make, model_class = _PIPELINES[task]
    loaded = model_class.from_pretrained(model)
    tokenizer = AlbertTokenizer.from_pretrained(model)
    check_tokenizer(tokenizer, loaded.config.vocab_size, source=str(model))
    return make(loaded, tokenizer)
