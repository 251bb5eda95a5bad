"""The names and layouts of TensorFlow checkpoints: Google's, TF-Hub's, and albert_zh's own."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from albert.checkpoint.albert_zh import (
    albert_zh_config,
    folding_cost,
    from_albert_zh,
    original_of_albert_zh,
)
from albert.checkpoint.names import (
    family_of,
    from_original,
    is_weight,
    name_of_original,
    original_name,
    to_original,
)
from albert.config import AlbertConfig
from albert.errors import CheckpointError
from albert.model.answer_models import AlbertForQuestionAnswering, AlbertForQuestionAnsweringBeamSearch
from albert.model.language_models import AlbertForPreTraining
from albert.model.pretrained import Pretrained
from albert.model.task_models import AlbertForMultipleChoice, AlbertForSequenceClassification

GROUPED = AlbertConfig(
    vocab_size=31,
    embedding_size=6,
    hidden_size=8,
    num_hidden_layers=4,
    num_attention_heads=2,
    intermediate_size=20,
    num_hidden_groups=2,
    inner_group_num=2,
    max_position_embeddings=17,
)
BLOCK = "bert/encoder/transformer/group_0/inner_group_0"
ZH_BLOCK = "bert/encoder/layer_shared"


@pytest.mark.parametrize(
    ("kind", "variables"),
    [
        (
            AlbertForPreTraining,
            {"cls/predictions/output_bias": (31,), "cls/seq_relationship/output_bias": (2,)},
        ),
        (AlbertForSequenceClassification, {"output_weights": (2, 8), "output_bias": (2,)}),
        (AlbertForMultipleChoice, {"output_weights": (1, 8), "output_bias": (1,)}),
        (AlbertForQuestionAnswering, {"cls/squad/output_weights": (2, 8), "cls/squad/output_bias": (2,)}),
        (
            AlbertForQuestionAnsweringBeamSearch,
            {
                "start_logits/dense/kernel": (8, 1),
                "end_logits/dense_0/kernel": (16, 8),
                "end_logits/LayerNorm/beta": (8,),
                "end_logits/dense_1/bias": (1,),
                "answer_class/dense_0/bias": (8,),
                "answer_class/dense_1/kernel": (8, 1),
            },
        ),
    ],
)
def test_tensors_survive_a_round_trip_through_the_original_s_names_and_layouts(
    kind: type[Pretrained], variables: dict[str, tuple[int, ...]]
) -> None:
    state = kind(GROUPED).state_dict()
    original = to_original(state)
    block = "bert/encoder/transformer/group_1/inner_group_1"
    expected = {
        "bert/embeddings/word_embeddings": (31, 6),
        "bert/encoder/embedding_hidden_mapping_in/kernel": (6, 8),
        f"{block}/ffn_1/intermediate/dense/kernel": (8, 20),
        f"{block}/ffn_1/intermediate/output/dense/kernel": (20, 8),
        **variables,
    }
    for name, shape in expected.items():
        assert tuple(original[name].shape) == shape
    back = from_original(original)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in state.items())
    assert all(original_name(name_of_original(variable)) == variable for variable in original)


def test_the_first_norm_of_a_block_follows_attention_and_the_second_feed_forward() -> None:
    ours = "albert.encoder.albert_layer_groups.0.albert_layers.0"
    assert name_of_original(f"{BLOCK}/LayerNorm/gamma") == f"{ours}.attention.LayerNorm.weight"
    assert name_of_original(f"{BLOCK}/LayerNorm_1/beta") == f"{ours}.full_layer_layer_norm.bias"


def test_a_hub_module_s_prefix_changes_no_name() -> None:
    variable = f"{BLOCK}/attention_1/self/query/kernel"
    assert name_of_original(f"module/{variable}") == name_of_original(variable)


def test_moments_and_the_step_are_no_weights() -> None:
    weight = f"{BLOCK}/attention_1/self/query/kernel"
    slots = [f"{weight}/{slot}" for slot in ("adam_m", "adam_v", "lamb_m", "lamb_v")]
    assert is_weight(weight)
    assert not any(is_weight(name) for name in [*slots, "global_step", "module/global_step"])
    variables = {name: torch.ones(2, 3) for name in [weight, *slots, "global_step"]}
    assert list(from_original(variables)) == [name_of_original(weight)]


@pytest.mark.parametrize(
    "variable", ["bert/encoder/layer_0/output/dense/kernel", f"{BLOCK}/ffn_2/dense/kernel", "{}", ""]
)
def test_a_variable_of_another_model_is_an_error_that_names_it(variable: str) -> None:
    with pytest.raises(CheckpointError, match=variable.replace("{", r"\{") or "''"):
        name_of_original(variable)


def test_a_tensor_that_the_original_has_not_is_an_error() -> None:
    with pytest.raises(CheckpointError, match=r"no variable for 'crf\.weight'"):
        original_name("crf.weight")


def test_kernels_in_groups_are_refused() -> None:
    kernel = {f"{BLOCK}/ffn_1/intermediate/dense/kernel": torch.zeros(2, 4, 16)}
    with pytest.raises(CheckpointError, match=r"\(2, 4, 16\), expected a matrix"):
        from_original(kernel)


def test_families_are_recognised_by_their_variables() -> None:
    google = list(to_original(AlbertForPreTraining(GROUPED).state_dict()))
    assert family_of(google) == "google"
    assert family_of([f"module/{name}" for name in google]) == "tf-hub"
    assert family_of(zh_variables(ZH)) == "albert_zh"


def test_variables_of_no_albert_are_an_error_that_names_some() -> None:
    bert = ["bert/embeddings/word_embeddings", *(f"bert/encoder/layer_{i}/x" for i in range(9))]
    with pytest.raises(CheckpointError, match=r"found 'bert/embeddings/word_embeddings', .* and others"):
        family_of(bert)
    with pytest.raises(CheckpointError, match="found none"):
        family_of([])


# albert_zh's own family. The forward pass is written from its description, on its own variables.

ZH: dict[str, Any] = {
    "vocab_size": 37,
    "embedding_size": 5,
    "hidden_size": 8,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "max_position_embeddings": 13,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "initializer_range": 0.02,
    "directionality": "bidi",
    "pooler_fc_size": 768,
    "ln_type": "postln",
}


def zh_shapes(shape: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    v, e, h, f = (shape[n] for n in ("vocab_size", "embedding_size", "hidden_size", "intermediate_size"))
    linears = {
        "attention/self/query": (h, h),
        "attention/self/key": (h, h),
        "attention/self/value": (h, h),
        "attention/output/dense": (h, h),
        "intermediate/dense": (h, f),
        "output/dense": (f, h),
    }
    linears = {f"{ZH_BLOCK}/{name}": size for name, size in linears.items()}
    linears |= {"bert/pooler/dense": (h, h), "cls/predictions/transform/dense": (h, h)}
    norms = [f"{ZH_BLOCK}/attention/output/LayerNorm", f"{ZH_BLOCK}/output/LayerNorm"]
    norms += ["bert/embeddings/LayerNorm", "cls/predictions/transform/LayerNorm"]
    return {
        "bert/embeddings/word_embeddings": (v, e),
        "bert/embeddings/word_embeddings_2": (e, h),
        "bert/embeddings/position_embeddings": (shape["max_position_embeddings"], h),
        "bert/embeddings/token_type_embeddings": (shape["type_vocab_size"], h),
        **{f"{name}/kernel": size for name, size in linears.items()},
        **{f"{name}/bias": size[1:] for name, size in linears.items()},
        **{f"{name}/{part}": (h,) for name in norms for part in ("gamma", "beta")},
        "cls/predictions/output_bias": (v,),
        "cls/seq_relationship/output_weights": (2, h),
        "cls/seq_relationship/output_bias": (2,),
    }


def zh_variables(shape: dict[str, Any]) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(3)
    made = {name: 0.4 * torch.randn(size, generator=draw) for name, size in zh_shapes(shape).items()}
    return {name: 1 + x if name.endswith("/gamma") else x for name, x in made.items()}


def zh_forward(v: dict[str, Tensor], ids: Tensor, types: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return pooled vector, masked LM logits of all tokens, and sentence logits, for one sequence (T,)."""

    def dense(x: Tensor, name: str) -> Tensor:
        return x @ v[f"{name}/kernel"] + v[f"{name}/bias"]

    def norm(x: Tensor, name: str) -> Tensor:
        x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-12).sqrt()
        return x * v[f"{name}/gamma"] + v[f"{name}/beta"]

    def gelu(x: Tensor) -> Tensor:
        return 0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3)))

    words = v["bert/embeddings/word_embeddings"][ids] @ v["bert/embeddings/word_embeddings_2"]
    positions = v["bert/embeddings/position_embeddings"][: len(ids)]
    x = norm(
        words + v["bert/embeddings/token_type_embeddings"][types] + positions, "bert/embeddings/LayerNorm"
    )
    for _ in range(ZH["num_hidden_layers"]):
        context = []
        for head in range(ZH["num_attention_heads"]):
            part = slice(4 * head, 4 * head + 4)
            q, k, values = (
                dense(x, f"{ZH_BLOCK}/attention/self/{name}")[:, part] for name in ("query", "key", "value")
            )
            context.append((q @ k.T / 2).softmax(-1) @ values)
        attended = dense(torch.cat(context, -1), f"{ZH_BLOCK}/attention/output/dense")
        x = norm(x + attended, f"{ZH_BLOCK}/attention/output/LayerNorm")
        hidden = gelu(dense(x, f"{ZH_BLOCK}/intermediate/dense"))
        x = norm(x + dense(hidden, f"{ZH_BLOCK}/output/dense"), f"{ZH_BLOCK}/output/LayerNorm")
    pooled = torch.tanh(dense(x[0], "bert/pooler/dense"))
    y = norm(gelu(dense(x, "cls/predictions/transform/dense")), "cls/predictions/transform/LayerNorm")
    y = y @ v["bert/embeddings/word_embeddings_2"].T
    predictions = y @ v["bert/embeddings/word_embeddings"].T + v["cls/predictions/output_bias"]
    order = pooled @ v["cls/seq_relationship/output_weights"].T + v["cls/seq_relationship/output_bias"]
    return pooled, predictions, order


