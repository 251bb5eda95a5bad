"""The settings of `albert embed`."""

from dataclasses import dataclass
from pathlib import Path

from albert.choices import Dtype, Pooling, VectorType
from albert.errors import ConfigError
from albert.tasks.bad_rows import OnBadRow


@dataclass(frozen=True, kw_only=True)
class EmbedSettings:
    """Write a vector for each text of a file."""

    model: str
    """Model folder, Hub id, or anything that `albert convert` takes."""
    input: Path | None = None
    """Texts: .txt with one text a line, or .tsv, .csv, .jsonl with columns."""
    output: Path | None = None
    """Vectors (texts, hidden size) in float32, in the order of the input: .npy, for `numpy.load`."""
    pooling: Pooling | None = None
    """The vector of a text: the mean of the last hidden states of its tokens, that of [CLS], or others that
    sentence-transformers has; by default what its folder says, else mean."""
    normalize: bool = False
    """Scale vectors to length 1, so that their dot product is the cosine; always, if the folder says so."""
    dimensions: int | None = None
    """Numbers of a vector that are kept, from the first on; all if not given. Trained for it by
    `albert finetune --matryoshka`."""
    output_dtype: VectorType = "float32"
    """Numbers in the file: float32; int8, 256 steps for each dimension, which FILE.json beside it has;
    binary, whether each is above 0, eight to a byte."""
    depth: int | None = None
    """Layers that are used, from the first on; all if not given. See `albert info` for the depths at which a
    model was trained."""
    max_seq_length: int | None = None
    """Tokens to which a text is truncated; by default as many as the folder says or the model takes."""
    prompt: str | None = None
    """Name of a prompt of a sentence-transformers folder, such as query, that goes before each text; by
    default the folder's own choice."""
    text_column: str = "text"
    """Column of the text, if the input has columns."""
    on_bad_row: OnBadRow = "error"
    """What to do if texts are empty or rows cannot be used: error names them before anything is computed;
    skip leaves vectors of NaN in their places."""
    sentence_transformers: Path | None = None
    """Folder to write for the library sentence-transformers, which then returns the same vectors."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto takes a GPU where there is one."""
    dtype: Dtype = "float32"
    """Type of the matrix products: bf16 where the device has it; int8 on CPUs, refused if it changes the
    vectors of the first texts too much."""

    def __post_init__(self) -> None:
        if (self.input is None) != (self.output is None) or (
            self.input is None and self.sentence_transformers is None
        ):
            raise ConfigError("expected --input FILE and --output FILE.npy, or --sentence-transformers DIR")
        if self.dimensions is not None and self.dimensions < 1:
            raise ConfigError(f"--dimensions is {self.dimensions}; expected 1 or more")
        if self.sentence_transformers is not None and self.dimensions is not None:
            raise ConfigError(
                "--dimensions with --sentence-transformers: that library cuts vectors when it is called "
                "(truncate_dim); drop one of the flags"
            )
        if self.output is not None and self.output.suffix != ".npy":
            raise ConfigError(f"--output {self.output}: expected a name ending in .npy")
