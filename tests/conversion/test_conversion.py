"""Conversion of every form: the resulting numbers, the reported summary, and what is refused."""

import json
import runpy
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor

from albert import (
    AlbertConfig,
    AlbertForPreTraining,
    AlbertForSequenceClassification,
    AlbertModel,
    AlbertTokenizer,
)
from albert.checkpoint.names import to_original
from albert.checkpoint.sources import opened
from albert.cli.main import run
from albert.conversion.conversion import convert, model_folder, read_model
from albert.errors import CheckpointError, TokenizerError

WRITER = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "checkpoint" / "bundle_writer.py")))
SHAPE = {
    "vocab_size": 2000,
    "embedding_size": 6,
    "hidden_size": 8,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "max_position_embeddings": 32,
    "hidden_act": "gelu",
}


def original_model(**changes: object) -> AlbertForPreTraining:
    torch.manual_seed(0)
    return AlbertForPreTraining(AlbertConfig.from_dict({**SHAPE, **changes})).eval()


@pytest.fixture
def checkpoint(tmp_path: Path, golden: Path) -> Path:
    """A folder as users of the original have it: weights with optimiser slots, configuration, vocabulary."""
    return write_checkpoint(tmp_path / "albert_tiny", golden, original_model())


def write_checkpoint(folder: Path, golden: Path, model: torch.nn.Module, **changes: object) -> Path:
    folder.mkdir()
    variables = to_original({name: p.detach() for name, p in model.named_parameters()})
    slots: dict[str, Tensor] = {f"{name}/adam_m": torch.zeros_like(v) for name, v in variables.items()}
    everything = {**variables, **slots, "global_step": torch.tensor(7)}
    WRITER.write_bundle(folder / "model.ckpt-best", everything, num_shards=2)
    (folder / "albert_config.json").write_text(json.dumps({**SHAPE, "net_structure_type": 0, **changes}))
    shutil.copy(golden / "tokenization" / "30k-clean.model", folder)
    absolute = "/cns/somebody/elsewhere/model.ckpt-best"
    (folder / "checkpoint").write_text(f'model_checkpoint_path: "{absolute}"\n')
    return folder


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("form", ["folder", "prefix", "index", "tar.gz", "zip"])
def test_a_checkpoint_of_the_original_converts_in_every_packaging(
    checkpoint: Path, tmp_path: Path, form: str
) -> None:
    sources: dict[str, Callable[[], Path]] = {
        "folder": lambda: checkpoint,
        "prefix": lambda: checkpoint / "model.ckpt-best",
        "index": lambda: checkpoint / "model.ckpt-best.index",
        "tar.gz": lambda: tar_of(checkpoint, tmp_path / "a.tar.gz"),
        "zip": lambda: zip_of(checkpoint, tmp_path / "a.zip"),
    }
    model = convert(sources[form](), tmp_path / "out")
    expected = original_model()
    assert model.about.account == f"{len(expected.state_dict())} of {len(expected.state_dict())} tensors"
    assert model.about.left_out == len(expected.state_dict()) + 1
    assert model.about.checked == f"CRC32C of {len(expected.state_dict())} tensors"
    assert same(AlbertForPreTraining.from_pretrained(tmp_path / "out").state_dict(), expected.state_dict())


def tar_of(folder: Path, path: Path) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, folder.name)
    return path


def zip_of(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"{folder.name}/{file.name}")
    return path


def test_transformers_gives_the_same_logits_ids_and_segments(checkpoint: Path, tmp_path: Path) -> None:
    convert(checkpoint, tmp_path / "out")
    pair = ("The value of a list.", "One returns two.")
    ours = AlbertTokenizer.from_pretrained(tmp_path / "out")(*pair, return_tensors="pt")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")(*pair, return_tensors="pt")
    for name in ("input_ids", "token_type_ids"):
        assert torch.equal(ours[name], theirs[name])
    oracle = transformers.AutoModelForPreTraining.from_pretrained(tmp_path / "out")
    found = original_model()(**ours).prediction_logits
    torch.testing.assert_close(oracle(**theirs).prediction_logits, found, atol=1e-5, rtol=0)


