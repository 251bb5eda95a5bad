"""Token classification: the tags of a text's tokens, and the entities they form.

Every token gets a tag. Tokens form words, and neighbouring words with one tag form an entity, by the same
strategies as in transformers (`Aggregation`), so the results are the same. Models fine-tuned here learn the
tag of each word's first token, which is the one that `first` uses.

Letters: N tokens of a group of windows, K tags.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from albert import console
from albert.errors import ConfigError, DataError
from albert.inference.encoding import features_of_rows, groups
from albert.inference.inputs import BATCH_SIZE, map_inputs, text_of
from albert.inference.pipeline_base import Pipeline
from albert.inference.precision import ensure_agreement
from albert.model.task_models import AlbertForTokenClassification
from albert.tasks.bad_rows import OnBadRow
from albert.tasks.labels import label_names
from albert.text.tokenizer import AlbertTokenizer
from albert.text.wordpiece import CONTINUATION

Aggregation = Literal["none", "simple", "first", "average", "max"]
"""How tags of tokens become entities: not at all; each token with its own tag; each word with the tag of its
first token, with the best tag of the mean of its tokens, or with the tag of its most certain token."""

Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tagged:
    """A token, or a word, with the probabilities of its tags."""

    word: str
    """The token as it is in the vocabulary; the text itself where it is unknown."""
    scores: Scores
    """(K,)"""
    start: int
    """Its first character in the text."""
    end: int
    """The character after its last."""
    index: int
    """Position in the sequence; that of [CLS] is 0."""
    continues: bool
    """Whether it belongs to the word of the token before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    """A part of a text that goes through the model as one sequence."""

    text: int
    """Index of the text."""
    ids: list[int]
    """Its tokens, special ones excluded."""
    offsets: list[tuple[int, int]]
    """Start and end of each token in the text."""


@dataclass(frozen=True, slots=True)
class _Words:
    """A text that is given as words."""

    words: list[str]
    """The words."""
    delimiter: str
    """What stands between them."""

    @property
    def joined(self) -> str:
        """The whole text."""
        return self.delimiter.join(self.words)


