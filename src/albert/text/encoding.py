"""The result of tokenizing: rows of ids with their masks, padded and in the wanted container.

Stands below `tokenizer`. The fields and the meaning of padding are those of transformers.
"""

import importlib
from typing import Any, Literal

import numpy as np

from albert.errors import TokenizerError

Padding = Literal["longest", "max_length"]
Tensors = Literal["np", "pt"]

OFFSETS = "offset_mapping"


class Encoding(dict[str, Any]):
    """Fields of encoded texts, reachable as items and as attributes; made for `model(**encoding)`."""

    def __getattr__(self, name: str) -> Any:
        """Returns a field: a list, or an array where `return_tensors` was given."""
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no field {name!r}; there are {', '.join(self)}") from None

    def to(self, device: Any) -> "Encoding":
        """Returns the encoding with its tensors on a device."""
        return Encoding({name: value.to(device) for name, value in self.items()})


def pad(rows: list[Encoding], *, length: int, pad_token_id: int) -> None:
    """Fills every row up to `length` at its right end; longer rows stay."""
    fillers = {
        "input_ids": pad_token_id,
        "token_type_ids": 0,
        "attention_mask": 0,
        OFFSETS: (0, 0),
    }
    for row in rows:
        missing = length - len(row["input_ids"])
        for name, values in row.items():
            values.extend([fillers[name]] * missing)


def stack(rows: list[Encoding], tensors: Tensors | None) -> Encoding:
    """Returns one encoding whose fields hold all rows, (B, T) as arrays or as lists of lists.

    Raises:
        TokenizerError: Arrays are wanted of rows of different lengths.
    """
    names = list(rows[0]) if rows else ["input_ids", "token_type_ids", "attention_mask"]
    batch = Encoding({name: [row[name] for row in rows] for name in names})
    if tensors is None:
        return batch
    if len({len(ids) for ids in batch["input_ids"]}) > 1:
        raise TokenizerError(
            "the rows differ in length, an array needs equal ones; "
            "give padding=True and, against too long texts, truncation=True"
        )
    arrays = {name: np.asarray(values, dtype=np.int64) for name, values in batch.items()}
    if tensors == "np":
        return Encoding(arrays)
    # By name: this layer serves data preparation and the command line, which must start without
    # the second that loading torch takes. Whoever asks for tensors has loaded it.
    torch = importlib.import_module("torch")
    return Encoding({name: torch.from_numpy(array) for name, array in arrays.items()})
