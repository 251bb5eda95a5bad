"""The number types of predictions: int8 close to float32 or refused, bf16, GPUs, threads."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from albert import (
    AlbertForMaskedLM,
    AlbertForMultipleChoice,
    AlbertForQuestionAnswering,
    AlbertForSequenceClassification,
    AlbertForTokenClassification,
    AlbertModel,
    pipeline,
)
from albert.commands.embed import EmbedSettings, embed
from albert.commands.evaluate import EvaluateSettings, evaluate
from albert.commands.predict import PredictSettings, predict
from albert.config import AlbertConfig
from albert.errors import CheckpointError, ConfigError
from albert.inference.embedding import Embedder
from albert.inference.precision import (
    MAX_DIFFERENCE,
    MIN_COSINE,
    ensure_agreement,
    in_float32,
    measure,
    prepare_precision,
)
from albert.model.answer_models import AlbertForQuestionAnsweringBeamSearch
from albert.model.pretrained import Pretrained
from albert.tasks.features import TextFeatures
from albert.tasks.tables import Columns, read_rows
from albert.text.tokenizer import AlbertTokenizer

WORDS = ["the", "value", "of", "a", "list", "one", "returns", "two", "stack", "takes", "error", "module"]
CLASSES = {0: "bad", 1: "fine", 2: "good"}


def make_texts(count: int) -> list[str]:
    draw = np.random.default_rng(0)
    return [" ".join(draw.choice(WORDS, draw.integers(3, 30))) for _ in range(count)]


def write_model(
    folder: Path,
    model_class: type[Pretrained],
    tokenizer_folder: Path,
    *,
    outlier: float = 0.0,
    **changes: Any,
) -> Path:
    """Write a model with random weights and one inner value, `outlier`, that nothing reads."""
    torch.manual_seed(0)
    config = AlbertConfig(
        vocab_size=2000,
        embedding_size=32,
        hidden_size=64,
        num_hidden_layers=6,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=64,
        initializer_range=0.08,
        **changes,
    )
    model = model_class(config).eval()
    layer = model.encoder_of_layers.layers()[0]
    with torch.no_grad():
        for head in ("classifier", "qa_outputs"):
            if hasattr(model, head):
                getattr(model, head).weight.normal_(std=0.5)
        layer.ffn.bias[0] = outlier
        layer.ffn_output.weight[:, 0] = 0
    model.save_pretrained(folder)
    tokenizer = AlbertTokenizer.from_pretrained(tokenizer_folder)
    tokenizer.model_max_length = 64
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def classifier(tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classifier")
    return write_model(folder, AlbertForSequenceClassification, tokenizer_folder, id2label=CLASSES)


@pytest.fixture(scope="module")
def sensitive(tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In float32 the same as `classifier`; in int8 the outlier uses up all steps of its row."""
    folder = tmp_path_factory.mktemp("sensitive")
    return write_model(
        folder, AlbertForSequenceClassification, tokenizer_folder, id2label=CLASSES, outlier=3000.0
    )


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def scores_of(folder: Path, **arguments: Any) -> Any:
    answers = pipeline("text-classification", model=folder, device="cpu", **arguments)(
        make_texts(80), top_k=None, truncation=True
    )
    return np.array([[row["score"] for row in sorted(rows, key=lambda r: r["label"])] for rows in answers])


def test_int8_predicts_like_float32_within_the_bound(classifier: Path) -> None:
    expected, found = scores_of(classifier), scores_of(classifier, dtype="int8")
    assert expected.std(0).max() > 0.03  # predictions differ from text to text
    assert not np.array_equal(found, expected)
    assert np.abs(found - expected).sum(1).mean() / 2 <= MAX_DIFFERENCE


