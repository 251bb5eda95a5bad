"""`albert distill` from texts to a student's folder."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from albert.checkpoint.folder import read_config
from albert.cli.main import run as run_command
from albert.commands.distill import DistillSettings, distill
from albert.commands.finetune import FinetuneSettings, finetune
from albert.distillation import cache as cache_module
from albert.distillation.settings import LossSettings, StudentSettings
from albert.errors import AlbertError, ConfigError, RunError
from albert.inference.embedding import Embedder
from albert.text.tokenizer import AlbertTokenizer
from albert.text.vocabulary import train_wordpiece
from albert.training.settings import LoopSettings
from samples.interrupting import interrupt
from samples.toy_task import sentences, write_encoder, write_table, write_toy

LOOP = LoopSettings(
    max_steps=12, batch_size=8, save_steps=5, eval_steps=6, log_steps=4, device="cpu", precision="float32"
)
SMALL = StudentSettings(layers=2, embedding_size=16)


@pytest.fixture
def settings(sentence_teacher: Path, texts: Path, tmp_path: Path) -> DistillSettings:
    return DistillSettings(
        teacher=str(sentence_teacher),
        input=(str(texts),),
        output=tmp_path / "run",
        splitting="lines",
        held_out=0.1,
        student=SMALL,
        loop=LOOP,
    )


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model" / "model.safetensors")


def test_a_student_comes_near_its_teacher_and_is_a_sentence_encoder(settings: DistillSettings) -> None:
    longer = replace(LOOP, max_steps=150, eval_steps=150, save_steps=150)
    result = distill(replace(settings, loop=longer))
    log = [json.loads(line) for line in (settings.output / "log.jsonl").read_text().splitlines()]
    before = next(record["held_out"] for record in log if record["step"] == 0)
    assert result["agreement"] > before["agreement"] + 0.1
    assert result["parameters"] < result["teacher_parameters"]
    assert result["texts"] + result["held_out_texts"] == 300
    teacher, student = Embedder.open(settings.teacher), Embedder.open(result["model"])
    assert student.pooling == teacher.pooling
    assert student.max_seq_length == teacher.max_seq_length
    probes = ["the value is red", "two runs sleep"]
    a, b = (torch.from_numpy(each.embed(probes)) for each in (teacher, student))
    assert torch.cosine_similarity(a, b).mean().item() > 0.5
    library = pytest.importorskip("sentence_transformers")
    theirs = library.SentenceTransformer(result["model"], device="cpu").encode(probes)
    np.testing.assert_allclose(theirs, b.numpy(), atol=1e-5)


@pytest.mark.parametrize(
    "losses",
    [
        LossSettings(),
        LossSettings(loss=("vectors", "similarities", "relations"), depths=("all",)),
        LossSettings(loss=("states", "mlm"), loss_weights=(1.0, 0.1)),
    ],
    ids=["default", "relations at all depths", "masked LM"],
)
def test_a_resumed_run_gives_the_unbroken_one_bit_for_bit(
    settings: DistillSettings, losses: LossSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = replace(settings, losses=losses)
    unbroken = replace(settings, output=tmp_path / "unbroken")
    scores = distill(unbroken)
    interrupt(monkeypatch, lambda: distill(settings), step=8)
    assert distill(settings) | {"model": "", "next": ""} == scores | {"model": "", "next": ""}
    ours, theirs = weights_of(settings.output), weights_of(unbroken.output)
    assert all(torch.equal(ours[tensor], theirs[tensor]) for tensor in theirs)


def test_a_finished_run_is_not_done_again(settings: DistillSettings) -> None:
    assert distill(settings) == distill(settings)


def test_two_students_share_the_outputs_of_a_teacher(
    settings: DistillSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shared = replace(settings, cache=tmp_path / "cache")
    distill(shared)
    monkeypatch.setattr(cache_module, "_write", lambda *_: pytest.fail("computed again"))
    other = replace(SMALL, layers=4, groups=2)
    distill(replace(shared, output=tmp_path / "other", student=other))
    assert read_config(tmp_path / "other" / "model").num_hidden_groups == 2
    changed = LossSettings(loss=("relations",))
    with pytest.raises(RunError, match="but not its relations; name another --cache"):
        distill(replace(shared, output=tmp_path / "third", losses=changed))


def test_the_scores_of_every_depth_are_recorded(settings: DistillSettings) -> None:
    result = distill(replace(settings, losses=LossSettings(depths=("all",))))
    record = json.loads((Path(result["model"]) / "run.json").read_text())
    assert [*record["depths"]] == ["1", "2"]
    assert record["depths"]["1"]["agreement"] == result["agreement@1"]
    assert record["depths"]["2"]["agreement"] == result["agreement"]


def test_a_narrower_student_gets_a_dense_layer_to_the_teachers_vectors(settings: DistillSettings) -> None:
    narrow = StudentSettings(layers=2, hidden_size=16, embedding_size=8)
    result = distill(replace(settings, student=narrow))
    student = Embedder.open(result["model"])
    assert student.model.config.hidden_size == 16
    assert student.dimension == 32


def test_a_student_may_have_a_vocabulary_of_its_own(
    settings: DistillSettings, texts: Path, tmp_path: Path
) -> None:
    lines = texts.read_text().splitlines()
    own = tmp_path / "vocab"
    AlbertTokenizer(train_wordpiece(iter(lines), vocab_size=60, lower_case=True)).save_pretrained(own)
    result = distill(replace(settings, student=replace(SMALL, tokenizer=own)))
    assert "states_loss" not in result
    student = Embedder.open(result["model"])
    assert student.tokenizer.kind == "wordpiece"
    assert len(student.tokenizer) == student.model.config.vocab_size
    losses = LossSettings(loss=("vectors", "states"))
    refused = replace(settings, student=replace(SMALL, tokenizer=own), losses=losses, output=tmp_path / "x")
    with pytest.raises(ConfigError, match="--loss states: compares token by token"):
        distill(refused)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory, golden: Path) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder"), golden)


def finetuned(encoder: Path, data: Path, task: str, output: Path) -> str:
    result = finetune(
        FinetuneSettings(
            task=task, model=str(encoder), data=data, output=output, max_steps=40, batch_size=16,
            max_seq_length=16, learning_rate=3e-3, eval_steps=40, device="cpu",
        )
    )  # fmt: skip
    return str(result["model"])


def test_a_student_of_a_classifier_predicts_as_its_teacher(
    encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_toy(tmp_path / "toy")
    teacher = finetuned(encoder, data, "classification", tmp_path / "teacher")
    settings = DistillSettings(
        teacher=teacher,
        input=(str(data / "train.tsv"),),
        output=tmp_path / "run",
        held_out=0.2,
        student=StudentSettings(layers=1, embedding_size=8),
        loop=replace(LOOP, max_steps=200, save_steps=200, eval_steps=200),
    )
    result = distill(settings)
    assert result["agreement"] > 0.9
    model = result["model"]
    capsys.readouterr()
    accuracies = []
    for name in (teacher, model):
        words = ["--task", "classification", "--model", name, "--data", str(data), "--json"]
        assert run_command(["evaluate", *words]) == 0
        accuracies.append(json.loads(capsys.readouterr().out)["accuracy"])
    assert accuracies[1] >= accuracies[0] - 0.1
    assert read_config(Path(model)).id2label == read_config(Path(teacher)).id2label
    assert result["next"].startswith("albert predict --model ")


def write_tagged(path: Path) -> None:
    blocks = [
        "".join(f"{word} {'B-X' if word in {'true', 'error'} else 'O'}\n" for word in text.split())
        for text, _ in sentences(64, seed=3)
    ]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(blocks), encoding="utf-8")


def test_a_student_of_a_tagger_or_a_regression_learns_its_logits(encoder: Path, tmp_path: Path) -> None:
    rows = [(text, "1" if label == "good" else "0") for text, label in sentences(64, seed=1)]
    for split in ("train", "dev"):
        write_table(tmp_path / "numbers" / f"{split}.tsv", rows, "text", "label")
        write_tagged(tmp_path / "tags" / f"{split}.txt")
    for task, data in (("regression", "numbers"), ("tagging", "tags")):
        teacher = finetuned(encoder, tmp_path / data, task, tmp_path / f"{task}-teacher")
        (file,) = (tmp_path / data).glob("train.*")
        result = distill(
            DistillSettings(
                teacher=teacher, input=(str(file),), output=tmp_path / task, held_out=0.2,
                student=StudentSettings(layers=1, embedding_size=8), loop=LOOP,
            )
        )  # fmt: skip
        assert result["logits_loss"] >= 0
        assert ("agreement" in result) == (task == "tagging")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("--loss logits", "is an encoder, expected a classifier, a regression or a tagger"),
        ("--depths 3", "--depths names layer 3; the model has layers 1 to 2"),
        ("--hidden-size 64", "up to its width 32"),
        ("--loss vectors vectors", "names a part twice"),
        ("--loss vectors --loss-weights 1 2", "has 2 numbers for the 1 names"),
        ("--input nowhere.txt", "nowhere.txt"),
        ("--teacher nowhere", "nowhere"),
        ("--groups 3", "--groups is 3, more than --layers 2"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    flags: str, expected: str, settings: DistillSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = flags.split()
    basic = {"--teacher": settings.teacher, "--input": settings.input[0], "--output": str(tmp_path / "run")}
    basic |= {"--layers": "2", "--embedding-size": "16"}
    words = [word for name, value in basic.items() if name not in given for word in (name, value)]
    assert run_command(["distill", *words, *given]) in {1, 2}
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_text_that_cannot_be_used_leaves_no_folder(settings: DistillSettings, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n\n")
    with pytest.raises(AlbertError, match="the corpus is empty"):
        distill(replace(settings, input=(str(tmp_path / "empty.txt"),)))
    assert not settings.output.exists()


def test_a_folder_of_another_run_is_refused(settings: DistillSettings) -> None:
    distill(settings)
    with pytest.raises(AlbertError, match="max_steps was 12, now 13"):
        distill(replace(settings, loop=replace(LOOP, max_steps=13)))


def test_one_line_of_text_is_enough_to_run_and_the_user_is_warned(
    settings: DistillSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one.txt").write_text("the value is red\n")
    result: dict[str, Any] = distill(replace(settings, input=(str(tmp_path / "one.txt"),), held_out=0.0))
    assert "agreement" not in result
    messages = capsys.readouterr().err
    assert "no text is held out" in messages
