"""The result of tokenizing: rows of ids with their masks, padded, as lists, arrays or tensors.

Fields and padding are those of transformers.
"""

import importlib
from typing import Any, Literal

import numpy as np

from albert.errors import TokenizerError

Padding = Literal["longest", "max_length"]
Tensors = Literal["np", "pt"]

OFFSETS = "offset_mapping"


class Encoding(dict[str, Any]):
    """The fields of encoded texts, as items and as attributes; made for `model(**encoding)`."""

    def __getattr__(self, name: str) -> Any:
        """Return a field: a list, or an array if `return_tensors` was given."""
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no field {name!r}; there are {', '.join(self)}") from None

    def to(self, device: Any) -> "Encoding":
        """Return the encoding with its tensors on a device."""
        return Encoding({name: value.to(device) for name, value in self.items()})


def pad(rows: list[Encoding], *, length: int, pad_token_id: int) -> None:
    """Pad every row on the right to `length`; longer rows stay as they are."""
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
    """Return one encoding whose fields hold all rows, (B, T) as arrays or as lists of lists.

    Raises:
        TokenizerError: The rows differ in length and cannot become an array.
    """
    names = list(rows[0]) if rows else ["input_ids", "token_type_ids", "attention_mask"]
    batch = Encoding({name: [row[name] for row in rows] for name in names})
    if tensors is None:
        return batch
    if len({len(ids) for ids in batch["input_ids"]}) > 1:
        raise TokenizerError(
            "the rows differ in length, but an array needs equal lengths; "
            "give padding=True and, for texts that are too long, truncation=True"
        )
    arrays = {name: np.asarray(values, dtype=np.int64) for name, values in batch.items()}
    if tensors == "np":
        return Encoding(arrays)
    # Imported by name: data preparation and the command line use this room, and they must start without the
    # second that loading torch takes. A caller that wants tensors has loaded it already.
    torch = importlib.import_module("torch")
    return Encoding({name: torch.from_numpy(array) for name, array in arrays.items()})
