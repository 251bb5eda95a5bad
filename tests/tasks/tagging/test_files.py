"""Sentences with tagged words in every layout, and every error in them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from albert.errors import DataError
from albert.tasks.bad_rows import strict
from albert.tasks.catalogue import find_task
from albert.tasks.files import require_files
from albert.tasks.tagging.files import TaggedExample, read_tagged, tags_in
from albert.tasks.task import ColumnSettings, with_columns

CONLL = """-DOCSTART- -X- -X- O

EU NNP B-NP B-ORG
rejects VBZ B-VP O
German JJ B-NP B-MISC

Peter NNP B-NP B-PER
Blackburn NNP I-NP I-PER
"""

WORDS = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=6)


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


def sentences(name: str, path: Path, *, labelled: bool = True) -> list[TaggedExample]:
    return list(strict(read_tagged(find_task(name), path, labelled=labelled)))


def test_conll_columns_are_words_tags_and_a_text_with_places(tmp_path: Path) -> None:
    path = write(tmp_path, "train.txt", CONLL)
    first, second = sentences("conll2003", path)
    assert first == TaggedExample(
        ("EU", "rejects", "German"), "EU rejects German", (0, 3, 11), ("B-ORG", "O", "B-MISC"), f"{path}:3"
    )
    assert (second.tags, second.where) == (("B-PER", "I-PER"), f"{path}:7")
    assert list(second.ends()) == [5, 15]


def test_byte_order_mark_crlf_tabs_and_many_blank_lines_change_nothing(tmp_path: Path) -> None:
    plain = sentences("conll2003", write(tmp_path, "train.txt", CONLL))
    spoilt = "\ufeff" + CONLL.replace(" ", "\t").replace("\n\n", "\n \t\n\n\n").replace("\n", "\r\n")
    changed = sentences("conll2003", write(tmp_path, "train.txt", spoilt + "\r\n\r\n"))
    assert [replace(x, where="") for x in changed] == [replace(x, where="") for x in plain]


def test_characters_of_chinese_are_joined_without_spaces(tmp_path: Path) -> None:
    lines = "在 O\n中 B-LOC\n国 I-LOC\n\u3000 O\nW O\nT O\nO O\n\ufffd O\n"
    for name in ("msra-ner", "tagging"):
        [example] = sentences(name, write(tmp_path, "train.txt", lines))
        assert example.text == "在中国\u3000WTO\ufffd"
        assert example.starts == tuple(range(8))


def test_own_words_are_joined_by_spaces_but_not_next_to_ideographs(tmp_path: Path) -> None:
    path = write(tmp_path, "train.txt", "I O\nlove O\n北京 B-LOC\n。 O\n")
    [example] = sentences("tagging", path)
    assert (example.text, example.starts) == ("I love北京。", (0, 2, 6, 8))


def test_without_labels_one_column_is_enough_and_tags_are_ignored(tmp_path: Path) -> None:
    alone = sentences("tagging", write(tmp_path, "a.txt", "Peter\nruns\n\nYes\n"), labelled=False)
    assert [(x.words, x.tags) for x in alone] == [(("Peter", "runs"), None), (("Yes",), None)]
    tagged = sentences("conll2003", write(tmp_path, "b.txt", CONLL), labelled=False)
    assert [x.tags for x in tagged] == [None, None]


def test_lists_of_words_and_tags_are_read_from_the_named_fields(tmp_path: Path) -> None:
    row = {"id": "7", "tokens": ["EU", "rejects"], "ner_tags": ["B-ORG", "O"]}
    path = write(tmp_path, "train.jsonl", "\n" + json.dumps(row) + "\n")
    expected = TaggedExample(("EU", "rejects"), "EU rejects", (0, 3), ("B-ORG", "O"), f"{path}:2")
    assert sentences("conll2003", path) == [expected]
    own = with_columns(find_task("tagging"), ColumnSettings(text_column="tokens", label_column="ner_tags"))
    assert list(strict(read_tagged(own, path))) == [expected]


def test_a_running_text_without_tags_is_split_into_words_with_places(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", json.dumps({"words": " Don't  go to 北京, Éa."}))
    [example] = sentences("tagging", path, labelled=False)
    assert example.words == ("Don", "'", "t", "go", "to", "北", "京", ",", "Éa", ".")
    assert example.text == " Don't  go to 北京, Éa."
    for word, start, end in zip(example.words, example.starts, example.ends(), strict=True):
        assert example.text[start:end] == word


def test_cluener_entities_become_tags_of_characters(tmp_path: Path) -> None:
    row = {
        "text": "浙商银行叶老桂说",
        "label": {"name": {"叶老桂": [[4, 6]]}, "company": {"浙商银行": [[0, 3]]}},
    }
    [example] = sentences("cluener", write(tmp_path, "train.json", json.dumps(row)))
    company, name = ["B-company"] + ["I-company"] * 3, ["B-name", "I-name", "I-name"]
    assert example.tags == (*company, *name, "O")
    assert (example.text, "".join(example.words)) == (row["text"], row["text"])


def test_of_cluener_entities_that_overlap_the_first_is_kept_and_the_other_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"text": "abcd", "label": {"name": {"abc": [[0, 2]]}, "book": {"cd": [[2, 3]]}}}
    [example] = sentences("cluener", write(tmp_path, "train.json", json.dumps(row)))
    assert example.tags == ("B-name", "I-name", "I-name", "O")
    assert "entities that overlap another: 1 (first: " in capsys.readouterr().err


def test_cluener_test_has_no_labels(tmp_path: Path) -> None:
    [example] = sentences(
        "cluener", write(tmp_path, "test.json", '{"id": 0, "text": "四川"}'), labelled=False
    )
    assert (example.words, example.tags) == (("四", "川"), None)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.lists(st.tuples(WORDS, st.sampled_from(["O", "B-x", "I-x"])), min_size=1), min_size=1))
def test_sentences_are_read_as_written_and_every_word_is_in_the_text(
    tmp_path: Path, written: list[list[tuple[str, str]]]
) -> None:
    columns = "\n\n".join("\n".join(f"{word} {tag}" for word, tag in sentence) for sentence in written)
    rows = [{"words": [w for w, _ in sentence], "tags": [t for _, t in sentence]} for sentence in written]
    lists = "\n".join(map(json.dumps, rows))
    for name, content in (("a.conll", columns), ("a.jsonl", lists)):
        found = sentences("tagging", write(tmp_path, name, content))
        assert [list(zip(x.words, x.tags or (), strict=True)) for x in found] == written
        for example in found:
            places = zip(example.words, example.starts, example.ends(), strict=True)
            assert all(example.text[start:end] == word for word, start, end in places)
            assert sorted(example.starts) == list(example.starts)


@pytest.mark.parametrize(
    ("task", "name", "content", "message"),
    [
        ("conll2003", "t.txt", "", r"t\.txt: holds no sentence"),
        ("conll2003", "t.txt", "-DOCSTART- -X- O O\n\n", r"t\.txt: holds no sentence"),
        ("conll2003", "t.txt", "\nEU\n", r"t\.txt:2: expected a word and its tag, found only 'EU'"),
        ("tagging", "t.txt", "EU O\nNew York B-LOC\n", r"t\.txt:2: expected 2 columns .* found 3"),
        (
            "conll2003",
            "t.txt",
            "a x y O\nb x y B-PERS\n",
            r"t\.txt:1: word 2, 'b': unknown label 'B-PERS'; did you mean 'B-PER'",
        ),
        ("tagging", "t.txt", b"\xff O\n", r"t\.txt:1: .*UTF-8"),
        ("tagging", "t.txt", "a O\n" * 20_001, r"t\.txt:20001: the sentence from line 1 on .* blank line"),
        ("tagging", "t.jsonl", '{"words": ["a"', r"t\.jsonl:1: not a JSON object"),
        ("tagging", "t.jsonl", "[1]", r"t\.jsonl:1: expected a JSON object, found a list"),
        ("tagging", "t.jsonl", '{"word": ["a"], "tags": ["O"]}', r"no field 'words'; did you mean 'word'"),
        ("tagging", "t.jsonl", '{"words": ["a"]}', r"t\.jsonl:1: no field 'tags'"),
        ("tagging", "t.jsonl", '{"words": ["a"], "tags": ["O", "O"]}', r"1 words in 'words', but 2 tags"),
        ("tagging", "t.jsonl", '{"words": [], "tags": []}', r"t\.jsonl:1: 'words' has no words"),
        ("tagging", "t.jsonl", '{"words": ["a", ""], "tags": ["O", "O"]}', r"none of them empty"),
        ("tagging", "t.jsonl", '{"words": "a", "tags": ["O"]}', r"expected a list of texts in 'words'"),
        ("tagging", "t.jsonl", '{"words": ["a"], "tags": [0]}', r"expected a list of texts in 'tags'"),
        ("cluener", "t.json", '{"text": "", "label": {}}', r"t\.json:1: the text in 'text' is empty"),
        ("cluener", "t.json", '{"text": "ab"}', r"t\.json:1: no field 'label'"),
        (
            "cluener",
            "t.json",
            '{"text": "ab", "label": {"name": {"a": [0]}}}',
            r"t\.json:1: expected 'label' as",
        ),
        ("cluener", "t.json", '{"text": "ab", "label": []}', r"t\.json:1: expected 'label' as"),
        (
            "cluener",
            "t.json",
            '{"text": "ab", "label": {"name": {"b": [[1, 2]]}}}',
            r"t\.json:1: the characters 1 to 2 of the text are not 'b'",
        ),
        (
            "cluener",
            "t.json",
            '{"text": "ab", "label": {"nam": {"b": [[1, 1]]}}}',
            r"t\.json:1: word 2, 'b': unknown label 'B-nam'; did you mean 'B-name'",
        ),
    ],
)
def test_a_bad_file_is_refused_with_file_and_line(
    tmp_path: Path, task: str, name: str, content: str | bytes, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        sentences(task, write(tmp_path, name, content))


def test_a_running_text_of_spaces_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "t.jsonl", '{"words": " "}')
    with pytest.raises(DataError, match=r"t\.jsonl:1: the text has no words"):
        sentences("tagging", path, labelled=False)


def test_own_tags_come_from_the_training_file_with_both_tags_of_each_type(tmp_path: Path) -> None:
    path = write(tmp_path, "train.txt", "a B-PER\nb I-PER\nc O\n\nd B-LOC\n")
    assert tags_in(find_task("tagging"), [path]) == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")


def test_own_tags_of_other_schemes_are_not_completed(tmp_path: Path) -> None:
    parts = write(tmp_path, "a.txt", "a NOUN\nb VERB\nc ADJ\n")
    assert tags_in(find_task("tagging"), [parts]) == ("ADJ", "NOUN", "VERB")
    bioes = write(tmp_path, "b.txt", "a S-PER\nb B-LOC\nc E-LOC\nd O\n")
    assert tags_in(find_task("tagging"), [bioes]) == ("O", "B-LOC", "E-LOC", "S-PER")


def test_too_few_or_too_many_tags_are_refused(tmp_path: Path) -> None:
    one = write(tmp_path, "a.txt", "a O\nb O\n")
    with pytest.raises(DataError, match=r"a\.txt: holds 1 different tags"):
        tags_in(find_task("tagging"), [one])
    many = write(tmp_path, "b.txt", "".join(f"a tag{number}\n\n" for number in range(1100)))
    with pytest.raises(DataError, match=r"b\.txt:2001: more than 1000 different tags"):
        tags_in(find_task("tagging"), [many])


@pytest.mark.parametrize(
    ("task", "split", "name"),
    [
        ("conll2003", "train", "eng.train"),
        ("conll2003", "dev", "valid.txt"),
        ("conll2003", "test", "eng.testb"),
        ("conll2003", "dev", "dev.jsonl"),
        ("cluener", "train", "cluener/train.json"),
        ("msra-ner", "test", "msra_ner/msra_test_bio.txt"),
        ("tagging", "train", "train.conll"),
    ],
)
def test_the_files_of_a_benchmark_are_found_under_their_published_names(
    tmp_path: Path, task: str, split: str, name: str
) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.touch()
    assert require_files(find_task(task), tmp_path, split) == (path,)


def test_of_cluener_entities_with_the_same_start_the_longest_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    label = {"name": {"浙商": [[0, 1]]}, "company": {"浙商银行": [[0, 3]]}}
    path.write_text(json.dumps({"text": "浙商银行", "label": label}), encoding="utf-8")
    [example] = strict(read_tagged(find_task("cluener"), path))
    assert example.tags == ("B-company", "I-company", "I-company", "I-company")