def test_bf16_predicts_like_float32(classifier: Path) -> None:
    expected, found = scores_of(classifier), scores_of(classifier, dtype="bf16")
    assert not np.array_equal(found, expected)
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_bf16_gives_a_warning_where_the_device_lacks_it(
    classifier: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("albert.inference.precision.autocast_dtype", lambda *_: None)
    pipeline("text-classification", model=classifier, device="cpu", dtype="bf16")
    assert "warning: cpu does not compute in bf16 natively" in capsys.readouterr().err


def test_a_model_that_int8_changes_is_refused_with_the_measurements(
    sensitive: Path, classifier: Path
) -> None:
    np.testing.assert_allclose(scores_of(sensitive), scores_of(classifier), atol=1e-4)
    classify = pipeline("text-classification", model=sensitive, device="cpu", dtype="int8")
    pattern = r"on 64 items: difference 0\.\d+ \(at most 0\.02\), same best class .*use --dtype float32"
    for _ in range(2):
        with pytest.raises(CheckpointError, match=pattern):
            classify(make_texts(80))


def test_a_refused_model_leaves_earlier_predictions_unchanged(sensitive: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "texts.txt", tmp_path / "labels.tsv"
    source.write_text("\n".join(make_texts(80)), encoding="utf-8")
    output.write_text("earlier")
    settings = PredictSettings(model=str(sensitive), input=source, output=output, dtype="int8", device="cpu")
    with pytest.raises(CheckpointError, match="does not predict as in float32"):
        predict(settings)
    assert output.read_text() == "earlier"


def test_predictions_in_int8_are_those_of_the_pipeline(classifier: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "texts.txt", tmp_path / "labels.tsv"
    source.write_text("\n".join(make_texts(80)), encoding="utf-8")
    predict(PredictSettings(model=str(classifier), input=source, output=output, dtype="int8", device="cpu"))
    labels = [row.cells[0] for row in read_rows(output, Columns(required=("label",)))]
    best = scores_of(classifier, dtype="int8").argmax(1)
    assert labels == [sorted(CLASSES.values())[index] for index in best]


def test_evaluate_refuses_or_returns_both_scores(sensitive: Path, tmp_path: Path) -> None:
    data = tmp_path / "dev.tsv"
    labels = np.random.default_rng(1).choice(list(CLASSES.values()), 80)
    rows = [f"{text}\t{label}" for text, label in zip(make_texts(80), labels, strict=True)]
    data.write_text("\n".join(["text\tlabel", *rows]), encoding="utf-8")
    settings = {"task": "classification", "model": str(sensitive), "data": data, "device": "cpu"}
    with pytest.raises(CheckpointError, match="does not predict as in float32"):
        evaluate(EvaluateSettings(**settings, dtype="int8"))
    both = evaluate(EvaluateSettings(**settings, dtype="int8", compare_float32=True))
    plain = evaluate(EvaluateSettings(**settings))
    assert both["float32_accuracy"] == plain["accuracy"]
    assert both["float32_loss"] == pytest.approx(plain["loss"], abs=1e-6)
    assert both["loss"] != pytest.approx(plain["loss"], abs=1e-3)


@pytest.mark.parametrize("arguments", [{"dtype": "float32"}, {"model": None, "predictions": Path("RTE.tsv")}])
def test_comparing_float32_with_itself_is_refused(arguments: dict[str, Any]) -> None:
    settings = {"task": "rte", "model": "RUN", "dtype": "int8", "compare_float32": True}
    with pytest.raises(ConfigError, match="--compare-float32 needs"):
        EvaluateSettings(**(settings | arguments))


def test_vectors_in_int8_point_in_the_direction_of_float32(tokenizer_folder: Path, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", AlbertModel, tokenizer_folder)
    source = tmp_path / "texts.txt"
    source.write_text("\n".join(make_texts(40)), encoding="utf-8")
    vectors = {}
    for dtype in ("float32", "int8"):
        output = tmp_path / f"{dtype}.npy"
        embed(EmbedSettings(model=str(folder), input=source, output=output, dtype=dtype, device="cpu"))
        vectors[dtype] = np.load(output)
    cosines = (vectors["float32"] * vectors["int8"]).sum(1) / np.prod(
        [np.linalg.norm(v, axis=1) for v in vectors.values()], axis=0
    )
    assert not np.array_equal(vectors["int8"], vectors["float32"])
    assert cosines.min() >= MIN_COSINE


def test_an_encoder_that_int8_changes_is_refused(tokenizer_folder: Path, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", AlbertModel, tokenizer_folder, outlier=3000.0)
    embedder = Embedder.open(folder, device="cpu", dtype="int8")
    with pytest.raises(CheckpointError, match=r"cosine 0\.\d+ \(at least 0\.99\)"):
        embedder.embed(make_texts(4))


# Pipeline, model and inputs.
KINDS: list[tuple[str, type[Pretrained], Any]] = [
    ("fill-mask", AlbertForMaskedLM, ["the [MASK] of a list", "one [MASK] two [MASK]"]),
    ("feature-extraction", AlbertModel, make_texts(3)),
    ("token-classification", AlbertForTokenClassification, make_texts(3)),
    (
        "question-answering",
        AlbertForQuestionAnswering,
        {"question": "the value", "context": make_texts(1)[0]},
    ),
    (
        "question-answering",
        AlbertForQuestionAnsweringBeamSearch,
        {"question": "the value", "context": make_texts(1)[0]},
    ),
    ("multiple-choice", AlbertForMultipleChoice, {"passage": "a stack", "choices": ["one", "two takes"]}),
]


@pytest.mark.parametrize("kind", KINDS, ids=[kind[1].__name__ for kind in KINDS])
def test_every_pipeline_checks_int8_before_it_predicts(
    kind: tuple[str, type[Pretrained], Any],
    tokenizer_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task, model_class, inputs = kind
    folder = write_model(tmp_path / "model", model_class, tokenizer_folder)
    answer = pipeline(task, model=folder, device="cpu", dtype="int8")
    frozen = answer.model.encoder_of_layers.prepared
    monkeypatch.setattr("albert.inference.precision.MAX_DIFFERENCE", -1.0)
    monkeypatch.setattr("albert.inference.precision.MIN_COSINE", 2.0)
    with pytest.raises(CheckpointError, match="does not predict as in float32"):
        answer(inputs)
    assert not frozen.is_checked
    monkeypatch.setattr("albert.inference.precision.MAX_DIFFERENCE", 2.0)
    monkeypatch.setattr("albert.inference.precision.MIN_AGREEMENT", 0.0)
    monkeypatch.setattr("albert.inference.precision.MIN_COSINE", -1.0)
    assert answer(inputs)
    assert frozen.is_checked


def test_numbers_are_compared_relative_to_their_size(tokenizer_folder: Path, tmp_path: Path) -> None:
    found = []
    for name, outlier in (("plain", 0.0), ("sensitive", 3000.0)):
        folder = write_model(
            tmp_path / name,
            AlbertForSequenceClassification,
            tokenizer_folder,
            outlier=outlier,
            id2label={0: "stars"},
            problem_type="regression",
        )
        model = AlbertForSequenceClassification.from_pretrained(folder)
        prepare_precision(model, "int8")
        found.append(measure(model, make_ids(20)))
    assert found[0].agreement is None
    assert found[0].difference < found[1].difference / 5
    assert not found[1].is_enough


def test_several_labels_are_compared_one_by_one(tokenizer_folder: Path, tmp_path: Path) -> None:
    folder = write_model(
        tmp_path / "model",
        AlbertForSequenceClassification,
        tokenizer_folder,
        id2label=CLASSES,
        problem_type="multi_label_classification",
    )
    model = AlbertForSequenceClassification.from_pretrained(folder)
    prepare_precision(model, "int8")
    sample = make_ids(20)
    found = measure(model, sample)
    with torch.inference_mode():
        int8 = model.packed_logits(*model.packed_inputs(sample)).sigmoid()
        with in_float32(model):
            float32 = model.packed_logits(*model.packed_inputs(sample)).sigmoid()
    assert found.items == 20 * len(CLASSES)
    assert found.difference == pytest.approx(float((int8 - float32).abs().mean()), abs=1e-6)


def make_ids(count: int) -> TextFeatures:
    draw = np.random.default_rng(2)
    lengths = draw.integers(4, 40, count)
    ids = draw.integers(5, 2000, lengths.sum())
    return TextFeatures(ids, np.zeros_like(ids), lengths, np.full(count, np.nan))


def test_a_checked_model_is_not_checked_again(classifier: Path) -> None:
    model = AlbertForSequenceClassification.from_pretrained(classifier)
    assert ensure_agreement(model, make_ids(9)) is None
    prepare_precision(model, "int8")
    found = ensure_agreement(model, make_ids(9))
    assert found is not None
    assert found.items == 9
    assert ensure_agreement(model, make_ids(9)) is None


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_predictions_do_not_depend_on_the_number_of_threads(classifier: Path, dtype: str) -> None:
    found = []
    for count in (1, 2):
        torch.set_num_threads(count)
        found.append(scores_of(classifier, dtype=dtype))
    np.testing.assert_allclose(found[1], found[0], atol=1e-5)


def test_an_unknown_type_is_refused(classifier: Path) -> None:
    with pytest.raises(ConfigError, match="dtype is 'int4'; expected float32, bf16, int8"):
        pipeline("text-classification", model=classifier, dtype="int4")  # type: ignore[arg-type]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_gpu_predicts_in_bf16_and_refuses_int8(classifier: Path) -> None:
    texts = make_texts(20)
    plain = pipeline("text-classification", model=classifier, device="cuda")(texts, top_k=None)
    found = pipeline("text-classification", model=classifier, device="cuda", dtype="bf16")(texts, top_k=None)
    for expected, rows in zip(plain, found, strict=True):
        scores = {row["label"]: row["score"] for row in expected}
        assert {row["label"]: row["score"] for row in rows} == pytest.approx(scores, abs=0.05)
    with pytest.raises(ConfigError, match="--dtype int8 is for CPUs"):
        pipeline("text-classification", model=classifier, device="cuda", dtype="int8")
