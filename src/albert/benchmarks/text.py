"""From text to token ids, and from token ids to masked examples.

The text is on every machine: the `help` topics of the running Python, about 300 kB of English, with a
vocabulary trained on it. Examples are made from eight copies of it, so that there are enough. Our candidates
run in one process, without workers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from albert.benchmarks.peers import is_installed, library
from albert.benchmarks.timing import Candidate, Job, Outcome, Recorded, Run
from albert.benchmarks.workload import Workload
from albert.data.batches import IntArray, PretrainingBatch
from albert.data.examples.masked_text import MaskedText
from albert.data.examples.masking import vocabulary_of
from albert.data.examples.settings import ExampleSettings
from albert.data.examples.stream import Examples
from albert.data.preparing import prepare_shards
from albert.data.settings import PrepareSettings
from albert.data.shards.folder import open_prepared
from albert.demo.text import TOPICS, find_documents, standard_library
from albert.text.cleaning import preprocess_text
from albert.text.files import find_vocabulary
from albert.text.tokenizer import AlbertTokenizer
from albert.text.vocabulary import train_sentencepiece

VOCAB_SIZE = 2000
MAX_SEQ_LENGTH = 512
BATCH_SIZE = 256
COPIES = 8
MASKED_SHARE = 0.15
SHARE_TOLERANCE = 0.02
"""Of the share of masked tokens: masks are drawn at random, and whole words are masked."""

LOWER_BOUND = "SentencePiece alone"

ORIGINAL = Recorded(
    name="create_pretraining_data.py",
    tokens_per_second=51.7e6 / 725,
    note="recorded: 51.7 million tokens in 725 CPU seconds, from 5 MB of text, 40 passes, length 512; Python "
    "3.7, TensorFlow 1.15, AMD EPYC",
)


def tokenization_job(work: Workload) -> Job:
    """Return the job that encodes all sentences."""
    sentences, folder = _sentences(work.folder), _make_tokenizer(work.folder)
    tokens = len(AlbertTokenizer.from_pretrained(folder).encode_flat(sentences)[0])
    candidates = [Candidate(name="albert", make=partial(_our_encoder, folder, sentences), tolerance=0.0)]
    if is_installed():
        candidates.append(
            Candidate(
                name="transformers, fast",
                make=partial(_their_encoder, folder, sentences),
                tolerance=0.0,
                note="on all cores",
            )
        )
    candidates.append(
        Candidate(
            name=LOWER_BOUND,
            make=partial(_sentencepiece, folder, sentences),
            tolerance=None,
            note="cleaned lines; the same ids as ours except for numbers with commas",
        )
    )
    return Job(
        name="tokenization",
        sequences=len(sentences),
        tokens=tokens,
        candidates=candidates,
        lower_bound=LOWER_BOUND,
    )


def examples_job(work: Workload) -> Job:
    """Return the job that makes masked examples from prepared text."""
    shards = make_shards(work.folder)
    batches = [*_stream(shards).one_pass(BATCH_SIZE)]
    candidates = [Candidate(name="albert", make=partial(_our_examples, shards), tolerance=SHARE_TOLERANCE)]
    if is_installed():
        candidates.append(
            Candidate(
                name="transformers, collator",
                make=partial(_collator, shards, batches),
                tolerance=SHARE_TOLERANCE,
                note="ready-made sequences; single tokens masked, no n-grams, no sentence order",
            )
        )
    return Job(
        name="masked examples",
        unit="pass",
        lengths=f"up to {MAX_SEQ_LENGTH}",
        sequences=sum(map(len, batches)),
        tokens=sum(batch.input_ids.size for batch in batches),
        candidates=candidates,
        recorded=(ORIGINAL,),
    )


def _our_encoder(folder: Path, sentences: list[str]) -> Run:
    tokenizer = AlbertTokenizer.from_pretrained(folder)
    return lambda: _counts(tokenizer.encode_flat(sentences)[0])


def _their_encoder(folder: Path, sentences: list[str]) -> Run:
    tokenizer = library().AutoTokenizer.from_pretrained(folder)

    def run() -> Outcome:
        rows = tokenizer(sentences, add_special_tokens=False, return_attention_mask=False)["input_ids"]
        return _counts(np.fromiter(chain.from_iterable(rows), np.int64))

    return run


def _counts(ids: npt.NDArray[Any]) -> Outcome:
    """Return how often each token occurs, (V,).

    Of two equally likely segmentations (`ww w`, `w ww`) SentencePiece takes one and the fast tokenizers the
    other, so sequences may differ where counts do not.
    """
    return np.bincount(ids, minlength=VOCAB_SIZE).astype(np.float64)


def _sentencepiece(folder: Path, sentences: list[str]) -> Run:
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor(model_file=str(find_vocabulary(folder)))
    clean = [preprocess_text(sentence, lower_case=True) for sentence in sentences]

    def run() -> Outcome:
        processor.encode(clean, out_type=int, num_threads=1)
        return np.zeros(0)

    return run


def _our_examples(shards: Path) -> Run:
    stream, epochs = _stream(shards), count()
    return lambda: _shares(stream.one_pass(BATCH_SIZE, epoch=next(epochs)))


def _stream(shards: Path) -> Examples:
    return Examples(open_shards(shards, ExampleSettings(max_seq_length=MAX_SEQ_LENGTH)))


def _shares(batches: Iterator[PretrainingBatch]) -> Outcome:
    """Return the share of masked tokens, (1,)."""
    sizes = np.array([(batch.masked_positions.size, batch.input_ids.size) for batch in batches])
    masked, tokens = sizes.sum(0)
    return np.array([masked / tokens])


def _collator(folder: Path, batches: Sequence[PretrainingBatch]) -> Run:
    """Return a run in which transformers masks the same sequences, batch by batch."""
    transformers = library()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    collator = transformers.DataCollatorForLanguageModeling(tokenizer, mlm_probability=MASKED_SHARE)
    special = np.array(tokenizer.all_special_ids)
    rows = [_rows(batch, special) for batch in batches]

    def run() -> Outcome:
        masked = sum(int((collator(some)["labels"] != -100).sum()) for some in rows)
        return np.array([masked / sum(batch.input_ids.size for batch in batches)])

    return run


def _rows(batch: PretrainingBatch, special: IntArray) -> list[dict[str, Any]]:
    """Return the sequences before masking, in the form the collator takes."""
    ids = batch.input_ids.copy()
    ids[batch.masked_positions] = batch.masked_labels
    return [
        {"input_ids": row.tolist(), "special_tokens_mask": np.isin(row, special).astype(np.int64).tolist()}
        for row in np.split(ids, batch.lengths.cumsum()[:-1])
    ]


def make_text(folder: Path) -> Path:
    """Return the text file, made once: one sentence per line, an empty line between documents."""
    path = folder / "text.txt"
    if not path.exists():
        documents = find_documents(standard_library() / TOPICS)
        path.write_text("\n\n".join("\n".join(document.sentences) for document in documents) + "\n", "utf-8")
    return path


def make_shards(folder: Path, *, copies: int = COPIES, **changes: Any) -> Path:
    """Return a folder with token shards of copies of the text, made once, including the tokenizer.

    Args:
        folder: Where to make it.
        copies: How often to repeat the text.
        changes: Fields of `PrepareSettings` to set.
    """
    shards = folder / "shards"
    if not shards.exists():
        text = folder / "copies.txt"
        text.write_text("\n".join([make_text(folder).read_text("utf-8")] * copies), "utf-8")
        settings = PrepareSettings(
            input=(str(text),),
            tokenizer=_make_tokenizer(folder),
            output=str(shards),
            splitting="lines",
            workers=1,
            held_out=0,
        )
        prepare_shards(replace(settings, **changes))
    return shards


def open_shards(shards: Path, settings: ExampleSettings) -> MaskedText:
    """Return the source of masked examples for a folder of token shards."""
    vocabulary = vocabulary_of(AlbertTokenizer.from_pretrained(shards), settings)
    return MaskedText(data=open_prepared(shards), vocabulary=vocabulary, settings=settings)


def _make_tokenizer(folder: Path) -> Path:
    """Return the folder of a tokenizer trained on the text, made once."""
    tokenizer = folder / "tokenizer"
    if not tokenizer.exists():
        encoder = train_sentencepiece(_sentences(folder), vocab_size=VOCAB_SIZE)
        AlbertTokenizer(encoder).save_pretrained(tokenizer)
    return tokenizer


def _sentences(folder: Path) -> list[str]:
    """Return the sentences of the text."""
    return [line for line in make_text(folder).read_text("utf-8").split("\n") if line]
