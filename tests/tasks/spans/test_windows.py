"""Windows of passages: no token is lost, and tokens map to their characters, for every vocabulary."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from albert.errors import ConfigError
from albert.tasks.spans.files import Answer, Question
from albert.tasks.spans.windows import SpanFeatures, make_span_features
from albert.tasks.task import Lengths
from albert.text.tokenizer import AlbertTokenizer

SHORT = Lengths(max_seq_length=16, max_query_length=5, doc_stride=3)
WORDS = ["the", "borrow", "checker", "of", "rust", "rejects", "a", "program", "in", "which", "two", "exist"]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "##s", "##e", *"战国无双是一", *WORDS]


@pytest.fixture(scope="module", params=["sentencepiece", "wordpiece"])
def tokenizer(
    request: pytest.FixtureRequest, tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> AlbertTokenizer:
    if request.param == "sentencepiece":
        return AlbertTokenizer.from_pretrained(tokenizer_folder)
    folder = tmp_path_factory.mktemp("wordpiece")
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in VOCABULARY), encoding="utf-8")
    return AlbertTokenizer.from_pretrained(folder)


def make_questions(seed: int, *, count: int = 20) -> list[Question]:
    """Return questions about five passages, answered by some of their words."""
    draw = np.random.default_rng(seed)
    contexts = [" ".join(draw.choice(WORDS, size)).capitalize() + " ." for size in (1, 5, 9, 30, 80)]
    questions = []
    for number in range(count):
        context = contexts[number % 5]
        words = context.split(" ")
        first = int(draw.integers(len(words)))
        text = " ".join(words[first : first + 3])
        start = len(" ".join(words[:first])) + (first > 0)
        asked = " ".join(draw.choice(WORDS, 1 + number % 9))
        answer = Answer(text=text, start=start)
        questions.append(
            Question(id=str(number), context=context, question=asked, answers=(answer,), where="")
        )
    return questions


def one(question: Question, tokenizer: AlbertTokenizer, lengths: Lengths = SHORT) -> SpanFeatures:
    return make_span_features([question], tokenizer, lengths=lengths)


@pytest.mark.parametrize("stride", [1, 3, 8, 1000])
def test_windows_of_a_question_show_every_token_and_one_of_them_is_the_best(
    tokenizer: AlbertTokenizer, stride: int
) -> None:
    for question in make_questions(0):
        windows = one(question, tokenizer, replace(SHORT, doc_stride=stride))
        whole = one(question, tokenizer, replace(SHORT, max_seq_length=500))
        assert len(whole) == 1
        best = windows.is_max_context
        # Best windows are in reading order, so their tokens with most context make up the passage.
        first = int(whole.context_starts[0])
        for name in ("input_ids", "character_starts", "character_ends"):
            expected = getattr(whole, name)[first:-1]
            assert getattr(windows, name)[best].tolist() == expected.tolist()
        assert windows.lengths.max() <= SHORT.max_seq_length


def test_the_best_window_of_a_token_equals_that_of_brute_force(tokenizer: AlbertTokenizer) -> None:
    windows = one(make_questions(1)[4], tokenizer)
    assert len(windows) > 3
    shown: dict[tuple[int, int], list[tuple[float, int, int]]] = {}
    for number in range(len(windows)):
        window = windows.take(np.array([number]))
        start, size = int(window.context_starts[0]), int(window.lengths[0]) - 1
        for position in range(start, size):
            room = min(position - start, size - 1 - position) + 0.01 * (size - start)
            place = (int(window.character_starts[position]), int(window.character_ends[position]))
            shown.setdefault(place, []).append((-room, number, position))
    offsets = np.concatenate([[0], windows.lengths.cumsum()])
    expected = {int(offsets[number]) + position for _, number, position in map(min, shown.values())}
    assert set(np.flatnonzero(windows.is_max_context).tolist()) == expected


def test_labels_are_the_answer_in_every_window_that_contains_it(tokenizer: AlbertTokenizer) -> None:
    questions = make_questions(2)
    windows = make_span_features(questions, tokenizer, lengths=SHORT)
    labelled = set()
    for number in range(len(windows)):
        window = windows.take(np.array([number]))
        question = questions[window.questions[0]]
        assert question.answers
        [answer] = question.answers
        assert answer.start is not None
        first, last = int(window.start_positions[0]), int(window.end_positions[0])
        context = slice(int(window.context_starts[0]), int(window.lengths[0]) - 1)
        starts, ends = window.character_starts[context], window.character_ends[context]
        whole = starts[0] <= answer.start and ends[-1] >= answer.start + len(answer.text)
        assert window.is_impossible[0] == (not whole)
        if whole:
            text = question.context[window.character_starts[first] : window.character_ends[last]]
            assert text == answer.text
            labelled.add(question.id)
        else:
            assert first == last == 0
    assert len(labelled) == len(questions)


def test_masks_follow_from_the_layout(tokenizer: AlbertTokenizer) -> None:
    windows = make_span_features(make_questions(3), tokenizer, lengths=SHORT)
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    for number in range(len(windows)):
        window = windows.take(np.array([number]))
        ids, start = window.input_ids.tolist(), int(window.context_starts[0])
        assert (ids[0], ids[start - 1], ids[-1]) == (cls, sep, sep)
        size = len(ids)
        assert window.token_type_ids.tolist() == [0] * start + [1] * (size - start)
        assert window.p_mask.tolist() == [0] + [1] * (start - 1) + [0] * (size - start - 1) + [1]


def test_windows_do_not_depend_on_other_questions(tokenizer: AlbertTokenizer) -> None:
    questions = make_questions(4)
    together = make_span_features(questions, tokenizer, lengths=SHORT)
    for number, question in enumerate(questions):
        alone = one(question, tokenizer)
        taken = together.take(np.flatnonzero(together.questions == number))
        for name in SpanFeatures.__slots__:
            if name != "questions":
                np.testing.assert_array_equal(getattr(taken, name), getattr(alone, name))


def test_a_long_question_keeps_its_beginning(tokenizer: AlbertTokenizer) -> None:
    question = replace(make_questions(0)[0], question=" ".join(WORDS))
    window = one(question, tokenizer)
    [ids] = tokenizer.encode_sentences([question.question])
    assert window.input_ids[1:6].tolist() == ids[:5]
    assert window.context_starts.tolist() == [7]


def test_an_unknown_answer_has_no_position_and_no_answer_is_at_cls(tokenizer: AlbertTokenizer) -> None:
    question = make_questions(0)[3]
    unknown = one(replace(question, answers=None), tokenizer)
    assert set(unknown.start_positions.tolist()) == set(unknown.end_positions.tolist()) == {-1}
    assert not unknown.is_impossible.any()
    lost = one(replace(question, answers=(Answer(text="C++", start=None),)), tokenizer)
    assert set(lost.start_positions.tolist()) == {-1}
    impossible = one(replace(question, answers=()), tokenizer)
    assert set(impossible.start_positions.tolist()) == set(impossible.end_positions.tolist()) == {0}
    assert impossible.is_impossible.all()


def test_the_first_answer_with_a_place_is_the_target(tokenizer: AlbertTokenizer) -> None:
    question = make_questions(0)[1]
    assert question.answers
    lost = Answer(text="C++", start=None)
    expected = one(question, tokenizer).start_positions.tolist()
    several = replace(question, answers=(lost, *question.answers, Answer(text=question.context, start=0)))
    assert one(several, tokenizer).start_positions.tolist() == expected


def test_the_name_of_a_special_token_in_a_text_is_plain_text(tokenizer: AlbertTokenizer) -> None:
    question = replace(make_questions(0)[0], context="the [SEP] of", question="of [SEP]", answers=None)
    ids = one(question, tokenizer, replace(SHORT, max_seq_length=50, max_query_length=20)).input_ids
    assert (ids == tokenizer.sep_token_id).sum() == 2


def test_a_passage_without_tokens_has_a_window(tokenizer: AlbertTokenizer) -> None:
    windows = one(replace(make_questions(0)[0], context="\u0301", answers=None), tokenizer)
    assert len(windows) == 1
    assert windows.lengths.tolist() == [int(windows.context_starts[0]) + 1]


def test_no_questions_give_no_windows(tokenizer: AlbertTokenizer) -> None:
    assert len(make_span_features([], tokenizer, lengths=SHORT)) == 0


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        (replace(SHORT, max_seq_length=8), "leaves 0 tokens for the passage"),
        (replace(SHORT, max_query_length=0), "max_query_length 0"),
        (replace(SHORT, doc_stride=0), "doc_stride is 0"),
    ],
)
def test_lengths_without_room_are_refused(tokenizer: AlbertTokenizer, lengths: Lengths, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        one(make_questions(0)[0], tokenizer, lengths)
