"""Training of vocabularies: SentencePiece as published for ALBERT, WordPiece as for BERT.

Sentences are cleaned as in encoding, so a vocabulary fits the text it will be used on. Equal sentences,
settings and seed give equal bytes, which costs some speed: the number of threads is fixed.
Source: the `spm_train` command in the README of google-research/albert; section 4.1 of Lan et al. (2020).
"""

import io
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, islice

import sentencepiece
import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from albert.config import PUBLISHED_VOCAB_SIZE
from albert.errors import TokenizerError
from albert.text.cleaning import preprocess_text, split_words
from albert.text.sentencepiece import SentencePieceEncoder
from albert.text.wordpiece import CONTINUATION, WordPieceEncoder

CONTROL_SYMBOLS = ("[CLS]", "[SEP]", "[MASK]")
USER_DEFINED_SYMBOLS = ("(", ")", '"', "-", ".", "–", "£", "€")
"""Always pieces by themselves, at ids 5 to 12; a list, since the trainer takes a string for one symbol."""

CHARACTER_COVERAGE = 0.99995
"""Share of the characters of the text that the vocabulary can spell; rarer ones become unknown."""

BERT_SPECIAL_PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

# Longer sentences are cut: the trainer would silently skip them.
_MAX_SENTENCE_CHARACTERS = 1000
_MAX_SENTENCE_BYTES = 4192

_FED_CHARACTERS = 10_000

# Forbids pieces across a place in the training text. A private character, which cleaned text does not have.
_BARRIER = "\ue000"
_NUMBER_COMMA = re.compile(r"(?<=\d),")

_SIZE_TOO_HIGH = re.compile(r"value <= (\d+)")
_SIZE_TOO_LOW = re.compile(r"smaller than required_chars. \d+ vs (\d+)")


def train_sentencepiece(
    sentences: Iterable[str],
    *,
    vocab_size: int = PUBLISHED_VOCAB_SIZE,
    lower_case: bool = True,
    keep_accents: bool = False,
    sample_sentences: int = 10_000_000,
    seed: int = 0,
) -> SentencePieceEncoder:
    """Return a unigram vocabulary with the published settings.

    One thing is new: no piece has a digit with a comma after it. Encoding splits such pieces (the rule for
    digits and commas), so in the original's vocabulary they are wasted.

    Args:
        sentences: Raw sentences; read once.
        vocab_size: Number of pieces, the 13 given ones included.
        lower_case: Whether text is lower-cased, in training as in encoding.
        keep_accents: Whether combining marks stay, as accents and the vowel signs of Indian scripts.
        sample_sentences: Most sentences in memory, drawn at random if there are more.
        seed: Seed of that draw.

    Raises:
        TokenizerError: There is no text, too little for that many pieces, or too much for so few.
    """
    texts = _training_texts(sentences, lower_case=lower_case, keep_accents=keep_accents)
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(_sample(texts, size=sample_sentences, seed=seed)),
            model_writer=model,
            model_type="unigram",
            vocab_size=vocab_size,
            pad_id=0,
            unk_id=1,
            bos_id=-1,
            eos_id=-1,
            control_symbols=list(CONTROL_SYMBOLS),
            user_defined_symbols=list(USER_DEFINED_SYMBOLS),
            character_coverage=CHARACTER_COVERAGE,
            shuffle_input_sentence=False,
            max_sentence_length=_MAX_SENTENCE_BYTES,
            pretokenization_delimiter=_BARRIER,
            # Sums depend on the number of threads: a fixed one gives the same bytes on any machine.
            num_threads=4,
            minloglevel=3,
        )
    except RuntimeError as error:
        raise _explained(str(error), vocab_size) from error
    encoder = SentencePieceEncoder(model.getvalue(), lower_case=lower_case, keep_accents=keep_accents)
    assert tuple(encoder.vocabulary[2:13]) == CONTROL_SYMBOLS + USER_DEFINED_SYMBOLS
    return encoder


