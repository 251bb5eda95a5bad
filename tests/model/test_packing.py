"""Packing: laws of laying sequences end to end and back."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from albert.config import AlbertConfig
from albert.model.albert_model import AlbertModel
from albert.model.attention import attend, attend_visibly
from albert.model.layer import AlbertLayer
from albert.model.packing import Packing, PaddedBatch, PaddedInputs, pack, round_up_to_bucket, unpack

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=9)


@given(LENGTHS)
def test_padding_and_unpadding_give_the_tokens_back(lengths: list[int]) -> None:
    packing = Packing.of_lengths(torch.tensor(lengths))
    rows = torch.arange(len(packing.position_ids) * 2.0).view(-1, 2)
    assert packing.num_tokens == sum(lengths)
    assert torch.equal(packing.unpad(packing.pad(rows))[: sum(lengths)], rows[: sum(lengths)])


@given(LENGTHS)
def test_positions_count_from_0_in_every_sequence(lengths: list[int]) -> None:
    packing = Packing.of_lengths(torch.tensor(lengths))
    expected = [position for length in lengths for position in range(length)]
    assert packing.position_ids[: sum(lengths)].tolist() == expected
    assert packing.position_ids[packing.starts].tolist() == [0] * len(lengths)


@given(st.integers(1, 20_000))
def test_a_bucket_is_at_most_a_sixteenth_larger(count: int) -> None:
    size = round_up_to_bucket(count)
    assert size >= count
    assert size % 8 == 0
    assert size - count < max(8, count / 16 + 1)
    assert round_up_to_bucket(size) == size


def test_there_are_sixteen_buckets_per_power_of_two() -> None:
    assert len({round_up_to_bucket(count) for count in range(1025, 2049)}) == 16


@given(LENGTHS)
def test_a_padded_batch_is_packed_and_unpacked(lengths: list[int]) -> None:
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    values = torch.randn(*mask.shape, 3) * mask[..., None]
    packing, cells = pack(mask)
    assert packing.num_tokens == len(cells)
    assert torch.equal(unpack(values.flatten(0, 1)[cells], cells, tuple(mask.shape)), values)  # type: ignore[arg-type]


@given(LENGTHS)
def test_attention_stays_inside_its_sequence_and_equals_the_formula(lengths: list[int]) -> None:
    torch.manual_seed(0)
    packing = Packing.of_lengths(torch.tensor(lengths))
    qkv = torch.randn(len(packing.position_ids), 3, 2, 5, dtype=torch.float64)
    found = attend(qkv, packing, dropout_prob=0.0)
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    visibly, probabilities = attend_visibly(qkv, PaddedBatch.of(PaddedInputs(mask, mask)), dropout_prob=0.0)
    torch.testing.assert_close(visibly[: sum(lengths)], found[: sum(lengths)])
    for row, (start, length) in enumerate(zip(packing.starts.tolist(), lengths, strict=True)):
        query, key, value = qkv[start : start + length].unbind(1)
        weights = (torch.einsum("qad,kad->aqk", query, key) / 5**0.5).softmax(-1)
        expected = torch.einsum("aqk,kad->qad", weights, value).flatten(1)
        torch.testing.assert_close(found[start : start + length], expected)
        torch.testing.assert_close(probabilities[row, :, :length, :length], weights)


@given(LENGTHS)
def test_attention_in_bf16_follows_float32_within_its_precision(lengths: list[int]) -> None:
    torch.manual_seed(0)
    packing = Packing.of_lengths(torch.tensor(lengths))
    qkv = torch.randn(len(packing.position_ids), 3, 2, 8).bfloat16()
    found = attend(qkv, packing, dropout_prob=0.0)[: packing.num_tokens].float()
    expected = attend(qkv.float(), packing, dropout_prob=0.0)[: packing.num_tokens]
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0.02)


@given(LENGTHS)
def test_states_at_some_rows_equal_those_of_all_rows(lengths: list[int]) -> None:
    model = tiny_model()
    packing = Packing.of_lengths(torch.tensor(lengths))
    ids = torch.randint(0, 31, (sum(lengths),))
    rows = torch.randperm(sum(lengths))[:5]
    alone = model.encode(ids, torch.zeros_like(ids), packing, rows=rows)
    everything = model.encode(ids, torch.zeros_like(ids), packing)
    torch.testing.assert_close(alone, everything[rows], atol=1e-6, rtol=0)


def tiny_model(*, num_layers: int = 2) -> AlbertModel:
    torch.manual_seed(0)
    return AlbertModel(
        AlbertConfig(
            vocab_size=31, embedding_size=6, hidden_size=8, num_hidden_layers=num_layers,
            num_attention_heads=2, intermediate_size=12, inner_group_num=2,
        )
    )  # fmt: skip


@given(LENGTHS, st.sets(st.integers(1, 4), min_size=1))
def test_states_at_some_depths_equal_those_of_shallower_models(lengths: list[int], depths: set[int]) -> None:
    model, packing = tiny_model(num_layers=4), Packing.of_lengths(torch.tensor(lengths))
    ids, rows = torch.randint(0, 31, (sum(lengths),)), torch.randperm(sum(lengths))[:5]
    types = torch.zeros_like(ids)
    found = model.encode_depths(ids, types, packing, rows=rows, depths=sorted(depths))
    for state, depth in zip(found, sorted(depths), strict=True):
        shallow = tiny_model(num_layers=depth)
        shallow.load_state_dict(model.state_dict())  # all layers share their weights
        expected = shallow.encode(ids, types, packing, rows=rows)
        torch.testing.assert_close(state, expected, atol=1e-6, rtol=0)


def test_layers_after_the_deepest_are_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    model, packing = tiny_model(num_layers=4), Packing.of_lengths(torch.tensor([3, 6]))
    calls: list[int] = []
    project = AlbertLayer.project
    monkeypatch.setattr(
        AlbertLayer, "project", lambda self, x, weights: calls.append(1) or project(self, x, weights)
    )
    ids = torch.arange(9)
    model.encode_depths(ids, torch.zeros_like(ids), packing, rows=packing.starts, depths=[1, 3])
    assert len(calls) == 3 * 2


def test_filling_has_no_effect_on_gradients() -> None:
    model = tiny_model()
    packing = Packing.of_lengths(torch.tensor([3, 6]))
    assert len(packing.position_ids) > 9
    ids = torch.arange(5, 14)
    model.encode(ids, torch.zeros_like(ids), packing).square().sum().backward()
    gradient = model.embeddings.word_embeddings.weight.grad
    assert gradient is not None
    assert not gradient[:5].any()
    assert gradient[5:14].any(1).all()
