"""Results end with the command to type next, which the command line accepts."""

import contextlib
from pathlib import Path

import pytest

from albert import AlbertConfig, AlbertForPreTraining, AlbertTokenizer
from albert.cli.main import run
from albert.commands.following import finetuning, prediction, use_of
from albert.commands.tasks import TasksSettings, tasks
from samples.command_flags import parse_line


@pytest.mark.parametrize(
    ("architecture", "command"),
    [
        ("AlbertForPreTraining", "finetune"),
        ("AlbertForMaskedLM", "finetune"),
        ("AlbertModel", "finetune"),
        ("AlbertForQuestionAnswering", "predict"),
    ],
)
def test_a_model_with_a_head_for_a_task_predicts_and_another_is_fine_tuned(
    architecture: str, command: str
) -> None:
    assert use_of("my model", architecture).startswith(f"albert {command} ")
    assert "'my model'" in use_of("my model", architecture)


def test_every_proposed_command_can_be_typed() -> None:
    assert parse_line(use_of("m", "AlbertModel")).model == "m"
    assert parse_line(prediction("m", task="rte")).task == "rte"
    assert parse_line(tasks(TasksSettings()).next or "").model == "MODEL"


def test_info_and_fill_mask_end_with_it_and_info_asks_for_a_missing_vocabulary(
    tokenizer_folder: Path, tiny_config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = AlbertForPreTraining(AlbertConfig.from_json(tiny_config))
    model.save_pretrained(tmp_path / "model")
    AlbertTokenizer.from_pretrained(tokenizer_folder).save_pretrained(tmp_path / "model")
    for words in (["info", "model"], ["fill-mask", "--model", "model", "The [MASK]."]):
        with contextlib.chdir(tmp_path):
            assert run(words) == 0
        assert capsys.readouterr().err.splitlines()[-1] == f"next: {finetuning('model')}"
        with contextlib.chdir(tmp_path):
            assert run([*words, "--json"]) == 0
        assert "next:" not in capsys.readouterr().err
    for file in ("spiece.model", "tokenizer.json"):
        (tmp_path / "model" / file).unlink(missing_ok=True)
    assert run(["info", str(tmp_path / "model")]) == 0
    assert capsys.readouterr().err.endswith(f"convert {tmp_path / 'model'} OUTPUT --tokenizer FOLDER\n")
