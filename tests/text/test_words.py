"""Where words start: the rule of the original, and that of Unicode in all scripts."""

import pickle
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from albert.text import words
from albert.text.sentencepiece import SentencePieceEncoder
from albert.text.tokenizer import AlbertTokenizer
from albert.text.wordpiece import WordPieceEncoder
from albert.text.words import WordRule, word_rule

MODEL = Path(__file__).parents[1] / "golden" / "tokenization" / "30k-clean.model"
BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##b", "中", "国", "."]


class Pieces:
    """A vocabulary of the pieces that a test names."""

    kind = "sentencepiece"
    unk_token_id = 1
    all_special_ids = (0, 1, 2)

    def __init__(self, pieces: list[str]) -> None:
        self.vocabulary = list(dict.fromkeys(["<pad>", "<unk>", "[SEP]", *pieces]))

    def get_vocab(self) -> dict[str, int]:
        return {piece: id_ for id_, piece in enumerate(self.vocabulary)}


@pytest.fixture(scope="module")
def tokenizer() -> AlbertTokenizer:
    return AlbertTokenizer(SentencePieceEncoder(MODEL.read_bytes(), lower_case=True))


def joined(pieces: list[str], opens: np.ndarray) -> list[str]:
    found: list[str] = []
    for piece, open_ in zip(pieces, opens, strict=True):
        if open_:
            found.append(piece)
        else:
            found[-1] += f"+{piece}"
    return found


def words_of(text: str) -> str:
    """Return the words of pieces separated by spaces, those of one word joined by plus signs."""
    pieces = text.replace("+", " ").split()
    vocabulary = Pieces(pieces)
    ids = np.array([vocabulary.get_vocab()[piece] for piece in pieces])
    return " ".join(joined(pieces, word_rule(vocabulary, "unicode").opens(ids)))


@pytest.mark.parametrize(
    "expected",
    [
        pytest.param("▁un+believ+able ▁the ▁cat", id="English"),
        pytest.param("▁при+вет ▁ми+ром", id="Russian"),
        pytest.param("▁αλ+επού ▁πη+δάει", id="Greek"),
        pytest.param("▁ال+سلام ▁علي+كم", id="Arabic"),
        pytest.param("▁كتاب+\u200c+ها", id="Persian, with a non-joiner"),
        pytest.param("▁ह+ि+न+्+दी ▁म+ें ।", id="Hindi, vowel signs and virama as pieces"),
        pytest.param("▁한+국+어 ▁ᄒ+ᅡ+ᆫ", id="Korean, syllables and jamo"),
        pytest.param("▁我 爱 北京 天安门 。", id="Chinese"),
        pytest.param("▁コ+ー ヒ を 人+々", id="Japanese, with marks of length and repetition"),
        pytest.param("▁ฉัน รัก ภาษา+ั ไทย", id="Thai"),
        pytest.param("▁ພາ ສາ ▁មក ទី ▁မြန် မာ", id="Lao, Khmer, Myanmar"),
        pytest.param("▁ไทย abc 中 x+y", id="scripts that meet"),
        pytest.param("▁19+90 ▁co+vid+19 ▁x+²", id="numbers"),
        pytest.param("▁3+.+5 ▁1+,+000+.+25 % ▁$ 5", id="numbers with points"),
        pytest.param("▁12 : 30 ▁1 / 2", id="numbers with other signs"),
        pytest.param("▁don+'+t ▁o+'clock ▁l'+homme ▁d+’+Ana", id="apostrophes"),
        pytest.param("▁rock+'+n+'+roll ▁e+.+g . ▁u+.+s+.+a .", id="chains of apostrophes and points"),
        pytest.param("▁dogs ' ▁cats '", id="a closing quote"),
        pytest.param("▁a . 5 ▁5 . a ▁a , b ▁1 ’ , 2", id="a mid between unlike neighbours"),
        pytest.param("▁' tis ▁'n ' ▁ten . . . no", id="mids with nothing before them"),
        pytest.param("▁( world ) , ▁well - known _ x", id="punctuation"),
        pytest.param("▁+( a ▁+中 国 ▁+the ▁+. 5", id="a lone space"),
        pytest.param("▁a <unk> b ▁+<unk> 5", id="unknown pieces"),
        pytest.param("▁😀 😀 ok ▁♥+\ufe0f", id="emoji"),
    ],
)
def test_words_of_unicode_are_those_a_reader_sees(expected: str) -> None:
    assert words_of(expected) == expected


