"""The opener of trained models: which class it picks, what it refuses, and that nothing is random."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import albert
from albert import (
    AlbertConfig,
    AlbertForMaskedLM,
    AlbertForMultipleChoice,
    AlbertForPreTraining,
    AlbertForQuestionAnswering,
    AlbertForQuestionAnsweringBeamSearch,
    AlbertForSequenceClassification,
    AlbertForTokenClassification,
    AlbertModel,
    pipeline,
)
from albert.checkpoint.folder import read_config, write_tensors
from albert.checkpoint.weights import read_tensors
from albert.errors import CheckpointError, ConfigError, TokenizerError
from albert.finetuning.start import start_model
from albert.inference.opening import has_head, load_model, open_model, sequence_length
from albert.model.pretrained import Pretrained
from albert.tasks.catalogue import SOLVERS, find_task, solver_of

SPANS = (AlbertForQuestionAnswering, AlbertForQuestionAnsweringBeamSearch)


def rewrite(folder: Path, **keys: Any) -> None:
    """Change or, with None, remove keys of config.json."""
    path = folder / "config.json"
    content = {**json.loads(path.read_text()), **keys}
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


@pytest.mark.parametrize("model_class", SPANS)
def test_the_first_class_whose_head_is_there_is_opened_with_its_weights(
    make_folder: Any, model_class: type[Pretrained]
) -> None:
    folder = make_folder(model_class)
    model, tokenizer = open_model(folder, SPANS, device="cpu", trained_by="squad1")
    assert type(model) is model_class
    assert not model.training
    assert tokenizer.vocab_size == model.config.vocab_size
    for name, tensor in model_class.from_pretrained(folder).state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], tensor)


def test_a_missing_head_is_named_with_its_shape_and_the_command_that_trains_it(make_folder: Any) -> None:
    folder = make_folder(AlbertForMaskedLM)
    message = (
        rf"{folder}: the weights have no qa_outputs.weight \(2, 8\) of AlbertForQuestionAnswering and no "
        r"start_logits\S+ \S+ \S+ of AlbertForQuestionAnsweringBeamSearch, .* albert finetune --task squad1 "
    )
    with pytest.raises(CheckpointError, match=message):
        open_model(folder, SPANS, device="cpu", trained_by="squad1")
    with pytest.raises(CheckpointError, match=r"no qa_outputs\.weight of AlbertForQuestionAnswering"):
        load_model(folder, AlbertForQuestionAnswering, read_config(folder))


def test_a_missing_pooler_is_a_missing_head(make_folder: Any) -> None:
    folder = make_folder(AlbertForSequenceClassification)
    tensors = read_tensors(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if "pooler" not in name}
    write_tensors(folder / "model.safetensors", kept)
    with pytest.raises(CheckpointError, match=r"no albert\.pooler\.weight \(8, 8\)"):
        open_model(folder, (AlbertForSequenceClassification,), device="cpu")


def test_names_of_the_first_ports_are_understood(make_folder: Any) -> None:
    folder = make_folder(AlbertForMaskedLM)
    expected = open_model(folder, (AlbertForMaskedLM,), device="cpu").model.state_dict()
    tensors = read_tensors(folder / "model.safetensors")
    old = {name.replace("LayerNorm.weight", "LayerNorm.gamma"): tensor for name, tensor in tensors.items()}
    write_tensors(folder / "model.safetensors", old)
    found = open_model(folder, (AlbertForMaskedLM,), device="cpu").model.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_classes_with_the_same_tensor_names_are_told_apart_by_the_configuration(make_folder: Any) -> None:
    folder = make_folder(AlbertForTokenClassification, id2label={0: "O", 1: "B-PER"})
    with pytest.raises(
        CheckpointError, match="is an AlbertForTokenClassification, expected AlbertForSequence"
    ):
        open_model(folder, (AlbertForSequenceClassification,), device="cpu", trained_by="sst2")
    assert open_model(folder, (AlbertForTokenClassification,), device="cpu").model.config.num_labels == 2


def test_without_an_architecture_the_shape_of_the_head_decides(make_folder: Any) -> None:
    folder = make_folder(AlbertForSequenceClassification, id2label={0: "a", 1: "b", 2: "c"})
    rewrite(folder, architectures=None)
    assert open_model(folder, (AlbertForSequenceClassification,), device="cpu")
    with pytest.raises(CheckpointError, match=r"no classifier.weight \(1, 8\) of AlbertForMultipleChoice"):
        open_model(folder, (AlbertForMultipleChoice,), device="cpu")


@pytest.mark.parametrize("content", [None, b"", b"version https://git-lfs.github.com/spec/v1\n"])
def test_missing_or_damaged_weights_are_refused(make_folder: Any, content: bytes | None) -> None:
    folder = make_folder(AlbertModel)
    weights = folder / "model.safetensors"
    if content is None:
        weights.unlink()
        with pytest.raises(CheckpointError, match="missing or not a safetensors file"):
            has_head(folder, AlbertForMaskedLM, read_config(folder))
        return
    weights.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"not a safetensors file|Git LFS pointer"):
        open_model(folder, (AlbertModel,), device="cpu")


def test_a_tokenizer_of_another_size_is_refused(make_folder: Any) -> None:
    folder = make_folder(AlbertModel)
    (folder / "spiece.model").unlink()
    (folder / "tokenizer_config.json").unlink()
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"word{n}" for n in range(2000))]
    (folder / "vocab.txt").write_text("\n".join(pieces))
    with pytest.raises(TokenizerError, match="2000 embeddings, its tokenizer 2005 tokens"):
        open_model(folder, (AlbertModel,), device="cpu")


def test_the_encoder_is_opened_without_its_pooler(make_folder: Any) -> None:
    for model_class in (AlbertModel, AlbertForPreTraining, AlbertForMaskedLM):
        model, _ = open_model(make_folder(model_class), (AlbertModel,), device="cpu")
        assert model.pooler is None


def test_the_default_length_shrinks_to_the_model_and_a_given_one_must_fit(tiny_config: Path) -> None:
    config = AlbertConfig.from_json(tiny_config)
    assert config.max_position_embeddings == 32
    assert sequence_length(None, config, default=512) == 32
    assert sequence_length(None, config, default=20) == 20
    assert sequence_length(30, config, default=20) == 30
    with pytest.raises(ConfigError, match="--max-seq-length is 33, but the model has 32 positions; lower it"):
        sequence_length(33, config, default=20)
    with pytest.raises(ConfigError, match="max_seq_len is 33, but"):
        sequence_length(33, config, default=20, setting="max_seq_len")


def test_a_fine_tuning_keeps_the_head_only_with_the_labels_of_the_task(make_folder: Any) -> None:
    task = find_task("sst2")
    solver = solver_of(task)
    named = make_folder(AlbertForSequenceClassification, id2label=dict(enumerate(task.labels)))
    others = make_folder(AlbertForSequenceClassification, id2label={0: "x", 1: "y"})
    for folder, keeps in ((named, True), (others, False)):
        model = start_model(solver, task, folder, hidden_dropout_prob=None, from_scratch=False)
        stored = read_tensors(folder / "model.safetensors")["classifier.weight"]
        assert torch.equal(model.state_dict()["classifier.weight"], stored) is keeps


def test_every_public_class_names_a_pipeline_that_opens_it(make_folder: Any) -> None:
    classes = [getattr(albert, name) for name in albert.__all__ if name.startswith("AlbertFor")]
    assert len(classes) == 7
    for model_class in [*classes, AlbertModel]:
        assert pipeline(model_class.pipeline_task, model=make_folder(model_class), device="cpu")


@pytest.mark.parametrize("kind", list(SOLVERS))
def test_all_classes_of_a_kind_share_one_pipeline(kind: Any) -> None:
    assert len({model_class.pipeline_task for model_class in SOLVERS[kind].model_classes()}) == 1
