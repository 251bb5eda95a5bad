"""`python -m albert.export_checkpoints`: a checkpoint's weights as a model folder."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers

from albert.legacy.scripts import script_main
from samples.original_files import SHAPE, random_model, write_tensorflow

main = script_main("export_checkpoints")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A folder of the original: a checkpoint and its configuration."""
    write_tensorflow(tmp_path / "albert" / "model.ckpt-best", random_model())
    (tmp_path / "albert" / "albert_config.json").write_text(json.dumps(SHAPE))
    return tmp_path / "albert"


def test_the_exported_folder_holds_only_the_weights(directory: Path, tmp_path: Path) -> None:
    output = tmp_path / "exported"
    assert main([f"--albert_directory={directory}", f"--export_path={output}"]) == 0
    assert sorted(path.name for path in output.iterdir()) == ["config.json", "model.safetensors"]
    model = transformers.AlbertForPreTraining.from_pretrained(output)
    ids = torch.arange(10, 30)[None]
    with torch.no_grad():
        expected, found = random_model()(ids), model(ids)
    torch.testing.assert_close(found.prediction_logits, expected.prediction_logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.sop_logits, expected.sop_logits, atol=1e-5, rtol=0)


def test_a_vocabulary_next_to_the_checkpoint_is_exported_too(
    directory: Path, golden: Path, tmp_path: Path
) -> None:
    shutil.copy(golden / "tokenization" / "30k-clean.model", directory)
    output = tmp_path / "exported"
    assert main([f"--albert_directory={directory}", f"--export_path={output}", "--nodo_lower_case"]) == 0
    assert (output / "spiece.model").is_file()
    assert json.loads((output / "tokenizer_config.json").read_text())["do_lower_case"] is False


def test_a_failed_export_is_a_one_line_error(
    directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "exported"
    command = [f"--albert_directory={directory}", f"--export_path={output}"]
    assert main([*command, "--checkpoint_name=model.ckpt-7"]) == 1
    assert "model.ckpt-7: no such checkpoint; name one with --checkpoint_name" in capsys.readouterr().err
    (directory / "albert_config.json").write_text(json.dumps({**SHAPE, "intermediate_size": 16}))
    assert main(command) == 1
    assert "intermediate_size is 16, the weights in" in capsys.readouterr().err
    assert not output.exists()
    output.mkdir()
    (output / "thesis.tex").write_text("precious")
    assert main(command) == 1
    assert "give --export_path a new folder" in capsys.readouterr().err
