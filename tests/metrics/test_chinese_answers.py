"""CMRC 2018's scores: worked examples, and laws of the longest common run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from albert.errors import DataError
from albert.metrics.chinese_answers import longest_run_f1, score_chinese_answers, segments

TEXTS = st.text(alphabet="北京大学，《》aB 3.,'", max_size=12)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("《战国无双3》", ["战", "国", "无", "双", "3"]),
        ("光荣和ω-force", ["光", "荣", "和", "ωforce"]),
        ("Windows XP 3,000年", ["windows", "xp", "3,000", "年"]),
        ("IBM，HP", ["ibmhp"]),  # removed, not replaced: as the script has it
        ("约1.5%", ["约", "1.5", "%"]),
        ("U.S. Navy (1945).", ["u.s.", "navy", "(", "1945", ")", "."]),
        ("don't she's students' 'house'", ["do", "n't", "she", "'s", "students", "'", "'", "house", "'"]),
        ('the "Ritz", 1906–1910', ["the", "“", "ritz", "”", ",", "1906", "–", "1910"]),
        ("臺灣・台北", ["臺", "灣", "・", "台", "北"]),
        ("  ，。", []),
    ],
)
def test_segments_are_chinese_characters_and_whole_other_words(text: str, expected: list[str]) -> None:
    assert segments(text) == expected


def test_f1_counts_the_longest_run_and_not_all_common_segments() -> None:
    # 北京, 大 and 学 are common, but not in one run: precision 2/5, recall 2/4.
    assert longest_run_f1("北京大学", "北京的大学") == pytest.approx(2 * 0.4 * 0.5 / 0.9)


def test_a_question_scores_its_best_answer_and_a_missing_one_zero() -> None:
    gold = {"q1": ["北京大学", "北大"], "q2": ["上海"], "q3": ["IBM"]}
    scores = score_chinese_answers(gold, {"q1": "「北大」", "q2": "上海市", "other": "x"})
    f1 = 100 * (1 + 2 * (2 / 3) / (5 / 3)) / 3
    assert scores["exact_match"] == pytest.approx(100 / 3)
    assert scores["f1"] == pytest.approx(f1)
    assert scores["average"] == pytest.approx((100 / 3 + f1) / 2)
    assert (scores["total"], scores["missing"]) == (3, 1)


def test_an_answer_without_segments_is_exact_but_has_no_f1() -> None:
    scores = score_chinese_answers({"q": ["。"]}, {"q": "！"})
    assert (scores["exact_match"], scores["f1"]) == (100.0, 0.0)


@given(TEXTS, TEXTS)
def test_f1_is_symmetric_and_one_only_for_equal_segments(one: str, other: str) -> None:
    assert longest_run_f1(one, other) == pytest.approx(longest_run_f1(other, one))
    if segments(one):
        assert longest_run_f1(one, one) == 1.0
        assert (longest_run_f1(one, other) == 1.0) == (segments(one) == segments(other))


@given(TEXTS)
def test_segments_lose_nothing_but_white_space_and_punctuation(text: str) -> None:
    kept = [c for c in text.lower() if c not in "，《》" and not c.isspace()]
    assert list("".join(segments(text))) == kept


def test_scores_of_no_questions_and_of_no_answers_are_refused() -> None:
    with pytest.raises(DataError, match="nothing to score"):
        score_chinese_answers({}, {})
    with pytest.raises(DataError, match="'q' has no gold answer"):
        score_chinese_answers({"q": []}, {"q": "x"})
