"""Every document is in one job, and the name of a job depends on all that goes into it."""

from dataclasses import replace

import numpy as np
import pytest

from albert.data.shards.jobs import EncodingRule, cut_jobs, hash_share, join_lines, split_documents

RULE = EncodingRule(tokenizer="ab" * 32, splitting="lines", language="en", words="vocabulary")


def make_documents(count: int, *, seed: int = 0) -> list[list[str]]:
    random = np.random.default_rng(seed)
    return [[f"{x} é" for x in random.integers(0, 999, random.integers(1, 9))] for _ in range(count)]


def test_jobs_hold_every_document_once_in_corpus_order() -> None:
    documents = make_documents(400)
    jobs = list(cut_jobs(documents, RULE, held_out=0.2, shard_bytes=500))
    for split in ("train", "held-out"):
        texts = b"\n\n".join(job.text for job in jobs if job.split == split).split(b"\n\n")
        expected = [
            text for text in map(join_lines, documents) if (hash_share(text) < 0.2) == (split == "held-out")
        ]
        assert sorted(texts) == sorted(expected)
        # All but the one that was kept until the end are in the order of the corpus.
        moved = [text for text, other in zip(texts, expected, strict=True) if text != other]
        assert split == "train" or not moved
        names = [job.name for job in jobs if job.split == split]
        assert [name.rpartition("-")[0] for name in names] == [
            f"{split}-{number:05}" for number in range(len(names))
        ]
    sizes = [len(job.text) for job in jobs]
    assert sum(size < 500 for size in sizes) <= 2
    assert max(sizes) < 500 + 100


def test_name_of_a_job_depends_on_everything_its_shard_does() -> None:
    def name(documents: list[list[str]], rule: EncodingRule = RULE) -> str:
        (job,) = cut_jobs(documents, rule, held_out=0, shard_bytes=10**6)
        return job.name

    names = [
        name([["a", "b"], ["c"]]),
        name([["a"], ["b", "c"]]),
        name([["a", "b"], ["d"]]),
        *(
            name([["a", "b"], ["c"]], replace(RULE, **{field: "other"}))
            for field in ("tokenizer", "splitting", "language", "words")
        ),
    ]
    assert len(set(names)) == len(names)
    assert names[0] == name([["a", "b"], ["c"]])


def test_hash_depends_on_the_text_alone_and_is_spread_evenly() -> None:
    shares = [hash_share(b"%d" % number) for number in range(3000)]
    assert shares == [hash_share(b"%d" % number) for number in range(3000)]
    counts, _ = np.histogram(shares, bins=10, range=(0, 1))
    assert np.all(np.abs(counts - 300) < 4 * np.sqrt(300))


def make_texts(count: int, *, below: float, num_below: int) -> list[bytes]:
    """Return distinct texts, of which a given number, in the middle, have a hash below a share."""
    numbered = [b"%d" % number for number in range(5000)]
    low = [text for text in numbered if hash_share(text) < below][:num_below]
    high = [text for text in numbered if hash_share(text) >= below][: count - num_below]
    middle = len(high) // 2
    return high[:middle] + low + high[middle:]


@pytest.mark.parametrize(
    ("count", "num_below", "share", "num_held_out"),
    [(19, 0, 0.2, 0), (20, 0, 0.2, 1), (20, 0, 0.0, 0), (20, 2, 0.2, 2), (1, 0, 0.5, 0)],
)
def test_documents_of_the_smallest_hashes_are_held_out(
    count: int, num_below: int, share: float, num_held_out: int
) -> None:
    texts = make_texts(count, below=share, num_below=num_below)
    split = list(split_documents(texts, share))
    held_out = [text for name, text in split if name == "held-out"]
    assert sorted(held_out) == sorted(sorted(texts, key=hash_share)[:num_held_out])
    assert sorted(text for _, text in split) == sorted(texts)


def simplest_split(texts: list[bytes], share: float) -> list[bytes]:
    """Return what is held out of short texts, computed with all of them at hand."""
    held_out = [text for text in texts if hash_share(text) < share]
    num_lines = sum(text.count(b"\n") + 1 for text in held_out)
    if len(texts) < 20:
        return held_out
    for text in sorted({text for text in texts if hash_share(text) >= share}, key=hash_share):
        if num_lines >= 300 or (hash_share(text) >= 0.1 and held_out):
            break
        held_out += [text] if texts.count(text) == 1 else []
        num_lines += text.count(b"\n") + 1
    return held_out


@pytest.mark.parametrize("count", [19, 100, 1000, 8000, 60_000])
@pytest.mark.parametrize("lines", [1, 7])
def test_a_small_corpus_has_more_held_out_up_to_a_tenth_and_equal_texts_stay_together(
    count: int, lines: int
) -> None:
    random = np.random.default_rng(count + lines)
    numbers = random.integers(0, count, count)  # about a third occur several times
    texts = [b"%d\n" % number * (lines - 1) + b"%d" % number for number in numbers]
    split = list(split_documents(texts, 0.01))
    held_out = [text for name, text in split if name == "held-out"]
    assert sorted(held_out) == sorted(simplest_split(texts, 0.01))
    assert sorted(text for _, text in split) == sorted(texts)
    assert not set(held_out) & {text for name, text in split if name == "train"}
    assert count < 8000 or sum(text.count(b"\n") + 1 for text in held_out) >= 150


def test_long_documents_are_not_held_out_to_have_a_few_more_lines() -> None:
    below = [b"%d" % number for number in range(5000) if 0.01 <= hash_share(b"%d" % number) < 0.1]
    above = [b"%d" % number for number in range(100) if hash_share(b"%d" % number) >= 0.1]
    long = [text for text in (b"%d" % n + b"\n." * 400 for n in range(200)) if 0.01 < hash_share(text) < 0.1]
    short, longest = below[:2], max(long, key=hash_share)
    texts = [longest, *above[:30], *short]
    held_out = [text for name, text in split_documents(texts, 0.01) if name == "held-out"]
    assert set(held_out) == {*short, min(texts, key=hash_share)}
    alone = [text for name, text in split_documents([longest, *above[:30]], 0.01) if name == "held-out"]
    assert alone == [longest]


def test_a_text_that_is_all_of_the_corpus_is_not_held_out() -> None:
    text = next(b"%d" % number for number in range(5000) if 0.01 <= hash_share(b"%d" % number) < 0.1)
    assert {name for name, _ in split_documents([text] * 30, 0.01)} == {"train"}
