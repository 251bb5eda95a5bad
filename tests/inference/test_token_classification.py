"""Tags and entities against the pipeline of transformers, for both kinds of vocabulary."""

import string
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from albert import AlbertConfig, AlbertForTokenClassification, AlbertTokenizer, pipeline
from albert.errors import CheckpointError, ConfigError

LABELS = {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC", 4: "I-LOC"}
TEXTS = [
    "The value of a list.",
    "Microsoft's module, returns two;  Ünïcode (x) tests: naïve €5 😀 end",
    "你好 world of 中国 types",
    " ".join(["Microsoft returns values"] * 12),
]


def write(folder: Path, tokenizer: AlbertTokenizer) -> Path:
    config = AlbertConfig(
        vocab_size=tokenizer.vocab_size,
        embedding_size=6,
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=12,
        max_position_embeddings=32,
        initializer_range=1.0,  # Tags differ from token to token.
        id2label=LABELS,
    )
    torch.manual_seed(1)
    model = AlbertForTokenClassification(config)
    model.save_pretrained(folder)
    tokenizer.model_max_length = 32
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folders(tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    path = tmp_path_factory.mktemp("taggers")
    letters = string.ascii_lowercase
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{x}" for x in letters), *".,;:'()"]
    words += ["the", "value", "list", "module", "##value", "return", "你", "好", "中", "国"]
    (path / "vocabulary").mkdir()
    (path / "vocabulary" / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    return {
        "sentencepiece": write(path / "sp", AlbertTokenizer.from_pretrained(tokenizer_folder)),
        "wordpiece": write(path / "wp", AlbertTokenizer.from_pretrained(path / "vocabulary")),
    }


@pytest.mark.parametrize("kind", ["sentencepiece", "wordpiece"])
@pytest.mark.parametrize("aggregation", ["none", "simple", "first", "average", "max"])
@pytest.mark.parametrize("stride", [None, 5])
@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
def test_tags_and_entities_equal_those_of_transformers(
    folders: dict[str, Path], kind: str, aggregation: Any, stride: int | None
) -> None:
    if aggregation == "none" and stride:
        pytest.skip("windows are joined by their entities")
    more = {} if stride is None else {"stride": stride}
    theirs = transformers.pipeline(
        "token-classification", model=str(folders[kind]), aggregation_strategy=aggregation, **more
    )
    ours = pipeline("token-classification", model=folders[kind])
    for ignored in ([], ["O"], ["PER", "B-PER"]):
        found = ours(TEXTS, aggregation_strategy=aggregation, ignore_labels=ignored, **more)
        assert sum(map(len, found)) > len(TEXTS) or ignored
        for mine, others in zip(found, theirs(TEXTS, ignore_labels=ignored), strict=True):
            assert mine == [
                {**each, "score": pytest.approx(float(each["score"]), abs=1e-5)} for each in others
            ]


def test_a_single_text_returns_a_single_list(folders: dict[str, Path]) -> None:
    tag = pipeline("ner", model=folders["sentencepiece"])
    assert [row["word"] for row in tag(TEXTS[0])] == [row["word"] for row in tag([TEXTS[0]])[0]]


def test_ignored_labels_are_tags_or_types(folders: dict[str, Path]) -> None:
    tag = pipeline("ner", model=folders["sentencepiece"])
    everything = tag(TEXTS[1], ignore_labels=())
    assert len(tag(TEXTS[1], ignore_labels=("O", "B-PER"))) == sum(
        row["entity"] not in {"O", "B-PER"} for row in everything
    )
    grouped = tag(TEXTS[1], ignore_labels=("PER",), aggregation_strategy="simple")
    assert grouped
    assert all(row["entity_group"] != "PER" for row in grouped)


def test_a_long_text_is_truncated_with_a_warning(
    folders: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline("ner", model=folders["sentencepiece"])(TEXTS[3])
    assert "1 texts are longer than 30 tokens and were truncated; give stride=7" in capsys.readouterr().err


def test_wrong_arguments_say_what_is_expected(folders: dict[str, Path]) -> None:
    tag = pipeline("ner", model=folders["sentencepiece"])
    with pytest.raises(ConfigError, match="aggregation_strategy is 'mean'; expected none, simple"):
        tag("a", aggregation_strategy="mean")
    with pytest.raises(ConfigError, match="stride needs an aggregation_strategy"):
        tag("a", stride=4)
    with pytest.raises(ConfigError, match="stride is 30; expected 0 to 29 tokens"):
        tag("a", stride=30, aggregation_strategy="first")


def test_a_tagger_is_refused_as_a_classifier_though_its_head_has_the_same_names(
    folders: dict[str, Path],
) -> None:
    with pytest.raises(
        CheckpointError, match="is an AlbertForTokenClassification, expected AlbertForSequence"
    ):
        pipeline("text-classification", model=folders["sentencepiece"])
