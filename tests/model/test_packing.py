"""Packing: laws of laying sequences end to end and back."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from albert.config import AlbertConfig
from albert.model.attention import attend, attention_probabilities
from albert.model.packing import Packing, pack, round_up_to_bucket, unpack
from albert.model.pretrained import AlbertModel

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
def test_few_sizes_are_few_and_waste_little(count: int) -> None:
    size = round_up_to_bucket(count)
    assert size >= count
    assert size % 8 == 0
    assert size - count < max(8, count / 16 + 1)
    assert round_up_to_bucket(size) == size


def test_an_octave_has_sixteen_sizes() -> None:
    assert len({round_up_to_bucket(count) for count in range(1025, 2049)}) == 16


@given(LENGTHS)
def test_a_door_lets_a_padded_batch_in_and_out(lengths: list[int]) -> None:
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
    probabilities = attention_probabilities(qkv, packing)
    for row, (start, length) in enumerate(zip(packing.starts.tolist(), lengths, strict=True)):
        query, key, value = qkv[start : start + length].unbind(1)
        weights = (torch.einsum("qad,kad->aqk", query, key) / 5**0.5).softmax(-1)
        expected = torch.einsum("aqk,kad->qad", weights, value).flatten(1)
        torch.testing.assert_close(found[start : start + length], expected)
        torch.testing.assert_close(
            probabilities[row, :, :length, :length].double(), weights, atol=1e-6, rtol=0
        )


@given(LENGTHS)
def test_attention_in_bf16_follows_float32_within_its_precision(lengths: list[int]) -> None:
    torch.manual_seed(0)
    packing = Packing.of_lengths(torch.tensor(lengths))
    qkv = torch.randn(len(packing.position_ids), 3, 2, 8).bfloat16()
    found = attend(qkv, packing, dropout_prob=0.0)[: packing.num_tokens].float()
    expected = attend(qkv.float(), packing, dropout_prob=0.0)[: packing.num_tokens]
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0.02)


@given(LENGTHS)
def test_rows_encoded_alone_equal_those_of_all(lengths: list[int]) -> None:
    model = tiny_model()
    packing = Packing.of_lengths(torch.tensor(lengths))
    ids = torch.randint(0, 31, (sum(lengths),))
    rows = torch.randperm(sum(lengths))[:5]
    alone = model.encode(ids, torch.zeros_like(ids), packing, rows=rows)
    everything = model.encode(ids, torch.zeros_like(ids), packing)
    torch.testing.assert_close(alone, everything[rows], atol=1e-6, rtol=0)


def tiny_model() -> AlbertModel:
    torch.manual_seed(0)
    return AlbertModel(
        AlbertConfig(
            vocab_size=31, embedding_size=6, hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=12,
        )
    )  # fmt: skip


def test_filling_gets_no_gradient_and_gives_none() -> None:
    model = tiny_model()
    packing = Packing.of_lengths(torch.tensor([3, 6]))
    assert len(packing.position_ids) > 9
    ids = torch.arange(5, 14)
    model.encode(ids, torch.zeros_like(ids), packing).square().sum().backward()
    gradient = model.embeddings.word_embeddings.weight.grad
    assert gradient is not None
    assert not gradient[:5].any()
    assert gradient[5:14].any(1).all()
