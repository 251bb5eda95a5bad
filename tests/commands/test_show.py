"""`albert show` prints the examples as a model gets them."""

import re
from pathlib import Path

import numpy as np
import pytest

from albert.cli.main import run
from albert.commands.show import ShowSettings, mark_masked_tokens, show
from albert.data.batches import NO_ORDER_LABEL, PretrainingBatch
from albert.data.examples.settings import ExampleSettings
from albert.errors import ConfigError, DataError
from albert.text.tokenizer import AlbertTokenizer

MARK = re.compile(r"\[([^]→]*)→([^]]*)\]")


@pytest.fixture(scope="module")
def tokenizer(tokenizer_folder: Path) -> AlbertTokenizer:
    return AlbertTokenizer.from_pretrained(tokenizer_folder)


def test_masked_replaced_and_kept_tokens_look_different(tokenizer: AlbertTokenizer) -> None:
    shown = ["[CLS]", "▁the", "[MASK]", "▁type", "[MASK]", "[SEP]", "▁is", "s", "[SEP]"]
    labels = {2: "▁value", 3: "▁type", 4: "s", 6: "▁not"}
    batch = PretrainingBatch(
        input_ids=np.array([tokenizer.convert_tokens_to_ids(token) for token in shown]),
        token_type_ids=np.array([0] * 6 + [1] * 3),
        lengths=np.array([9]),
        masked_positions=np.array(list(labels)),
        masked_labels=np.array([tokenizer.convert_tokens_to_ids(token) for token in labels.values()]),
        sentence_order_labels=np.array([1]),
        word_starts=np.array([token != "s" and place != 4 for place, token in enumerate(shown)]),
    )
    assert (
        mark_masked_tokens(batch, tokenizer) == "[CLS] the [MASK→value] [type][MASK→s] [SEP]\n[is→not]s [SEP]"
    )


def test_wordpiece_continuations_are_shown_without_their_sign(tmp_path: Path) -> None:
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
    text = mark_masked_tokens(batch, AlbertTokenizer.from_pretrained(tmp_path))
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
        assert row["masked_share"] == row["masked_tokens"] / row["pieces"]
        assert 0 < len(MARK.findall(row["text"])) <= row["masked_tokens"]
    masked = sum(row["masked_tokens"] for row in rows)
    as_mask = sum(row["text"].count("[MASK→") for row in rows)
    assert 0.7 < as_mask / masked < 0.9


def test_the_order_is_named_after_the_sentence_loss(prepared_data: Path) -> None:
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
    # The first record of the file, wherever it is in the order of the seed.
    assert "[CLS] in function signatures , you must declare the type of" in " ".join(shown.split())
    assert "tokens 69   masked tokens 10   masked share 0.1449" in shown
    assert max(map(len, shown.splitlines())) <= 100


def test_missing_examples_are_refused(golden: Path, tokenizer_folder: Path) -> None:
    records = golden / "pretrain_data" / "first_records.tfrecord"
    with pytest.raises(DataError, match=r"first_records.tfrecord: no held-out examples; use --split train"):
        show(ShowSettings(data=(records,), tokenizer=tokenizer_folder, split="held-out"))
    with pytest.raises(ConfigError, match="give the tokenizer that made them with --tokenizer"):
        show(ShowSettings(data=(records,)))
    with pytest.raises(ConfigError, match="no DATA given; name a folder"):
        ShowSettings(data=())
    with pytest.raises(ConfigError, match="--count is 0; expected at least 1"):
        ShowSettings(data=(records,), count=0)
