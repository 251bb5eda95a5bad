"""`run_classifier` and `run_classifier_clue` with albert_zh's flags: commands, tasks and files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from albert.legacy.scripts import script_main
from albert.run_classifier import main
from albert.tasks.classification.clue import TNEWS_DESCRIPTIONS
from samples.finetuning_files import results_in, write_albert_zh

A, B = "一丁丂七丄丅丆万", "丈三上下丌不与丏"
SMALL = ["--num_train_epochs=1", "--train_batch_size=4", "--max_seq_length=32", "--save_checkpoints_steps=2"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_albert_zh(tmp_path / "albert_tiny_zh")


def flags(model: Path, data: Path, output: Path, *more: str) -> list[str]:
    return [
        f"--data_dir={data}",
        f"--vocab_file={model / 'vocab.txt'}",
        f"--bert_config_file={model / 'albert_config_tiny.json'}",
        f"--output_dir={output}",
        f"--init_checkpoint={model / 'albert_model.ckpt'}",
        *more,
    ]


def write_lines(folder: Path, name: str, rows: list[str]) -> Path:
    folder.mkdir(exist_ok=True)
    for split in ("train", "dev", "test"):
        (folder / name.format(split)).write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def pairs(count: int) -> list[tuple[str, str, str]]:
    return [(A[number % 8 :] + "一", B[number % 5 :] + "丁", str(number % 2)) for number in range(count)]


def test_the_readme_s_command_for_lcqmc_runs_with_the_tiny_model(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_lines(tmp_path / "lcqmc", "{}.txt", ["\t".join(row) for row in pairs(26)])
    run = tmp_path / "albert_lcqmc_checkpoints"
    readme = [
        "--task_name=lcqmc_pair",
        "--do_train=true",
        "--do_eval=true",
        "--max_seq_length=128",
        "--train_batch_size=64",
        "--learning_rate=1e-4",
        "--num_train_epochs=5",
    ]
    assert main(flags(model, data, run, *readme)) == 0
    assert "26 examples" in capsys.readouterr().err
    settings = json.loads((run / "run.json").read_text())["settings"]
    expected = {"batch_size": 64, "learning_rate": 1e-4, "max_steps": int(26 / 64 * 5), "max_seq_length": 128}
    assert {name: settings[name] for name in expected} == expected
    assert settings["warmup_steps"] == 0
    (found,) = results_in(run / "eval_results.txt")
    assert {"eval_accuracy", "eval_loss", "f1", "global_step"} <= set(found)
    assert list(data.glob("*results*")) == []
    assert (run / "model.ckpt-best" / "vocab.txt").is_file()
    assert json.loads((run / "model.ckpt-best" / "config.json").read_text())["vocab_size"] == 125


def clue(rows: list[dict[str, Any]]) -> list[str]:
    return [json.dumps(row, ensure_ascii=False) for row in rows]


def labelled(*labels: str, **columns: str) -> Callable[[], list[str]]:
    """Return a function that makes eight rows of JSON with alternating labels."""
    return lambda: clue(
        [{"id": number, "label": labels[number % len(labels)], **columns} for number in range(8)]
    )


_PAIR = {"sentence1": A, "sentence2": B}
_INFERENCE = ("contradiction", "entailment", "neutral")
_TARGET = {"span1_text": "一丁", "span1_index": 0, "span2_text": "七", "span2_index": 3}
TASKS: dict[str, tuple[str, Callable[[], list[str]]]] = {
    "sentence_pair": (
        "{}_0827.tsv",
        lambda: ["label\ttext_a\ttext_b", *(f"{label}\t{a}\t{b}" for a, b, label in pairs(8))],
    ),
    "lcqmc": ("{}.txt", lambda: ["text_a\ttext_b\tlabel", *("\t".join(row) for row in pairs(8))]),
    "xnli": ("{}.json", labelled(*_INFERENCE, premise=A, hypo=B)),
    "tnews": ("{}.json", labelled("100", "116", sentence=A)),
    "iflytek": ("{}.json", labelled("0", "118", sentence=A)),
    "afqmc": ("{}.json", labelled("0", "1", **_PAIR)),
    "cmnli": ("{}.json", labelled(*_INFERENCE, **_PAIR)),
    "csl": (
        "{}.json",
        lambda: clue([{"id": n, "keyword": [A, B], "abst": A + B, "label": str(n % 2)} for n in range(8)]),
    ),
    "wsc": (
        "{}.json",
        lambda: clue(
            [{"id": n, "text": A, "target": _TARGET, "label": ("true", "false")[n % 2]} for n in range(8)]
        ),
    ),
    "copa": (
        "{}.json",
        lambda: clue(
            [
                {"id": n, "premise": A, "choice0": B, "choice1": A, "question": "cause", "label": n % 2}
                for n in range(8)
            ]
        ),
    ),
}


@pytest.mark.parametrize("name", list(TASKS))
def test_every_task_of_albert_zh_trains_evaluates_and_predicts(
    name: str, model: Path, tmp_path: Path
) -> None:
    file, rows = TASKS[name]
    data, run = write_lines(tmp_path / "data", file, rows()), tmp_path / "run"
    arguments = flags(
        model, data, run, f"--task_name={name}", "--do_train", "--do_eval", "--do_predict", *SMALL
    )
    assert script_main("run_classifier_clue")([*arguments, "--keep_checkpoint_max=0"]) == 0
    (found,) = results_in(run / "eval_results.txt")
    assert found["global_step"] == 2
    assert "eval_accuracy" in found
    assert len((run / "test_results.tsv").read_text().splitlines()) == 8
    answers = (run / "submit_results.tsv").read_text().splitlines()[1:]
    official = run / f"{name}_predict.json"
    assert official.is_file() is (name not in {"sentence_pair", "lcqmc", "xnli", "copa"})
    if official.is_file():
        lines = [json.loads(line) for line in official.read_text().splitlines()]
        assert [line["id"] for line in lines] == list(range(8))
        assert [f"{line['id']}\t{line['label']}" for line in lines] == answers
        assert all(("label_desc" in line) == (name == "tnews") for line in lines)
        assert all(
            line["label_desc"] == TNEWS_DESCRIPTIONS[line["label"]] for line in lines if "label_desc" in line
        )


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--task_name=inews"], 2, "--task_name is 'inews'"),
        (["--vocab_file=nowhere.txt"], 1, "--vocab_file: nowhere.txt: no such file"),
        (["--num_train_epochs=0.1"], 1, "raise --num_train_epochs"),
        (["--max_seq_length=129"], 1, "--max_seq_length is 129, but the model has 128 positions"),
        (["--spm_model_file=nowhere.model"], 1, "nowhere.model: no such file"),
    ],
)
def test_wrong_input_is_a_one_line_error(
    *,
    more: list[str],
    code: int,
    message: str,
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = write_lines(tmp_path / "lcqmc", "{}.txt", ["\t".join(row) for row in pairs(8)])
    arguments = flags(model, data, tmp_path / "run", "--task_name=lcqmc", "--do_train", *SMALL, *more)
    assert main(arguments) == code
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "run").exists()


def test_an_evaluation_without_a_checkpoint_is_refused(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_lines(tmp_path / "lcqmc", "{}.txt", ["\t".join(row) for row in pairs(8)])
    assert main(flags(model, data, tmp_path / "run", "--task_name=lcqmc", "--do_eval", *SMALL)) == 1
    assert "holds no checkpoint to evaluate" in capsys.readouterr().err.splitlines()[-1]
