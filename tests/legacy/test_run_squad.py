"""`python -m albert.run_squad_v1` and `run_squad_v2`: the README's commands, prediction files, decoding."""

import gzip
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from albert import AlbertConfig, AlbertForQuestionAnswering, AlbertTokenizer
from albert.legacy.scripts import script_main
from albert.metrics.answers import score_answers_v1, score_answers_v2
from albert.model.answer_models import AlbertForQuestionAnsweringBeamSearch
from albert.tasks.bad_rows import strict
from albert.tasks.catalogue import find_task
from albert.tasks.spans import solver as spans
from albert.tasks.spans.decoding import (
    SpanCandidates,
    best_spans_by_id,
    candidates_of_beams,
    candidates_of_logits,
    decode_spans,
)
from albert.tasks.spans.files import Question, read_questions
from albert.tasks.spans.solver import SpanSolver
from albert.tasks.spans.windows import SpanFeatures, make_span_features
from albert.tasks.task import Lengths
from samples.finetuning_files import Pretrained, results_in, write_pretrained

FILES = {"v1": ("v1_dev", "v1_dev"), "v2": ("v2_train", "v2_dev")}
PREDICTIONS = {
    "v1": {"predictions.json", "nbest_predictions.json"},
    "v2": {"predictions.json", "nbest_predictions.json", "null_odds.json"},
}
MISALIGNED = "q032"
LOGITS = {"v1": "decode_v1_b_logits.npz", "v2": "decode_v2_b_raw.npz"}
QUICK = ["--max_seq_length=128", "--max_query_length=32", "--doc_stride=64", "--num_train_epochs=1"]


@pytest.fixture
def pretrained(tmp_path: Path, golden: Path) -> Pretrained:
    return write_pretrained(tmp_path / "pretrained", golden)


def run_script(version: str, pretrained: Pretrained, golden: Path, output: Path, *more: str) -> int:
    """Run the README's command, with smaller numbers appended."""
    train, predict = (golden / "squad" / f"{name}.json" for name in FILES[version])
    features = output.with_name(f"{output.name}-features")
    arguments = [
        f"--output_dir={output}",
        f"--train_file={train}",
        f"--predict_file={predict}",
        f"--train_feature_file={features / 'train.tfrecord'}",
        f"--predict_feature_file={features / 'predict.tfrecord'}",
        f"--predict_feature_left_file={features / 'left.pkl'}",
        *pretrained.flags(),
        "--do_lower_case",
        "--max_seq_length=384",
        "--doc_stride=128",
        "--max_query_length=64",
        "--do_train=true",
        "--do_predict=true",
        "--train_batch_size=48",
        "--predict_batch_size=8",
        "--learning_rate=5e-5",
        "--num_train_epochs=2.0",
        "--warmup_proportion=.1",
        "--save_checkpoints_steps=5000",
        "--n_best_size=20",
        "--max_answer_length=30",
        "--train_batch_size=16",
        "--save_checkpoints_steps=2",
        *more,
    ]
    return script_main(f"run_squad_{version}")(arguments)


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def questions_of(golden: Path, version: str) -> list[Question]:
    return list(strict(read_questions(find_task("squad1"), [golden / "squad" / f"{version}_dev.json"])))


