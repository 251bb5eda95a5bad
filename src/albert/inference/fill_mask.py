"""Fill-mask: the most probable tokens at each [MASK] of a text.

Letters: M masked tokens of a group, V vocabulary.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from albert import console
from albert.errors import DataError
from albert.inference.encoding import Group, LengthLimit, check_lengths, features_of_rows, groups
from albert.inference.inputs import BATCH_SIZE, map_inputs, text_of
from albert.inference.pipeline_base import Pipeline
from albert.inference.precision import ensure_agreement
from albert.tasks.bad_rows import OnBadRow


class FillMaskPipeline(Pipeline):
    """The pipeline that predicts the masked tokens of texts.

    [MASK] is the only special token that is read in a text; "[SEP]" spelled there is plain text.

    Args:
        model: A model with a masked LM head.
        tokenizer: The model's.
        options: Options of the calls.
    """

    task = "fill-mask"

    def predict(
        self,
        inputs: Any,
        *,
        top_k: int = 5,
        targets: str | Sequence[str] | None = None,
        batch_size: int = BATCH_SIZE,
        on_bad_row: OnBadRow = "error",
    ) -> Any:
        """Return the `top_k` most probable tokens for the mask, best first.

        Each has `score` (its probability), `token` (its id), `token_str` and `sequence` (the text with it). A
        text with several masks gives one such list for each, whose sequences keep the other masks.

        Args:
            inputs: A text, a list of texts, or a stream of them; see `map_inputs`.
            top_k: Number of tokens for each mask.
            targets: The only words to choose from; their scores remain probabilities among all tokens. Of a
                word of several tokens the first one is scored.
            batch_size: Texts that are predicted together.
            on_bad_row: What to do with inputs that cannot be used: an error names them, skip returns None.

        Raises:
            DataError: A text has no mask, or is too long.
        """
        allowed = (
            None if targets is None else self._ids_of([targets] if isinstance(targets, str) else targets)
        )
        return map_inputs(
            inputs,
            lambda texts: self._fill(texts, top_k, allowed),
            batch_size=batch_size,
            on_bad_row=on_bad_row,
        )

    @torch.inference_mode()
    def _fill(self, texts: list[Any], top_k: int, allowed: Tensor | None) -> list[Any]:
        cls, sep = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
        rows = []
        for text in map(text_of, texts):
            if self.tokenizer.mask_token not in text:
                raise DataError(
                    f"no {self.tokenizer.mask_token} in {text!r}; write it where a word is missing"
                )
            rows.append([cls, *self.tokenizer.encode_with_masks(text), sep])
        limit = LengthLimit(max_length=self.model.config.max_position_embeddings)
        check_lengths(rows, texts, limit, remedy="give shorter texts")
        features = features_of_rows(rows)
        ensure_agreement(self.model, features, mask_token_id=self.tokenizer.mask_token_id)
        filled: list[Any] = [None] * len(texts)
        for group in groups(features, self.model.device):
            for index, fillings in zip(group.indices, self._fill_group(group, top_k, allowed), strict=True):
                filled[index] = fillings
        return filled

    def _fill_group(self, group: Group, top_k: int, allowed: Tensor | None) -> list[Any]:
        masks = (group.input_ids == self.tokenizer.mask_token_id).nonzero().flatten()  # (M,)
        logits = self.model.packed_logits(group.input_ids, group.token_type_ids, group.lengths, masks)
        # A table may have more rows than there are tokens; they take part in the softmax, as in transformers.
        scores = logits.float().softmax(-1)[:, : len(self.tokenizer)]  # (M, V)
        if allowed is not None:
            scores = scores[:, allowed]
        best = scores.topk(min(top_k, scores.shape[-1]))
        tokens = best.indices if allowed is None else allowed[best.indices]
        rows = list(zip(best.values.tolist(), tokens.tolist(), strict=True))
        ends = group.lengths.cumsum(0).tolist()
        ids, positions = group.input_ids.tolist(), masks.tolist()
        filled = []
        for start, end in zip([0, *ends], ends, strict=False):
            own = [
                (position - start, row)
                for position, row in zip(positions, rows, strict=True)
                if start <= position < end
            ]
            lists = [
                self._fillings(ids[start:end], position, row, keep_masks=len(own) > 1)
                for position, row in own
            ]
            filled.append(lists[0] if len(lists) == 1 else lists)
        return filled

    def _fillings(
        self, ids: list[int], position: int, best: tuple[list[float], list[int]], *, keep_masks: bool
    ) -> list[dict[str, Any]]:
        """Return `ids` as text with each of the `best` (scores, tokens) at `position`."""
        return [
            {
                "score": score,
                "token": token,
                "token_str": self.tokenizer.decode([token]),
                "sequence": self.tokenizer.decode(
                    [*ids[:position], token, *ids[position + 1 :]], skip_special_tokens=not keep_masks
                ),
            }
            for score, token in zip(*best, strict=True)
        ]

    def _ids_of(self, targets: Sequence[str]) -> Tensor:
        """Return the ids of `targets`, each once, in ascending order."""
        vocabulary = self.tokenizer.get_vocab()
        found = set()
        for target in targets:
            if target in vocabulary:
                found.add(vocabulary[target])
                continue
            tokens = self.tokenizer.tokenize(target, split_special_tokens=True)
            if not tokens:
                raise DataError(f"target {target!r} has no token; name words that the model can write")
            if len(tokens) > 1:
                console.warn(f"target {target!r} has {len(tokens)} tokens; only {tokens[0]!r} is scored")
            found.add(vocabulary[tokens[0]])
        if not found:
            raise DataError("targets is empty; name one word or more, or leave it out")
        return torch.tensor(sorted(found), device=self.model.device)
