"""The public models against the original's numbers and against transformers."""

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor

import albert
from albert.checkpoint.names import from_original, name_of_original
from albert.config import AlbertConfig
from albert.errors import CheckpointError, DataError
from albert.model.albert_model import AlbertModel
from albert.model.language_models import AlbertForMaskedLM, AlbertForPreTraining
from albert.model.losses import cross_entropy_sum
from albert.model.packing import pack
from albert.model.task_models import AlbertForSequenceClassification

FIRST_OUTPUTS = ("last_hidden_state", "prediction_logits", "logits")
TINY = AlbertConfig(
    vocab_size=1000,
    embedding_size=32,
    hidden_size=64,
    num_hidden_layers=4,
    num_attention_heads=4,
    intermediate_size=256,
)
GROUPED = AlbertConfig(
    vocab_size=31,
    embedding_size=6,
    hidden_size=8,
    num_hidden_layers=5,
    num_attention_heads=2,
    intermediate_size=20,
    num_hidden_groups=2,
    inner_group_num=3,
    max_position_embeddings=17,
)


def model_of_original(config: AlbertConfig, variables: dict[str, np.ndarray]) -> AlbertForPreTraining:
    model = AlbertForPreTraining(config).eval()
    model.load_state_dict(from_original({name: torch.tensor(v) for name, v in variables.items()}))
    return model


def padded_batch(config: AlbertConfig) -> dict[str, Tensor]:
    torch.manual_seed(1)
    lengths = torch.tensor([11, 1, 7])
    shape = (3, 11)
    return {
        "input_ids": torch.randint(5, config.vocab_size, shape),
        "attention_mask": (torch.arange(11) < lengths[:, None]).long(),
        "token_type_ids": torch.randint(0, 2, shape),
    }


