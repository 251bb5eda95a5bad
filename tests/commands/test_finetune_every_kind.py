"""Every kind of task from its files to scores and predictions, with the commands."""

import json
from pathlib import Path

import pytest

from albert.cli.main import run
from samples.toy_task import sentences, write_encoder, write_table


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory, golden: Path) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder"), golden)


def write_lines(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_data(folder: Path, kind: str) -> None:
    """Write own data of a kind, the same for train and dev."""
    folder.mkdir()
    texts = sentences(16, seed=1)
    for split in ("train", "dev"):
        if kind == "classification":
            write_table(folder / f"{split}.tsv", texts, "text", "label")
        elif kind == "regression":
            rows = [(text, "1" if label == "good" else "0") for text, label in texts]
            write_table(folder / f"{split}.tsv", rows, "text", "label")
        elif kind == "choice":
            rows = [{"passage": t, "choices": ["good", "bad"], "label": label} for t, label in texts]
            write_lines(folder / f"{split}.jsonl", rows)
        elif kind == "tagging":
            tagged = [[(w, "B-X" if w in {"true", "error"} else "O") for w in t.split()] for t, _ in texts]
            blocks = ["".join(f"{word} {tag}\n" for word, tag in rows) for rows in tagged]
            (folder / f"{split}.txt").write_text("\n".join(blocks), encoding="utf-8")
        else:
            words = ["error" if label == "bad" else "true" for _, label in texts]
            answered = [
                {"id": str(n), "context": t, "question": "which", "answers": [w]}
                for n, ((t, _), w) in enumerate(zip(texts, words, strict=True))
            ]
            write_lines(folder / f"{split}.jsonl", answered)


@pytest.mark.parametrize("kind", ["classification", "regression", "choice", "spans", "tagging"])
def test_own_data_of_every_kind_are_learnt_scored_and_predicted(
    encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    write_data(tmp_path / "data", kind)
    task = ["--task", kind, "--data", str(tmp_path / "data"), "--device", "cpu"]
    settings = "--max-steps 3 --batch-size 4 --max-seq-length 32 --max-query-length 8 --doc-stride 8 --json"
    output = tmp_path / "run"
    capsys.readouterr()
    assert run(["finetune", *task, "--model", str(encoder), "--output", str(output), *settings.split()]) == 0
    trained = json.loads(capsys.readouterr().out)
    assert (output / "report.html").is_file()
    assert run(["evaluate", *task, "--model", str(output / "best"), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["examples"] == 16
    for name, value in trained["best"].items():
        if name != "step":
            assert scores[name] == pytest.approx(value, abs=1e-6), name
    predicted = tmp_path / "predicted.jsonl"
    asked = ["--model", str(output / "best"), "--split", "dev", "--output", str(predicted)]
    assert run(["predict", *task, *asked]) == 0
    assert len(predicted.read_text(encoding="utf-8").splitlines()) == 16