def train_wordpiece(
    sentences: Iterable[str],
    *,
    vocab_size: int = PUBLISHED_VOCAB_SIZE,
    lower_case: bool = True,
    keep_accents: bool | None = None,
) -> WordPieceEncoder:
    """Return a WordPiece vocabulary in BERT's layout: [PAD] [UNK] [CLS] [SEP] [MASK] first.

    All sentences count, but only distinct words are kept in memory. `keep_accents` None means BERT's rule:
    accents stay exactly if the text is not lower-cased.

    Raises:
        TokenizerError: There is no text, or too little for that many pieces.
    """
    words = (split_words(x, lower_case=lower_case, keep_accents=keep_accents) for x in sentences)
    counts = Counter(chain.from_iterable(words))
    if not counts:
        raise _no_text()
    # Characters get their ids first, sorted: the trainer would number them in the order of a hash table,
    # and equally frequent pairs merge in the order of their ids.
    alphabet = sorted({character for word in counts for character in word})
    given = [*BERT_SPECIAL_PIECES, *alphabet, *(CONTINUATION + character for character in alphabet)]
    if len(given) > vocab_size:
        raise _too_small(vocab_size, len(given))
    tokenizer = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        special_tokens=given,
        continuing_subword_prefix=CONTINUATION,
        show_progress=False,
    )
    tokenizer.train_from_iterator(_repeated(counts), trainer)
    ids = tokenizer.get_vocab()
    pieces = sorted(ids, key=ids.__getitem__)
    if len(pieces) < vocab_size:
        raise _too_large(vocab_size, len(pieces))
    return WordPieceEncoder(pieces, lower_case=lower_case, keep_accents=keep_accents)


def _repeated(counts: Counter[str]) -> Iterator[str]:
    """Yield every word as often as it was counted, a few thousand characters at a time."""
    for word, count in counts.items():
        at_once = 1 + _FED_CHARACTERS // len(word)
        for done in range(0, count, at_once):
            yield " ".join([word] * min(at_once, count - done))


def _training_texts(sentences: Iterable[str], *, lower_case: bool, keep_accents: bool) -> Iterator[str]:
    """Yield cleaned texts with a barrier between digit and comma, cut to the length the trainer reads."""
    cleaned = (preprocess_text(x, lower_case=lower_case, keep_accents=keep_accents) for x in sentences)
    for text in _not_empty(cleaned):
        barred = _NUMBER_COMMA.sub(f"{_BARRIER},", text.replace(_BARRIER, ""))
        for start in range(0, len(barred), _MAX_SENTENCE_CHARACTERS):
            yield barred[start : start + _MAX_SENTENCE_CHARACTERS]


def _sample(texts: Iterator[str], *, size: int, seed: int) -> list[str]:
    """Return `size` of the texts, each with the same probability; all if there are fewer.

    The trainer could draw them itself, but has no reliable seed.
    """
    draw = random.Random(seed)
    kept = list(islice(texts, size))
    for number, text in enumerate(texts, start=size + 1):
        place = draw.randrange(number)
        if place < size:
            kept[place] = text
    return kept


def _not_empty(texts: Iterable[str]) -> Iterator[str]:
    """Yield the texts that are not blank.

    Raises:
        TokenizerError: All are blank.
    """
    filled = (text for text in texts if text.strip())
    first = next(filled, None)
    if first is None:
        raise _no_text()
    yield from chain([first], filled)


def _no_text() -> TokenizerError:
    return TokenizerError("expected text to make a vocabulary from, found none; check --input")


def _explained(message: str, vocab_size: int) -> TokenizerError:
    """Return the user's error for a message of the trainer."""
    if found := _SIZE_TOO_HIGH.search(message):
        return _too_large(vocab_size, int(found.group(1)))
    if found := _SIZE_TOO_LOW.search(message):
        return _too_small(vocab_size, int(found.group(1)))
    if "all_chars_count" in message:
        return _no_text()
    return TokenizerError(f"SentencePiece cannot make a vocabulary of this text: {message}")


def _too_large(asked: int, possible: int) -> TokenizerError:
    return TokenizerError(
        f"the text is enough for at most {possible} pieces, not for {asked}; "
        f"use --vocab-size {possible} or less, or more text"
    )


def _too_small(asked: int, needed: int) -> TokenizerError:
    return TokenizerError(
        f"the text has so many different characters that it needs at least {needed} pieces, "
        f"not {asked}; use --vocab-size {needed} or more"
    )