def test_an_albert_zh_checkpoint_gives_its_own_numbers_here_and_in_transformers(tmp_path: Path) -> None:
    variables = zh_variables(ZH)
    model = AlbertForPreTraining(albert_zh_config(ZH)).eval()
    model.load_state_dict(from_albert_zh(variables))
    model.save_pretrained(tmp_path)
    theirs = transformers.AlbertForPreTraining.from_pretrained(tmp_path).eval()
    ids = torch.tensor([[2, 11, 36, 7, 0, 19, 3, 8, 30, 4, 3]])
    types = torch.tensor([[0] * 7 + [1] * 4])
    pooled, predictions, order = zh_forward(variables, ids[0], types[0])
    for candidate in (model, theirs):
        found = candidate(ids, token_type_ids=types)
        torch.testing.assert_close(found.prediction_logits[0], predictions, atol=1e-5, rtol=0)
        torch.testing.assert_close(found.sop_logits[0], order, atol=1e-5, rtol=0)
        encoded = candidate.albert(ids, token_type_ids=types)
        torch.testing.assert_close(encoded.pooler_output[0], pooled, atol=1e-5, rtol=0)


def test_moments_of_albert_zh_are_left_out_and_its_classifier_is_kept() -> None:
    variables = zh_variables(ZH)
    moments = {f"{name}/lamb_m": torch.zeros_like(value) for name, value in variables.items()}
    state = from_albert_zh({**variables, **moments, "output_weights": torch.ones(3, 8)})
    assert state.keys() == {*AlbertForPreTraining(albert_zh_config(ZH)).state_dict(), "classifier.weight"}


