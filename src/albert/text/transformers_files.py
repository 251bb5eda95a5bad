"""The same tokenizer for transformers: `tokenizer.json` and `tokenizer_config.json`.

The file has the whole cleaning, and names the generic class: with the class `AlbertTokenizer`, transformers
5 ignores the cleaning in the file, rewrites quotes and keeps control characters; with `BertTokenizer` it
makes words of more than 100 characters unknown.
"""

import json
import unicodedata
from collections.abc import Callable, Mapping
from functools import cache
from itertools import groupby
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.processors import TemplateProcessing

from albert.console import warn
from albert.text.cleaning import is_dropped, is_ideograph, is_punctuation
from albert.text.pieces import PieceEncoder
from albert.text.sentencepiece import SPACE, SentencePieceEncoder
from albert.text.settings import CONFIG_NAME, accent_settings
from albert.text.tokenizers_encoder import TokenizersEncoder
from albert.text.truncation import Side
from albert.text.wordpiece import CONTINUATION, MAX_WORD_CHARACTERS, WordPieceEncoder

# Python's whitespace is wider than that of regular expressions, and a typed ▁ is a space.
_SENTENCE_SPACES = r"[\s\x1c-\x1f\x85▁]+"

# Python lower-cases a capital sigma at the end of a word to the final form, the library does not.
_FINAL_SIGMA = r"(?<=[\p{Lu}\p{Ll}\p{Lt}\p{M}])Σ(?!\p{M}*[\p{Lu}\p{Ll}\p{Lt}])"

# The other planes of Unicode are empty or private.
_ASSIGNED_PLANES = (0, 1, 2, 3, 14)
_SURROGATES = range(0xD800, 0xE000)

_PROBES = (
    "The value of a sentence.",
    'Two  spaces, (brackets) and "quotes": 1990 or 3.14?',
    "naïve café Müller Straße ÅNGSTRÖM",
    "ΣΑΣ Москва हिन्दी भाषा",
    "中文分词 と かな 한국어",
    "ﬁne ½ ｆｕｌｌ\u3000width",
    "emoji 😀 and \u200b nothing",
    "averyveryverylongwordwithoutanyspaceinit" * 4,
)
"""Without a number before a comma, see `fast_tokenizer`."""
_MOST_DIFFERING = 2
"""Of the texts: rounding decides between segmentations with nearly equal scores."""

# Distance below all other scores, more than any other segmentation costs: see `_scores`.
_NEVER_CHOSEN = 20.0


def write_transformers_files(
    folder: Path,
    encoder: PieceEncoder,
    *,
    model_max_length: int,
    split_special_tokens: bool = False,
    sides: Mapping[str, Side],
) -> None:
    """Write the two files with which transformers' AutoTokenizer returns our ids and segment ids.

    The ids are compared on a few texts first. If they differ too often, `tokenizer.json` is not written,
    because transformers would read other tokens without a word; a warning says so.

    Args:
        folder: Where they are written.
        encoder: The vocabulary.
        model_max_length: Tokens of the longest sequence.
        split_special_tokens: Whether special tokens spelled in a text are plain text.
        sides: `padding_side` and `truncation_side`.
    """
    fast = fast_tokenizer(encoder)
    differing = [text for text in _PROBES if not _agree(fast, encoder, text)]
    if len(differing) > _MOST_DIFFERING:
        (folder / "tokenizer.json").unlink(missing_ok=True)
        warn(
            f"{folder}: no tokenizer.json is written, since transformers would split {len(differing)} of "
            f"{len(_PROBES)} texts in another way, such as {differing[0]!r}; only albert reads this folder"
        )
    else:
        fast.save(str(folder / "tokenizer.json"))
    special = encoder.special_pieces
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "do_lower_case": encoder.lower_case,
        **accent_settings(encoder.kind, lower_case=encoder.lower_case, keep_accents=encoder.keep_accents),
        "model_max_length": model_max_length,
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
        **special,
        "mask_token": {
            "__type": "AddedToken",
            "content": special["mask_token"],
            "lstrip": True,
            "normalized": False,
            "rstrip": False,
            "single_word": False,
            "special": True,
        },
        "clean_up_tokenization_spaces": False,
        **({"split_special_tokens": True} if split_special_tokens else {}),
        **{name: side for name, side in sides.items() if side != "right"},
    }
    text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    (folder / CONFIG_NAME).write_text(text, encoding="utf-8")


def _agree(fast: Tokenizer, encoder: PieceEncoder, text: str) -> bool:
    return bool(fast.encode(text, add_special_tokens=False).ids == encoder.encode([text])[0])