class TokenClassificationPipeline(Pipeline):
    """The pipeline that tags the tokens of texts, or finds the entities in them.

    Args:
        model: A model with a head on every token.
        tokenizer: The model's.
        options: Options of the calls.
    """

    task = "token-classification"

    def __init__(
        self, model: AlbertForTokenClassification, tokenizer: AlbertTokenizer, **options: Any
    ) -> None:
        super().__init__(model, tokenizer, **options)
        self._names = label_names(model.config)

    def predict(
        self,
        inputs: Any,
        *,
        aggregation_strategy: Aggregation = "none",
        ignore_labels: Sequence[str] = ("O",),
        stride: int | None = None,
        is_split_into_words: bool = False,
        delimiter: str = " ",
        batch_size: int = BATCH_SIZE,
        on_bad_row: OnBadRow = "error",
    ) -> Any:
        """Return the tagged tokens of each text, or its entities with an aggregation strategy.

        A token has `entity` (its tag), `score`, `index`, `word`, `start` and `end`; an entity has
        `entity_group`, `score`, `word`, `start` and `end`. `start` and `end` count characters.

        Args:
            inputs: A text, a list of texts, or a stream of them; see `map_inputs`.
            aggregation_strategy: `none`, `simple`, `first`, `average` or `max`; see `Aggregation`.
            ignore_labels: Tags, or types of entities, to leave out.
            stride: Tokens that neighbouring windows of a long text share; without it a long text is truncated
                with a warning.
            is_split_into_words: Whether a text is a list of words, which are encoded one by one. Places are
                then those in the words joined by `delimiter`. One text must be in a list, too.
            delimiter: What stands between words.
            batch_size: Texts that are predicted together.
            on_bad_row: What to do with inputs that cannot be used: an error names them, skip returns None.

        Raises:
            ConfigError: There is no such strategy, or `stride` does not fit the model or the strategy.
            DataError: An input is not a text.
        """
        if aggregation_strategy not in get_args(Aggregation):
            known = ", ".join(get_args(Aggregation))
            raise ConfigError(f"aggregation_strategy is {aggregation_strategy!r}; expected {known}")
        self._check_stride(stride, aggregation_strategy)

        def predict(texts: list[Any]) -> list[Any]:
            found: list[list[dict[str, Any]]] = [[] for _ in texts]
            num_windows = [0] * len(texts)
            given = [_words_of(text, delimiter) if is_split_into_words else text_of(text) for text in texts]
            for window, tagged in self._tagged(given, stride):
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

        return map_inputs(inputs, predict, batch_size=batch_size, on_bad_row=on_bad_row)

    @property
    def _room(self) -> int:
        """Tokens of a text that fit into one sequence."""
        return min(self.tokenizer.model_max_length, self.model.config.max_position_embeddings) - 2

    def _check_stride(self, stride: int | None, aggregation: Aggregation) -> None:
        if stride is None:
            return
        if aggregation == "none":
            raise ConfigError(
                "stride needs an aggregation_strategy, because the tokens of two windows are not joined"
            )
        if not 0 <= stride < self._room:
            raise ConfigError(
                f"stride is {stride}; expected 0 to {self._room - 1} tokens, less than a window"
            )

    @torch.inference_mode()
    def _tagged(
        self, texts: Sequence[str | _Words], stride: int | None
    ) -> Iterator[tuple[_Window, list[_Tagged]]]:
        """Yield the windows of all texts in their order, and their tagged tokens."""
        windows = list(self._windows(texts, stride))
        cls, sep = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
        rows = [[cls, *window.ids, sep] for window in windows]
        features = features_of_rows(rows)
        ensure_agreement(self.model, features)
        scores: list[Any] = [None] * len(rows)
        for group in groups(features, self.model.device):
            logits = self.model.packed_logits(group.input_ids, group.token_type_ids, group.lengths)
            probabilities = softmax(logits.float().cpu().numpy(), axis=-1)  # (N, K)
            parts = np.split(probabilities, group.lengths.cumsum(0).tolist()[:-1])
            for index, part in zip(group.indices, parts, strict=True):
                scores[index] = part
        for window, of_tokens in zip(windows, scores, strict=True):
            text = texts[window.text]
            whole = text if isinstance(text, str) else text.joined
            yield window, list(self._tokens(window, whole, of_tokens))

    def _encoded(self, text: str | _Words) -> tuple[list[int], list[tuple[int, int]]]:
        """Return the tokens of a text and their places in it."""
        encoding = self.tokenizer(
            text if isinstance(text, str) else text.words,
            add_special_tokens=False,
            is_split_into_words=not isinstance(text, str),
            return_offsets_mapping=True,
            split_special_tokens=True,
        )
        if isinstance(text, str):
            return encoding["input_ids"], encoding["offset_mapping"]
        starts = [0, *accumulate(len(word) + len(text.delimiter) for word in text.words)]
        shifts = [starts[word] for word in encoding.word_ids() if word is not None]
        places = zip(encoding["offset_mapping"], shifts, strict=True)
        return encoding["input_ids"], [(start + shift, end + shift) for (start, end), shift in places]

    def _windows(self, texts: Sequence[str | _Words], stride: int | None) -> Iterator[_Window]:
        room, num_cut = self._room, 0
        for number, text in enumerate(texts):
            ids, offsets = self._encoded(text)
            step = room if stride is None else room - stride
            num_windows = 1 if stride is None else 1 + max(0, -(-(len(ids) - room) // step))
            num_cut += stride is None and len(ids) > room
            for start in range(0, num_windows * step, step):
                part = slice(start, start + room)
                yield _Window(text=number, ids=ids[part], offsets=offsets[part])
        if num_cut:
            console.warn(
                f"{num_cut} texts are longer than {room} tokens and were truncated; "
                f"give stride={room // 4} to tag them whole"
            )

    def _tokens(self, window: _Window, text: str, scores: Scores) -> Iterator[_Tagged]:
        """Yield the tokens of a window with the probabilities of their tags."""
        for index, (id_, (start, end)) in enumerate(zip(window.ids, window.offsets, strict=True), start=1):
            token = self.tokenizer.convert_ids_to_tokens(id_)
            unknown = id_ == self.tokenizer.unk_token_id
            if self.tokenizer.kind == "wordpiece":
                continues = token.startswith(CONTINUATION)
            else:
                continues = start > 0 and " " not in text[start - 1 : start + 1]
            yield _Tagged(
                word=text[start:end] if unknown else token,
                scores=scores[index],
                start=start,
                # The token of a lone space counts as the first character of the word that it opens.
                end=max(end, min(start + 1, len(text))),
                index=index,
                continues=continues and not unknown,
            )

    def _entities(self, tokens: list[_Tagged], aggregation: Aggregation) -> list[dict[str, Any]]:
        """Return tokens as dicts, or the entities they form."""
        if aggregation == "none":
            return [
                {
                    "entity": self._names[int(token.scores.argmax())],
                    "score": float(token.scores.max()),
                    "index": token.index,
                    "word": token.word,
                    "start": token.start,
                    "end": token.end,
                }
                for token in tokens
            ]
        words = tokens if aggregation == "simple" else list(self._words(tokens, aggregation))
        tags = [self._names[int(word.scores.argmax())] for word in words]
        return [self._joined(words[part], tags[part.start]) for part in _runs(tags)]

    def _words(self, tokens: Iterable[_Tagged], aggregation: Aggregation) -> Iterator[_Tagged]:
        """Yield the words that tokens form."""
        word: list[_Tagged] = []
        for token in tokens:
            if word and not token.continues:
                yield self._word(word, aggregation)
                word = []
            word.append(token)
        if word:
            yield self._word(word, aggregation)

    def _word(self, tokens: list[_Tagged], aggregation: Aggregation) -> _Tagged:
        if aggregation == "first":
            scores = tokens[0].scores
        elif aggregation == "max":
            scores = max(tokens, key=lambda token: float(token.scores.max())).scores
        else:
            scores = np.stack([token.scores for token in tokens]).mean(0)  # (tokens, K) -> (K,)
        return _Tagged(
            word=self.tokenizer.convert_tokens_to_string([token.word for token in tokens]),
            scores=scores,
            start=tokens[0].start,
            end=tokens[-1].end,
            index=tokens[0].index,
            continues=False,
        )

    def _joined(self, words: list[_Tagged], tag: str) -> dict[str, Any]:
        """Return the entity that some words form; `tag` is that of the first."""
        return {
            "entity_group": tag.split("-", 1)[-1],
            "score": float(np.mean([word.scores.max() for word in words])),
            "word": self.tokenizer.convert_tokens_to_string([word.word for word in words]),
            "start": words[0].start,
            "end": words[-1].end,
        }


def _words_of(given: Any, delimiter: str) -> _Words:
    if not isinstance(given, list | tuple) or not all(isinstance(word, str) for word in given):
        raise DataError(
            f"expected a list of words, found {type(given).__name__}; with is_split_into_words=True the "
            "inputs are a list of lists of words"
        )
    return _Words(list(given), delimiter)


def _runs(tags: list[str]) -> Iterator[slice]:
    """Yield the slices of tags that form one entity: all of one type, and only the first may be a B-."""
    if not tags:
        return
    types = [tag[2:] if tag.startswith(("B-", "I-")) else tag for tag in tags]
    starts = [n for n in range(1, len(tags)) if types[n] != types[n - 1] or tags[n].startswith("B-")]
    for start, end in pairwise([0, *starts, len(tags)]):
        yield slice(start, end)


def _without_overlaps(entities: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the entities of all windows, sorted; of two that overlap the longer or the more probable."""
    kept: list[dict[str, Any]] = []
    for entity in sorted(entities, key=lambda entity: entity["start"]):
        if not kept or not kept[-1]["start"] <= entity["start"] < kept[-1]["end"]:
            kept.append(entity)
            continue
        weights = [(each["end"] - each["start"], each["score"]) for each in (kept[-1], entity)]
        if weights[1] > weights[0]:
            kept[-1] = entity
    return kept
