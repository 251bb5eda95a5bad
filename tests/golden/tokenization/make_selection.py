"""Makes the frozen selection of tokenization lines from the full collection of the original's.

The collection was produced by google-research/albert at b772393 with sentencepiece 0.2.0.
usage: make_selection.py REFERENCE_FOLDER
"""

import gzip
import json
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
FIRST_LINES = 150  # written by hand: every odd case once
EVERY = 5  # of the others: random characters, documentation, news


def main() -> None:
    """Copies the 2,000-piece model and some lines of both vocabularies."""
    source = Path(sys.argv[1]) / "tokenization"
    shutil.copyfile(source / "30k-clean.model", HERE / "30k-clean.model")
    for name in ("spm_tokenization", "wordpiece_zh"):
        lines = (source / f"{name}.jsonl").read_text(encoding="utf-8").split("\n")
        rows = [json.loads(line) for line in lines if line]
        kept = [row for row in rows if row["i"] < FIRST_LINES or row["i"] % EVERY == 0 or _is_tie(row)]
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept)
        (HERE / f"{name}.jsonl.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def _is_tie(row: dict[str, object]) -> bool:
    return "70,222" in str(row["text"])


if __name__ == "__main__":
    main()