def test_the_cost_of_folding_is_reported_in_parameters() -> None:
    tiny = {**ZH, "vocab_size": 21128, "embedding_size": 128, "hidden_size": 312}
    tiny |= {"intermediate_size": 1248, "max_position_embeddings": 512}
    assert "4,295,186 parameters are 8,142,802 now" in folding_cost(zh_shapes(tiny))


def test_the_folded_configuration_has_one_width_and_the_tanh_gelu() -> None:
    config = albert_zh_config({name: value for name, value in ZH.items() if name != "ln_type"})
    assert (config.embedding_size, config.hidden_size, config.hidden_act) == (8, 8, "gelu_new")


def test_pre_norm_models_are_refused_with_the_reason() -> None:
    with pytest.raises(CheckpointError, match=r"ln_type is 'preln'; only 'postln' can be converted"):
        albert_zh_config({**ZH, "ln_type": "preln"})
    with pytest.raises(CheckpointError, match="pre-LN variant"):
        from_albert_zh({**zh_variables(ZH), "loss/LayerNorm/beta": torch.zeros(8)})


def test_embedding_tables_that_do_not_fit_are_an_error() -> None:
    variables = zh_variables(ZH)
    with pytest.raises(CheckpointError, match=r"\(37, 5\) and .* \(6, 8\) cannot be multiplied"):
        from_albert_zh({**variables, "bert/embeddings/word_embeddings_2": torch.zeros(6, 8)})
    del variables["bert/embeddings/word_embeddings"]
    with pytest.raises(CheckpointError, match=r"word_embeddings' is missing"):
        from_albert_zh(variables)


