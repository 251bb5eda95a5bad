"""The encoder's last hidden states of texts, token by token."""

from typing import Any

import torch
from torch import Tensor

from albert.inference.encoding import LengthLimit, encode_pairs, groups
from albert.inference.inputs import BATCH_SIZE, map_inputs, text_of
from albert.inference.pipeline_base import Pipeline
from albert.inference.precision import ensure_agreement
from albert.model.packing import Packing
from albert.tasks.bad_rows import OnBadRow


class FeatureExtractionPipeline(Pipeline):
    """The pipeline that returns the encoder's last hidden states of texts.

    Args:
        model: The encoder.
        tokenizer: The model's.
        options: Options of the calls.
    """

    task = "feature-extraction"

    def predict(
        self,
        inputs: Any,
        *,
        return_tensors: bool = False,
        truncation: bool = False,
        max_length: int | None = None,
        batch_size: int = BATCH_SIZE,
        on_bad_row: OnBadRow = "error",
    ) -> Any:
        """Return nested lists (1, T, H): one for a single text, otherwise one for each text.

        Args:
            inputs: A text, a list of texts, or a stream of them; see `map_inputs`.
            return_tensors: Whether to return tensors instead of nested lists.
            truncation: Whether to truncate texts that are too long; otherwise they are an error.
            max_length: Tokens of the longest sequence; by default as many as the model takes.
            batch_size: Texts that are computed together.
            on_bad_row: What to do with inputs that cannot be used: an error names them, skip returns None.

        Raises:
            DataError: A text is too long.
        """
        longest = self.model.config.max_position_embeddings
        limit = LengthLimit(truncation=truncation, max_length=min(max_length or longest, longest))

        def predict(texts: list[Any]) -> list[Any]:
            states = self._states(texts, limit)
            return states if return_tensors else [state.tolist() for state in states]

        return map_inputs(inputs, predict, batch_size=batch_size, on_bad_row=on_bad_row)

    @torch.inference_mode()
    def _states(self, texts: list[Any], limit: LengthLimit) -> list[Any]:
        features = encode_pairs(self.tokenizer, [(text_of(text), None) for text in texts], limit)
        ensure_agreement(self.model, features)
        states: list[Any] = [None] * len(texts)
        for group in groups(features, self.model.device):
            packing = Packing.of_lengths(group.lengths, self.model.device)
            x = self.model.encode(group.input_ids, group.token_type_ids, packing)  # (N, H)
            parts: tuple[Tensor, ...] = torch.split(x, [*packing.lengths])
            for index, part in zip(group.indices, parts, strict=True):
                states[index] = part[None].cpu()  # (T, H) -> (1, T, H)
        return states
