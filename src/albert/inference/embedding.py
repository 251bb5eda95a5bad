"""Vectors of texts, pooled from the encoder's hidden states; `albert embed` writes them.

Letters: B texts, N tokens of all of them, H hidden size, D size of a vector.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from albert.checkpoint.layout import selected_model, written_record
from albert.choices import Dtype, Pooling
from albert.console import say, warn
from albert.errors import ConfigError
from albert.hub import local_path
from albert.inference.encoding import Group, groups
from albert.inference.opening import open_model, sequence_length
from albert.inference.precision import ensure_agreement
from albert.model.albert_model import AlbertModel
from albert.model.packing import Packing
from albert.model.pooling import Dense, Normalize, pool
from albert.model.sentence_folders import SentenceFolder, read_sentence_folder
from albert.model.similarity import AlbertForSimilarity
from albert.tasks.cuts import Cuts
from albert.tasks.features import SHORTEST_LENGTH, TextFeatures, make_features
from albert.tasks.tables import Example
from albert.text.tokenizer import AlbertTokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedder:
    """An encoder that returns a vector for each text."""

    model: AlbertModel
    """The encoder, dropout off."""
    tokenizer: AlbertTokenizer
    """The model's."""
    max_seq_length: int
    """Tokens to which a text is truncated, special ones included."""
    pooling: tuple[Pooling, ...] = ("mean",)
    """How states become a vector; several vectors are laid end to end."""
    layers: tuple[nn.Module, ...] = ()
    """What follows the pooling: `Dense` and `Normalize`."""
    prompt: str = ""
    """Text that goes before each text."""
    lower_case: bool = False
    """Whether texts are lower-cased before the tokenizer cleans them."""
    dimensions: int | None = None
    """Numbers of a vector that are kept, from the first on; None for all."""

    @classmethod
    def open(
        cls,
        source: str | Path,
        *,
        pooling: Pooling | None = None,
        normalize: bool = False,
        max_seq_length: int | None = None,
        prompt: str | None = None,
        dimensions: int | None = None,
        depth: int | None = None,
        device: str = "auto",
        dtype: Dtype = "float32",
    ) -> Self:
        """Open the encoder of any trained model.

        A folder of sentence-transformers gives its pooling, layers, length and prompt; what is given here
        replaces them.

        Args:
            source: A model folder, the id of a model on the Hub, or anything that can be converted.
            pooling: How states become a vector; by default the folder's, else their mean.
            normalize: Whether to scale vectors to length 1, in addition to what the folder says.
            max_seq_length: Tokens to which a text is truncated; by default what folder, model and tokenizer
                take.
            prompt: Name of one of the folder's prompts, which goes before each text; by default the folder's
                own choice.
            dimensions: Numbers of a vector that are kept; those of vectors of length 1 are scaled again.
            depth: Number of layers that are used, from the first on; all by default.
            device: Name for `find_device`.
            dtype: Type of the matrix products; int8 is compared with float32 on the first texts.

        Raises:
            CheckpointError: There is no such model, or a module of the folder is not supported.
            TokenizerError: Its tokenizer belongs to another model.
            ConfigError: A setting cannot be used.
        """
        if max_seq_length is not None and max_seq_length < SHORTEST_LENGTH:
            raise ConfigError(
                f"--max-seq-length is {max_seq_length}; expected {SHORTEST_LENGTH} tokens or more"
            )
        found = _sentence_folder(source)
        model, tokenizer = open_model(
            source if found is None else found.encoder,
            (AlbertModel,),
            device=device,
            dtype=dtype,
            depth=depth,
        )
        folder = found or SentenceFolder(encoder=Path(), pooling=("mean",))
        modes = folder.pooling if pooling is None else (pooling,)
        if found is not None and modes != found.pooling:
            say(f"{source}: pooling {modes[0]} instead of the folder's {' and '.join(found.pooling)}")
        layers = folder.layers
        _check_width(layers, model.config.hidden_size * len(modes), source=str(source))
        if normalize and not (layers and isinstance(layers[-1], Normalize)):
            layers = (*layers, Normalize())
        default = folder.max_seq_length or tokenizer.model_max_length
        embedder = cls(
            model=model,
            tokenizer=tokenizer,
            max_seq_length=sequence_length(max_seq_length, model.config, default=default),
            pooling=modes,
            layers=tuple(layer.to(model.device) for layer in layers),
            prompt=_prompt(folder, prompt, source=str(source)),
            lower_case=folder.lower_case,
        )
        if dimensions is None:
            return embedder
        _check_dimensions(dimensions, embedder.dimension, _place_of(source))
        return replace(embedder, dimensions=dimensions)

    @property
    def dimension(self) -> int:
        """Size of the vectors, D."""
        if self.dimensions is not None:
            return self.dimensions
        sizes = [layer.linear.out_features for layer in self.layers if isinstance(layer, Dense)]
        return sizes[-1] if sizes else self.model.config.hidden_size * len(self.pooling)

    @property
    def is_normalized(self) -> bool:
        """Whether the vectors have length 1."""
        return bool(self.layers) and isinstance(self.layers[-1], Normalize)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors (B, D) of `texts`, in their order; a special token spelled there is plain text.

        Raises:
            CheckpointError: The states in int8 differ too much from those in float32.
        """
        return self.vectors(self.encode(texts))

    def encode(self, texts: Sequence[str], *, cuts: Cuts | None = None) -> TextFeatures:
        """Return `texts` as tokens, for `vectors`; those that are cut are counted in `cuts`."""
        prompted = [self.prompt + text for text in texts]
        examples = [Example(text.lower() if self.lower_case else text) for text in prompted]
        return make_features(examples, self.tokenizer, max_seq_length=self.max_seq_length, cuts=cuts)

    @torch.inference_mode()
    def vectors(self, features: TextFeatures) -> NDArray[np.float32]:
        """Return the vectors (B, D) of encoded texts, in their order.

        Raises:
            CheckpointError: The states in int8 differ too much from those in float32.
        """
        ensure_agreement(self.model, features)
        vectors = np.zeros((len(features), self.dimension), np.float32)
        for group in groups(features, self.model.device):
            x = self._pooled(group)
            for layer in self.layers:
                x = layer(x)
            if self.dimensions is not None:
                x = x[:, : self.dimensions]
                x = F.normalize(x, dim=-1) if self.is_normalized else x
            vectors[group.indices] = x.cpu().numpy()
        return vectors

    def _pooled(self, group: Group) -> Tensor:
        packing = Packing.of_lengths(group.lengths, self.model.device)
        if self.pooling == ("cls",):  # The last layer computes one token of each text.
            rows = packing.starts
            return self.model.encode(group.input_ids, group.token_type_ids, packing, rows=rows).float()
        x = self.model.encode(group.input_ids, group.token_type_ids, packing).float()  # (N, H)
        return pool(x, group.lengths, self.pooling)


def _check_dimensions(asked: int, size: int, folder: Path) -> None:
    """Refuse more numbers than a vector has, and warn of a model that was not trained to do with fewer.

    Raises:
        ConfigError: The vectors have fewer numbers.
    """
    if asked > size:
        raise ConfigError(f"--dimensions is {asked}, but the vectors have {size} numbers; lower it")
    settings = written_record(folder).get("settings")
    trained = (settings.get("matryoshka") or []) if isinstance(settings, dict) else []
    if asked not in {*trained, size}:
        known = (
            f"its training names {', '.join(map(str, trained))}" if trained else "it was trained as a whole"
        )
        warn(f"--dimensions {asked}: the model was not trained to do with so many numbers; {known}")


def embedder_of(model: AlbertForSimilarity, tokenizer: AlbertTokenizer, *, max_seq_length: int) -> Embedder:
    """Return what makes vectors with a model that was trained to compare texts."""
    folder = model.sentence_folder
    return Embedder(
        model=model.albert.eval(),
        tokenizer=tokenizer,
        max_seq_length=max_seq_length,
        pooling=folder.pooling,
        layers=folder.layers,
        lower_case=folder.lower_case,
    )


def _sentence_folder(source: str | Path) -> SentenceFolder | None:
    """Return what a folder of sentence-transformers says; None for everything else that can be opened."""
    place = _place_of(source)
    return read_sentence_folder(place) if place.is_dir() else None


def _place_of(source: str | Path) -> Path:
    """Return the file or folder of a model: of a run its result, of the original's checkpoint the prefix."""
    if not Path(source).exists() and Path(f"{source}.index").is_file():
        return Path(source)
    place = local_path(source)
    return selected_model(place) if place.is_dir() else place


def _check_width(layers: Sequence[nn.Module], width: int, *, source: str) -> None:
    """Refuse a pooling whose vectors are too wide or too narrow for the dense layer after it."""
    for layer in layers:
        if isinstance(layer, Dense):
            expected = layer.linear.in_features
            if expected != width:
                raise ConfigError(
                    f"{source}: its dense layer takes vectors of {expected} numbers, but the pooling gives "
                    f"{width}; drop --pooling, or restore the folder"
                )
            width = layer.linear.out_features


def _prompt(folder: SentenceFolder, name: str | None, *, source: str) -> str:
    """Return the text of a prompt."""
    chosen = folder.default_prompt if name is None else name
    if chosen is None:
        return ""
    if chosen not in folder.prompts:
        raise ConfigError(
            f"--prompt {chosen}: {source} has no such prompt; expected "
            f"{' or '.join(folder.prompts) or 'none, because it has no prompts'}"
        )
    text = folder.prompts[chosen]
    if text and not folder.include_prompt:
        raise ConfigError(
            f"{source}: its prompt {chosen!r} is to be left out of the pooling, which is not supported; use "
            "sentence-transformers"
        )
    return text