def fast_tokenizer(encoder: PieceEncoder) -> Tokenizer:
    """Return a tokenizer of the `tokenizers` library that gives our ids.

    One thing cannot be expressed: that a number before a comma inside a word starts with a space.
    Vocabularies with such pieces (`4,`; neither the published one nor ours) differ there.
    """
    if isinstance(encoder, TokenizersEncoder):
        return encoder.tokenizer
    if isinstance(encoder, SentencePieceEncoder):
        tokenizer = _sentencepiece(encoder)
    else:
        assert isinstance(encoder, WordPieceEncoder)
        tokenizer = _wordpiece(encoder)
    special = encoder.special_pieces
    tokenizer.add_special_tokens(
        [
            AddedToken(piece, normalized=False, lstrip=name == "mask_token", special=True)
            for name, piece in special.items()
        ]
    )
    opening, closing = special["cls_token"], special["sep_token"]
    tokenizer.post_processor = TemplateProcessing(
        single=f"{opening}:0 $A:0 {closing}:0",
        pair=f"{opening}:0 $A:0 {closing}:0 $B:1 {closing}:1",
        special_tokens=[(piece, encoder.id_of(piece)) for piece in (opening, closing)],
    )
    return tokenizer


def _sentencepiece(encoder: SentencePieceEncoder) -> Tokenizer:
    tokenizer = Tokenizer(_model(encoder))
    steps: list[normalizers.Normalizer] = [normalizers.Replace(Regex(_SENTENCE_SPACES), " ")]
    if not encoder.keep_accents:
        marks = Regex(_characters(_is_combining))
        steps += [normalizers.NFKD(), normalizers.Replace(marks, "")]
    if encoder.lower_case:
        steps += [normalizers.Replace(Regex(_FINAL_SIGMA), "ς"), normalizers.Lowercase()]
    # The library's table works on small clusters only, so NFC composes Hangul first.
    steps.append(normalizers.NFC())
    if encoder.character_map:
        steps.append(normalizers.Precompiled(encoder.character_map))
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always"),
        ]
    )
    tokenizer.decoder = decoders.Metaspace(replacement=SPACE, prepend_scheme="always")
    return tokenizer


def _model(encoder: SentencePieceEncoder) -> models.Model:
    """Return the model that splits words, by the algorithm of the vocabulary.

    For whole words it is wrong, and the comparison says so: unknown words in a row are one piece there.
    """
    unknown = encoder.special_pieces["unk_token"]
    ids = {piece: id_ for id_, piece in enumerate(encoder.vocabulary)}
    if encoder.algorithm == "bpe":
        return models.BPE(ids, _merges(encoder.vocabulary, ids), unk_token=unknown, fuse_unk=True)
    scored = list(zip(encoder.vocabulary, _scores(encoder), strict=True))
    return models.Unigram(scored, unk_id=ids[unknown], byte_fallback=False)


def _merges(vocabulary: list[str], ids: dict[str, int]) -> list[tuple[str, str]]:
    """Return the pairs of pieces that merge, first those that make the pieces with the lowest ids."""
    return [
        (piece[:i], piece[i:])
        for piece in vocabulary
        for i in range(1, len(piece))
        if piece[:i] in ids and piece[i:] in ids
    ]


def _scores(encoder: SentencePieceEncoder) -> list[float]:
    """Return scores that exclude pieces with a comma after a digit, which the original splits again."""
    scores = encoder.scores()
    lowest = min(scores) - _NEVER_CHOSEN
    for id_ in encoder.resplit_ids:
        scores[id_] = lowest
    return scores


def _wordpiece(encoder: WordPieceEncoder) -> Tokenizer:
    tokenizer = Tokenizer(
        models.WordPiece(
            {piece: id_ for id_, piece in enumerate(encoder.vocabulary)},
            unk_token=encoder.special_pieces["unk_token"],
            max_input_chars_per_word=MAX_WORD_CHARACTERS,
            continuing_subword_prefix=CONTINUATION,
        )
    )
    steps: list[normalizers.Normalizer] = [normalizers.Replace(Regex(_characters(is_dropped)), "")]
    if encoder.lower_case:
        steps += [normalizers.Replace(Regex(_FINAL_SIGMA), "ς"), normalizers.Lowercase()]
    if not encoder.keep_accents:
        marks = Regex(_characters(_is_nonspacing))
        steps += [normalizers.NFD(), normalizers.Replace(marks, "")]
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Split(Regex(_characters(is_ideograph)), behavior="isolated"),
            pre_tokenizers.Split(Regex(_characters(is_punctuation)), behavior="isolated"),
        ]
    )
    tokenizer.decoder = decoders.WordPiece(prefix=CONTINUATION, cleanup=False)
    return tokenizer


@cache
def _characters(belongs: Callable[[str], bool]) -> str:
    """Return a regular expression for the characters of a class, from the Unicode tables of this Python."""
    codes = [
        code
        for plane in _ASSIGNED_PLANES
        for code in range(plane << 16, (plane + 1) << 16)
        if code not in _SURROGATES and belongs(chr(code))
    ]
    # In an unbroken range, the difference between code and index is constant.
    ranges = [
        [code for _, code in run] for _, run in groupby(enumerate(codes), key=lambda pair: pair[1] - pair[0])
    ]
    return "[" + "".join(f"\\x{{{run[0]:x}}}-\\x{{{run[-1]:x}}}" for run in ranges) + "]"


def _is_combining(character: str) -> bool:
    return unicodedata.combining(character) > 0


def _is_nonspacing(character: str) -> bool:
    return unicodedata.category(character) == "Mn"
