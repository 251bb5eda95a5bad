"""Filling masks: what stands behind each [MASK] of a text.

Letters: M masks of a group, V vocabulary, K fillings that are kept.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from albert import console
from albert.errors import DataError
from albert.inference.encoding import Cutting, Group, encode_pairs, groups
from albert.inference.inputs import BATCH_SIZE, answer_inputs, text_of
from albert.inference.precision import ensure_agreement
from albert.model.pretrained import AlbertForMaskedLM
from albert.text.tokenizer import AlbertTokenizer


class FillMaskPipeline:
    """Predicts what stands behind each [MASK] of a text.

    Args:
        model: With a masked LM head.
        tokenizer: The model's.
    """

    def __init__(self, model: AlbertForMaskedLM, tokenizer: AlbertTokenizer) -> None:
        self.model, self.tokenizer = model, tokenizer

    def __call__(
        self,
        inputs: Any,
        *,
        top_k: int = 5,
        targets: str | Sequence[str] | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> Any:
        """Returns the `top_k` likeliest fillings, best first.

        Each filling has `score` (its probability), `token` (its id), `token_str` and `sequence` (the
        text with it). A text with several masks gives one list a mask, whose sequences keep the other masks.

        Args:
            inputs: A text, a list of texts, or a stream of them; see `answer_inputs`.
            top_k: Fillings of each mask.
            targets: The only fillings that count; their scores stay those among all pieces. Of one that is
                several pieces the first counts.
            batch_size: Texts that are answered together.

        Raises:
            DataError: A text has no mask, or is too long.
        """
        allowed = (
            None if targets is None else self._ids_of([targets] if isinstance(targets, str) else targets)
        )
        return answer_inputs(inputs, lambda some: self._fill(some, top_k, allowed), batch_size=batch_size)

    @torch.inference_mode()
    def _fill(self, texts: list[Any], top_k: int, allowed: Tensor | None) -> list[Any]:
        for text in map(text_of, texts):
            if self.tokenizer.mask_token not in text:
                raise DataError(
                    f"no {self.tokenizer.mask_token} in {text!r}; write it where a word is missing"
                )
        cutting = Cutting(max_length=self.model.config.max_position_embeddings)
        filled: list[Any] = [None] * len(texts)
        features = encode_pairs(self.tokenizer, [(text, None) for text in texts], cutting)
        ensure_agreement(self.model, features, mask_token_id=self.tokenizer.mask_token_id)
        for group in groups(features, self.model.device):
            for index, fillings in zip(group.indices, self._fill_group(group, top_k, allowed), strict=True):
                filled[index] = fillings
        return filled

    def _fill_group(self, group: Group, top_k: int, allowed: Tensor | None) -> list[Any]:
        masks = (group.input_ids == self.tokenizer.mask_token_id).nonzero().flatten()
        logits = self.model.packed_logits(group.input_ids, group.token_type_ids, group.lengths, masks)
        scores = logits.float().softmax(-1)  # (M, V)
        if allowed is not None:
            scores = scores[:, allowed]
        best = scores.topk(min(top_k, scores.shape[-1]))
        tokens = best.indices if allowed is None else allowed[best.indices]
        rows = list(zip(best.values.tolist(), tokens.tolist(), strict=True))
        ends = group.lengths.cumsum(0).tolist()
        ids, places = group.input_ids.tolist(), masks.tolist()
        filled = []
        for start, end in zip([0, *ends], ends, strict=False):
            own = [
                (place - start, row) for place, row in zip(places, rows, strict=True) if start <= place < end
            ]
            lists = [
                self._fillings(ids[start:end], place, row, keep_masks=len(own) > 1) for place, row in own
            ]
            filled.append(lists[0] if len(lists) == 1 else lists)
        return filled

    def _fillings(
        self, ids: list[int], place: int, best: tuple[list[float], list[int]], *, keep_masks: bool
    ) -> list[dict[str, Any]]:
        """Returns `ids` with each of the `best` scores' tokens at `place`."""
        return [
            {
                "score": score,
                "token": token,
                "token_str": self.tokenizer.decode([token]),
                "sequence": self.tokenizer.decode(
                    [*ids[:place], token, *ids[place + 1 :]], skip_special_tokens=not keep_masks
                ),
            }
            for score, token in zip(*best, strict=True)
        ]

    def _ids_of(self, targets: Sequence[str]) -> Tensor:
        """Returns the ids of `targets`, each once, ascending."""
        vocabulary = self.tokenizer.get_vocab()
        found = set()
        for target in targets:
            if target in vocabulary:
                found.add(vocabulary[target])
                continue
            pieces = self.tokenizer.tokenize(target)
            if not pieces:
                raise DataError(f"target {target!r} has no piece; name words the model can write")
            if len(pieces) > 1:
                console.warn(f"target {target!r} is {len(pieces)} pieces; {pieces[0]!r} counts")
            found.add(vocabulary[pieces[0]])
        if not found:
            raise DataError("targets is empty; name one filling or more, or leave it out")
        return torch.tensor(sorted(found), device=self.model.device)
