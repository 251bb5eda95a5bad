"""Files of weights as users bring them: shards, prefixes of wrappers, nested dictionaries, half precision."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from albert import AlbertConfig, AlbertForMaskedLM, AlbertForSequenceClassification, AlbertTokenizer
from albert.checkpoint.folder import load_weights
from albert.checkpoint.names import without_wrappers
from albert.choices import NewPositions
from albert.commands.convert import ConvertSettings, convert
from albert.commands.predict import PredictSettings, predict
from albert.errors import AlbertError, CheckpointError
from albert.inference.pipelines import pipeline
from samples.toy_task import write_encoder

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, golden: Path) -> Path:
    """A classifier with random weights."""
    folder = write_encoder(tmp_path_factory.mktemp("model"), golden)
    config = AlbertConfig.from_json(
        folder / "config.json", id2label={0: "bad", 1: "good"}, initializer_range=1.0
    )
    torch.manual_seed(1)
    AlbertForSequenceClassification(config).save_pretrained(folder)
    return folder


def copy_without_weights(model: Path, folder: Path) -> State:
    folder.mkdir()
    for path in model.iterdir():
        if path.name != "model.safetensors":
            (folder / path.name).write_bytes(path.read_bytes())
    return load_file(model / "model.safetensors")


def predictions(folder: Path, place: Path) -> list[dict[str, Any]]:
    (place / "in.txt").write_text("the value\nan error of this type\n", encoding="utf-8")
    predict(
        PredictSettings(model=str(folder), input=place / "in.txt", output=place / "out.jsonl", device="cpu")
    )
    return [json.loads(line) for line in (place / "out.jsonl").read_text().splitlines()]


def shard(folder: Path, state: State, *, suffix: str = ".safetensors") -> None:
    """Write two shards and their index."""
    stem = "model" if suffix == ".safetensors" else "pytorch_model"
    names = sorted(state)
    weight_map = {}
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        file = f"{stem}-0000{number}-of-00002{suffix}"
        tensors = {name: state[name].contiguous() for name in part}
        if suffix == ".safetensors":
            save_file(tensors, folder / file, metadata={"format": "pt"})
        else:
            torch.save(tensors, folder / file)
        weight_map |= dict.fromkeys(part, file)
    index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
    (folder / f"{stem}{suffix}.index.json").write_text(json.dumps(index))


def pickled(change: Callable[[State], Any]) -> Callable[[Path, State], None]:
    return lambda folder, state: torch.save(change(state), folder / "pytorch_model.bin")


def prefixed(prefix: str) -> Callable[[State], State]:
    return lambda state: {prefix + name: tensor for name, tensor in state.items()}


def in_safetensors(folder: Path, state: State) -> None:
    save_file(prefixed("_orig_mod.module.")(state), folder / "model.safetensors", metadata={"format": "pt"})


FORMS: dict[str, tuple[Callable[[Path, State], None], str]] = {
    "shards": (shard, ""),
    "shards of pickles": (lambda folder, state: shard(folder, state, suffix=".bin"), ""),
    "module.": (pickled(prefixed("module.")), "prefixes of wrappers are left out, as in module."),
    "model.": (pickled(prefixed("model.")), "as in model."),
    "_orig_mod.": (pickled(prefixed("_orig_mod.")), "as in _orig_mod."),
    "several": (pickled(prefixed("module._orig_mod.model.")), "as in module._orig_mod.model."),
    "inside": (
        pickled(lambda state: {n.replace("albert.", "albert._orig_mod."): t for n, t in state.items()}),
        "as in albert._orig_mod.",
    ),
    "prefixes in safetensors": (in_safetensors, "as in _orig_mod.module."),
    "model_state_dict": (
        pickled(lambda state: {"epoch": 3, "model_state_dict": state, "optimizer": {"lr": 0.1}}),
        "using model_state_dict, not epoch, optimizer",
    ),
    "state_dict": (pickled(lambda state: {"state_dict": prefixed("model.")(state)}), "using state_dict"),
    "model": (pickled(lambda state: {"model": state}), "using model"),
    "bfloat16 is exact for small numbers": (
        pickled(lambda state: {name: tensor.double() for name, tensor in state.items()}),
        "",
    ),
}


@pytest.mark.parametrize("form", list(FORMS))
def test_every_form_gives_the_predictions_of_the_plain_folder_and_says_what_it_left_out(
    model: Path,
    tmp_path: Path,
    form: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    expected = predictions(model, tmp_path)
    write, message = FORMS[form]
    write(tmp_path / "brought", copy_without_weights(model, tmp_path / "brought"))
    capsys.readouterr()
    assert predictions(tmp_path / "brought", tmp_path) == expected
    assert message in capsys.readouterr().err
    found = AlbertForSequenceClassification.from_pretrained(tmp_path / "brought").state_dict()
    for name, tensor in AlbertForSequenceClassification.from_pretrained(model).state_dict().items():
        assert torch.equal(found[name], tensor)
    convert(ConvertSettings(source=str(tmp_path / "brought"), output=tmp_path / "converted"))
    assert predictions(tmp_path / "converted", tmp_path) == expected


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_half_precision_become_float32(model: Path, tmp_path: Path, dtype: torch.dtype) -> None:
    state = copy_without_weights(model, tmp_path / "half")
    torch.save(
        {name: tensor.to(dtype) for name, tensor in state.items()}, tmp_path / "half" / "pytorch_model.bin"
    )
    for name, tensor in (
        AlbertForSequenceClassification.from_pretrained(tmp_path / "half").state_dict().items()
    ):
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, state[name].to(dtype).float())


def test_several_models_and_unknown_prefixes_are_refused_by_name() -> None:
    tensor, name = torch.zeros(1), "albert.embeddings.word_embeddings.weight"
    with pytest.raises(
        CheckpointError, match=r"start with .student\.. and .teacher\.., expected albert\. alone"
    ):
        without_wrappers({f"student.{name}": tensor, f"teacher.{name}": tensor})
    with pytest.raises(CheckpointError, match=r"start with 'net\.', expected"):
        without_wrappers({f"net.{name}": tensor})
    other = {"something.else": tensor, name: tensor}
    assert without_wrappers(other) == other


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"weight_map": {"a": "../model.safetensors"}},
            r"names '\.\./model.safetensors', which is not in the folder",
        ),
        (
            {"weight_map": {"a": "model-9.safetensors"}},
            "names 'model-9.safetensors', which is not in the folder",
        ),
        ({}, "expected weight_map"),
        ({"weight_map": {"a": 3}}, "expected weight_map"),
        ([], "expected weight_map"),
    ],
)
def test_a_damaged_index_is_an_error_that_names_it(
    model: Path, tmp_path: Path, content: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    copy_without_weights(model, tmp_path / "m")
    (tmp_path / "m" / "model.safetensors.index.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=message):
        predictions(tmp_path / "m", tmp_path)


def test_a_tensor_in_two_shards_is_refused(model: Path, tmp_path: Path) -> None:
    state = copy_without_weights(model, tmp_path / "m")
    shard(tmp_path / "m", state)
    save_file(state, tmp_path / "m" / "model-00002-of-00002.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="is in two files"):
        AlbertForSequenceClassification.from_pretrained(tmp_path / "m")


def test_a_pickle_without_tensors_is_refused(model: Path, tmp_path: Path) -> None:
    copy_without_weights(model, tmp_path / "m")
    torch.save({"model": {"a": 3}}, tmp_path / "m" / "pytorch_model.bin")
    with pytest.raises(AlbertError, match="expected tensors by name, alone or under model_state_dict"):
        AlbertForSequenceClassification.from_pretrained(tmp_path / "m")


def test_a_padded_table_is_reported_and_its_padding_is_never_predicted(
    tmp_path: Path, golden: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_encoder(tmp_path / "m", golden)
    tokenizer = AlbertTokenizer.from_pretrained(folder)
    config = AlbertConfig.from_json(folder / "config.json", vocab_size=2048)
    padded = AlbertForMaskedLM(config)
    with torch.no_grad():
        padded.predictions.bias[tokenizer.vocab_size :] = 9.0
    padded.save_pretrained(folder)
    fill = pipeline("fill-mask", str(folder))
    assert "the model has 2048 embeddings, its tokenizer 2000 tokens; the last 48" in capsys.readouterr().err
    found = fill("the [MASK] of", top_k=2048)
    assert len(found) == 2000
    assert max(row["token"] for row in found) < 2000
    assert sum(row["score"] for row in found) < 0.1


@pytest.mark.parametrize("new", ["repeat", "random"])
def test_positions_that_a_checkpoint_lacks_are_repeated_or_random_and_reported(
    model: Path, new: NewPositions, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "albert.embeddings.position_embeddings.weight"
    stored = load_file(model / "model.safetensors")[name]
    config = AlbertConfig.from_json(model / "config.json", max_position_embeddings=2 * len(stored) + 3)
    grown = AlbertForSequenceClassification(config)
    fresh = grown.state_dict()[name].clone()
    load_weights(grown, model, has_map=config.has_map, new_positions=new)
    found, had = grown.state_dict()[name], len(stored)
    assert torch.equal(found[:had], stored)
    expected = torch.cat([stored, stored[:3]]) if new == "repeat" else fresh[had:]
    assert torch.equal(found[had:], expected)
    how = {"repeat": "copies of the first ones, in their order", "random": "random"}[new]
    assert f"{had + 3} positions after the first {had} are new: {how}" in capsys.readouterr().err


def test_positions_that_a_model_lacks_are_left_out_or_refused_with_the_cause(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = AlbertConfig.from_json(model / "config.json", max_position_embeddings=9)
    short = AlbertForSequenceClassification(config)
    load_weights(short, model, has_map=config.has_map, new_positions="repeat")
    assert "the last 23 of 32 positions are left out" in capsys.readouterr().err
    with pytest.raises(CheckpointError, match="only albert pretrain --init-from changes their number"):
        load_weights(short, model, has_map=config.has_map)