# Names, shapes and checksums of published checkpoints.

GOOGLE = ("en_base_A", "en_base_B", "en_large", "base_zh_google", "tiny_zh_google")
BRIGHTMART = ("tiny_zh_brightmart_A", "tiny_zh_brightmart_B", "large_zh_brightmart")


@pytest.fixture(scope="module")
def published() -> dict[str, dict[str, dict[str, Any]]]:
    """Variables of each published checkpoint, with their shapes and checksums."""
    folder = os.environ.get("ALBERT_REFERENCE_INDEXES")
    if not folder:
        pytest.skip("ALBERT_REFERENCE_INDEXES names no folder of published index files")
    inventory = json.loads((Path(folder) / "inventory.json").read_text(encoding="utf-8"))
    return {name: {t["name"]: t for t in entry["tensors"]} for name, entry in inventory.items()}


def expected_shapes(variables: dict[str, dict[str, Any]], *, layers: int, folded: bool) -> dict[str, Any]:
    """Return names and shapes of our model, with a configuration read from a few variables."""
    shape = {name: variables[name]["shape"] for name in variables}
    vocab_size, embedding_size = shape["bert/embeddings/word_embeddings"]
    hidden_size = shape["bert/pooler/dense/kernel"][0]
    feed_forward = next(n for n in shape if n.endswith("/intermediate/dense/kernel"))
    config = AlbertConfig(
        vocab_size=vocab_size,
        embedding_size=hidden_size if folded else embedding_size,
        hidden_size=hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=1,
        intermediate_size=shape[feed_forward][1],
    )
    with torch.device("meta"):
        return {name: tuple(t.shape) for name, t in AlbertForPreTraining(config).state_dict().items()}


@pytest.mark.reference
@pytest.mark.parametrize("checkpoint", GOOGLE)
def test_every_variable_of_a_published_checkpoint_is_a_tensor_of_the_model(
    published: dict[str, dict[str, dict[str, Any]]], checkpoint: str
) -> None:
    variables = published[checkpoint]
    assert family_of(variables) == "google"
    tensors = {n: torch.empty(t["shape"], device="meta") for n, t in variables.items()}
    found = {name: tuple(t.shape) for name, t in from_original(tensors).items()}
    assert found == expected_shapes(variables, layers=12, folded=False)


@pytest.mark.reference
@pytest.mark.parametrize("checkpoint", BRIGHTMART)
def test_every_variable_of_a_published_albert_zh_checkpoint_is_a_tensor_of_the_model(
    published: dict[str, dict[str, dict[str, Any]]], checkpoint: str
) -> None:
    variables = published[checkpoint]
    assert family_of(variables) == "albert_zh"
    tensors = {n: torch.empty(t["shape"], device="meta") for n, t in variables.items()}
    found = {name: tuple(t.shape) for name, t in from_albert_zh(tensors).items()}
    assert found == expected_shapes(variables, layers=4, folded=True)


@pytest.mark.reference
def test_names_of_albert_zh_carry_the_weights_that_its_published_conversion_carries(
    published: dict[str, dict[str, dict[str, Any]]],
) -> None:
    """albert_tiny_google_zh is albert_tiny_zh in Google's layout: checksums show which tensor is which."""
    converted = published["tiny_zh_google"]
    compared = 0
    for name, tensor in published["tiny_zh_brightmart_B"].items():
        if not name.startswith("bert/embeddings/word_embeddings"):
            assert converted[original_of_albert_zh(name)]["crc32c_masked"] == tensor["crc32c_masked"]
            compared += 1
    assert compared == 29
    assert converted["bert/embeddings/word_embeddings"]["shape"] == [21128, 312]
