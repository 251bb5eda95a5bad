"""Values among which settings choose, where the code that tells them apart takes long to load.

Reading a command line must not load torch, so these names are at the bottom.
"""

from typing import Literal

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
