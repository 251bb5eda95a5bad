"""Losses of `AlbertForSequenceClassification` by `problem_type`, against transformers."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from albert import AlbertConfig, AlbertForSequenceClassification
from albert.errors import ConfigError

B = 4
LABELS = {0: "a", 1: "b", 2: "c"}


def config(**changes: Any) -> AlbertConfig:
    return AlbertConfig(
        vocab_size=31,
        embedding_size=6,
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=12,
        initializer_range=0.5,
        max_position_embeddings=16,
        **changes,
    )


def labels_of(kind: str) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    match kind:
        case "classes":
            return torch.randint(0, 3, (B,), generator=generator)
        case "several":
            return torch.randint(0, 2, (B, 3), generator=generator).float()
        case "one of one":
            return torch.randint(0, 2, (B, 1), generator=generator).float()
        case "numbers":
            return torch.randn(B, generator=generator)
        case _:
            return torch.randn(B, 3, generator=generator)


@pytest.mark.parametrize(
    ("problem_type", "id2label", "kind"),
    [
        ("single_label_classification", LABELS, "classes"),
        ("multi_label_classification", LABELS, "several"),
        ("multi_label_classification", {0: "toxic"}, "one of one"),
        ("regression", {0: "stars"}, "numbers"),
        ("regression", LABELS, "several numbers"),
        (None, LABELS, "classes"),
        (None, LABELS, "several"),
        (None, {0: "stars"}, "numbers"),
    ],
)
def test_loss_and_gradient_equal_those_of_transformers(
    tmp_path: Path, problem_type: Any, id2label: dict[int, str], kind: str
) -> None:
    torch.manual_seed(0)
    AlbertForSequenceClassification(config(problem_type=problem_type, id2label=id2label)).save_pretrained(
        tmp_path
    )
    ours = AlbertForSequenceClassification.from_pretrained(tmp_path)
    theirs = transformers.AlbertForSequenceClassification.from_pretrained(tmp_path).eval()
    ids = torch.randint(5, 31, (B, 7), generator=torch.Generator().manual_seed(1))
    losses = [model(input_ids=ids, labels=labels_of(kind)).loss for model in (ours, theirs)]
    torch.testing.assert_close(losses[0], losses[1], atol=1e-6, rtol=1e-5)
    for loss in losses:
        loss.backward()
    torch.testing.assert_close(
        ours.classifier.weight.grad, theirs.classifier.weight.grad, atol=1e-6, rtol=1e-4
    )


def test_an_unknown_problem_type_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="problem_type is 'ranking'; known are regression, single_label_cl"):
        AlbertConfig.from_dict({**config().to_dict(), "problem_type": "ranking"})
    with pytest.raises(ConfigError, match=r"did you mean 'multi_label_classification'\?"):
        config(problem_type="multilabel_classification")
