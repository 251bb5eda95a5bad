"""The solver of spans: losses of the public classes, independence of the batch, scores, records."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from albert.config import AlbertConfig
from albert.inference.opening import open_model
from albert.metrics.answers import score_answers_v2
from albert.model.answer_models import AlbertForQuestionAnswering, AlbertForQuestionAnsweringBeamSearch
from albert.optim.optimizers import make_optimizer
from albert.tasks import solver as solver_module
from albert.tasks.features import shuffled_batches
from albert.tasks.solver import Solver
from albert.tasks.spans.decoding import Span, SpanAnswer
from albert.tasks.spans.files import Answer, Question
from albert.tasks.spans.records import READING_TASKS
from albert.tasks.spans.solver import SpanPredictions, SpanSolver
from albert.tasks.spans.windows import SpanFeatures
from albert.tasks.task import Lengths, Task
from albert.text.tokenizer import AlbertTokenizer
from albert.training.loop import train
from albert.training.settings import LoopSettings

AnswerModel = AlbertForQuestionAnswering | AlbertForQuestionAnsweringBeamSearch
TASKS = {task.name: task for task in READING_TASKS}
SOLVER: Solver = SpanSolver()
LENGTHS = Lengths(max_seq_length=20, max_query_length=6, doc_stride=5)
MODELS = (AlbertForQuestionAnswering, AlbertForQuestionAnsweringBeamSearch)


@pytest.fixture(scope="module")
def tokenizer(tokenizer_folder: Path) -> AlbertTokenizer:
    return AlbertTokenizer.from_pretrained(tokenizer_folder)


@pytest.fixture(scope="module")
def questions() -> list[Question]:
    draw = np.random.default_rng(0)
    words = ["stack", "type", "error", "module", "value", "in", "program"]
    found = []
    for number in range(12):
        context = " ".join(draw.choice(words, 3 + 4 * number))
        answers: tuple[Answer, ...] = ()
        if number % 3:
            start = len(context) // 2
            context = f"{context[:start]} borrow {context[start:]}"
            answers = (Answer(text="borrow", start=start + 1),)
        asked = " ".join(draw.choice(words, 1 + number % 4))
        found.append(
            Question(id=f"q{number}", context=context, question=asked, answers=answers, where=str(number))
        )
    return found


def make_model(model_class: type[AnswerModel]) -> AnswerModel:
    torch.manual_seed(0)
    config = AlbertConfig(
        vocab_size=2000,
        embedding_size=8,
        hidden_size=12,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=20,
        max_position_embeddings=32,
        initializer_range=0.1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        classifier_dropout_prob=0.0,
    )
    return model_class(config)


def encode(questions: list[Question], tokenizer: AlbertTokenizer) -> SpanFeatures:
    features = SOLVER.encode(TASKS["squad2"], questions, tokenizer, lengths=LENGTHS)
    assert isinstance(features, SpanFeatures)
    return features


def padded(features: SpanFeatures) -> dict[str, torch.Tensor]:
    """Return windows as a padded batch for the public classes."""
    shape = len(features), int(features.lengths.max())
    real = np.arange(shape[1]) < features.lengths[:, None]
    rows = {}
    for name in ("input_ids", "token_type_ids", "p_mask"):
        rows[name] = np.full(shape, int(name == "p_mask"))
        rows[name][real] = getattr(features, name)
    rows["attention_mask"] = real.astype(np.int64)
    return {name: torch.from_numpy(array) for name, array in rows.items()}


@pytest.mark.parametrize("model_class", MODELS)
def test_loss_equals_that_of_the_public_class(
    questions: list[Question], tokenizer: AlbertTokenizer, model_class: type[AnswerModel]
) -> None:
    model, features = make_model(model_class), encode(questions, tokenizer)
    objective = SOLVER.objective(TASKS["squad2"])
    loss = objective.sums(model, features)["task"].total / objective.counts(features)["task"]
    batch = padded(features) | {
        "start_positions": torch.from_numpy(features.start_positions),
        "end_positions": torch.from_numpy(features.end_positions),
        "is_impossible": torch.from_numpy(features.is_impossible),
    }
    if model_class is AlbertForQuestionAnswering:
        del batch["p_mask"], batch["is_impossible"]
    torch.testing.assert_close(loss, model(**batch).loss)


@pytest.mark.parametrize("model_class", MODELS)
def test_answers_do_not_depend_on_how_windows_are_grouped(
    questions: list[Question],
    tokenizer: AlbertTokenizer,
    model_class: type[AnswerModel],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, task = make_model(model_class), TASKS["squad2"]
    together = SOLVER.predict(task, model, questions, encode(questions, tokenizer))
    monkeypatch.setattr(solver_module, "TOKENS_AT_ONCE", 25)
    backwards = questions[::-1]
    apart = SOLVER.predict(task, model, backwards, encode(backwards, tokenizer))
    for one, other in zip(together.answers, apart.answers[::-1], strict=True):
        assert one.null_odds == pytest.approx(other.null_odds, abs=1e-4)
        assert one.text(None) == other.text(None) != ""


def test_a_model_learns_places_of_answers_and_unanswerable_questions(
    questions: list[Question], tokenizer: AlbertTokenizer, tmp_path: Path
) -> None:
    task, features = TASKS["squad2"], encode(questions, tokenizer)
    model = make_model(AlbertForQuestionAnsweringBeamSearch)
    steps = train(
        model,
        shuffled_batches(features, 16, seed=0),
        SOLVER.objective(task),
        make_optimizer("adamw", model, weight_decay=0.0),
        learning_rate=lambda _: 3e-3,
        settings=LoopSettings(max_steps=150, batch_size=16),
        max_grad_norm=1.0,
    )
    assert [step.number for step in steps][-1] == 150
    scores = SOLVER.scores(task, questions, SOLVER.predict(task, model, questions, features))
    assert scores["exact"] > 90
    assert scores["NoAns_exact"] > 70

    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    trained, _ = open_model(tmp_path, SOLVER.model_classes(), device="cpu")
    assert isinstance(trained, AlbertForQuestionAnsweringBeamSearch)
    again = SOLVER.predict(TASKS["spans"], trained, questions, features)
    assert SOLVER.scores(task, questions, again) == pytest.approx(scores)


def given(
    *answers: tuple[str, float], may_lack_answer: bool = True, null_threshold: float | None = None
) -> SpanPredictions:
    """Return answers with one span each and the given null odds."""
    spans = [
        Span(text=text, start=3, end=3 + len(text), probability=0.5, start_score=0.0, end_score=0.0)
        for text, _ in answers
    ]
    return SpanPredictions(
        answers=tuple(
            SpanAnswer(spans=(span,), null_odds=odds) for span, (_, odds) in zip(spans, answers, strict=True)
        ),
        may_lack_answer=may_lack_answer,
        null_threshold=null_threshold,
    )


def asked(*texts: str) -> list[Question]:
    return [
        Question(
            id=f"q{number}",
            context=f"In {text or 'x'}",
            question="Where?",
            answers=(Answer(text=text, start=3),) if text else (),
            where="",
        )
        for number, text in enumerate(texts)
    ]


def test_squad2_is_scored_at_the_threshold_with_the_best_f1() -> None:
    questions = asked("Rust", "", "Go", "")
    answers = given(("Rust", -2.0), ("C", 3.0), ("Go", 1.5), ("C", 2.0))
    scores = SOLVER.scores(TASKS["squad2"], questions, answers)
    assert scores["best_f1_thresh"] == 1.5
    assert scores["exact"] == scores["f1"] == scores["best_f1"] == 100.0
    texts = {"q0": "Rust", "q1": "C", "q2": "Go", "q3": "C"}
    odds = {"q0": -2.0, "q1": 3.0, "q2": 1.5, "q3": 2.0}
    gold = {question.id: question.texts for question in questions}
    assert scores == score_answers_v2(gold, texts, null_odds=odds, threshold=1.5)


def test_a_given_threshold_applies_to_scores_losses_and_records() -> None:
    questions = asked("Rust", "", "Go", "")
    answers = given(("Rust", -2.0), ("C", 3.0), ("Go", 1.5), ("C", 2.0), null_threshold=0.5)
    scores = SOLVER.scores(TASKS["squad2"], questions, answers)
    assert scores["exact"] == 75.0
    assert scores["best_f1_thresh"] == 1.5
    assert SOLVER.losses(TASKS["squad2"], questions, answers).tolist() == [0.0, 0.0, 1.0, 0.0]
    found = list(SOLVER.records(TASKS["squad2"], questions, answers))
    assert found[0] == {"id": "q0", "answer": "Rust", "score": 0.5, "start": 3, "end": 7, "null_odds": -2.0}
    assert [record["answer"] for record in found] == ["Rust", "", "", ""]
    assert found[1]["score"] == pytest.approx(1 / (1 + np.exp(-3.0)), rel=1e-5)


def test_even_odds_are_the_threshold_if_none_is_known() -> None:
    answers = given(("Rust", -0.1), ("Go", 0.1))
    found = SOLVER.records(TASKS["squad2"], asked("Rust", "Go"), answers)
    assert [record["answer"] for record in found] == ["Rust", ""]


def test_a_model_without_null_answers_ignores_the_odds() -> None:
    questions, answers = asked("Rust", "Go"), given(("Rust", 9.0), ("C", 9.0), may_lack_answer=False)
    scores = SOLVER.scores(TASKS["squad1"], questions, answers)
    assert scores == {"exact_match": 50.0, "f1": 50.0, "total": 2, "missing": 0}
    assert SOLVER.losses(TASKS["squad1"], questions, answers).tolist() == [0.0, 1.0]
    [first, _] = SOLVER.records(TASKS["squad1"], questions, answers)
    assert first == {"id": "q0", "answer": "Rust", "score": 0.5, "start": 3, "end": 7}


def test_chinese_answers_are_scored_by_characters() -> None:
    questions, answers = asked("光荣和他", "北京"), given(("光荣", 0.0), ("北京", 0.0), may_lack_answer=False)
    scores = SOLVER.scores(TASKS["cmrc2018"], questions, answers)
    assert scores["exact_match"] == 50.0
    assert scores["f1"] == pytest.approx(100 * (2 / 3 + 1) / 2)
    assert SOLVER.losses(TASKS["cmrc2018"], questions, answers) == pytest.approx([1 / 3, 0.0])


def test_a_split_with_unanswerable_questions_is_scored_as_squad2_for_any_task() -> None:
    scores = SOLVER.scores(TASKS["spans"], asked("Rust", ""), given(("Rust", -1.0), ("C", 1.0)))
    assert scores["f1"] == scores["exact"] == 100.0


def write(folder: Path, questions: list[Question]) -> Path:
    rows = [
        {"context": q.context, "question": q.question, "answers": list(q.texts), "id": q.id}
        for q in questions
    ]
    path = folder / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_own_questions_without_answer_need_the_head_with_beam_search(tmp_path: Path) -> None:
    task = SOLVER.with_labels_in(TASKS["spans"], [write(tmp_path, asked("Rust", ""))])
    assert task.may_lack_answer
    assert set(task.metrics) == {"f1", "exact"}
    assert SOLVER.model_class(task) is AlbertForQuestionAnsweringBeamSearch


def test_own_questions_that_all_have_answers_need_the_linear_head(tmp_path: Path) -> None:
    task = SOLVER.with_labels_in(TASKS["spans"], [write(tmp_path, asked("Rust", "Go"))])
    assert task == TASKS["spans"]
    assert SOLVER.model_class(task) is AlbertForQuestionAnswering


def test_only_training_leaves_out_answers_without_place(tmp_path: Path) -> None:
    lost = replace(asked("Rust")[0], id="lost", answers=(Answer(text="C++", start=None),))
    path = write(tmp_path, [*asked("Rust"), lost])
    counts = {
        split: len(list(SOLVER.read(TASKS["spans"], [path], split=split))) for split in ("train", "dev")
    }
    assert counts == {"train": 1, "dev": 2}


@pytest.mark.parametrize("task", READING_TASKS, ids=lambda task: task.name)
def test_every_task_is_scored_by_its_metrics(task: Task) -> None:
    answers = given(("Rust", -1.0), may_lack_answer=task.may_lack_answer)
    assert set(task.metrics) <= set(SOLVER.scores(task, asked("Rust"), answers))


def test_no_questions_give_no_answers(tokenizer: AlbertTokenizer) -> None:
    model = make_model(AlbertForQuestionAnswering)
    assert SOLVER.predict(TASKS["squad1"], model, [], encode([], tokenizer)).answers == ()


def test_a_question_is_shown_with_its_passage_and_first_answer() -> None:
    answered, impossible = asked("Rust", "")
    assert SOLVER.shown(TASKS["spans"], answered) == {
        "question": "Where?",
        "context": "In Rust",
        "label": "Rust",
    }
    assert SOLVER.shown(TASKS["spans"], impossible)["label"] == "(no answer)"
    assert "label" not in SOLVER.shown(TASKS["spans"], replace(answered, answers=None))


@pytest.mark.parametrize("model_class", MODELS)
def test_decoding_uses_the_limits_of_the_solver(
    model_class: type[AnswerModel], questions: list[Question], tokenizer: AlbertTokenizer
) -> None:
    features, model = encode(questions, tokenizer), make_model(model_class)
    windows = np.bincount(features.questions, minlength=len(questions))

    def lengths_of_lists(solver: SpanSolver) -> list[int]:
        found = solver.predict(TASKS["squad2"], model, questions, features)
        return [len(answer.spans) for answer in found.answers]

    assert max(lengths_of_lists(SpanSolver())) > 3
    assert 0 < max(lengths_of_lists(SpanSolver(n_best_size=3))) <= 3
    short = SpanSolver(max_answer_length=1).predict(TASKS["squad2"], model, questions, features)
    texts = [span.text for answer in short.answers for span in answer.spans]
    assert all(len(text.split()) == 1 for text in texts)
    narrow = SpanSolver(n_best_size=1, start_n_top=1, end_n_top=1)
    assert all(count <= min(1, most) for count, most in zip(lengths_of_lists(narrow), windows, strict=True))
    if model_class is AlbertForQuestionAnsweringBeamSearch:
        beams = lengths_of_lists(SpanSolver(start_n_top=2, end_n_top=1))
        assert all(count <= 2 * most for count, most in zip(beams, windows, strict=True))
        assert sum(beams) > sum(lengths_of_lists(SpanSolver(start_n_top=1, end_n_top=1)))
