"""Weights prepared for inference: the same numbers, dropped as soon as parameters may have changed."""

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from albert.choices import Dtype
from albert.config import AlbertConfig
from albert.model.encoder import AlbertEncoder
from albert.model.inspection import Inspection
from albert.model.packing import Packing, PaddedBatch, PaddedInputs

PACKING = Packing.of_lengths(torch.tensor([5, 17, 9]))
ROWS = len(PACKING.position_ids)


def make_encoder(seed: int = 0) -> AlbertEncoder:
    torch.manual_seed(seed)
    config = AlbertConfig(
        vocab_size=30,
        embedding_size=16,
        hidden_size=32,
        num_hidden_layers=4,
        num_hidden_groups=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=32,
    )
    encoder = AlbertEncoder(config)
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return encoder.eval()


@pytest.fixture
def x() -> Tensor:
    return torch.randn(ROWS, 16, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_a_prepared_encoder_gives_the_same_numbers(x: Tensor) -> None:
    encoder = make_encoder()
    expected = encoder(x, PACKING)
    encoder.prepare_for_inference()
    torch.testing.assert_close(encoder(x, PACKING), expected, atol=1e-6, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize(("dtype", "tolerance"), [("bf16", 0.1), ("int8", 0.1)])
def test_a_smaller_type_is_used_and_stays_near_float32(x: Tensor, dtype: Dtype, tolerance: float) -> None:
    encoder = make_encoder()
    expected = encoder(x, PACKING)
    encoder.prepare_for_inference(dtype)
    found = encoder(x, PACKING)
    assert found.dtype == torch.float32
    assert 0 < (found - expected).norm() / expected.norm() < tolerance


@torch.no_grad()
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_autocast_around_a_prepared_encoder_does_not_change_its_type(x: Tensor, dtype: Dtype) -> None:
    encoder = make_encoder()
    encoder.prepare_for_inference(dtype)
    expected = encoder(x, PACKING)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(encoder(x, PACKING), expected)


@pytest.mark.parametrize(
    "change",
    [
        lambda encoder: encoder.train(),
        lambda encoder: encoder.load_state_dict(make_encoder(2).state_dict()),
        lambda encoder: torch.nn.Sequential(encoder).load_state_dict(
            torch.nn.Sequential(make_encoder(2)).state_dict()
        ),
        lambda encoder: encoder.double().float(),
    ],
    ids=["training mode", "loading", "loading as a part", "another type"],
)
@torch.no_grad()
def test_prepared_weights_are_dropped_by(change: Callable[[AlbertEncoder], object], x: Tensor) -> None:
    encoder = make_encoder()
    encoder.prepare_for_inference("int8")
    change(encoder)
    assert encoder.prepared is None
    twin = make_encoder()
    twin.load_state_dict(encoder.state_dict())
    assert torch.equal(encoder.eval()(x, PACKING), twin(x, PACKING))


@torch.no_grad()
@pytest.mark.parametrize("dtype", ["float32", "bf16", "int8"])
def test_prepared_weights_are_used_at_every_depth(x: Tensor, dtype: Dtype) -> None:
    encoder, rows = make_encoder(), torch.tensor([0, 5, 22])
    encoder.prepare_for_inference(dtype)
    mask = (torch.arange(17) < torch.tensor(PACKING.lengths)[:, None]).long()
    batch, grids = PaddedBatch.of(PaddedInputs(mask, mask)), list[Tensor]()
    last = encoder(x, PACKING, inspection=Inspection(batch, grids, None))
    states = [batch.pack(grid) for grid in grids]
    found = encoder.at_depths(x, PACKING, rows=rows, depths=[1, 3, 4])
    for state, depth in zip(found, (1, 3, 4), strict=True):
        torch.testing.assert_close(state, states[depth][rows], atol=1e-6, rtol=0)
    assert torch.equal(last, states[-1])


def test_evaluation_mode_keeps_prepared_weights() -> None:
    encoder = make_encoder()
    encoder.prepare_for_inference()
    assert encoder.eval().prepared is not None


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda encoder: pickle.loads(pickle.dumps(encoder))])
def test_a_copy_is_not_prepared(copied: Callable[[AlbertEncoder], AlbertEncoder]) -> None:
    encoder = make_encoder()
    encoder.prepare_for_inference("int8")
    assert copied(encoder).prepared is None
    assert encoder.prepared is not None


def test_gradients_are_those_of_the_parameters_not_of_prepared_weights(x: Tensor) -> None:
    encoder, twin = make_encoder(), make_encoder()
    encoder.prepare_for_inference("int8")
    for each in (encoder, twin):
        each(x, PACKING).square().sum().backward()
    for mine, other in zip(encoder.parameters(), twin.parameters(), strict=True):
        assert torch.equal(mine.grad, other.grad)


def test_a_state_dict_does_not_contain_prepared_weights() -> None:
    encoder = make_encoder()
    names = set(encoder.state_dict())
    encoder.prepare_for_inference("int8")
    assert set(encoder.state_dict()) == names