def test_the_tokenizer_class_of_transformers_gives_segment_ids_from_our_folder(
    checkpoint: Path, tmp_path: Path
) -> None:
    convert(checkpoint, tmp_path / "out")
    encoded = transformers.AlbertTokenizer.from_pretrained(tmp_path / "out")("The value", "of it")
    assert encoded["token_type_ids"] == [0, 0, 0, 0, 1, 1, 1]


def test_a_wordpiece_checkpoint_gives_the_same_ids_in_transformers(tmp_path: Path, golden: Path) -> None:
    folder = write_checkpoint(tmp_path / "zh", golden, original_model(vocab_size=12), vocab_size=12)
    (folder / "30k-clean.model").unlink()
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "中", "文", "un", "##want", "##ed", ",", "run"]
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    convert(folder, tmp_path / "out")
    texts = ("UNwantéd,run 中文", "文中 other")
    ours = AlbertTokenizer.from_pretrained(tmp_path / "out")(*texts)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")(*texts)
    assert ours.input_ids == [2, 7, 8, 9, 10, 11, 5, 6, 3, 6, 5, 1, 3]
    assert theirs["input_ids"] == ours.input_ids
    assert theirs["token_type_ids"] == ours.token_type_ids


def test_transformers_and_back_keeps_every_tensor(checkpoint: Path, tmp_path: Path) -> None:
    convert(checkpoint, tmp_path / "ours")
    transformers.AutoModelForPreTraining.from_pretrained(tmp_path / "ours").save_pretrained(
        tmp_path / "theirs"
    )
    transformers.AutoTokenizer.from_pretrained(tmp_path / "ours").save_pretrained(tmp_path / "theirs")
    shutil.copy(tmp_path / "ours" / "spiece.model", tmp_path / "theirs")
    convert(tmp_path / "theirs", tmp_path / "again")
    first, second = (
        AlbertForPreTraining.from_pretrained(tmp_path / name).state_dict() for name in ("ours", "again")
    )
    assert same(first, second)


def test_a_fine_tuned_classifier_keeps_its_head(tmp_path: Path, golden: Path) -> None:
    config = AlbertConfig.from_dict(SHAPE)
    classes = AlbertConfig(**{**fields_of(config), "id2label": {0: "a", 1: "b", 2: "c"}})
    torch.manual_seed(1)
    tuned = AlbertForSequenceClassification(classes).eval()
    folder = write_checkpoint(tmp_path / "mnli", golden, tuned)
    model = convert(folder, tmp_path / "out")
    assert model.architecture is AlbertForSequenceClassification
    assert model.config.num_labels == 3
    ids = torch.arange(5, 14)[None]
    found = AlbertForSequenceClassification.from_pretrained(tmp_path / "out")(ids).logits
    assert torch.equal(found, tuned(ids).logits)


def test_a_classifier_with_one_row_is_reported_as_ambiguous(tmp_path: Path, golden: Path) -> None:
    one = AlbertConfig(**{**fields_of(AlbertConfig.from_dict(SHAPE)), "id2label": {0: "score"}})
    folder = write_checkpoint(tmp_path / "sts", golden, AlbertForSequenceClassification(one))
    race = convert(folder, tmp_path / "race")
    assert race.architecture.__name__ == "AlbertForMultipleChoice"
    assert "with --head sequence-classification it is read as a regression" in race.about.notes[0]
    regression = convert(folder, tmp_path / "stsb", head="sequence-classification")
    assert regression.config.problem_type == "regression"
    assert not regression.about.notes


