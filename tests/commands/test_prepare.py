"""`albert prepare`: from text to a folder from which examples can be made."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from albert.commands.prepare import PrepareSettings, prepare
from albert.data import preparing
from albert.data.corpus import storage
from albert.data.shards import encoding
from albert.data.shards.folder import open_prepared, read_meta
from albert.errors import CheckpointError, ConfigError, DataError, RunError
from albert.text.tokenizer import AlbertTokenizer
from samples.command_flags import parse_line

LETTERS = "abcdefghijklmnopqrstuvwxyz"


@pytest.fixture
def tokenizer_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    pieces = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *LETTERS,
        *(f"##{x}" for x in LETTERS),
        *"大学人民",
    ]
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
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
        output=str(tmp_path / "data"),
        workers=1,
        splitting="lines",
        shard_megabytes=0.001,
    )


def content_of(folder: str | Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in Path(folder).iterdir()}


def shards_of(folder: str | Path) -> list[Path]:
    return sorted(Path(folder).glob("*.arrow"))


@pytest.mark.parametrize(("documents", "held_out"), [(19, False), (60, True)])
def test_a_corpus_too_small_to_hold_anything_out_is_reported(
    settings: PrepareSettings,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    documents: int,
    held_out: bool,
) -> None:
    make_corpus(tmp_path / "corpus.txt", documents=documents)
    assert (prepare(settings)["held_out_documents"] > 0) == held_out
    assert (
        f"the text has {documents} documents, and 20 different ones are needed" in capsys.readouterr().err
    ) != held_out


def test_prepared_folder_has_every_token_and_the_tokenizer(settings: PrepareSettings) -> None:
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
            found += [tuple(part.tolist()) for part in np.split(shard.tokens, shard.sentence_ends[:-1])]
    assert sorted(found) == expected
    assert counts["documents"] == 60
    assert counts["sentences"] == 300
    assert counts["pieces"] == sum(map(len, expected)) == data.tokens("train") + data.tokens("held-out")
    assert counts["shards"] == sum(map(len, data.shards.values())) > 3
    assert counts["held_out_documents"] == sum(info.documents for info in data.shards["held-out"]) > 0
    assert counts["unknown_share"] == 0
    assert data.words == "vocabulary"


def test_number_of_processes_does_not_change_a_byte(
    settings: PrepareSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "BYTES_PER_WORKER", 1)
    prepare(settings)
    prepare(replace(settings, workers=2, output=str(tmp_path / "two")))
    assert content_of(settings.output) == content_of(tmp_path / "two")


def test_a_small_corpus_starts_no_process(settings: PrepareSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("albert.data.workers._Process", None)
    assert prepare(replace(settings, workers=64))["documents"] == 60


def test_finished_folder_is_left_alone(settings: PrepareSettings, capsys: pytest.CaptureFixture[str]) -> None:
    first = prepare(settings)
    before = {file: file.stat().st_mtime_ns for file in Path(settings.output).iterdir()}
    second = prepare(replace(settings, workers=2))
    assert "already finished, nothing to do" in capsys.readouterr().err
    assert before == {file: file.stat().st_mtime_ns for file in Path(settings.output).iterdir()}
    assert second.items() <= first.items()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


@pytest.mark.parametrize("damage", [cut, Path.unlink])
def test_damaged_shards_of_a_finished_folder_are_made_again(
    settings: PrepareSettings, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(settings)
    whole = content_of(settings.output)
    damage(shards_of(settings.output)[2])
    prepare(settings)
    assert "damaged or missing, making them again: train-00001-" in capsys.readouterr().err
    assert content_of(settings.output) == whole


def test_folder_with_other_settings_is_refused_and_they_are_named(settings: PrepareSettings) -> None:
    prepare(settings)
    other = replace(settings, splitting="sentences", held_out=0.2)
    with pytest.raises(RunError, match=r"splitting was lines, now sentences, held_out was 0.01, now 0.2"):
        prepare(other)
    make_corpus(Path(settings.input[0]), documents=61)
    with pytest.raises(RunError, match=r"other settings \(input_bytes was"):
        prepare(settings)


def test_folder_with_something_else_is_refused(settings: PrepareSettings, tmp_path: Path) -> None:
    output = Path(settings.output)
    output.mkdir()
    (output / "thesis.tex").touch()
    with pytest.raises(RunError, match=r"data: has other files in it; choose a new or empty folder"):
        prepare(settings)
    with pytest.raises(RunError, match=r"is a file; choose a folder"):
        prepare(replace(settings, output=settings.input[0]))
    (output / preparing.JOB_NAME).write_text("{")
    with pytest.raises(RunError, match=r"prepare.json: damaged"):
        prepare(settings)


def test_tokenizer_folder_may_be_the_output(settings: PrepareSettings) -> None:
    prepare(replace(settings, output=str(settings.tokenizer)))
    assert open_prepared(settings.tokenizer).tokens("train")


def test_interrupted_job_keeps_its_shards_and_resumes(
    settings: PrepareSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(replace(settings, output=str(tmp_path / "unbroken")))
    whole = content_of(tmp_path / "unbroken")
    output = Path(settings.output)
    written: list[str] = []

    def count_and_interrupt(path: str, *given: Any, **named: Any) -> Any:
        if len(written) == 3:
            output.joinpath("train-00003-ab.arrow.partial").write_bytes(b"half")
            raise KeyboardInterrupt
        written.append(Path(path).name)
        return write_shard(path, *given, **named)

    write_shard = encoding.write_shard
    with monkeypatch.context() as patch:
        patch.setattr(encoding, "write_shard", count_and_interrupt)
        with pytest.raises(KeyboardInterrupt):
            prepare(settings)
        assert sorted(written) == [path.name for path in shards_of(output)]
        assert content_of(output).items() - {("train-00003-ab.arrow.partial", b"half")} <= whole.items()
        with pytest.raises(DataError, match="an unfinished albert prepare"):
            open_prepared(output)
        cut(output / written[1])
        (output / "train-00001-0123456789abcdef.arrow").touch()
        again: list[str] = []
        patch.setattr(
            encoding, "write_shard", lambda path, *a, **b: (again.append(path), write_shard(path, *a, **b))[1]
        )
        prepare(settings)
    assert content_of(output) == whole
    # Only what was damaged or missing was made again.
    remade = {Path(path).name for path in again}
    assert remade == {name for name in whole if name.endswith(".arrow")} - {written[0], written[2]}


RUN = """
import sys
from albert.cli.main import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("workers", [1, 2])
def test_killed_job_resumes_to_the_same_bytes(
    settings: PrepareSettings, tmp_path: Path, sent: signal.Signals, workers: int
) -> None:
    corpus = make_corpus(tmp_path / "corpus.txt", documents=4000)
    size = corpus.stat().st_size
    settings = replace(settings, shard_megabytes=size / 40e6)
    unbroken = replace(settings, output=str(tmp_path / "unbroken"))
    prepare(unbroken)
    command = [sys.executable, "-m", "albert", "prepare", "--input", str(corpus)]
    command += ["--tokenizer", str(settings.tokenizer), "--output", settings.output]
    command += ["--splitting", "lines", "--shard-megabytes", str(settings.shard_megabytes)]
    command += ["--workers", str(workers)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as job:
        while len(shards_of(settings.output)) < 5:
            time.sleep(0.002)
            assert job.poll() is None
        job.send_signal(sent)
        assert job.stderr is not None
        errors = job.stderr.read()
    assert "Traceback" not in errors
    kept = {path.name: path.stat().st_mtime_ns for path in shards_of(settings.output)}
    assert 5 <= len(kept) < len(shards_of(unbroken.output))
    assert not (Path(settings.output) / "meta.json").exists()
    prepare(settings)
    assert content_of(settings.output) == content_of(unbroken.output)
    assert {name: (Path(settings.output) / name).stat().st_mtime_ns for name in kept} == kept


def test_killed_worker_is_an_error_and_the_next_run_resumes(
    settings: PrepareSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "BYTES_PER_WORKER", 1)
    prepare(replace(settings, output=str(tmp_path / "unbroken")))
    started = preparing.map_in_order

    def kill_one(*given: Any, **named: Any) -> Any:
        import multiprocessing

        results = started(*given, **named)
        yield next(results)
        for child in multiprocessing.active_children():
            os.kill(child.pid, signal.SIGKILL)
        yield from results

    with monkeypatch.context() as patch:
        patch.setattr(preparing, "map_in_order", kill_one)
        with pytest.raises(DataError, match=r"a worker process died \(exit code -9\)"):
            prepare(replace(settings, workers=2))
    assert shards_of(settings.output)
    prepare(settings)
    assert content_of(settings.output) == content_of(tmp_path / "unbroken")


def test_full_disk_loses_nothing_that_is_written(settings: PrepareSettings, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    prepare(replace(settings, output=str(tmp_path / "unbroken")))
    documents = (tmp_path / "corpus.txt").read_text().split("\n\n")
    # One document makes a shard that exceeds the limit; those before it do not.
    documents.insert(40, "abc def\n" * 2000)
    (tmp_path / "corpus.txt").write_text("\n\n".join(documents))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(DataError, match=r"train-000\d\d-.*.arrow: cannot be written \(File too large\)"):
            prepare(settings)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    kept = {path: path.stat().st_mtime_ns for path in shards_of(settings.output)}
    assert kept
    prepare(settings)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert open_prepared(settings.output).counts["documents"] == 61


def test_disk_without_room_is_refused_before_anything_is_written(
    settings: PrepareSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise DataError("no room")

    monkeypatch.setattr(preparing, "check_room", refuse)
    with pytest.raises(DataError, match="no room"):
        prepare(settings)
    assert not Path(settings.output).exists()


def test_a_forecast_is_reported_before_the_work(
    settings: PrepareSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = prepare(settings)
    line = capsys.readouterr().err.splitlines()[0]
    assert line.startswith(f"about {counts['pieces'] / 1000:.3g}k tokens, ")
    assert line.endswith(" with 1 process")


def test_output_may_be_a_url(settings: PrepareSettings, tmp_path: Path) -> None:
    prepare(replace(settings, output=str(tmp_path / "local")))
    url = "memory://prepared-by-a-test/data"
    remote = replace(settings, output=url)
    counts = prepare(remote)
    names = storage.list_names(url)
    assert {name: storage.read_bytes(storage.join(url, name)) for name in names} == content_of(
        tmp_path / "local"
    )
    assert prepare(remote) == dict(read_meta(url).counts)
    storage.remove(storage.join(url, names[0]))
    assert prepare(remote)["pieces"] == counts["pieces"]
    assert storage.list_names(url) == names
    storage.write_whole("memory://prepared-by-a-test/other/thesis.tex", b"")
    with pytest.raises(RunError, match="other: has other files"):
        prepare(replace(settings, output="memory://prepared-by-a-test/other"))


def test_output_on_s3_is_written_by_processes(
    settings: PrepareSettings, tmp_path: Path, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "BYTES_PER_WORKER", 1)
    prepare(replace(settings, output=str(tmp_path / "local")))
    url = f"{s3_bucket}/some/data"
    prepare(replace(settings, output=url, workers=2))
    assert {
        name: storage.read_bytes(storage.join(url, name)) for name in storage.list_names(url)
    } == content_of(tmp_path / "local")
    with pytest.raises(DataError, match="aws s3 sync"):
        open_prepared(url)


def test_chinese_words_are_stored_on_request(settings: PrepareSettings) -> None:
    pytest.importorskip("rjieba")
    Path(settings.input[0]).write_text("大学 人民大学\n人民\n\n" * 30, encoding="utf-8")
    prepare(replace(settings, words="jieba"))
    data = open_prepared(settings.output)
    assert data.words == "jieba"
    starts = data.read_shard("train", 0).word_starts
    assert starts is not None
    assert starts[:8].tolist() == [True, False, True, False, False, False, True, False]


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("ab cd\n" * 30, "warning: there is no blank line, so all text is one document"),
        ("ab cd\n\n" * 30, "warning: nearly every document is a single sentence, so sentence order cannot"),
        ("ab cd\nef\n\n" * 30, None),
    ],
)
def test_corpus_without_sentence_order_is_reported(
    settings: PrepareSettings, capsys: pytest.CaptureFixture[str], text: str, warning: str | None
) -> None:
    Path(settings.input[0]).write_text(text)
    prepare(settings)
    errors = capsys.readouterr().err
    assert warning in errors if warning else "warning" not in errors


def test_unknown_tokens_are_counted(settings: PrepareSettings) -> None:
    Path(settings.input[0]).write_text("ab 1\nc 2\n\n")
    assert prepare(settings)["unknown_share"] == pytest.approx(2 / 5)


def test_text_without_a_token_is_refused(settings: PrepareSettings) -> None:
    Path(settings.input[0]).write_text("\u200b\n\n" * 30)
    with pytest.raises(DataError, match="no token with this tokenizer"):
        prepare(settings)
    assert not (Path(settings.output) / "meta.json").exists()


def test_lines_that_cannot_be_used_are_skipped_on_request(
    settings: PrepareSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(settings.input[0]).write_bytes(b"ab\n" * 30 + b"caf\xe9\ncd\n")
    with pytest.raises(DataError, match=r"corpus.txt:31"):
        prepare(settings)
    assert prepare(replace(settings, skip_bad=True))["sentences"] == 31
    assert "skipped" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"caf\xe9", b"x" * (2 << 20)])
def test_bad_corpus_leaves_no_finished_folder(settings: PrepareSettings, content: bytes) -> None:
    Path(settings.input[0]).write_bytes(content)
    with pytest.raises(DataError, match=r"corpus.txt"):
        prepare(settings)
    assert not (Path(settings.output) / "meta.json").exists()


def test_missing_tokenizer_is_refused_before_anything_is_written(
    settings: PrepareSettings, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="absent: no such file or folder"):
        prepare(replace(settings, tokenizer=tmp_path / "absent"))
    assert not Path(settings.output).exists()


@pytest.mark.parametrize("files", [1, 30])
def test_check_reports_on_a_sample_and_writes_nothing(
    settings: PrepareSettings, tmp_path: Path, files: int
) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number in range(files):
        make_corpus(corpus / f"{number:02}.txt", documents=20, seed=number)
    report = prepare(replace(settings, input=(str(corpus),), output="", check=True))
    assert report["documents"] == 20 * min(files, 15)
    assert report["corpus_pieces"] == pytest.approx(report["pieces"] * files / min(files, 15), rel=0.05)
    assert f"sample: {report['documents']} documents" in report["report"]
    assert report["epoch_hours"] == pytest.approx(report["corpus_pieces"] / 10_000 / 3600)
    assert "at 10k tokens/s" in report["report"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "corpus.txt", "tokenizer"]


@pytest.mark.parametrize(
    ("package", "needs", "remedy"),
    [
        ("rjieba", {"words": "jieba"}, r"pip install 'albert-lm\[zh\]'"),
        ("ray", {"workers": "ray"}, r"pip install 'albert-lm\[ray\]'"),
        ("s3fs", {"output": "s3://bucket/data"}, r"pip install 'albert-lm\[s3\]'"),
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_a_missing_package_is_noticed_by_the_check_and_before_the_work(
    settings: PrepareSettings,
    monkeypatch: pytest.MonkeyPatch,
    package: str,
    needs: dict[str, Any],
    remedy: str,
    *,
    check: bool,
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(import_module("fsspec.registry")._registry, "s3", raising=False)
    with pytest.raises(ConfigError, match=remedy):
        prepare(replace(settings, check=check, **needs))
    assert not Path(settings.output).exists()


def test_the_next_command_trains_on_the_shards(settings: PrepareSettings, tmp_path: Path) -> None:
    following = parse_line(prepare(settings)["next"])
    assert following.data == (Path(settings.output),)
    assert following.output == tmp_path / "run"
    again = parse_line(prepare(settings)["next"])
    assert again == following


def test_the_check_ends_with_the_command_of_the_whole_job(settings: PrepareSettings) -> None:
    changed = replace(settings, held_out=0.2, skip_bad=True)
    assert parse_line(prepare(replace(changed, check=True))["next"]) == changed


def test_the_next_command_shows_the_records(settings: PrepareSettings) -> None:
    following = parse_line(prepare(replace(settings, format="tfrecord", tfrecord_files=2))["next"])
    [records] = following.data
    assert records.is_file()
    assert following.tokenizer.is_dir()
    assert following.examples.max_seq_length == 512


def test_rows_of_a_table_are_documents(
    settings: PrepareSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "t.csv"
    table.write_text('id,title,body\n1,ab,"cd ef\ngh"\n2,,\n3,ab,cd,ef\n4,ij,\n')
    counts = prepare(
        replace(settings, input=(str(table),), column="title,body", output=str(tmp_path / "rows"))
    )
    assert (counts["documents"], counts["sentences"]) == (2, 4)
    shown = capsys.readouterr().err
    assert f"skipped rows without text: 1 (first: {table}:4)" in shown
    assert f"skipped rows with more or fewer than the 3 cells of the header: 1 (first: {table}:5)" in shown


@pytest.mark.parametrize(
    "wrong",
    [
        {"input": ()},
        {"output": ""},
        {"workers": 0},
        {"shard_megabytes": 0},
        {"held_out": 1.0},
        {"pieces_per_second": 0},
    ],
)
def test_impossible_settings_are_refused(settings: PrepareSettings, wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        replace(settings, **wrong)


def test_meta_has_counts_but_no_times(settings: PrepareSettings) -> None:
    prepare(settings)
    meta = json.loads((Path(settings.output) / "meta.json").read_text())
    assert set(meta["counts"]) == {
        "documents",
        "held_out_documents",
        "sentences",
        "pieces",
        "unknown_share",
        "shards",
    }
