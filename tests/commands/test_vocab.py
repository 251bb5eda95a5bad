"""`albert vocab`: from text files to a tokenizer folder, a second time, and with bad input."""

import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from albert.commands.vocab import VocabSettings, vocab
from albert.errors import AlbertError, ConfigError, DataError, RunError, TokenizerError
from albert.text.tokenizer import AlbertTokenizer
from samples.command_flags import parse_line


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    draw = random.Random(0)
    syllables = ["ba", "de", "ki", "mo", "nu", "sar", "ten", "lip"]
    words = ["".join(draw.choices(syllables, k=draw.randint(1, 3))) for _ in range(80)]
    words += ["the", "Little", "1990,", "(and", "so", "on)"] * 4
    lines = [" ".join(draw.choices(words, k=8)) + "." for _ in range(200)]
    path = tmp_path / "corpus.txt"
    path.write_text("\n\n".join("\n".join(lines[i : i + 10]) for i in range(0, 200, 10)), encoding="utf-8")
    return path


def make_settings(corpus: Path, output: Path, **changes: object) -> VocabSettings:
    chosen = {"input": (str(corpus),), "output": output, "vocab_size": 70, "splitting": "lines"}
    return VocabSettings(**(chosen | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["sentencepiece", "wordpiece"])
def test_text_becomes_a_tokenizer_folder(corpus: Path, tmp_path: Path, kind: str) -> None:
    result = vocab(make_settings(corpus, tmp_path / "tokenizer", kind=kind))
    tokenizer = AlbertTokenizer.from_pretrained(tmp_path / "tokenizer")
    assert result["vocab_size"] == tokenizer.vocab_size == 70
    assert result["kind"] == tokenizer.kind == kind
    assert result["fingerprint"] == tokenizer.fingerprint
    assert tokenizer.unk_token_id not in tokenizer.encode("the little bakimo")


def test_case_is_kept_on_request(corpus: Path, tmp_path: Path) -> None:
    vocab(make_settings(corpus, tmp_path / "tokenizer", lower_case=False))
    tokenizer = AlbertTokenizer.from_pretrained(tmp_path / "tokenizer")
    assert not tokenizer.do_lower_case
    assert any("L" in piece for piece in list(tokenizer.get_vocab())[13:])


def test_the_same_command_again_does_nothing(corpus: Path, tmp_path: Path) -> None:
    settings = make_settings(corpus, tmp_path / "tokenizer")
    first = vocab(settings)
    written = (tmp_path / "tokenizer" / "spiece.model").stat().st_mtime_ns
    assert vocab(settings) == first
    assert (tmp_path / "tokenizer" / "spiece.model").stat().st_mtime_ns == written


def test_two_runs_write_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    for kind in ("sentencepiece", "wordpiece"):
        for name in ("a", "b"):
            vocab(make_settings(corpus, tmp_path / kind / name, kind=kind))
        for path in (tmp_path / kind / "a").iterdir():
            if path.name != "run.json":
                assert path.read_bytes() == (tmp_path / kind / "b" / path.name).read_bytes()


def test_another_vocabulary_is_not_overwritten(corpus: Path, tmp_path: Path) -> None:
    vocab(make_settings(corpus, tmp_path / "tokenizer"))
    with pytest.raises(RunError, match=r"vocab_size was 70, now 60"):
        vocab(make_settings(corpus, tmp_path / "tokenizer", vocab_size=60))


@pytest.mark.parametrize("name", ["spiece.model", "anything.txt"])
def test_a_folder_with_other_files_is_not_touched(corpus: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / name).write_bytes(b"mine")
    with pytest.raises(RunError, match="has other files"):
        vocab(make_settings(corpus, tmp_path / "tokenizer"))


def test_a_damaged_record_is_reported(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / "run.json").write_text("[")
    with pytest.raises(RunError, match=r"run.json: damaged"):
        vocab(make_settings(corpus, tmp_path / "tokenizer"))


def test_settings_are_recorded(corpus: Path, tmp_path: Path) -> None:
    vocab(make_settings(corpus, tmp_path / "tokenizer"))
    record = json.loads((tmp_path / "tokenizer" / "run.json").read_bytes())
    assert record["command"] == "vocab"
    assert record["settings"]["vocab_size"] == 70
    assert record["settings"]["input"] == [str(corpus)]


@pytest.mark.parametrize(
    ("content", "error"),
    [(b"", DataError), (b"\n \n", DataError), (b"one\xff\n", DataError), (b"one two\n", TokenizerError)],
)
def test_unusable_text_leaves_no_folder(tmp_path: Path, content: bytes, error: type[AlbertError]) -> None:
    path = tmp_path / "corpus.txt"
    path.write_bytes(content)
    with pytest.raises(error):
        vocab(make_settings(path, tmp_path / "tokenizer"))
    assert not (tmp_path / "tokenizer").exists()


def test_other_files_make_the_same_vocabulary(corpus: Path, tmp_path: Path) -> None:
    documents = corpus.read_text().split("\n\n")
    pq.write_table(pa.table({"body": documents}), tmp_path / "corpus.parquet")
    records = [json.dumps({"body": document}) for document in documents]
    (tmp_path / "corpus.jsonl").write_text("\n".join(["not a record", *records]))
    expected = vocab(make_settings(corpus, tmp_path / "tokenizer"))["fingerprint"]
    for name in ("corpus.parquet", "corpus.jsonl"):
        settings = make_settings(tmp_path / name, tmp_path / f"of {name}", column="body", skip_bad=True)
        assert vocab(settings)["fingerprint"] == expected


def test_the_next_command_reads_the_same_text(corpus: Path, tmp_path: Path) -> None:
    output = tmp_path / "my vocabulary"
    settings = make_settings(corpus, output, column="a,b", language="de", skip_bad=True)
    following = parse_line(vocab(settings)["next"])
    for name in ("input", "splitting", "language", "column", "errors", "skip_bad"):
        assert getattr(following, name) == getattr(settings, name)
    assert following.tokenizer == output
    assert following.output == str(tmp_path / "data")


def test_the_next_command_is_short_for_the_many_files_of_a_glob(corpus: Path, tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    names = [str(folder / f"{number}.txt") for number in range(9)]
    for name in names:
        Path(name).write_bytes(corpus.read_bytes())
    settings = make_settings(corpus, tmp_path / "a", input=tuple(names))
    assert parse_line(vocab(settings)["next"]).input == (str(folder / "*.txt"),)
    settings = make_settings(corpus, tmp_path / "b", input=tuple(names[1:]))
    assert parse_line(vocab(settings)["next"]).input == tuple(names[1:])


def test_a_text_too_small_for_the_size_says_the_size_that_works(corpus: Path, tmp_path: Path) -> None:
    for kind in ("sentencepiece", "wordpiece"):
        with pytest.raises(TokenizerError, match=r"use --vocab-size \d+ or less") as caught:
            vocab(make_settings(corpus, tmp_path / kind, kind=kind, vocab_size=30_000))
        largest = int(str(caught.value).partition("--vocab-size ")[2].split()[0])
        assert (
            vocab(make_settings(corpus, tmp_path / kind, kind=kind, vocab_size=largest))["vocab_size"]
            == largest
        )


def test_a_table_without_the_column_is_refused_with_its_columns(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,subject,body\n1,a,b\n")
    with pytest.raises(DataError, match=r"its columns: 'id', 'subject', 'body'; .*--column NAME$"):
        vocab(make_settings(tmp_path / "t.csv", tmp_path / "tokenizer"))


def test_skipped_lines_are_reported(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus.write_bytes(corpus.read_bytes() + b"\nna\xefve\n")
    vocab(make_settings(corpus, tmp_path / "tokenizer", skip_bad=True, splitting="auto"))
    message = capsys.readouterr().err
    assert f"skipped lines that are not UTF-8: 1 (first: {corpus}:220)" in message
    assert message.count("skipped lines") == 1


@pytest.mark.parametrize("changes", [{"input": ()}, {"vocab_size": 0}, {"sample_sentences": 0}])
def test_impossible_settings_are_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        make_settings(tmp_path, tmp_path, **changes)


def test_marks_of_the_language_are_warned_of_and_can_be_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw = random.Random(0)
    words = ["schön", "für", "Häuser", "Müller", "हिन्दी", "und", "der"]
    corpus = tmp_path / "corpus.txt"
    corpus.write_text(
        "\n".join(" ".join(draw.choices(words, k=8)) + "." for _ in range(200)), encoding="utf-8"
    )
    vocab(make_settings(corpus, tmp_path / "a", vocab_size=32))
    shown = capsys.readouterr().err
    assert "of the characters lose an accent or another mark, as in the original: ü" in shown
    assert "use --keep-accents" in shown
    for kind, size in (("sentencepiece", 34), ("wordpiece", 57)):
        result = vocab(make_settings(corpus, tmp_path / kind, kind=kind, vocab_size=size, keep_accents=True))
        assert result["keep_accents"] is True
        tokenizer = AlbertTokenizer.from_pretrained(tmp_path / kind)
        assert tokenizer.keep_accents
        assert "ü" in "".join(tokenizer.tokenize("für"))
    assert "lose an accent" not in capsys.readouterr().err
