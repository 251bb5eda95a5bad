"""The heads that find answers, against those of transformers' XLNet."""

import pytest
import torch
import transformers
from torch import Tensor
from transformers.models.xlnet import modeling_xlnet

from albert.config import AlbertConfig
from albert.model.packing import Packing
from albert.model.spans import (
    NEVER,
    AnswerClass,
    AnswerRows,
    EndLogits,
    StartLogits,
    answerability_loss_sum,
    most_probable,
    span_loss_sum,
)

CONFIG = AlbertConfig(
    vocab_size=31,
    embedding_size=6,
    hidden_size=10,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=12,
)
LENGTHS = [7, 3, 11]


@pytest.fixture
def rows() -> AnswerRows:
    return AnswerRows.of_packing(Packing.of_lengths(torch.tensor(LENGTHS)))


def xlnet_head(kind: type, ours: torch.nn.Module) -> torch.nn.Module:
    """Make transformers' head of `kind` with our weights, which differ from their initial values."""
    torch.manual_seed(0)
    for parameter in ours.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    head = kind(transformers.XLNetConfig(d_model=10, n_head=2, layer_norm_eps=CONFIG.layer_norm_eps))
    head.load_state_dict(ours.state_dict())
    return head.eval()


def states(count: int) -> Tensor:
    return torch.randn(count, 10, generator=torch.Generator().manual_seed(1))


def padded(x: Tensor) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(x.split(LENGTHS), batch_first=True)


def real() -> Tensor:
    return torch.arange(11) < torch.tensor(LENGTHS)[:, None]


def test_heads_equal_those_of_xlnet_in_transformers(rows: AnswerRows) -> None:
    x = states(21)
    start, end, answer = StartLogits(CONFIG), EndLogits(CONFIG), AnswerClass(CONFIG).eval()
    theirs = [
        xlnet_head(kind, ours)
        for kind, ours in (
            (modeling_xlnet.XLNetPoolerStartLogits, start),
            (modeling_xlnet.XLNetPoolerEndLogits, end),
            (modeling_xlnet.XLNetPoolerAnswerClass, answer),
        )
    ]
    grid, positions = padded(x), torch.tensor([[2, 0], [1, 1], [10, 4]])
    start_logits = theirs[0](grid)
    torch.testing.assert_close(rows.spread(start(x))[real()], start_logits[real()])
    ends = end(x, x[rows.tokens_at(positions)], rows.sequences())
    for k in range(2):
        expected = theirs[1](grid, start_positions=positions[:, k])
        torch.testing.assert_close(rows.spread(ends[:, k])[real()], expected[real()])
    logits = start_logits.masked_fill(~real(), NEVER)
    average = torch.einsum("blh,bl->bh", grid, logits.softmax(-1))
    expected = theirs[2](grid, start_states=average, cls_index=torch.zeros(3, dtype=torch.long))
    torch.testing.assert_close(answer(x, logits, rows), expected)


def test_rows_contain_the_spread_logits_and_never_without_a_token(rows: AnswerRows) -> None:
    values = torch.arange(21.0)
    spread = rows.spread(values)
    assert spread.shape == (3, 11)
    torch.testing.assert_close(spread[real()], values)
    assert bool((spread[~real()] == NEVER).all())
    assert rows.sequences().tolist() == [0] * 7 + [1] * 3 + [2] * 11


def test_the_token_at_a_position_without_one_is_cls_of_the_same_sequence(rows: AnswerRows) -> None:
    positions = torch.tensor([[0, 6, 7], [2, 3, 10], [10, 0, 99]])
    assert rows.tokens_at(positions).tolist() == [[0, 6, 0], [9, 7, 7], [20, 10, 10]]


def test_equal_lengths_make_rows_without_gaps() -> None:
    rows = AnswerRows.of_packing(Packing.of_lengths(torch.tensor([4, 4])))
    assert rows.spread(torch.arange(8)).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_of_equally_probable_positions_the_first_is_first_and_short_rows_are_filled() -> None:
    values, positions = most_probable(torch.tensor([[0.0, 2.0, 1.0, 2.0]]), 3)
    assert positions.tolist() == [[1, 3, 2]]
    assert values.tolist() == [[2.0, 2.0, 1.0]]
    values, positions = most_probable(torch.tensor([[-1.0, 0.0]]), 3)
    assert positions.tolist() == [[1, 0, 2]]
    assert values[0, 2] == torch.tensor(NEVER)


def test_loss_of_a_span_does_not_depend_on_padding(rows: AnswerRows) -> None:
    start, end = rows.spread(states(21)[:, 0]), rows.spread(states(21)[:, 1])
    positions = (torch.tensor([0, 1, 5]), torch.tensor([3, 2, 10]))
    together = span_loss_sum((start, end), positions)
    alone = [
        span_loss_sum(
            (start[i : i + 1, :length], end[i : i + 1, :length]), tuple(p[i : i + 1] for p in positions)
        ).total
        for i, length in enumerate(LENGTHS)
    ]
    torch.testing.assert_close(together.total, torch.stack(alone).sum())


def test_a_span_is_right_where_both_ends_are() -> None:
    start, end = torch.eye(4)[[0, 1, 2]], torch.eye(4)[[1, 1, 3]]
    loss = span_loss_sum((start, end), (torch.tensor([0, 1, 1]), torch.tensor([1, 2, 3])))
    assert loss.correct is not None
    assert int(loss.correct) == 1


def test_a_position_outside_the_row_is_ignored() -> None:
    logits = torch.zeros(2, 4)
    loss = span_loss_sum((logits, logits), (torch.tensor([0, 4]), torch.tensor([1, -1])))
    torch.testing.assert_close(loss.total, torch.tensor(4.0).log())


def test_answerability_counts_half_and_is_right_above_zero_where_there_is_no_answer() -> None:
    logits, labels = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([1, 0, 0])
    loss = answerability_loss_sum(logits, labels)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels.float(), reduction="sum")
    torch.testing.assert_close(loss.total, expected / 2)
    assert loss.correct is not None
    assert int(loss.correct) == 2