def shake(model: torch.nn.Module) -> None:
    """Change every parameter from its initial value, so that biases and norms have an effect."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))


def check_against_original(model: AlbertForPreTraining, stored: dict[str, np.ndarray]) -> None:
    """Compare every stored output and every gradient of the total loss, at real positions."""
    known = {name: torch.tensor(value) for name, value in stored.items() if not name.startswith("grad/")}
    mask, ids, segments = known["input_mask"], known["input_ids"].long(), known["segment_ids"].long()
    real = mask.bool()
    ours = model.albert(ids, mask, segments, output_hidden_states=True, output_attentions=True)
    word = model.albert.embeddings.word_embeddings(ids)
    packing, cells = pack(mask)
    embedded = model.albert.embed(ids.flatten()[cells], segments.flatten()[cells], packing)[: len(cells)]
    found = {
        "word_embedding_output": word[real],
        "embedding_output": embedded,
        "embedding_hidden_mapping_in": ours.hidden_states[0][real],
        "sequence_output": ours.last_hidden_state[real],
    }
    for name, value in found.items():
        torch.testing.assert_close(value, known[name][real], atol=1e-5, rtol=0)
    torch.testing.assert_close(ours.pooler_output, known["pooled_output"], atol=1e-5, rtol=0)
    if "all_layer_outputs" in known:
        for layer, state in zip(known["all_layer_outputs"], ours.hidden_states[1:], strict=True):
            torch.testing.assert_close(state[real], layer[real], atol=1e-5, rtol=0)
    if "attention_probs" in known:
        for layer, probabilities in zip(known["attention_probs"], ours.attentions, strict=True):
            expected = layer * mask[:, None, :, None]
            torch.testing.assert_close(probabilities, expected, atol=1e-5, rtol=0)

    batch = len(ids)
    starts = packing.starts[:, None]  # Every stored prediction is at a real position of its row.
    masked_positions = (starts + known["masked_lm_positions"]).flatten().long()
    lengths = mask.sum(1)
    predictions, order = model.packed_logits(
        ids.flatten()[cells], segments.flatten()[cells], lengths, masked_positions
    )
    labels = torch.where(known["masked_lm_weights"] > 0, known["masked_lm_ids"].long(), -100).flatten()
    masked_lm = cross_entropy_sum(predictions, labels).total / (labels >= 0).sum()
    sentence_order = cross_entropy_sum(order, known["next_sentence_labels"].flatten().long()).total / batch
    found = {
        "masked_lm_logits": predictions,
        "masked_lm_loss": masked_lm,
        "sentence_order_logits": order,
        "sentence_order_log_probs": order.log_softmax(-1),
        "sentence_order_loss": sentence_order,
        "total_loss": masked_lm + sentence_order,
    }
    if "masked_lm_log_probs" in known:
        found["masked_lm_log_probs"] = predictions.log_softmax(-1)
    for name, value in found.items():
        torch.testing.assert_close(value, known[name], atol=1e-5, rtol=0)

    (masked_lm + sentence_order).backward()
    gradients = {name: p.grad for name, p in model.named_parameters()}
    compared = 0
    for key, value in stored.items():
        if key.startswith("grad/"):
            variable = key.removeprefix("grad/")
            expected = torch.tensor(value.T if variable.endswith("/kernel") else value)
            torch.testing.assert_close(gradients[name_of_original(variable)], expected, atol=1e-5, rtol=0)
            compared += 1
    assert compared == len(gradients)


def test_tiny_model_gives_the_outputs_and_gradients_of_the_original(golden: Path) -> None:
    stored = dict(np.load(golden / "tiny_model.npz"))
    variables = {n.removeprefix("var/"): v for n, v in stored.items() if n.startswith("var/")}
    outputs = {n: v for n, v in stored.items() if not n.startswith("var/")}
    check_against_original(model_of_original(TINY, variables), outputs)


@pytest.mark.reference
@pytest.mark.parametrize("checkpoint", ["ckpt_tiny", "ckpt_groups"])
def test_every_stored_output_and_gradient_equals_the_original(reference: Path, checkpoint: str) -> None:
    folder = reference / checkpoint
    config = AlbertConfig.from_json(folder / "albert_config.json")
    stored = {**np.load(folder / "outputs.npz"), **np.load(folder / "grads_total_loss.npz")}
    check_against_original(model_of_original(config, dict(np.load(folder / "variables.npz"))), stored)


@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "relu"])
def test_pretraining_model_equals_transformers_from_the_same_folder(tmp_path: Path, activation: str) -> None:
    config = AlbertConfig(**{**config_fields(GROUPED), "hidden_act": activation})
    model = AlbertForPreTraining(config).eval()
    shake(model)
    model.save_pretrained(tmp_path)
    oracle = transformers.AlbertForPreTraining.from_pretrained(tmp_path).eval()
    batch = padded_batch(config)
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    order = torch.tensor([0, 1, 1])
    ours = model(**batch, labels=labels, sentence_order_label=order)
    theirs = oracle(**batch, labels=labels, sentence_order_label=order)
    real = batch["attention_mask"].bool()
    torch.testing.assert_close(
        ours.prediction_logits[real], theirs.prediction_logits[real], atol=1e-5, rtol=0
    )
    torch.testing.assert_close(ours.sop_logits, theirs.sop_logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(ours.loss, theirs.loss, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (AlbertModel, transformers.AlbertModel),
        (AlbertForMaskedLM, transformers.AlbertForMaskedLM),
        (AlbertForSequenceClassification, transformers.AlbertForSequenceClassification),
    ],
)
def test_models_equal_transformers_in_both_directions(tmp_path: Path, ours: type, theirs: type) -> None:
    model = ours(AlbertConfig(**{**config_fields(GROUPED), "id2label": {0: "a", 1: "b", 2: "c"}})).eval()
    shake(model)
    model.save_pretrained(tmp_path / "ours")
    oracle = theirs.from_pretrained(tmp_path / "ours").eval()
    oracle.save_pretrained(tmp_path / "theirs")
    back = ours.from_pretrained(tmp_path / "theirs")
    batch = padded_batch(GROUPED)
    real = batch["attention_mask"].bool()
    for candidate in (model, back):
        found, expected = candidate(**batch), oracle(**batch)
        if ours is AlbertModel:
            torch.testing.assert_close(found.pooler_output, expected.pooler_output, atol=1e-5, rtol=0)
            pairs = [(found.last_hidden_state[real], expected.last_hidden_state[real])]
        elif ours is AlbertForMaskedLM:
            pairs = [(found.logits[real], expected.logits[real])]
        else:
            pairs = [(found.logits, expected.logits)]
        for x, y in pairs:
            torch.testing.assert_close(x, y, atol=1e-5, rtol=0)


def test_a_model_without_a_map_from_e_to_h_loads_in_transformers(tmp_path: Path) -> None:
    config = AlbertConfig(**{**config_fields(GROUPED), "embedding_size": 8})
    model = AlbertModel(config).eval()
    model.save_pretrained(tmp_path)
    batch = padded_batch(config)
    real = batch["attention_mask"].bool()
    theirs = transformers.AlbertModel.from_pretrained(tmp_path).eval()(**batch).last_hidden_state
    torch.testing.assert_close(model(**batch).last_hidden_state[real], theirs[real], atol=1e-5, rtol=0)
    again = AlbertModel.from_pretrained(tmp_path)
    torch.testing.assert_close(again(**batch).pooler_output, model(**batch).pooler_output)


def test_padding_has_no_effect_and_its_outputs_are_zero() -> None:
    model = AlbertModel(GROUPED).eval()
    batch = padded_batch(GROUPED)
    outputs = model(**batch)
    for row, length in enumerate(batch["attention_mask"].sum(1).tolist()):
        alone = model(
            batch["input_ids"][row : row + 1, :length], None, batch["token_type_ids"][row : row + 1, :length]
        )
        torch.testing.assert_close(
            outputs.last_hidden_state[row, :length], alone.last_hidden_state[0], atol=1e-6, rtol=0
        )
        assert not outputs.last_hidden_state[row, length:].any()


@pytest.mark.parametrize("name", ["AlbertModel", "AlbertForPreTraining", "AlbertForMaskedLM"])
def test_masked_columns_before_a_sequence_equal_transformers(name: str, tmp_path: Path) -> None:
    model = getattr(albert, name)(GROUPED).eval()
    shake(model)
    model.save_pretrained(tmp_path)
    oracle = getattr(transformers, name).from_pretrained(tmp_path).eval()
    batch = padded_batch(GROUPED)
    batch["attention_mask"] = batch["attention_mask"].flip(1)
    real = batch["attention_mask"].bool()
    found, expected = (
        next(getattr(outputs, field) for field in FIRST_OUTPUTS if hasattr(outputs, field))
        for outputs in (model(**batch), oracle(**batch))
    )
    torch.testing.assert_close(found[real], expected[real], atol=1e-5, rtol=0)


def test_dropout_is_also_applied_after_the_feed_forward_part() -> None:
    fields = {**config_fields(GROUPED), "hidden_dropout_prob": 0.999999}
    model = AlbertModel(AlbertConfig(**fields)).train()
    batch = padded_batch(GROUPED)
    layer = model.encoder.layers()[0]
    seen = []
    layer.hidden_dropout.register_forward_hook(lambda *_: seen.append(1))
    model(**batch)
    runs = sum(block is layer for block in model.encoder.layers())
    assert len(seen) == 2 * runs


def test_a_sequence_longer_than_the_positions_is_an_error_with_both_numbers() -> None:
    model = AlbertModel(GROUPED)
    with pytest.raises(DataError, match="18 tokens, the model has 17 positions; truncate"):
        model(torch.zeros(1, 18, dtype=torch.long))


def test_a_row_without_tokens_is_an_error() -> None:
    with pytest.raises(DataError, match="row 1 of attention_mask has no token"):
        AlbertModel(GROUPED)(torch.zeros(2, 3, dtype=torch.long), torch.tensor([[1, 1, 0], [0, 0, 0]]))


def test_loading_refuses_a_partial_encoder(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    AlbertModel(GROUPED).save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["encoder.albert_layer_groups.1.albert_layers.2.ffn.bias"]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"1 of the encoder's tensors are missing.*ffn\.bias"):
        AlbertModel.from_pretrained(tmp_path)


def test_loading_reports_how_many_tensors_matched_and_which_heads_are_new(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    AlbertForPreTraining(GROUPED).save_pretrained(tmp_path)
    AlbertForSequenceClassification.from_pretrained(tmp_path, num_labels=3)
    message = capsys.readouterr().err
    expected = len(AlbertForSequenceClassification(GROUPED).state_dict())
    assert f"{expected - 2} of {expected} tensors" in message
    assert "new, with random weights: classifier.weight, classifier.bias" in message
    assert "not used: predictions.LayerNorm.bias" in message


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    AlbertModel(GROUPED).save_pretrained(tmp_path)
    config = (tmp_path / "config.json").read_text().replace('"vocab_size": 31', '"vocab_size": 37')
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(CheckpointError, match=r"\(31, 6\), the model needs \(37, 6\)"):
        AlbertModel.from_pretrained(tmp_path)


def test_a_damaged_weights_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    AlbertModel(GROUPED).save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(CheckpointError, match=r"model\.safetensors: damaged"):
        AlbertModel.from_pretrained(tmp_path)


def config_fields(config: AlbertConfig) -> dict[str, object]:
    return {key: value for key, value in config.to_dict().items() if key != "model_type"}


def test_each_pretraining_loss_can_be_computed_separately() -> None:
    model = AlbertForPreTraining(GROUPED).eval()
    batch = padded_batch(GROUPED)
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    order = torch.tensor([0, 1, 1])
    both = model(**batch, labels=labels, sentence_order_label=order).loss
    alone = model(**batch, labels=labels).loss + model(**batch, sentence_order_label=order).loss
    torch.testing.assert_close(both, alone)
    assert model(**batch).loss is None
