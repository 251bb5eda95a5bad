"""Recipes by name: their hyperparameters, overriding them, and the paper's ablations as plain settings."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from albert.cli.flags import parse
from albert.commands.pretrain import pretrain
from albert.config import AlbertConfig
from albert.errors import ConfigError, UsageError
from albert.pretraining.recipes import RECIPES, apply_recipe, recipe_settings
from albert.pretraining.settings import PretrainSettings, schedule_of

PLACES = ["--data", "shards", "--output", "run"]


def parsed(*flags: str) -> PretrainSettings:
    settings, _ = parse(PretrainSettings, [*PLACES, *flags], command="pretrain")
    return settings


@pytest.mark.parametrize("name", RECIPES)
def test_every_hyperparameter_of_a_recipe_is_in_the_settings(name: str) -> None:
    settings = asdict(recipe_settings(name, data=(Path("shards"),), output=Path("run")))
    flat = settings | settings["examples"] | settings["optimizer"] | settings["loop"]
    assert {key: flat[key] for key in RECIPES[name].numbers} == RECIPES[name].numbers


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_names_a_size_and_its_source(name: str) -> None:
    config = AlbertConfig.of_size(RECIPES[name].numbers["size"], vocab_size=30_000)
    assert (config.hidden_dropout_prob > 0) == (name.endswith("-v1") and "xxlarge" not in name)
    assert any(origin in RECIPES[name].source for origin in ("README", "paper", "docs/"))


def test_a_recipe_of_google_masks_20_tokens_as_its_command_did() -> None:
    examples = recipe_settings("albert-base-v1", data=(Path("shards"),), output=Path("run")).examples
    assert examples.filled().max_predictions_per_seq == 20
    assert examples.filled().sentence_loss == "sop-random"


def test_the_command_line_and_python_give_the_same_settings() -> None:
    flags = ["--recipe", "albert-zh-tiny", "--batch-size", "64", "--max_ngram", "3"]
    given: dict[str, Any] = {"data": (Path("shards"),), "output": Path("run"), "batch_size": 64}
    assert parsed(*flags) == recipe_settings("albert-zh-tiny", max_ngram=3, **given)
    assert parsed("--recipe=albert-zh-tiny", *flags[2:]) == parsed(*flags)


def test_a_flag_overrides_the_recipe_even_with_its_default_value() -> None:
    assert PretrainSettings(data=(), output=Path()).loop.batch_size == 256
    settings = parsed("--recipe", "albert-base-v2", "--batch-size", "256", "--warmup-steps", "100")
    assert settings.loop.batch_size == 256
    assert settings.optimizer.warmup_steps == 100
    assert settings.loop.max_steps == 10_000_000


@pytest.mark.parametrize(
    ("name", "steps", "warmup"),
    [
        ("small", 20_000, 1000),
        ("albert-base-v1", 125_000, 3125),
        ("albert-base-v2", 10_000_000, 3125),
        ("albert-large-v2", 3_000_000, 3125),
        ("albert-zh-tiny", 125_000, 12_500),
        ("albert-zh-small", 125_000, 12_500),
    ],
)
def test_a_recipe_has_its_published_warm_up_and_keeps_its_share_of_other_steps(
    name: str, steps: int, warmup: int
) -> None:
    whole = parsed("--recipe", name)
    assert whole.loop.max_steps == steps
    assert whole.optimizer.warmup(steps) == warmup
    assert parsed("--recipe", name, "--max-steps", "500").optimizer.warmup(500) == round(500 * warmup / steps)
    assert parsed("--recipe", name, "--warmup-steps", "7").optimizer.warmup(steps) == 7


def test_without_a_recipe_the_warm_up_is_the_originals_share_of_the_steps() -> None:
    assert parsed().optimizer.warmup(125_000) == 3125
    rate = schedule_of(parsed("--max-steps", "500"))
    assert rate(11) < rate(12) > rate(13)
    with pytest.raises(ConfigError, match="--warmup-steps 600 exceeds --max-steps 500"):
        schedule_of(parsed("--max-steps", "500", "--warmup-steps", "600"))
    with pytest.raises(ConfigError, match=r"--warmup-share is 1\.5; expected a share from 0 to 1"):
        parsed("--warmup-share", "1.5")


@pytest.mark.parametrize(
    "flags", [("--config", "own.json"), ("--init-from", "folder"), ("--init_from=folder",)]
)
def test_a_given_shape_replaces_the_shape_of_the_recipe(flags: tuple[str, ...]) -> None:
    settings = parsed("--recipe", "albert-large-v1", *flags)
    assert settings.size is None
    assert parsed("--recipe", "albert-large-v1").size == "large-v1"
    assert parsed("--recipe", "albert-large-v1", *flags, "--size", "tiny").size == "tiny"


def test_a_recipe_does_not_change_other_settings() -> None:
    own = parsed("--seed", "7", "--device", "cpu", "--micro-batch-size", "32", "--eval-examples", "5")
    settings = apply_recipe("albert-base-v1", own)
    assert (settings.loop.seed, settings.loop.device, settings.loop.micro_size) == (7, "cpu", 32)
    assert (settings.eval_examples, settings.loop.batch_size) == (5, 4096)


def test_help_with_a_recipe_shows_its_numbers_and_help_without_names_the_recipes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for flags in ([], ["--recipe", "albert-zh-small"]):
        with pytest.raises(SystemExit) as ended:
            parse(PretrainSettings, [*flags, "--help"], command="pretrain")
        assert ended.value.code == 0
        shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
        assert "albert-zh-small" in shown
        assert ("(default: 2000)" in shown) == bool(flags)


def test_settings_that_a_recipe_lacks_are_still_required() -> None:
    with pytest.raises(UsageError, match="missing: --output PATH"):
        parse(PretrainSettings, ["--recipe", "albert-base-v2", "--data", "x"], command="pretrain")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--recipe", "albert-bas-v2"], "no recipe 'albert-bas-v2'; did you mean 'albert-base-v2'"),
        (["--recipe"], "--recipe needs the name of a recipe"),
        (["--recipe", "albert-base-v1", "--recipe", "albert-base-v2"], "--recipe is given 2 times"),
    ],
)
def test_a_recipe_that_cannot_be_used_is_refused(flags: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parsed(*flags)


def test_a_recipe_and_an_earlier_run_are_not_mixed(tmp_path: Path) -> None:
    record = tmp_path / "run.json"
    record.write_text(json.dumps({"command": "pretrain", "settings": {"data": ["d"], "output": "o"}}))
    with pytest.raises(ConfigError, match="--from and --recipe both give all settings; choose one"):
        parsed("--from", str(record), "--recipe", "albert-base-v1")


def test_a_setting_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="no setting 'learn_rate'; did you mean 'learning_rate'"):
        recipe_settings("albert-base-v1", data=(), output=Path(), learn_rate=1.0)


ABLATIONS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "table 3: embedding size": ({"embedding_size": 3}, []),
    "table 3: embeddings as wide as the encoder": ({"embedding_size": 8}, []),
    "table 4: no layer shared": ({"num_hidden_groups": 2}, []),
    "table 5: no sentence loss": ({}, ["--sentence-loss", "none"]),
    "table 5: next sentence": ({}, ["--sentence-loss", "nsp"]),
    "table 5: sentence order": ({}, ["--sentence-loss", "sop"]),
    "table 8: no dropout": ({"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}, []),
    "table 11: depth": ({"num_hidden_layers": 3}, []),
    "table 12: width": ({"hidden_size": 16, "intermediate_size": 64}, []),
    "single words": ({}, ["--max-ngram", "1"]),
    "single tokens": ({}, ["--max-ngram", "1", "--no-whole-words"]),
}


@pytest.mark.parametrize("name", ABLATIONS)
def test_an_ablation_of_the_paper_is_a_plain_setting(
    name: str, prepared_data: Path, tiny_config: Path, tmp_path: Path
) -> None:
    shape, flags = ABLATIONS[name]
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(tiny_config.read_text()) | shape))
    command = ["--recipe", "albert-base-v1", "--data", str(prepared_data), "--output", str(tmp_path / "run")]
    command += ["--config", str(path), "--max-seq-length", "32", "--max-steps", "2", "--warmup-steps", "1"]
    command += ["--batch-size", "4", "--device", "cpu", *flags]
    settings, _ = parse(PretrainSettings, command, command="pretrain")
    assert pretrain(settings)["masked_lm_loss"] > 0
    written = json.loads((tmp_path / "run" / "model" / "config.json").read_text())
    assert written.items() >= shape.items()
