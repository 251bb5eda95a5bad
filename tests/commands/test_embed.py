"""`albert embed`: every form of input, one row a text, a complete output or none."""

import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from albert import AlbertConfig, AlbertForPreTraining, AlbertTokenizer
from albert.commands import embed as command
from albert.commands.embed import EmbedSettings, embed
from albert.errors import ConfigError, DataError
from albert.inference.embedding import Embedder

TEXTS = ["One value.", "The module takes two, and returns a list.", 'A "type"', "three three three"]


@pytest.fixture(scope="module")
def model(tiny_config: Path, tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    config = AlbertConfig.from_json(tiny_config, initializer_range=1.0)
    AlbertForPreTraining(config).save_pretrained(folder)
    AlbertTokenizer.from_pretrained(tokenizer_folder).save_pretrained(folder)
    return folder


def run(model: Path, path: Path, content: str, **changes: Any) -> Any:
    path.write_text(content, encoding="utf-8")
    output = path.with_name("vectors.npy")
    settings = EmbedSettings(model=str(model), input=path, output=output, device="cpu", **changes)
    result = embed(settings)
    vectors = np.load(output)
    assert result["texts"] == len(vectors)
    assert result["dimension"] == vectors.shape[1]
    return vectors


@pytest.mark.parametrize(
    ("name", "content", "changes"),
    [
        ("in.txt", "\n".join(TEXTS) + "\n", {}),
        ("in.txt", "\n".join(TEXTS), {}),
        ("in.tsv", "id\ttext\n" + "".join(f"{n}\t{text}\n" for n, text in enumerate(TEXTS)), {}),
        ("in.jsonl", "".join(json.dumps({"t": text}) + "\n" for text in TEXTS), {"text_column": "t"}),
        ("in.csv", "text\n" + "".join('"' + t.replace('"', '""') + '"\n' for t in TEXTS), {}),
    ],
    ids=["txt", "without a last line end", "tsv", "jsonl", "csv"],
)
def test_every_form_of_input_gives_a_row_for_each_text(
    model: Path, tmp_path: Path, name: str, content: str, changes: dict[str, Any]
) -> None:
    expected = Embedder.open(model, device="cpu").embed(TEXTS)
    np.testing.assert_allclose(run(model, tmp_path / name, content, **changes), expected, atol=1e-6)


def test_a_missing_column_is_refused_with_those_of_the_file_and_the_flag(model: Path, tmp_path: Path) -> None:
    for name, content in (("in.csv", "id,body\n1,a\n"), ("in.jsonl", '{"id": 1, "body": "a"}\n')):
        with pytest.raises(DataError, match=r"no \w+ 'text'.*; found id, body; name \w+ with --text-column$"):
            run(model, tmp_path / name, content)
    with pytest.raises(DataError, match="the columns seem to be separated by semicolons"):
        run(model, tmp_path / "in.csv", "id;text\n1;a\n")


def test_settings_reach_the_embedder(model: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"pooling": "cls", "normalize": True, "max_seq_length": 6}
    expected = Embedder.open(model, device="cpu", **changes).embed(TEXTS)
    found = run(model, tmp_path / "in.txt", "\n".join(TEXTS), **changes)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_texts_are_read_and_written_in_parts(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(model, tmp_path / "in.txt", "\n".join(TEXTS * 5))
    monkeypatch.setattr(command, "TEXTS_AT_ONCE", 3)
    parts = run(model, tmp_path / "in.txt", "\n".join(TEXTS * 5))
    np.testing.assert_allclose(parts, whole, atol=1e-6)


def test_memory_does_not_grow_with_the_input(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "TEXTS_AT_ONCE", 64)
    monkeypatch.setattr(Embedder, "vectors", lambda self, texts: np.zeros((len(texts), 8), np.float32))

    def peak(count: int) -> int:
        tracemalloc.start()
        run(model, tmp_path / "in.txt", "one value\n" * count)
        [_, most] = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(64)
    # The test itself holds the text and the vectors, 10 and 32 bytes each.
    assert peak(20_000) - peak(200) < 20_000 * 2 * (10 + 32)


def test_a_failure_leaves_the_earlier_output_and_no_other_file(model: Path, tmp_path: Path) -> None:
    before = run(model, tmp_path / "in.txt", "\n".join(TEXTS))
    for content, message in (("a\n\nb\n", r"in\.txt:2: the line is empty"), ("", "holds no text")):
        with pytest.raises(DataError, match=message):
            run(model, tmp_path / "in.txt", content)
    np.testing.assert_array_equal(np.load(tmp_path / "vectors.npy"), before)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.txt", "vectors.npy"]


def test_a_folder_for_sentence_transformers_needs_no_input(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "st"
    settings = EmbedSettings(model=str(model), sentence_transformers=folder, normalize=True, device="cpu")
    assert embed(settings) == {"sentence_transformers": str(folder)}
    record = json.loads((folder / "run.json").read_text())
    assert record["command"] == "embed"
    assert record["settings"]["normalize"] is True
    assert (folder / "modules.json").is_file()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "expected --input FILE and --output FILE.npy, or --sentence-transformers DIR"),
        ({"input": "in.txt"}, "expected --input FILE and --output"),
        ({"input": "in.txt", "output": "out.txt"}, "expected a name ending in .npy"),
    ],
)
def test_wrong_settings_are_refused(model: Path, changes: dict[str, str], message: str) -> None:
    paths: dict[str, Any] = {name: Path(path) for name, path in changes.items()}
    with pytest.raises(ConfigError, match=message):
        embed(EmbedSettings(model=str(model), **paths))


def test_a_missing_input_is_named(model: Path, tmp_path: Path) -> None:
    settings = EmbedSettings(
        model=str(model), input=tmp_path / "none.txt", output=tmp_path / "out.npy", device="cpu"
    )
    with pytest.raises(DataError, match=r"none\.txt"):
        embed(settings)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_an_error_instead_of_waiting_for_ever(model: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "in.txt"
    os.mkfifo(pipe)
    # Open for reading, too, so that opening does not block.
    end = os.open(pipe, os.O_RDWR)
    try:
        os.write(end, b"One value.\n")
        with pytest.raises(DataError, match="cannot be read"):
            embed(EmbedSettings(model=str(model), input=pipe, output=tmp_path / "v.npy", device="cpu"))
    finally:
        os.close(end)


def test_rows_that_are_left_out_have_vectors_of_nan(model: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("one\n\ntwo\n", encoding="utf-8")
    (tmp_path / "good.txt").write_text("one\ntwo\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"in\.txt:2: the line is empty"):
        embed(EmbedSettings(model=str(model), input=tmp_path / "in.txt", output=tmp_path / "out.npy"))
    assert not (tmp_path / "out.npy").exists()
    for name, policy in (("in", "skip"), ("good", "error")):
        result = embed(
            EmbedSettings(
                model=str(model),
                input=tmp_path / f"{name}.txt",
                output=tmp_path / f"{name}.npy",
                on_bad_row=policy,
            )
        )
    assert result["texts"] == 2
    vectors, expected = np.load(tmp_path / "in.npy"), np.load(tmp_path / "good.npy")
    np.testing.assert_allclose(vectors[[0, 2]], expected, atol=1e-6)
    assert np.isnan(vectors[1]).all()
