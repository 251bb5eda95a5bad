"""`albert prepare` from text to a folder that examples can be made of."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from albert.data import encoding
from albert.data.encoding import EncodedDocument
from albert.data.examples import Examples, ExampleSettings
from albert.data.masking import vocabulary_of
from albert.data.shards import open_prepared
from albert.errors import CheckpointError, ConfigError, DataError, RunError
from albert.recipes import prepare as recipe
from albert.recipes.prepare import PrepareSettings, prepare, split_documents
from albert.text.tokenizer import AlbertTokenizer

LETTERS = "abcdefghijklmnopqrstuvwxyz"


@pytest.fixture
def tokenizer_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{x}" for x in LETTERS)]
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n")
    return folder


def make_corpus(path: Path, *, documents: int, sentences: int = 5, seed: int = 0) -> Path:
    random = np.random.default_rng(seed)
    with path.open("w") as file:
        for _ in range(documents):
            for _ in range(sentences):
                words = ("".join(random.choice(list(LETTERS), 3)) for _ in range(random.integers(2, 9)))
                file.write(" ".join(words) + "\n")
            file.write("\n")
    return path


@pytest.fixture
def settings(tmp_path: Path, tokenizer_folder: Path) -> PrepareSettings:
    corpus = make_corpus(tmp_path / "corpus.txt", documents=60)
    return PrepareSettings(
        input=(str(corpus),),
        tokenizer=tokenizer_folder,
        output=tmp_path / "data",
        workers=1,
        splitting="lines",
        shard_pieces=1000,
    )


def content_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_prepared_folder_holds_every_piece_and_the_tokenizer(settings: PrepareSettings) -> None:
    counts = prepare(settings)
    data = open_prepared(settings.output)
    tokenizer = AlbertTokenizer.from_pretrained(settings.output)
    data.check_tokenizer(tokenizer.fingerprint, "folder")
    lines = [line for line in Path(settings.input[0]).read_text().splitlines() if line]
    expected = sorted(map(tuple, tokenizer.encode_sentences(lines)))
    found = []
    for split, infos in data.shards.items():
        for index in range(len(infos)):
            shard = data.read_shard(split, index)
            found += [tuple(part.tolist()) for part in np.split(shard.pieces, shard.sentence_ends[:-1])]
    assert sorted(found) == expected
    assert counts["documents"] == 60
    assert counts["sentences"] == 300
    assert counts["pieces"] == sum(map(len, expected)) == data.pieces("train") + data.pieces("held-out")
    assert counts["shards"] == sum(map(len, data.shards.values())) > 3
    assert counts["unknown_share"] == 0
    examples = Examples(data, vocabulary_of(tokenizer), ExampleSettings(max_seq_length=64))
    assert len(next(examples.batches(32))) == 32


def test_number_of_processes_does_not_change_a_byte(
    settings: PrepareSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "BYTES_PER_WORKER", 1)
    monkeypatch.setattr(encoding, "BATCH_CHARACTERS", 300)
    prepare(settings)
    prepare(replace(settings, workers=2, output=tmp_path / "two"))
    assert content_of(settings.output) == content_of(tmp_path / "two")


def test_finished_folder_is_left_alone(settings: PrepareSettings, capsys: pytest.CaptureFixture[str]) -> None:
    first = prepare(settings)
    before = {file: file.stat().st_mtime_ns for file in settings.output.iterdir()}
    second = prepare(replace(settings, workers=2))
    assert "finished before, nothing to do" in capsys.readouterr().err
    assert before == {file: file.stat().st_mtime_ns for file in settings.output.iterdir()}
    assert second.items() <= first.items()


def test_folder_of_other_settings_is_refused_and_they_are_named(settings: PrepareSettings) -> None:
    prepare(settings)
    other = replace(settings, splitting="sentences", held_out=0.2)
    with pytest.raises(
        RunError, match=r"splitting \(lines there, sentences now\), held_out \(0.01 there, 0.2 now\)"
    ):
        prepare(other)
    make_corpus(Path(settings.input[0]), documents=61)
    with pytest.raises(RunError, match=r"other settings: input_bytes \("):
        prepare(settings)


def test_folder_of_something_else_is_refused(settings: PrepareSettings, tmp_path: Path) -> None:
    settings.output.mkdir()
    (settings.output / "thesis.tex").touch()
    with pytest.raises(RunError, match=r"data: holds other files; choose a new or empty folder"):
        prepare(settings)
    with pytest.raises(RunError, match=r"is a file; choose a folder"):
        prepare(replace(settings, output=Path(settings.input[0])))
    (settings.output / recipe.JOB_NAME).write_text("{")
    with pytest.raises(RunError, match=r"prepare.json: damaged"):
        prepare(settings)


def test_tokenizer_folder_may_be_the_output(settings: PrepareSettings) -> None:
    prepare(replace(settings, output=settings.tokenizer))
    assert open_prepared(settings.tokenizer).pieces("train")


def test_interrupted_job_leaves_whole_shards_and_runs_again(
    settings: PrepareSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(replace(settings, output=tmp_path / "unbroken"))
    written = recipe.ShardWriter.finish

    def interrupt_at_the_third(writer: recipe.ShardWriter) -> None:
        if len(writer.shards) == 2:
            (settings.output / "train-00002.arrow.partial").write_bytes(b"half")
            raise KeyboardInterrupt
        written(writer)

    with monkeypatch.context() as patch:
        patch.setattr(recipe.ShardWriter, "finish", interrupt_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            prepare(settings)
    left = content_of(settings.output)
    whole = content_of(tmp_path / "unbroken")
    shards = [name for name in left if name.endswith(".arrow")]
    assert len(shards) == 2
    assert all(left[name] == whole[name] for name in shards)
    with pytest.raises(DataError, match="an unfinished albert prepare"):
        open_prepared(settings.output)
    prepare(settings)
    assert content_of(settings.output) == whole


def make_encoded(hash_share: float) -> EncodedDocument:
    one = np.ones(1, np.uint32)
    return EncodedDocument(pieces=one, sentence_ends=one, hash_share=hash_share, unknown_pieces=0)


@pytest.mark.parametrize(
    ("hashes", "share", "held_out"),
    [
        ([0.5] * 19, 0.01, []),
        ([0.5, 0.2, *[0.5] * 18], 0.01, [0.2]),
        ([0.5, 0.2, *[0.5] * 18], 0.0, []),
        ([0.2, 0.005, 0.001, *[0.5] * 18], 0.01, [0.005, 0.001]),
    ],
)
def test_documents_of_the_smallest_hashes_are_held_out(
    hashes: list[float], share: float, held_out: list[float]
) -> None:
    split = list(split_documents(map(make_encoded, hashes), share))
    assert [document.hash_share for name, document in split if name == "held-out"] == held_out
    assert sorted(document.hash_share for _, document in split) == sorted(hashes)


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("ab cd\n" * 30, "warning: no blank line, so all text is one document"),
        ("ab cd\n\n" * 30, "warning: nearly every document is a single sentence: sentence order cannot"),
        ("ab cd\nef\n\n" * 30, None),
    ],
)
def test_corpus_that_cannot_teach_sentence_order_is_warned_of(
    settings: PrepareSettings, capsys: pytest.CaptureFixture[str], text: str, warning: str | None
) -> None:
    Path(settings.input[0]).write_text(text)
    prepare(settings)
    errors = capsys.readouterr().err
    assert warning in errors if warning else "warning" not in errors


def test_unknown_pieces_are_counted(settings: PrepareSettings) -> None:
    Path(settings.input[0]).write_text("ab 1\nc 2\n\n")
    assert prepare(settings)["unknown_share"] == pytest.approx(2 / 5)


@pytest.mark.parametrize("content", [b"", b"caf\xe9", b"x" * (2 << 20)])
def test_bad_corpus_leaves_no_finished_folder(settings: PrepareSettings, content: bytes) -> None:
    Path(settings.input[0]).write_bytes(content)
    with pytest.raises(DataError, match=r"corpus.txt"):
        prepare(settings)
    assert not (settings.output / "meta.json").exists()


def test_missing_tokenizer_is_refused_before_anything_is_written(
    settings: PrepareSettings, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="absent: no such file or folder"):
        prepare(replace(settings, tokenizer=tmp_path / "absent"))
    assert not settings.output.exists()


@pytest.mark.parametrize("wrong", [{"input": ()}, {"workers": 0}, {"shard_pieces": 0}, {"held_out": 1.0}])
def test_settings_that_cannot_work_are_refused(settings: PrepareSettings, wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        replace(settings, **wrong)


def test_meta_tells_counts_but_no_times(settings: PrepareSettings) -> None:
    prepare(settings)
    meta = json.loads((settings.output / "meta.json").read_text())
    assert set(meta["counts"]) == {
        "documents",
        "held_out_documents",
        "sentences",
        "pieces",
        "unknown_share",
        "shards",
    }
