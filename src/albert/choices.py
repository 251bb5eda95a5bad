"""Values among which settings choose, where the code that tells them apart takes long to load.

Reading a command line must not load torch or pyarrow, so these names are at the bottom.
"""

from typing import Literal

Axis = Literal["steps", "tokens", "hours"]
"""Horizontal axis of the curves of a run."""
Decoding = Literal["strict", "replace"]
"""What happens to bytes that are not UTF-8."""
Depth = int | Literal["all"]
"""A number of layers after which something is computed, or every number."""
Dtype = Literal["float32", "bf16", "int8"]
"""Type in which linear layers that are prepared for inference compute."""
Head = Literal["auto", "sequence-classification", "multiple-choice", "token-classification"]
"""Purpose of a classifier whose tensors do not show it."""
JobName = Literal[
    "pretraining", "finetuning", "inference", "latency", "examples", "tokenization", "optimizer"
]
"""What `albert bench` measures."""
LengthsName = Literal["full", "glue", "sst2", "squad"]
"""Distribution of sequence lengths in a measurement."""
NewPositions = Literal["repeat", "random"]
"""How positions that a checkpoint lacks start: as copies of its own, in their order, or at random."""
OutputFormat = Literal["auto", "rows", "official"]
"""Our own rows of predictions, or a benchmark's official file."""
Pooling = Literal["mean", "cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
"""How the states of a text's tokens become one vector, special tokens included: their mean, that of
[CLS], their largest numbers, their sum over the root of their number, their mean weighted by position, or the
last."""
SplitName = Literal["train", "held-out"]
"""Documents to train on, or to evaluate on."""
Splitting = Literal["auto", "lines", "sentences"]
"""What a line of a corpus is: a sentence, or a paragraph to be split into sentences."""
VectorType = Literal["float32", "int8", "binary"]
"""Type of the numbers in a file of vectors."""
Workers = int | Literal["ray"]
"""Number of processes on this machine, or a Ray cluster."""
WordRuleName = Literal["english", "unicode"]
"""Where words start in a SentencePiece vocabulary."""
WordsName = Literal["vocabulary", "jieba"]
"""What says where words start: the vocabulary, or the segmenter of Chinese."""
