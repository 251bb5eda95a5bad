"""The encoder's states of texts, piece by piece."""

from typing import Any

import torch
from torch import Tensor

from albert.inference.encoding import Cutting, encode_pairs, groups
from albert.inference.inputs import BATCH_SIZE, answer_inputs, text_of
from albert.inference.precision import ensure_agreement
from albert.model.packing import Packing
from albert.model.pretrained import AlbertModel
from albert.text.tokenizer import AlbertTokenizer


class FeatureExtractionPipeline:
    """Gives the encoder's last hidden states of texts.

    Args:
        model: The encoder.
        tokenizer: The model's.
    """

    def __init__(self, model: AlbertModel, tokenizer: AlbertTokenizer) -> None:
        self.model, self.tokenizer = model, tokenizer

    def __call__(
        self,
        inputs: Any,
        *,
        return_tensors: bool = False,
        truncation: bool = False,
        max_length: int | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> Any:
        """Returns for each text a list of one (T, H) nested list; for a single text that list itself.

        Args:
            inputs: A text, a list of texts, or a stream of them; see `answer_inputs`.
            return_tensors: Whether a text gives a tensor (1, T, H) instead.
            truncation: Whether texts that are too long are cut; else they are an error.
            max_length: Pieces a text is cut to; as many as the model takes where missing.
            batch_size: Texts that are answered together.

        Raises:
            DataError: A text is too long.
        """
        longest = self.model.config.max_position_embeddings
        cutting = Cutting(truncation=truncation, max_length=min(max_length or longest, longest))

        def answer(texts: list[Any]) -> list[Any]:
            states = self._states(texts, cutting)
            return states if return_tensors else [state.tolist() for state in states]

        return answer_inputs(inputs, answer, batch_size=batch_size)

    @torch.inference_mode()
    def _states(self, texts: list[Any], cutting: Cutting) -> list[Any]:
        features = encode_pairs(self.tokenizer, [(text_of(text), None) for text in texts], cutting)
        ensure_agreement(self.model, features)
        states: list[Any] = [None] * len(texts)
        for group in groups(features, self.model.device):
            packing = Packing.of_lengths(group.lengths, self.model.device)
            x = self.model.encode(group.input_ids, group.token_type_ids, packing)
            parts: tuple[Tensor, ...] = torch.split(x, [*packing.lengths])
            for index, part in zip(group.indices, parts, strict=True):
                states[index] = part[None].cpu()
        return states
