"""`albert show` says of each example what a model gets of it."""

import re
from pathlib import Path

import numpy as np
import pytest

from albert.cli.main import run
from albert.commands.show import ShowSettings, mark_pieces, show
from albert.data.batches import NO_ORDER_LABEL, PretrainingBatch
from albert.data.examples.settings import ExampleSettings
from albert.errors import ConfigError, DataError
from albert.text.tokenizer import AlbertTokenizer

MARK = re.compile(r"\[([^]→]*)→([^]]*)\]")


@pytest.fixture(scope="module")
def tokenizer(tokenizer_folder: Path) -> AlbertTokenizer:
    return AlbertTokenizer.from_pretrained(tokenizer_folder)


def test_hidden_replaced_and_kept_pieces_are_told_apart(tokenizer: AlbertTokenizer) -> None:
    shown = ["[CLS]", "▁the", "[MASK]", "▁type", "[MASK]", "[SEP]", "▁is", "s", "[SEP]"]
    told = {2: "▁value", 3: "▁type", 4: "s", 6: "▁not"}
    batch = PretrainingBatch(
        input_ids=np.array([tokenizer.convert_tokens_to_ids(piece) for piece in shown]),
        token_type_ids=np.array([0] * 6 + [1] * 3),
        lengths=np.array([9]),
        masked_positions=np.array(list(told)),
        masked_labels=np.array([tokenizer.convert_tokens_to_ids(piece) for piece in told.values()]),
        sentence_order_labels=np.array([1]),
        word_starts=np.array([piece != "s" and place != 4 for place, piece in enumerate(shown)]),
    )
    assert mark_pieces(batch, tokenizer) == "[CLS] the [MASK→value] [type][MASK→s] [SEP]\n[is→not]s [SEP]"


def test_pieces_of_a_wordpiece_vocabulary_lose_their_sign(tmp_path: Path) -> None:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "walk", "##ing", "##"]
    (tmp_path / "vocab.txt").write_text("\n".join(pieces) + "\n")
    batch = PretrainingBatch(
        input_ids=np.array([2, 5, 4, 7, 3]),
        token_type_ids=np.zeros(5, np.int64),
        lengths=np.array([5]),
        masked_positions=np.array([2]),
        masked_labels=np.array([6]),
        sentence_order_labels=np.array([NO_ORDER_LABEL]),
        word_starts=np.array([True, True, False, True, True]),
    )
    text = mark_pieces(batch, AlbertTokenizer.from_pretrained(tmp_path))
    assert text == "[CLS] walk[MASK→ing] ## [SEP]"


def test_rows_agree_with_their_texts(prepared_data: Path) -> None:
    examples = ExampleSettings(max_seq_length=32, masked_lm_prob=0.3)
    rows = show(ShowSettings(data=(prepared_data,), count=40, examples=examples))
    assert [row["example"] for row in rows] == list(range(1, 41))
    assert {row["order"] for row in rows} == {"in order", "swapped", "single segment"}
    for row in rows:
        assert row["text"].startswith("[CLS] ")
        assert row["text"].count("[SEP]") == (1 if row["order"] == "single segment" else 2)
        assert row["text"].count("\n") == row["text"].count("[SEP]") - 1
        assert row["hidden_share"] == row["hidden"] / row["pieces"]
        assert 0 < len(MARK.findall(row["text"])) <= row["hidden"]
    hidden = sum(row["hidden"] for row in rows)
    masked = sum(row["text"].count("[MASK→") for row in rows)
    assert 0.7 < masked / hidden < 0.9


def test_random_segments_are_named_by_what_the_loss_asks(prepared_data: Path) -> None:
    examples = ExampleSettings(max_seq_length=32, sentence_loss="nsp")
    rows = show(ShowSettings(data=(prepared_data,), count=30, examples=examples))
    assert {row["order"] for row in rows} == {"next", "random next"}


def test_seed_and_split_choose_the_examples(prepared_data: Path) -> None:
    def texts(**changes: object) -> list[str]:
        return [row["text"] for row in show(ShowSettings(data=(prepared_data,), **changes))]  # type: ignore[arg-type]

    assert texts() == texts(seed=0)
    assert texts() != texts(seed=1)
    held_out = texts(split="held-out")
    assert held_out == texts(split="held-out", seed=1)
    assert not set(held_out) & set(texts())


def test_records_of_the_original_are_shown_with_their_tokenizer(
    golden: Path, tokenizer_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = golden / "pretrain_data" / "first_records.tfrecord"
    assert run(["show", str(records), "--tokenizer", str(tokenizer_folder), "--count", "40"]) == 0
    shown = capsys.readouterr().out
    # The first record of the file, wherever it comes in the order of the seed.
    assert "[CLS] in function signatures , you must declare the type of" in " ".join(shown.split())
    assert "pieces 69   hidden 10   hidden share 0.1449" in shown
    assert max(map(len, shown.splitlines())) <= 100


def test_examples_that_are_not_there_are_refused(golden: Path, tokenizer_folder: Path) -> None:
    records = golden / "pretrain_data" / "first_records.tfrecord"
    with pytest.raises(DataError, match=r"first_records.tfrecord: no held-out examples; show those to train"):
        show(ShowSettings(data=(records,), tokenizer=tokenizer_folder, split="held-out"))
    with pytest.raises(ConfigError, match="name the tokenizer that made them with --tokenizer"):
        show(ShowSettings(data=(records,)))
    with pytest.raises(ConfigError, match="no DATA given; name a folder"):
        ShowSettings(data=())
    with pytest.raises(ConfigError, match="--count is 0; expected at least 1"):
        ShowSettings(data=(records,), count=0)
