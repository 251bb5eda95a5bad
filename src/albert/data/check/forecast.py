"""A forecast from the start of a corpus: how long it will take, and how much room its shards need.

It reads 4 million characters and encodes 300 kB of them, before hours are spent. A corpus whose start is
unlike the rest misleads it.
"""

import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from albert import console
from albert.data.corpus import storage
from albert.data.shards.encoding import ShardMaker
from albert.data.shards.folder import SHARD_SUFFIX, stored_bytes
from albert.data.shards.jobs import join_lines
from albert.errors import DataError

PEEKED_CHARACTERS = 1 << 22
"""Text that is read for a forecast; many blocks, since only whole blocks count as read."""
SAMPLE_BYTES = 300_000
"""Text that is encoded to measure the speed."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a corpus will become, judging by its start."""

    text_bytes: float
    """UTF-8 bytes of all documents."""
    tokens: float
    """Tokens of all documents."""
    disk_bytes: float
    """Size of the shards."""
    seconds: float
    """Time of one process."""

    def line(self, *, shards: int, processes: int | None) -> str:
        """Return the forecast as one line; without `processes`, the time is that of one."""
        pace = "of one process's time"
        if processes is not None:
            pace = f"with {processes} process" + ("es" if processes > 1 else "")
        return (
            f"about {console.human_count(self.tokens)} tokens, {self.disk_bytes / 1e6:.3g} MB in "
            f"{shards} shard{'s' if shards > 1 else ''}, "
            f"{console.human_seconds(self.seconds / (processes or 1))} {pace}"
        )


def peek(documents: Iterator[list[str]]) -> list[list[str]]:
    """Take the first documents of a corpus, or all if they are few."""
    peeked = []
    room = PEEKED_CHARACTERS
    for document in documents:
        peeked.append(document)
        room -= sum(map(len, document))
        if room <= 0:
            break
    return peeked


def forecast(maker: ShardMaker, peeked: list[list[str]], *, share_read: float) -> Forecast:
    """Encode the first 300 kB of the first documents and scale the result up to the corpus.

    Args:
        maker: Encodes text.
        peeked: The first documents.
        share_read: Share of the corpus that was read for them.
    """
    texts = list(map(join_lines, peeked))
    sample = _beginning(texts)
    maker.encode(sample[:1000].rpartition(b" ")[0])  # what is loaded only once must not count
    start = time.perf_counter()
    shard = maker.encode(sample)
    text_bytes = (sum(len(text) + 2 for text in texts) - 2) / (share_read or 1)
    scale = text_bytes / max(1, len(sample))
    return Forecast(
        text_bytes=text_bytes,
        tokens=scale * len(shard.tokens),
        disk_bytes=scale * stored_bytes(shard, vocab_size=len(maker.tokenizer)),
        seconds=scale * (time.perf_counter() - start),
    )


def _beginning(documents: Iterable[bytes]) -> bytes:
    """Return the text of the first documents, cut at the end of a line or of a word."""
    sample = b""
    for document in documents:
        sample += b"\n\n" * bool(sample) + document
        if len(sample) > SAMPLE_BYTES:
            cut = max(sample.rfind(mark, 0, SAMPLE_BYTES) for mark in (b"\n", b" "))
            return sample[:cut] if cut > 0 else sample
    return sample


def check_room(output: str, needed_bytes: float) -> None:
    """Raise DataError if the disk of a local folder has too little room for the shards."""
    if storage.is_url(output):
        return
    folder = Path(output)
    existing_bytes = sum(file.stat().st_size for file in folder.glob(f"*{SHARD_SUFFIX}"))
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free + existing_bytes
    if free < needed_bytes:
        raise DataError(
            f"{output}: the shards need about {needed_bytes / 1e6:.3g} MB, the disk has {free / 1e6:.3g} MB "
            "free; free space or choose another --output"
        )
