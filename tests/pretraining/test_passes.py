"""A run that passes over its data far too often is warned of, with the steps that make sense."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from albert.commands.pretrain import pretrain
from albert.data.examples.settings import ExampleSettings
from albert.pretraining import plan
from albert.pretraining.settings import PretrainSettings
from albert.training.passes import warning_of_passes
from albert.training.settings import LoopSettings


@pytest.mark.parametrize(("batch_size", "examples"), [(32, 243), (8, 5), (256, 3), (32, 1_000_000)])
def test_the_proposed_steps_are_about_forty_passes_and_give_no_warning(
    batch_size: int, examples: int
) -> None:
    loop = LoopSettings(max_steps=20 * (examples * 100 // batch_size + 10), batch_size=batch_size)
    warning = warning_of_passes(loop, examples)
    assert warning is not None
    found = re.search(r"--max-steps (\d+) is 40 passes", warning)
    assert found
    proposed = int(found[1])
    assert abs(proposed * batch_size / examples - 40) <= max(
        1, 0.5 * batch_size / examples + 40 * (proposed == 1)
    )
    if proposed > 1:
        assert warning_of_passes(replace(loop, max_steps=proposed), examples) is None


def test_the_passes_of_published_recipes_give_no_warning() -> None:
    loop = LoopSettings(max_steps=125_000, batch_size=4096)
    assert warning_of_passes(loop, 9_000_000) is None  # 57 passes over the paper's 16 GB


def test_a_run_and_its_plan_warn(
    prepared_data: Path, tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "TRIAL_SECONDS", 0.01)
    many = PretrainSettings(
        data=(prepared_data,),
        output=tmp_path / "run",
        config=tiny_config,
        examples=ExampleSettings(max_seq_length=32),
        loop=LoopSettings(max_steps=100_000, batch_size=8, device="cpu"),
        dry_run=True,
    )
    remarks = pretrain(many)["remarks"]
    assert sum("will be learnt by heart" in remark for remark in remarks) == 1
    assert "will be learnt by heart" not in str(
        pretrain(replace(many, loop=replace(many.loop, max_steps=20)))
    )
