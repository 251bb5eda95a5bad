"""Tags of the pieces of a text, and the entities they make.

A tag stands on every piece. Pieces make words, and neighbouring words of one tag make an entity, in the ways
transformers has (`Aggregation`); so a list of tags read here gives what its pipeline gives. Models that were
fine-tuned here know the tag of a word's first piece, which is what `first` asks for.

Letters: B texts, W windows of them, N pieces, K tags.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from albert import console
from albert.errors import ConfigError
from albert.inference.encoding import groups
from albert.inference.inputs import BATCH_SIZE, answer_inputs, text_of
from albert.inference.precision import ensure_agreement
from albert.model.task_models import AlbertForTokenClassification
from albert.tasks.features import TextFeatures
from albert.tasks.labels import label_names
from albert.text.tokenizer import AlbertTokenizer
from albert.text.wordpiece import CONTINUATION

Aggregation = Literal["none", "simple", "first", "average", "max"]
"""How tags of pieces become entities: not at all; each piece with its own tag; each word with that of its
first piece, with the best of the mean of its pieces, or with that of its surest piece."""

Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tagged:
    """A piece, or a word, with the probabilities of its tags."""

    word: str
    """The piece as the vocabulary has it; the text itself where that has none."""
    scores: Scores
    """(K,)"""
    start: int
    """First character in the text."""
    end: int
    """Character behind the last."""
    index: int
    """Place in the sequence, [CLS] being 0."""
    continues: bool
    """Whether it belongs to the word of the piece before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    """A part of a text that goes through the model as one sequence."""

    text: int
    """Which text it is of."""
    ids: list[int]
    """Pieces without the special ones."""
    offsets: list[tuple[int, int]]
    """The characters each stands for."""