def test_special_pieces_are_words_by_themselves() -> None:
    vocabulary = Pieces(["▁", "a", "\u0301", "'"])
    space, a, accent, mid = 3, 4, 5, 6
    ids = np.array([space, 2, a, 2, accent, 0, mid, a])
    assert word_rule(vocabulary, "unicode").opens(ids).all()


def test_the_original_s_rule_is_the_table_of_single_pieces(tokenizer: AlbertTokenizer) -> None:
    rule = word_rule(tokenizer, "english")
    ids = np.random.default_rng(0).integers(tokenizer.vocab_size, size=10_000)
    assert (rule.opens(ids)[1:] == tokenizer.word_start_table[ids[1:]]).all()
    assert rule.opens(ids)[0]


@pytest.mark.parametrize("name", ["english", "unicode"])
def test_wordpiece_marks_its_own_words(name: words.WordRuleName) -> None:
    rule = word_rule(AlbertTokenizer(WordPieceEncoder(BERT, lower_case=True)), name)
    assert rule.opens(np.array([5, 6, 6, 7, 8, 9, 1, 6])).tolist() == [1, 0, 0, 1, 1, 1, 1, 0]


def test_rules_differ_on_numbers_and_words_of_other_letters(tokenizer: AlbertTokenizer) -> None:
    text = "the value 2,024 isn't 3.5 (yet)"
    ids = np.array(tokenizer.encode_sentences([text])[0])
    opens = word_rule(tokenizer, "unicode").opens(ids)
    assert (opens != word_rule(tokenizer, "english").opens(ids)).any()
    bounds = [*np.flatnonzero(opens).tolist(), len(ids)]
    spelled = [tokenizer.decode(ids[start:end]).strip() for start, end in pairwise(bounds)]
    assert spelled == ["the", "value", "2,024", "isn't", "3.5", "(", "yet", ")"]


@given(
    st.lists(
        st.sampled_from(["▁", "▁the", "ing", "'", ".", "5", "▁5", "中", "\u0301", "<unk>", "[SEP]", "-"])
    ),
    st.integers(1, 5),
)
def test_words_do_not_depend_on_how_a_text_is_divided_into_blocks(pieces: list[str], block: int) -> None:
    vocabulary = Pieces(["▁", "▁the", "ing", "'", ".", "5", "▁5", "中", "\u0301", "-"])
    rule = word_rule(vocabulary, "unicode")
    ids = np.array([vocabulary.get_vocab()[piece] for piece in pieces], np.uint16)
    whole = rule.opens(ids)
    assert len(whole) == len(ids)
    assert not len(ids) or whole[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words, "_BLOCK", block)
        assert (rule.opens(ids) == whole).all()


@given(st.text(max_size=60))
def test_a_piece_with_a_space_starts_a_word_in_any_text(tokenizer: AlbertTokenizer, text: str) -> None:
    ids = np.array(tokenizer.encode_sentences([text])[0], np.int64)
    opens = word_rule(tokenizer, "unicode").opens(ids)
    pieces = tokenizer.convert_ids_to_tokens(ids.tolist())
    assert [open_ for piece, open_ in zip(pieces, opens, strict=True) if piece[0] == "▁"] == [True] * sum(
        piece[0] == "▁" for piece in pieces
    )


def test_a_rule_can_be_sent_to_other_processes(tokenizer: AlbertTokenizer) -> None:
    rule = word_rule(tokenizer, "unicode")
    again: WordRule = pickle.loads(pickle.dumps(rule))
    ids = np.arange(tokenizer.vocab_size)
    assert (again.opens(ids) == rule.opens(ids)).all()