@pytest.mark.parametrize(("version", "steps"), [("v1", [2, 4]), ("v2", [2, 4, 5])])
def test_the_readme_s_command_trains_predicts_and_scores(
    version: str, steps: list[int], pretrained: Pretrained, golden: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert run_script(version, pretrained, golden, run) == 0
    *found, last = results_in(run / "eval_results.txt")
    assert [results["global_step"] for results in found] == steps
    keys = {"v1": {"exact_match", "f1"}, "v2": {"exact", "f1", "total", "null_score_diff_threshold"}}[version]
    assert all(keys | {"global_step", "best"} <= set(results) for results in found)
    text = (run / "eval_results.txt").read_text()
    best = max(found, key=lambda results: results["f1"])
    assert text.splitlines()[-1] == f"best perf happened at step: {int(best['global_step'])}"
    assert last["f1"] == pytest.approx(best["f1"])
    assert {path.name for path in run.glob("*.json")} - {"run.json"} == PREDICTIONS[version]
    settings = read(run / "run.json")["settings"]
    assert settings["max_steps"] == steps[-1]  # whole batches of all questions, twice
    assert settings["warmup_steps"] == int(steps[-1] * 0.1)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_files_have_the_reported_scores(
    version: str, pretrained: Pretrained, golden: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert run_script(version, pretrained, golden, run, *QUICK) == 0
    gold = {question.id: question.texts for question in questions_of(golden, version)}
    texts, last = read(run / "predictions.json"), results_in(run / "eval_results.txt")[-1]
    assert set(texts) == set(gold) == set(read(run / "nbest_predictions.json"))
    if version == "v1":
        assert score_answers_v1(gold, texts)["f1"] == pytest.approx(last["f1"])
        assert "empty" not in texts.values()
        return
    odds, threshold = read(run / "null_odds.json"), last["null_score_diff_threshold"]
    spans = {id_: spans[0]["text"] for id_, spans in read(run / "nbest_predictions.json").items()}
    assert texts == {id_: "" if odds[id_] > threshold else text for id_, text in spans.items()}
    scores = score_answers_v2(gold, spans, null_odds=odds, threshold=threshold)
    assert scores["f1"] == pytest.approx(last["f1"]) == pytest.approx(last["best_f1"])


def windows_of(golden: Path, version: str) -> SpanFeatures:
    tokenizer = AlbertTokenizer.from_pretrained(golden / "tokenization")
    lengths = Lengths(max_seq_length=128, max_query_length=32, doc_stride=64)
    return make_span_features(questions_of(golden, version), tokenizer, lengths=lengths)


@torch.inference_mode()
def candidates_of(
    folder: Path, features: SpanFeatures, version: str, size: int, n_top: int
) -> SpanCandidates:
    """Return a model's candidates for windows, computed one by one."""
    parts = []
    model_class = AlbertForQuestionAnswering if version == "v1" else AlbertForQuestionAnsweringBeamSearch
    model = model_class.from_pretrained(folder).eval()
    for number in range(len(features)):
        window = features.take(np.array([number]))
        inputs = [torch.from_numpy(a) for a in (window.input_ids, window.token_type_ids, window.lengths)]
        if isinstance(model, AlbertForQuestionAnswering):
            start, end = (logits.numpy() for logits in model.packed_logits(*inputs))
            parts.append(candidates_of_logits(start, end, n_best_size=size))
            continue
        found = model.packed_candidates(
            *inputs, p_mask=torch.from_numpy(window.p_mask), start_n_top=n_top, end_n_top=n_top + 1
        )
        arrays = [
            value.numpy()
            for value in (
                found.start_top_index,
                found.start_top_log_probs,
                found.end_top_index,
                found.end_top_log_probs,
            )
        ]
        parts.append(
            candidates_of_beams((arrays[0], arrays[1]), (arrays[2], arrays[3]), found.cls_logits.numpy())
        )
    return SpanCandidates.join(parts)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_decoding_flags_determine_the_best_spans(
    version: str, pretrained: Pretrained, golden: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    more = ["--n_best_size=4", "--max_answer_length=6"]
    more += ["--start_n_top=3", "--end_n_top=4", "--dropout_prob=0.2"] if version == "v2" else []
    assert run_script(version, pretrained, golden, run, *QUICK, *more) == 0
    best, features = run / "model.ckpt-best", windows_of(golden, version)
    questions = questions_of(golden, version)
    candidates = candidates_of(best, features, version, size=4, n_top=3)
    answers = decode_spans(questions, features, candidates, n_best_size=4, max_answer_length=6)
    expected, found = best_spans_by_id(questions, answers), read(run / "nbest_predictions.json")
    for id_, best_spans in expected.items():
        assert [span["text"] for span in found[id_]] == [span["text"] for span in best_spans], id_
        scores = [[span["start_log_prob"], span["end_log_prob"]] for span in best_spans]
        theirs = [[span["start_log_prob"], span["end_log_prob"]] for span in found[id_]]
        np.testing.assert_allclose(theirs, scores, atol=1e-4)
    assert max(map(len, found.values())) == 4
    if version == "v2":
        assert read(best / "config.json")["classifier_dropout_prob"] == 0.2


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_prediction_needs_neither_training_nor_a_train_file(
    version: str, pretrained: Pretrained, golden: Path, tmp_path: Path
) -> None:
    run, other = tmp_path / "run", tmp_path / "other"
    assert run_script(version, pretrained, golden, run, *QUICK) == 0
    alone = ["--nodo_train", "--train_file=", *QUICK]
    kept = {name: (run / name).read_bytes() for name in PREDICTIONS[version]}
    for name in kept:
        (run / name).unlink()
    assert run_script(version, pretrained, golden, run, *alone) == 0
    weights = f"--init_checkpoint={run / 'model.ckpt-best'}"
    assert run_script(version, pretrained, golden, other, *alone, weights) == 0
    for name, content in kept.items():
        assert (run / name).read_bytes() == (other / name).read_bytes() == content


def test_cached_features_are_used_unless_their_lengths_differ(
    pretrained: Pretrained, golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    features = tmp_path / "features"
    flags = [
        f"--{name}={features / name}"
        for name in ("train_feature_file", "predict_feature_file", "predict_feature_left_file")
    ]
    counts = []
    for number, lengths in enumerate([QUICK, QUICK, [*QUICK, "--doc_stride=32"]]):
        assert run_script("v1", pretrained, golden, tmp_path / str(number), *lengths, *flags) == 0
        error = capsys.readouterr().err
        counts.append((error.count("using the features in it"), error.count("are made again")))
    assert counts == [(0, 0), (2, 0), (0, 2)]
    first, second = (tmp_path / name / "predictions.json" for name in ("0", "1"))
    assert first.read_bytes() == second.read_bytes()


def test_the_best_model_of_squad_1_is_exported(pretrained: Pretrained, golden: Path, tmp_path: Path) -> None:
    run, exported = tmp_path / "run", tmp_path / "exported"
    assert run_script("v1", pretrained, golden, run, *QUICK, f"--export_dir={exported}") == 0
    weights = "model.safetensors"
    assert (exported / weights).read_bytes() == (run / "model.ckpt-best" / weights).read_bytes()


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--train_file="], 2, "--do_train needs --train_file"),
        (["--predict_file="], 2, "--do_predict needs --predict_file"),
        (["--nodo_train", "--nodo_predict"], 2, "nothing to do"),
        (["--train_file=nowhere.json"], 1, "nowhere.json: no such file"),
        (["--max_query_length=384"], 1, "raise --max_seq_length or lower --max_query_length"),
        (["--num_train_epochs=0.1"], 1, "raise --num_train_epochs"),
        (["--init_checkpoint="], 2, "--init_checkpoint is empty"),
    ],
)
def test_wrong_input_is_a_one_line_error(
    *,
    more: list[str],
    code: int,
    message: str,
    pretrained: Pretrained,
    golden: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    assert run_script("v1", pretrained, golden, run, *more) == code
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not run.exists()


def test_training_over_another_run_is_refused(
    pretrained: Pretrained, golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert run_script("v1", pretrained, golden, run, *QUICK) == 0
    shutil.rmtree(tmp_path / "run-features")
    assert run_script("v1", pretrained, golden, run, *QUICK, "--learning_rate=1e-5") == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "learning_rate was 5e-05, now 1e-05" in error
    assert "--output_dir a new folder" in error


def with_stored_logits(
    golden: Path, version: str, features: SpanFeatures, questions: list[Question]
) -> tuple[Callable[..., SpanCandidates], set[str]]:
    """Return a substitute for a model's candidates, and the ids of the questions with fixed logits.

    The original skips a question whose text and tokens it fails to align, and the logits cover only the first
    windows; other windows have no candidates.
    """
    ids = [questions[index].id for index in features.questions]
    aligned = np.flatnonzero([id_ != MISALIGNED for id_ in ids])

    def propose(solver: SpanSolver, *_: object) -> SpanCandidates:
        if version == "v1":
            stored = np.load(golden / "squad" / "decode_v1_b_logits.npz")
            found = candidates_of_logits(
                stored["start_logits"], stored["end_logits"], n_best_size=solver.n_best_size
            )
        else:
            stored = np.load(golden / "squad" / "decode_v2_b_raw.npz")
            tops = [
                (stored[f"{edge}_top_index"], stored[f"{edge}_top_log_probs"]) for edge in ("start", "end")
            ]
            found = candidates_of_beams(tops[0], tops[1], stored["cls_logits"])
        rows = np.full(len(features), -1)
        rows[aligned[: len(found.starts)]] = np.arange(len(found.starts))
        taken = found.take(rows)
        return replace(
            taken, starts=np.where(rows[:, None] < 0, 0, taken.starts)
        )  # no answer starts at [CLS]

    given = len(
        np.load(golden / "squad" / LOGITS[version])[{"v1": "start_logits", "v2": "cls_logits"}[version]]
    )
    lacking = set(ids) - {ids[row] for row in aligned[:given]} | {ids[row] for row in aligned[given:]}
    return propose, set(ids) - lacking


@pytest.mark.parametrize(
    ("version", "sizes"), [("v1", (5, 8)), ("v1", (20, 30)), ("v2", (3, 6)), ("v2", (20, 30))]
)
def test_fixed_logits_give_the_answers_of_the_original(
    *,
    version: str,
    sizes: tuple[int, int],
    pretrained: Pretrained,
    golden: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model_class = AlbertForQuestionAnswering if version == "v1" else AlbertForQuestionAnsweringBeamSearch
    model_class(AlbertConfig.from_json(pretrained.config)).save_pretrained(tmp_path / "model")
    questions = questions_of(golden, version)
    tokenizer = AlbertTokenizer.from_pretrained(golden / "tokenization")
    lengths = Lengths(max_seq_length=128, max_query_length=64, doc_stride=64)
    features = make_span_features(questions, tokenizer, lengths=lengths)
    propose, compared = with_stored_logits(golden, version, features, questions)
    monkeypatch.setattr(spans, "groups_of_similar_length", lambda lengths: [np.arange(len(lengths))])
    monkeypatch.setattr(SpanSolver, "_candidates", propose)
    more = ["--nodo_train", f"--init_checkpoint={tmp_path / 'model'}", "--max_seq_length=128"]
    more += ["--doc_stride=64", f"--n_best_size={sizes[0]}", f"--max_answer_length={sizes[1]}"]
    assert run_script(version, pretrained, golden, tmp_path / "run", *more) == 0
    name = f"decode_{version}_b_nbest{sizes[0]}_len{sizes[1]}"
    stored = golden / "squad" / f"{name}_nbest.json.gz"
    expected = json.loads(gzip.decompress(stored.read_bytes()))
    found = read(tmp_path / "run" / "nbest_predictions.json")
    assert len(compared) > 20
    for id_ in compared:
        theirs = [span["text"] for span in expected[id_] if span["text"] not in {"", "empty"}]
        # The original loses a combining accent at the end of an answer.
        ours = [span["text"].removesuffix("\u0301") for span in found[id_] if span["text"]]
        # A lone space is not an answer here; the next span replaces it.
        assert ours[: len(theirs)] == theirs, id_
    if version == "v2":
        odds = json.loads(gzip.decompress((golden / "squad" / f"{name}_null_odds.json.gz").read_bytes()))
        written = read(tmp_path / "run" / "null_odds.json")
        for id_ in compared:
            assert written[id_] == pytest.approx(odds[id_], abs=1e-5)