def test_a_checkpoint_of_albert_zh_converts_with_a_note_on_the_cost(tmp_path: Path, golden: Path) -> None:
    hidden, width = 8, 12
    torch.manual_seed(2)
    linears = {
        "layer_shared/attention/self/query": (hidden, hidden),
        "layer_shared/attention/self/key": (hidden, hidden),
        "layer_shared/attention/self/value": (hidden, hidden),
        "layer_shared/attention/output/dense": (hidden, hidden),
        "layer_shared/intermediate/dense": (hidden, width),
        "layer_shared/output/dense": (width, hidden),
    }
    norms = ("embeddings", "encoder/layer_shared/attention/output", "encoder/layer_shared/output")
    variables = {
        "bert/embeddings/word_embeddings": torch.randn(2000, 6),
        "bert/embeddings/word_embeddings_2": torch.randn(6, hidden),
        "bert/embeddings/position_embeddings": torch.randn(32, hidden),
        "bert/embeddings/token_type_embeddings": torch.randn(2, hidden),
        "bert/pooler/dense/kernel": torch.randn(hidden, hidden),
        "bert/pooler/dense/bias": torch.randn(hidden),
    }
    for name, (rows, columns) in linears.items():
        variables[f"bert/encoder/{name}/kernel"] = torch.randn(rows, columns)
        variables[f"bert/encoder/{name}/bias"] = torch.randn(columns)
    for name in norms:
        variables[f"bert/{name}/LayerNorm/gamma"] = torch.randn(hidden)
        variables[f"bert/{name}/LayerNorm/beta"] = torch.randn(hidden)
    folder = tmp_path / "albert_tiny_zh"
    folder.mkdir()
    WRITER.write_bundle(folder / "albert_model.ckpt", variables)
    (folder / "albert_config_tiny.json").write_text(json.dumps({**SHAPE, "ln_type": "postln"}))
    shutil.copy(golden / "tokenization" / "30k-clean.model", folder)
    model = convert(folder, tmp_path / "out")
    assert model.about.form == "TensorFlow checkpoint of albert_zh"
    assert model.config.embedding_size == hidden
    assert "became their product (2000, 8)" in model.about.notes[0]
    product = variables["bert/embeddings/word_embeddings"] @ variables["bert/embeddings/word_embeddings_2"]
    torch.testing.assert_close(model.state["embeddings.word_embeddings.weight"], product)
    oracle = transformers.AutoModel.from_pretrained(tmp_path / "out").eval()
    ids = torch.arange(5, 14)[None]
    found = AlbertModel.from_pretrained(tmp_path / "out")(ids).last_hidden_state
    torch.testing.assert_close(found, oracle(ids).last_hidden_state, atol=1e-5, rtol=0)
    (folder / "albert_config_tiny.json").write_text(json.dumps({**SHAPE, "ln_type": "preln"}))
    with pytest.raises(CheckpointError, match="only 'postln' can be converted"):
        convert(folder, tmp_path / "out2")


def fields_of(config: AlbertConfig) -> dict[str, object]:
    return {key: value for key, value in config.to_dict().items() if key != "model_type"}


def test_a_converted_folder_is_complete_and_names_its_source(checkpoint: Path, tmp_path: Path) -> None:
    convert(checkpoint, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "README.md", "config.json", "model.safetensors", "run.json", "spiece.model", "tokenizer.json",
        "tokenizer_config.json",
    }  # fmt: skip
    assert json.loads((tmp_path / "out" / "run.json").read_text())["settings"]["source"] == str(checkpoint)


def test_a_conversion_stopped_in_the_middle_leaves_no_model_and_is_done_again(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with monkeypatch.context() as patch:
        patch.setattr(AlbertTokenizer, "save_pretrained", stop)
        with pytest.raises(KeyboardInterrupt):
            model_folder(checkpoint)
    AlbertTokenizer.from_pretrained(model_folder(checkpoint))


def test_the_newest_of_several_checkpoints_is_taken_unless_one_is_the_best(
    tmp_path: Path, golden: Path
) -> None:
    folder = write_checkpoint(tmp_path / "run", golden, original_model())
    for step in (5, 40, 100):
        for file in folder.glob("model.ckpt-best.*"):
            shutil.copy(file, folder / file.name.replace("best", str(step)))
    with opened(folder) as source:
        assert source.weights.name == "model.ckpt-best"
    for file in folder.glob("model.ckpt-best.*"):
        file.unlink()
    with opened(folder) as source:
        assert source.weights.name == "model.ckpt-100"


@pytest.mark.parametrize("kind", ["legacy names", "pickle"])
def test_old_hugging_face_folders_are_read(tmp_path: Path, golden: Path, kind: str) -> None:
    model = original_model()
    folder = tmp_path / "old"
    model.save_pretrained(folder)
    shutil.copy(golden / "tokenization" / "30k-clean.model", folder / "spiece.model")
    (folder / "model.safetensors").unlink()
    state = dict(model.state_dict())
    if kind == "legacy names":
        state = {
            name.replace("albert.", "bert.", 1)
            .replace("LayerNorm.weight", "LayerNorm.gamma")
            .replace("LayerNorm.bias", "LayerNorm.beta"): tensor
            for name, tensor in state.items()
        }
    torch.save(state, folder / "pytorch_model.bin")
    found = read_source(folder)
    assert same(found, model.state_dict())
    assert same(AlbertForPreTraining.from_pretrained(folder).state_dict(), model.state_dict())


def read_source(path: Path) -> dict[str, Tensor]:
    with opened(path) as source:
        return read_model(source).state


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "ran",))  # type: ignore[return-value]

    original_model().save_pretrained(tmp_path / "old")
    (tmp_path / "old" / "model.safetensors").unlink()
    torch.save({"x": Evil()}, tmp_path / "old" / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="contains more than tensors"):
        read_source(tmp_path / "old")
    assert not (tmp_path / "ran").exists()


