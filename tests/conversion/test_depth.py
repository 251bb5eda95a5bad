"""Models used with their first layers only: exactly the states of the whole model after so many layers."""

import json
from pathlib import Path

import pytest
import torch

from albert.cli.main import run
from albert.commands.finetune import finetune
from albert.conversion.conversion import convert
from albert.conversion.depth import at_depth, depths_of, first_layers, recorded_depths
from albert.errors import ConfigError
from albert.inference.embedding import Embedder
from albert.inference.opening import open_model
from albert.inference.pipelines import pipeline
from albert.model.albert_model import AlbertModel
from albert.model.packing import Packing
from albert.text.tokenizer import AlbertTokenizer
from samples.teachers import teacher_config
from samples.toy_task import settings, write_encoder, write_toy

IDS = torch.arange(5, 25)


def write_folder(folder: Path, tokenizer_folder: Path, *, layers: int, groups: int) -> Path:
    torch.manual_seed(0)
    AlbertModel(teacher_config(num_hidden_layers=layers, num_hidden_groups=groups)).save_pretrained(folder)
    AlbertTokenizer.from_pretrained(tokenizer_folder).save_pretrained(folder)
    return folder


def states(model: AlbertModel, depth: int) -> torch.Tensor:
    packing = Packing.of_lengths(torch.tensor([len(IDS)]))
    with torch.no_grad():
        (x,) = model.encode_depths(
            IDS, torch.zeros_like(IDS), packing, rows=torch.arange(len(IDS)), depths=(depth,)
        )
    return x


@pytest.mark.parametrize(("layers", "groups"), [(4, 1), (4, 4), (6, 3)])
def test_the_states_are_those_of_the_whole_model(
    tmp_path: Path, tokenizer_folder: Path, layers: int, groups: int
) -> None:
    folder = write_folder(tmp_path / "model", tokenizer_folder, layers=layers, groups=groups)
    whole = open_model(folder, (AlbertModel,), device="cpu").model
    cut = open_model(folder, (AlbertModel,), device="cpu", depth=2).model
    assert cut.config.num_hidden_layers == 2
    torch.testing.assert_close(states(cut, 2), states(whole, 2), rtol=0, atol=0)


def test_a_written_model_of_fewer_layers_is_the_same_in_transformers(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    transformers = pytest.importorskip("transformers")
    folder = write_folder(tmp_path / "model", tokenizer_folder, layers=4, groups=4)
    convert(folder, tmp_path / "cut", depth=3)
    theirs = transformers.AlbertModel.from_pretrained(tmp_path / "cut").eval()
    assert theirs.config.num_hidden_groups == 3
    whole = open_model(folder, (AlbertModel,), device="cpu").model
    with torch.no_grad():
        found = theirs(IDS[None]).last_hidden_state[0]
    torch.testing.assert_close(found, states(whole, 3), rtol=1e-4, atol=1e-5)


def test_groups_that_cannot_be_cut_name_the_depths_that_can(tmp_path: Path) -> None:
    config = teacher_config(num_hidden_layers=5, num_hidden_groups=2)
    with pytest.raises(ConfigError, match=r"the 2 groups of .* can only be cut after 1 or 2 or 3 layers"):
        first_layers(config, 4, tmp_path)


@pytest.mark.parametrize("depth", [0, 5, -1])
def test_depths_outside_the_model_are_refused(tmp_path: Path, depth: int) -> None:
    with pytest.raises(ConfigError, match=f"--depth is {depth}; .* has layers 1 to 4"):
        at_depth(teacher_config(), depth, tmp_path)


def test_a_depth_that_was_not_trained_is_warned_of_with_the_nearest_scores(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at_depth(teacher_config(), 2, tmp_path)
    assert "was trained with all of its layers only" in capsys.readouterr().err
    (tmp_path / "run.json").write_text(
        json.dumps({"depths": {"1": {"accuracy": 0.5}, "4": {"accuracy": 0.9}}})
    )
    assert recorded_depths(tmp_path) == {1: {"accuracy": 0.5}, 4: {"accuracy": 0.9}}
    at_depth(teacher_config(), 2, tmp_path)
    assert "trained at the depths 1, 4; the scores of 1 are accuracy 0.5" in capsys.readouterr().err
    at_depth(teacher_config(), 1, tmp_path)
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "depths"), [((), (6,)), (("all",), (1, 2, 3, 4, 5, 6)), ((4, 2), (2, 4, 6)), ((6,), (6,))]
)
def test_depths_are_named_by_number_or_all(given: tuple[int, ...], depths: tuple[int, ...]) -> None:
    assert depths_of(given, 6) == depths