class TokenClassificationPipeline:
    """Tags the pieces of texts, or finds the entities in them.

    Args:
        model: With a head on every token.
        tokenizer: The model's.
    """

    def __init__(self, model: AlbertForTokenClassification, tokenizer: AlbertTokenizer) -> None:
        self.model, self.tokenizer = model, tokenizer
        self._names = label_names(model.config)

    def __call__(
        self,
        inputs: Any,
        *,
        aggregation_strategy: Aggregation = "none",
        ignore_labels: Sequence[str] = ("O",),
        stride: int | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> Any:
        """Returns the tagged pieces of each text, or its entities where they are aggregated.

        A piece has `entity` (its tag), `score`, `index`, `word`, `start` and `end`; an entity has
        `entity_group`, `score`, `word`, `start` and `end`. `start` and `end` count characters.

        Args:
            inputs: A text, a list of texts, or a stream of them; see `answer_inputs`.
            aggregation_strategy: `none`, `simple`, `first`, `average` or `max`; see `Aggregation`.
            ignore_labels: Tags, or types of entities, that are left out.
            stride: Pieces that neighbouring windows of a long text share; without it a long text is cut, and
                that is said.
            batch_size: Texts that are answered together.

        Raises:
            ConfigError: There is no such strategy, or `stride` does not fit the model or the strategy.
            DataError: An input is no text.
        """
        if aggregation_strategy not in get_args(Aggregation):
            known = ", ".join(get_args(Aggregation))
            raise ConfigError(f"aggregation_strategy is {aggregation_strategy!r}; expected {known}")
        self._check_stride(stride, aggregation_strategy)

        def answer(texts: list[Any]) -> list[Any]:
            found: list[list[dict[str, Any]]] = [[] for _ in texts]
            num_windows = [0] * len(texts)
            for window, tagged in self._tagged([text_of(text) for text in texts], stride):
                num_windows[window.text] += 1
                found[window.text] += [
                    entity
                    for entity in self._entities(tagged, aggregation_strategy)
                    if (entity["entity"] if "entity" in entity else entity["entity_group"])
                    not in ignore_labels
                ]
            return [
                _without_overlaps(entities) if count > 1 else entities
                for entities, count in zip(found, num_windows, strict=True)
            ]

        return answer_inputs(inputs, answer, batch_size=batch_size)

    @property
    def _room(self) -> int:
        """Pieces of a text that fit into one sequence."""
        return min(self.tokenizer.model_max_length, self.model.config.max_position_embeddings) - 2

    def _check_stride(self, stride: int | None, aggregation: Aggregation) -> None:
        if stride is None:
            return
        if aggregation == "none":
            raise ConfigError(
                "stride needs an aggregation_strategy, for pieces of two windows are not joined"
            )
        if not 0 <= stride < self._room:
            raise ConfigError(
                f"stride is {stride}; expected 0 to {self._room - 1} pieces, less than a window"
            )

    @torch.inference_mode()
    def _tagged(self, texts: list[str], stride: int | None) -> Iterator[tuple[_Window, list[_Tagged]]]:
        """Yields the windows of all texts in their order, and their tagged pieces."""
        windows = list(self._windows(texts, stride))
        cls, sep = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
        rows = [[cls, *window.ids, sep] for window in windows]
        lengths = np.array([len(row) for row in rows], np.int64)
        ids = np.array([id_ for row in rows for id_ in row], np.int64)
        features = TextFeatures(ids, np.zeros_like(ids), lengths, np.full(len(rows), np.nan))
        ensure_agreement(self.model, features)
        scores: list[Any] = [None] * len(rows)
        for group in groups(features, self.model.device):
            logits = self.model.packed_logits(group.input_ids, group.token_type_ids, group.lengths)
            probabilities = softmax(logits.float().cpu().numpy(), axis=-1)  # (N, K)
            parts = np.split(probabilities, group.lengths.cumsum(0).tolist()[:-1])
            for index, part in zip(group.indices, parts, strict=True):
                scores[index] = part
        for window, of_pieces in zip(windows, scores, strict=True):
            yield window, list(self._pieces(window, texts[window.text], of_pieces))

    def _windows(self, texts: list[str], stride: int | None) -> Iterator[_Window]:
        room, num_cut = self._room, 0
        for number, text in enumerate(texts):
            encoding = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
            ids, offsets = encoding["input_ids"], encoding["offset_mapping"]
            step = room if stride is None else room - stride
            num_windows = 1 if stride is None else 1 + max(0, -(-(len(ids) - room) // step))
            num_cut += stride is None and len(ids) > room
            for start in range(0, num_windows * step, step):
                part = slice(start, start + room)
                yield _Window(text=number, ids=ids[part], offsets=offsets[part])
        if num_cut:
            console.warn(
                f"{num_cut} texts are longer than {room} pieces and were cut there; "
                f"give stride={room // 4} to read them whole"
            )

    def _pieces(self, window: _Window, text: str, scores: Scores) -> Iterator[_Tagged]:
        """Yields the pieces of a window with what the model says of each."""
        for index, (id_, (start, end)) in enumerate(zip(window.ids, window.offsets, strict=True), start=1):
            piece = self.tokenizer.convert_ids_to_tokens(id_)
            unknown = id_ == self.tokenizer.unk_token_id
            if self.tokenizer.kind == "wordpiece":
                continues = piece.startswith(CONTINUATION)
            else:
                continues = start > 0 and " " not in text[start - 1 : start + 1]
            yield _Tagged(
                word=text[start:end] if unknown else piece,
                scores=scores[index],
                start=start,
                # The piece of a lone space counts as the first character of the word that it opens.
                end=max(end, min(start + 1, len(text))),
                index=index,
                continues=continues and not unknown,
            )

    def _entities(self, pieces: list[_Tagged], aggregation: Aggregation) -> list[dict[str, Any]]:
        """Returns pieces as dicts, or the entities they make."""
        if aggregation == "none":
            return [
                {
                    "entity": self._names[int(piece.scores.argmax())],
                    "score": float(piece.scores.max()),
                    "index": piece.index,
                    "word": piece.word,
                    "start": piece.start,
                    "end": piece.end,
                }
                for piece in pieces
            ]
        words = pieces if aggregation == "simple" else list(self._words(pieces, aggregation))
        tags = [self._names[int(word.scores.argmax())] for word in words]
        return [self._joined(words[part], tags[part.start]) for part in _runs(tags)]

    def _words(self, pieces: Iterable[_Tagged], aggregation: Aggregation) -> Iterator[_Tagged]:
        """Yields the words that pieces make."""
        waiting: list[_Tagged] = []
        for piece in pieces:
            if waiting and not piece.continues:
                yield self._word(waiting, aggregation)
                waiting = []
            waiting.append(piece)
        if waiting:
            yield self._word(waiting, aggregation)

    def _word(self, pieces: list[_Tagged], aggregation: Aggregation) -> _Tagged:
        if aggregation == "first":
            scores = pieces[0].scores
        elif aggregation == "max":
            scores = max(pieces, key=lambda piece: float(piece.scores.max())).scores
        else:
            scores = np.stack([piece.scores for piece in pieces]).mean(0)
        return _Tagged(
            word=self.tokenizer.convert_tokens_to_string([piece.word for piece in pieces]),
            scores=scores,
            start=pieces[0].start,
            end=pieces[-1].end,
            index=pieces[0].index,
            continues=False,
        )

    def _joined(self, words: list[_Tagged], tag: str) -> dict[str, Any]:
        """Returns the entity of some words, the first of which has `tag`."""
        return {
            "entity_group": tag.split("-", 1)[-1],
            "score": float(np.mean([word.scores.max() for word in words])),
            "word": self.tokenizer.convert_tokens_to_string([word.word for word in words]),
            "start": words[0].start,
            "end": words[-1].end,
        }


def _runs(tags: list[str]) -> Iterator[slice]:
    """Yields where neighbouring tags belong to one entity: of one type, and none but the first a B-."""
    if not tags:
        return
    types = [tag[2:] if tag.startswith(("B-", "I-")) else tag for tag in tags]
    begins = [n for n in range(1, len(tags)) if types[n] != types[n - 1] or tags[n].startswith("B-")]
    for start, end in pairwise([0, *begins, len(tags)]):
        yield slice(start, end)


def _without_overlaps(entities: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the entities of overlapping windows, sorted; where two overlap the longer, then the surer."""
    kept: list[dict[str, Any]] = []
    for entity in sorted(entities, key=lambda entity: entity["start"]):
        if not kept or not kept[-1]["start"] <= entity["start"] < kept[-1]["end"]:
            kept.append(entity)
            continue
        weights = [(each["end"] - each["start"], each["score"]) for each in (kept[-1], entity)]
        if weights[1] > weights[0]:
            kept[-1] = entity
    return kept