def test_a_git_lfs_pointer_is_reported_as_such(tmp_path: Path) -> None:
    original_model().save_pretrained(tmp_path / "cloned")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:1234\nsize 46747112\n"
    (tmp_path / "cloned" / "model.safetensors").write_text(pointer)
    with pytest.raises(CheckpointError, match="this is a Git LFS pointer; fetch the real file"):
        read_source(tmp_path / "cloned")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": 16}, r"hidden_size is 16, the weights .* have 8"),
        ({"vocab_size": 30000}, "vocab_size is 30000, the weights .* have 2000"),
        ({"num_hidden_groups": 2}, "num_hidden_groups is 2, the weights .* have 1"),
        ({"intermediate_size": 48}, "intermediate_size is 48, the weights .* have 12"),
    ],
)
def test_a_configuration_of_another_model_names_the_field(
    tmp_path: Path, golden: Path, change: dict[str, int], message: str
) -> None:
    folder = write_checkpoint(tmp_path / "mixed", golden, original_model(), **change)
    with pytest.raises(CheckpointError, match=message):
        convert(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_configuration_or_vocabulary_is_an_error_with_its_place(
    checkpoint: Path, tmp_path: Path
) -> None:
    (checkpoint / "30k-clean.model").unlink()
    with pytest.raises(TokenizerError, match=r"`albert convert \S+albert_tiny OUTPUT --tokenizer FOLDER`"):
        convert(checkpoint, tmp_path / "out")
    (checkpoint / "albert_config.json").unlink()
    with pytest.raises(
        CheckpointError, match=r"expected albert_config\.json next to the weights, found none"
    ):
        convert(checkpoint, tmp_path / "out")


def test_a_vocabulary_of_another_size_is_refused(tmp_path: Path, golden: Path) -> None:
    folder = write_checkpoint(tmp_path / "other", golden, original_model(vocab_size=1999), vocab_size=1999)
    with pytest.raises(TokenizerError, match=r"1999 embeddings, its tokenizer 2000 tokens.*--tokenizer"):
        convert(folder, tmp_path / "out")


def test_an_incomplete_encoder_is_refused(tmp_path: Path, golden: Path) -> None:
    model = original_model()
    folder = write_checkpoint(tmp_path / "whole", golden, model)
    variables = to_original({name: p.detach() for name, p in model.named_parameters()})
    del variables["bert/encoder/transformer/group_0/inner_group_0/ffn_1/intermediate/dense/bias"]
    WRITER.write_bundle(folder / "model.ckpt-best", variables, num_shards=2)
    with pytest.raises(CheckpointError, match=r"the tensor .*ffn\.bias of the encoder is missing"):
        convert(folder, tmp_path / "out")


def test_an_output_folder_that_is_not_empty_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("precious")
    with pytest.raises(CheckpointError, match="exists and is not empty"):
        convert(checkpoint, tmp_path / "out")


def test_a_folder_without_a_model_is_an_error_with_what_was_expected(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("nothing here")
    with pytest.raises(CheckpointError, match=r"no model; expected config\.json"):
        read_source(tmp_path)


def test_any_model_flag_takes_a_checkpoint_and_converts_it_once(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first = model_folder(checkpoint)
    assert "converting to" in capsys.readouterr().err
    assert model_folder(checkpoint) == first
    assert "converting" not in capsys.readouterr().err
    assert run(["fill-mask", "--model", str(checkpoint), "--json", "A [MASK] of it."]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 5


def test_info_shows_what_a_checkpoint_holds(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["info", str(checkpoint), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    parameters = sum(p.numel() for p in original_model().parameters())
    assert shown["form"] == "TensorFlow checkpoint of google-research/albert"
    assert shown["parameters"]["total"] == parameters
    assert shown["bytes"]["for_training_without_activations"] == 16 * parameters
    assert shown["tokenizer"]["fits_the_model"] is True
    bert = transformers.BertModel(
        transformers.BertConfig(
            vocab_size=2000, hidden_size=8, num_hidden_layers=3, num_attention_heads=2, intermediate_size=12,
            max_position_embeddings=32,
        )
    )  # fmt: skip
    assert shown["parameters"]["a_bert_of_this_size"] == sum(p.numel() for p in bert.parameters())


def test_convert_reports_what_it_did(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["convert", str(checkpoint), str(tmp_path / "out"), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    count = len(original_model().state_dict())
    assert shown["tensors"] == f"{count} of {count} tensors"
    assert shown["model"] == "AlbertForPreTraining"
    assert run(["convert", str(tmp_path / "nothing"), str(tmp_path / "out2")]) == 1
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.reference
@pytest.mark.parametrize(
    "name", ["ckpt_tiny", "ckpt_groups", "ckpt_spm2k", "ckpt_tiny_trained", "hub/tiny", "hub/spm2k"]
)
def test_checkpoints_of_the_original_give_its_outputs(reference: Path, name: str, tmp_path: Path) -> None:
    """The original's files give all the outputs that were stored with them."""
    with opened(reference / name) as source:
        stored = read_model(source)
    assert not stored.about.missing
    assert not stored.about.missing
    assert not stored.about.unused
    model = stored.architecture(stored.config).eval()
    model.load_state_dict(stored.state)
    assert isinstance(model, AlbertForPreTraining)
    outputs = {
        "ckpt_tiny": "ckpt_tiny/outputs.npz",
        "ckpt_groups": "ckpt_groups/outputs.npz",
        "ckpt_spm2k": "hub/outputs_spm2k.npz",
        "ckpt_tiny_trained": None,
        "hub/tiny": "hub/outputs_tiny.npz",
        "hub/spm2k": "hub/outputs_spm2k.npz",
    }[name]
    if outputs is None:  # Its variables were stored after the last step, its outputs were not.
        trace = np.load(reference / "optim" / "lamb_onehot.npz")
        found = to_original(stored.state)
        for variable, value in found.items():
            expected = torch.tensor(trace[f"step4/var/{variable}"])
            torch.testing.assert_close(value, expected, atol=1e-5, rtol=0)
        return
    known = {key: torch.tensor(value) for key, value in np.load(reference / outputs).items()}
    compared = compare(model, known)
    assert compared >= 4


def compare(model: AlbertForPreTraining, known: dict[str, Tensor]) -> int:
    mask, ids, segments = (known[key].long() for key in ("input_mask", "input_ids", "segment_ids"))
    encoded = model.albert(ids, mask, segments)
    outputs = model(ids, mask, segments)
    rows = torch.arange(len(ids))[:, None]
    positions = known.get("mlm_positions", known.get("masked_lm_positions"))
    assert positions is not None
    picked = outputs.prediction_logits[rows, positions.long()].flatten(0, 1)
    real = mask.bool()
    candidates = {
        "sequence_output": (encoded.last_hidden_state[real], real),
        "pooled_output": (encoded.pooler_output, ...),
        "masked_lm_logits": (picked, ...),
        "mlm_logits": (picked, ...),
        "sentence_order_log_probs": (outputs.sop_logits.log_softmax(-1), ...),
        "sop_log_probs": (outputs.sop_logits.log_softmax(-1), ...),
    }
    compared = 0
    for key, (value, at) in candidates.items():
        for stored in (name for name in known if name == key or name.endswith(f"/{key}")):
            torch.testing.assert_close(value, known[stored][at], atol=1e-5, rtol=0)
            compared += 1
    return compared
