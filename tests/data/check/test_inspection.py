"""A bad corpus gives its finding, a good one none, and the numbers are those of the text."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from albert.data.check.inspection import Report, inspect
from albert.data.check.symptoms import Finding
from albert.data.corpus.documents import LineMeaning, sentence_splitter
from albert.data.shards.encoding import encode_documents
from albert.errors import DataError
from albert.text.tokenizer import AlbertTokenizer
from albert.text.wordpiece import WordPieceEncoder

Documents = list[list[str]]

WORDS = ["the", "a", "one", "two", "stack", "value", "module", "type", "error", "takes", "is", "not"]


@pytest.fixture(scope="module")
def tokenizer(tokenizer_folder: Path) -> AlbertTokenizer:
    return AlbertTokenizer.from_pretrained(tokenizer_folder)


def make_sentence(draw: random.Random) -> str:
    words = draw.choices(WORDS, k=draw.randint(6, 16))
    return " ".join([words[0].capitalize(), *words[1:]]) + "."


def make_documents(count: int = 60, seed: int = 0) -> Documents:
    draw = random.Random(seed)
    return [[make_sentence(draw) for _ in range(draw.randint(4, 12))] for _ in range(count)]


def report_on(
    documents: Documents,
    tokenizer: AlbertTokenizer,
    *,
    splitting: LineMeaning = "lines",
    max_seq_length: int = 64,
    total_bytes: int | None = None,
) -> Report:
    return inspect(
        documents,
        sentence_splitter(splitting, "en"),
        tokenizer,
        sampled_bytes=lambda: 1000,
        total_bytes=total_bytes,
        max_seq_length=max_seq_length,
        pieces_per_second=10.0,
    )


def only_finding(documents: Documents, tokenizer: AlbertTokenizer, *, max_seq_length: int = 64) -> Finding:
    [finding] = report_on(documents, tokenizer, max_seq_length=max_seq_length).findings
    return finding


def test_a_good_corpus_gives_no_finding(tokenizer: AlbertTokenizer) -> None:
    report = report_on(make_documents(), tokenizer)
    assert report.findings == ()
    assert report.lines()[-1] == "no problems found"


def test_paragraphs_that_are_split_give_no_finding(tokenizer: AlbertTokenizer) -> None:
    paragraphs = [[" ".join(document)] for document in make_documents()]
    assert report_on(paragraphs, tokenizer, splitting="sentences").findings == ()


def test_paragraphs_taken_as_sentences_are_a_problem(tokenizer: AlbertTokenizer) -> None:
    documents = [[" ".join(document[:3]), " ".join(document[3:])] for document in make_documents()]
    finding = only_finding(documents, tokenizer, max_seq_length=512)
    assert (finding.severity, "several sentences" in finding.what) == ("problem", True)
    assert documents[0][0][:30] in finding.example
    assert "--splitting sentences" in finding.line()


def test_paragraphs_of_chinese_taken_as_sentences_are_a_problem() -> None:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"我们在北京学习。"]
    chinese = AlbertTokenizer(WordPieceEncoder(pieces, lower_case=True))
    draw = random.Random(0)
    lines = [
        "".join("".join(draw.choices("我们在北京学习", k=5)) + "。" for _ in range(4)) for _ in range(90)
    ]
    finding = only_finding([lines[start : start + 3] for start in range(0, 90, 3)], chinese)
    assert "several sentences" in finding.what


def test_a_corpus_without_document_ends_is_a_problem(tokenizer: AlbertTokenizer) -> None:
    everything = [[line for document in make_documents() for line in document]]
    finding = only_finding(everything, tokenizer)
    assert finding.severity == "problem"
    assert finding.what.startswith(f"{len(everything[0])} sentences are in 1 document,")


def test_a_blank_line_after_every_sentence_is_a_problem(tokenizer: AlbertTokenizer) -> None:
    lone = [[line] for document in make_documents() for line in document]
    report = report_on(lone, tokenizer)
    [finding] = report.findings
    assert finding.severity == "problem"
    assert finding.what.startswith("100% of the tokens are in documents with a single sentence")
    assert report.lone_sentence_share == 1.0


def test_sentences_broken_over_lines_are_a_problem(tokenizer: AlbertTokenizer) -> None:
    def wrap(document: list[str]) -> list[str]:
        lines = [""]
        for word in " ".join(document).split():
            if len(lines[-1]) + len(word) > 70:
                lines.append(word)
            else:
                lines[-1] = f"{lines[-1]} {word}".strip()
        return lines

    finding = only_finding([wrap(document) for document in make_documents()], tokenizer)
    assert "end in the middle of a sentence" in finding.what
    assert finding.remedy.startswith("join the lines")


def test_repeated_lines_are_shown_with_their_counts(tokenizer: AlbertTokenizer) -> None:
    footer = "All rights are with the one who takes the value."
    finding = only_finding([[*document, footer] for document in make_documents()], tokenizer)
    assert finding.severity == "advice"
    assert f"{footer!r} (60 times)" in finding.example
    copies = report_on(make_documents() * 3, tokenizer)
    assert [x.severity for x in copies.findings] == ["problem"]
    assert copies.repeated_line_share == pytest.approx(2 / 3, abs=0.01)


def test_unknown_tokens_are_reported_with_their_characters(tokenizer: AlbertTokenizer) -> None:
    documents = [[f"Стек {line}" for line in document] for document in make_documents()]
    report = report_on(documents, tokenizer)
    [finding] = report.findings
    assert finding.severity == "problem"
    assert set(report.unknown_characters) == set("Стек")
    assert f"{'С'!r} ({report.sentences} times)" in finding.example
    assert list(report.scripts) == ["Latin", "Cyrillic"]


def test_marks_that_cleaning_removes_are_found_unless_the_vocabulary_keeps_them() -> None:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *WORDS, "fur", "für"]
    documents = [[f"{sentence[:-1]} für." for sentence in document] for document in make_documents()]
    finding = only_finding(documents, AlbertTokenizer(WordPieceEncoder(pieces, lower_case=True)))
    assert "lose an accent or another mark" in finding.what
    assert "'ü'" in finding.example
    assert "albert vocab --keep-accents" in finding.remedy
    kept = AlbertTokenizer(WordPieceEncoder(pieces, lower_case=True, keep_accents=True))
    assert report_on(documents, kept).findings == ()


def test_capitals_that_a_vocabulary_lacks_are_recognised() -> None:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *WORDS]
    cased = AlbertTokenizer(WordPieceEncoder([*pieces, *"abcdefghijklmnopqrstuvwxyz"], lower_case=False))
    finding = only_finding(make_documents(), cased)
    assert "do_lower_case" in finding.remedy
    assert (
        report_on(make_documents(), AlbertTokenizer(WordPieceEncoder(pieces, lower_case=True))).findings == ()
    )


def test_a_vocabulary_of_another_language_cuts_words_small(tokenizer: AlbertTokenizer) -> None:
    german = [
        "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich nach Norden.",
        "Vorlesungsverzeichnisse verdeutlichen Zusammenhänge zwischen Fachrichtungen ausführlich.",
    ]
    documents = [[f"{line[:-1]} {i}{j}." for j, line in enumerate(german * 3)] for i in range(20)]
    report = report_on(documents, tokenizer)
    assert report.pieces_per_word > 2.5
    assert any("tokens on average" in finding.what for finding in report.findings)


@pytest.mark.parametrize(
    ("spoil", "severity", "what"),
    [
        pytest.param(
            lambda x: "caf\u00e9 ".encode().decode("latin-1") + x, "problem", "wrong encoding", id="é"
        ),
        pytest.param(
            lambda x: "it\u2019s ".encode().decode("cp1252") + x, "problem", "wrong encoding", id="’"
        ),
        pytest.param(lambda x: "мир ".encode().decode("latin-1") + x, "problem", "wrong encoding", id="мир"),
        pytest.param(lambda x: f"a\ufffdb {x}", "problem", "wrong encoding", id="U+FFFD"),
        pytest.param(lambda x: f"<p class='a'>{x}</p>", "problem", "tags or entities", id="tags"),
        pytest.param(lambda x: f"one &amp; two {x}", "problem", "tags or entities", id="entities"),
        pytest.param(lambda x: f"one\x00two {x}", "problem", "control characters", id="controls"),
    ],
)
def test_signs_of_damage_are_found(
    tokenizer: AlbertTokenizer, spoil: Callable[[str], str], severity: str, what: str
) -> None:
    documents = [[spoil(document[0]), *document[1:]] for document in make_documents()]
    found = [finding for finding in report_on(documents, tokenizer).findings if what in finding.what]
    assert [finding.severity for finding in found] == [severity]
    assert found[0].example
    assert "\n" not in found[0].line()


def test_letters_of_other_languages_are_not_taken_for_damage(tokenizer: AlbertTokenizer) -> None:
    lines = ["Été à la plage, ça va où ?", "«Ô», ÄÖÜ, straße; Ærø – 5 €.", "a < b && b > c."]
    documents = [[*document, *lines] for document in make_documents()]
    whats = " ".join(finding.what for finding in report_on(documents, tokenizer).findings)
    assert "lines that occurred before" in whats
    assert not any(sign in whats for sign in ("wrong encoding", "tags", "control"))


def test_sentences_that_do_not_fit_are_advice(tokenizer: AlbertTokenizer) -> None:
    documents = [[*document, " ".join(WORDS * 9) + f" {i}."] for i, document in enumerate(make_documents())]
    finding = only_finding(documents, tokenizer)
    assert (finding.severity, "longer than 61 tokens" in finding.what) == ("advice", True)


def test_problems_come_before_advice(tokenizer: AlbertTokenizer) -> None:
    documents = [[f"Стек <b>{line}", "All of this is boilerplate text."] for line in make_documents()[0]] * 4
    severities = [finding.severity for finding in report_on(documents, tokenizer).findings]
    assert len(severities) > 1
    assert severities == sorted(severities, reverse=True)


def test_numbers_are_those_of_the_encoded_text(tokenizer: AlbertTokenizer) -> None:
    documents = make_documents()
    shard = encode_documents(documents, tokenizer, words="vocabulary")
    report = report_on(documents, tokenizer, total_bytes=5000)
    assert (report.documents, report.sentences) == (60, sum(map(len, documents)))
    assert report.pieces == len(shard.tokens)
    assert report.corpus_pieces == 5 * report.pieces
    assert report.epoch_hours == pytest.approx(report.corpus_pieces / 36_000)
    assert sum(report.document_sentences.counts) == 60
    assert sum(report.sentence_pieces.counts) == report.sentences
    # Full examples have 61 tokens; the last one of each document is short.
    assert report.pieces / 61 < report.corpus_examples / 5 < report.pieces / 61 + 2 * 60


def test_lengths_are_counted_in_classes_of_powers_of_two(tokenizer: AlbertTokenizer) -> None:
    documents = [["the value"] * count for count in (1, 2, 3, 4, 7, 8)]
    histogram = report_on(documents, tokenizer).document_sentences
    assert (histogram.starts, histogram.counts) == ((1, 2, 4, 8), (1, 2, 2, 1))
    assert histogram.lines()[1].split() == ["2-3", "#############", "33.3%"]


def test_without_the_size_of_the_corpus_the_numbers_are_the_sample_s(tokenizer: AlbertTokenizer) -> None:
    report = report_on(make_documents(), tokenizer)
    assert report.corpus_pieces == report.pieces
    assert any(line.startswith("one epoch of the sample: about") for line in report.lines())


def test_a_report_is_json(tokenizer: AlbertTokenizer) -> None:
    documents = [["\ufffd the value"] for _ in range(9)]
    report = report_on(documents, tokenizer)
    again = json.loads(json.dumps(report.as_json()))
    assert [x["what"] for x in again["findings"]] == [x.what for x in report.findings] != []


@pytest.mark.parametrize("documents", [[], [["\u200b"]]])
def test_a_sample_without_text_is_an_error(tokenizer: AlbertTokenizer, documents: Documents) -> None:
    with pytest.raises(DataError, match="the sample of the corpus is empty"):
        report_on(documents, tokenizer)
