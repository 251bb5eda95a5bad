"""Tokens that users add to a vocabulary, or have added: read from both layouts of transformers.

Releases before 5 wrote `added_tokens.json` and, since 4.34, `added_tokens_decoder` in
`tokenizer_config.json`; transformers 5 keeps them in `tokenizer.json`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from albert.console import warn
from albert.errors import TokenizerError
from albert.text.pieces import PieceEncoder
from albert.text.settings import ADDED_NAME, CONFIG_NAME, named_special_tokens, read_object
from albert.text.tokenizers_encoder import TokenizersEncoder
from albert.text.transformers_files import fast_tokenizer


def with_added_tokens(encoder: PieceEncoder, folder: Path) -> PieceEncoder:
    """Return the encoder of a vocabulary with the tokens that its folder adds; itself if there are none.

    Raises:
        TokenizerError: A file is damaged, or the ids of added tokens do not follow those of the vocabulary.
    """
    added, size = _declared(folder), len(encoder.vocabulary)
    special = set(encoder.special_pieces.values())
    new = {id_: token for id_, token in added.items() if id_ >= size}
    expected = range(size, size + len(new))
    if sorted(new) != list(expected):
        raise TokenizerError(
            f"{folder}: the added tokens have the ids {', '.join(map(str, sorted(new)[:10]))}; expected "
            f"{expected[0]} to {expected[-1]}, after those of the vocabulary: restore {ADDED_NAME}"
        )
    # Tokens of the vocabulary that are found in texts as a whole, such as [unused1] as a marker.
    whole = [token for id_, token in added.items() if id_ < size and token.content not in special]
    known = set(encoder.vocabulary) | {token.content for token in new.values()}
    named = [text for text in named_special_tokens(folder) if text not in special]
    if missing := [text for text in named if text not in known]:
        warn(f"{folder}: not used, because they have no ids: the special tokens {', '.join(missing)}")
    whole += [AddedToken(text, special=True) for text in named if text in known]
    if not new and not whole:
        return encoder
    tokenizer = fast_tokenizer(encoder)
    for id_ in expected:
        tokenizer.add_tokens([new[id_]])
        if tokenizer.token_to_id(new[id_].content) != id_:
            raise TokenizerError(
                f"{folder}: the added token {new[id_].content!r} is in the vocabulary already; restore "
                f"{ADDED_NAME}"
            )
    tokenizer.add_tokens(whole)
    return TokenizersEncoder(tokenizer)


def add_tokens(encoder: PieceEncoder, tokens: Any, *, special: bool) -> tuple[PieceEncoder, int]:
    """Return an encoder with more tokens, and how many were not added before.

    Args:
        encoder: The encoder without them.
        tokens: Text, `AddedToken`, or a list of them.
        special: Whether they are special.

    Raises:
        TokenizerError: Something is no token.
    """
    given = [tokens] if isinstance(tokens, str | AddedToken) else list(tokens)
    new = [_as_token(token, special=special) for token in given]
    tokenizer = fast_tokenizer(encoder)
    count = tokenizer.add_special_tokens(new) if special else tokenizer.add_tokens(new)
    return TokenizersEncoder(tokenizer), count


def _as_token(token: Any, *, special: bool) -> AddedToken:
    content = token.content if isinstance(token, AddedToken) else token
    if not isinstance(content, str) or not content.strip():
        raise TokenizerError(f"expected a token, text that is not empty, found {token!r}")
    if isinstance(token, AddedToken):
        return token
    # As transformers adds them: found in the text as it is, or in the cleaned one.
    return AddedToken(content, special=special, normalized=not special)


def _declared(folder: Path) -> dict[int, AddedToken]:
    """Return the added tokens of a folder by id."""
    decoder: Any = read_object(folder / CONFIG_NAME).get("added_tokens_decoder") or {}
    plain = read_object(folder / ADDED_NAME)
    try:
        tokens = {int(id_): AddedToken(token) for token, id_ in plain.items()}
        return tokens | {int(id_): _token(fields) for id_, fields in decoder.items()}
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise TokenizerError(
            f"{folder}: expected the added tokens with their ids in {ADDED_NAME} or {CONFIG_NAME}, found "
            "something else; restore the files"
        ) from error


def _token(fields: Mapping[str, Any]) -> AddedToken:
    flags = ("lstrip", "rstrip", "single_word", "normalized", "special")
    return AddedToken(fields["content"], **{name: bool(fields[name]) for name in flags if name in fields})
