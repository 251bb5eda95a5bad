"""Labels of a model's outputs: another order that fits far better, and names that are given."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from albert.config import AlbertConfig
from albert.errors import ConfigError
from albert.tasks.labels import better_order, is_unnamed, with_given_labels

LABELS = ("contradiction", "entailment", "neutral")


@given(st.permutations(LABELS), st.lists(st.sampled_from(LABELS), min_size=9, max_size=40))
def test_every_order_is_found_if_the_predictions_are_right_in_it(order: list[str], right: list[str]) -> None:
    assumed = dict(zip(order, LABELS, strict=True))
    pairs = [(label, assumed[label]) for label in [*right, *LABELS * 9]]
    found = better_order(LABELS, pairs)
    if tuple(order) == LABELS:
        assert found is None
    else:
        assert found == (tuple(order), 1.0)


def test_an_order_that_is_hardly_better_is_not_named() -> None:
    pairs = [("entailment", "entailment")] * 5 + [("neutral", "contradiction"), ("contradiction", "neutral")]
    assert better_order(LABELS, pairs) is not None
    assert (
        better_order(LABELS, [*pairs, *[("neutral", "neutral"), ("contradiction", "contradiction")] * 2])
        is None
    )
    assert better_order(LABELS, []) is None


def test_names_are_given_for_every_output_once() -> None:
    config = AlbertConfig.of_size("tiny", vocab_size=31)
    assert is_unnamed(["LABEL_0", "LABEL_1"])
    assert not is_unnamed(["LABEL_1", "LABEL_0"])
    assert with_given_labels(config, ["no", "yes"]).id2label == {0: "no", 1: "yes"}
    for names in (["no"], ["no", "no"], ["a", "b", "c"]):
        with pytest.raises(ConfigError, match="expected 2 different names"):
            with_given_labels(config, names)