@pytest.mark.parametrize("depth", [0, 7])
def test_a_depth_that_no_layer_has_is_refused(depth: int) -> None:
    with pytest.raises(ConfigError, match=f"--depths names layer {depth}; the model has layers 1 to 6"):
        depths_of((depth,), 6)


def test_every_way_to_open_a_model_takes_a_depth(
    tmp_path: Path, golden: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder = write_encoder(tmp_path / "encoder", golden)
    text = "the [MASK] of it"
    assert run(["fill-mask", text, "--model", str(encoder), "--depth", "1", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    found = pipeline("fill-mask", model=encoder, depth=1, device="cpu")(text)
    rows = shown if isinstance(shown, list) else shown["rows"]
    assert [row["token"] for row in found] == [row["token"] for row in rows]
    one, two = (Embedder.open(encoder, depth=depth, device="cpu").embed([text]) for depth in (1, 2))
    assert abs(one - two).max() > 1e-3
    opened = open_model(encoder, (AlbertModel,), device="cpu")
    with pytest.raises(ConfigError, match="depth is for the name of a model"):
        pipeline("feature-extraction", model=opened.model, tokenizer=opened.tokenizer, depth=1)


def test_fine_tuning_at_all_depths_records_the_scores_of_each(
    tmp_path: Path, golden: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder, data = write_encoder(tmp_path / "encoder", golden), write_toy(tmp_path / "data")
    asked = settings(encoder, data, tmp_path / "run", depths=("all",), log_steps=1)
    result = finetune(asked)
    model = result["model"]
    depths = recorded_depths(Path(model))
    assert [*depths] == [1, 2]
    assert {str(depth): scores for depth, scores in depths.items()} == result["depths"]
    assert depths[2]["accuracy"] == pytest.approx(result["accuracy"])
    capsys.readouterr()
    words = ["--task", "classification", "--model", model, "--data", str(data), "--device", "cpu", "--json"]
    assert run(["evaluate", *words, "--depth", "1"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["accuracy"] == pytest.approx(depths[1]["accuracy"])
    assert "--depth 1:" not in shown.err
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    step = next(record for record in log if "loss" in record)
    expected = (step["task@1_loss"] + 2 * step["task_loss"]) / 3
    assert step["loss"] == pytest.approx(expected, rel=1e-5), "losses weigh as their depths"


def test_a_kind_that_has_no_depths_refuses_them(tmp_path: Path, golden: Path) -> None:
    encoder = write_encoder(tmp_path / "encoder", golden)
    (tmp_path / "tags.txt").write_text("the O\nerror B-X\n\na O\ntype B-X\n")
    asked = settings(
        encoder, tmp_path / "tags.txt", tmp_path / "run", task="tagging", depths=(1,), dev_share=0.0
    )
    with pytest.raises(ConfigError, match="--depths: a task of the kind tagging is learnt after the last"):
        finetune(asked)


def test_fine_tuning_can_start_from_the_first_layers(tmp_path: Path, golden: Path) -> None:
    encoder, data = write_encoder(tmp_path / "encoder", golden), write_toy(tmp_path / "data")
    result = finetune(settings(encoder, data, tmp_path / "run", depth=1))
    config = json.loads((Path(result["model"]) / "config.json").read_text())
    assert config["num_hidden_layers"] == 1
