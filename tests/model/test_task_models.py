"""The models of tasks against the original's numbers and against transformers."""

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor

from albert.checkpoint.expected import architecture_of
from albert.checkpoint.names import from_original, name_of_original
from albert.config import AlbertConfig
from albert.model.albert_model import AlbertModel
from albert.model.answer_models import AlbertForQuestionAnswering, AlbertForQuestionAnsweringBeamSearch
from albert.model.language_models import AlbertForMaskedLM, AlbertForPreTraining
from albert.model.pretrained import Pretrained
from albert.model.spans import NEVER
from albert.model.task_models import (
    AlbertForMultipleChoice,
    AlbertForSequenceClassification,
    AlbertForTokenClassification,
)

CONFIG = AlbertConfig(
    vocab_size=31,
    embedding_size=6,
    hidden_size=8,
    num_hidden_layers=3,
    num_attention_heads=2,
    intermediate_size=20,
    num_hidden_groups=2,
    inner_group_num=2,
    max_position_embeddings=17,
    id2label={0: "a", 1: "b", 2: "c"},
)
LENGTHS = torch.tensor([11, 4, 7, 11])


def shaken(model: Pretrained) -> Pretrained:
    """Return `model` with every parameter changed, so that biases and norms have an effect."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def padded_batch() -> dict[str, Tensor]:
    torch.manual_seed(1)
    return {
        "input_ids": torch.randint(5, CONFIG.vocab_size, (4, 11)),
        "attention_mask": (torch.arange(11) < LENGTHS[:, None]).long(),
        "token_type_ids": torch.randint(0, 2, (4, 11)),
    }


def packed(batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    real = batch["attention_mask"].bool()
    return batch["input_ids"][real], batch["token_type_ids"][real], real.sum(1)


def question_mask(batch: dict[str, Tensor]) -> Tensor:
    """Return a p_mask: [CLS] and the columns from 2 on are allowed, the last token of each row is not."""
    mask = torch.zeros_like(batch["input_ids"])
    mask[:, 1] = 1
    mask[torch.arange(4), LENGTHS - 1] = 1
    return mask


def assert_close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def both_directions(model: Pretrained, theirs: type, folder: Path) -> tuple[torch.nn.Module, Pretrained]:
    """Return transformers' model from our folder, and ours from its folder."""
    model.save_pretrained(folder / "ours")
    oracle = theirs.from_pretrained(folder / "ours").eval()
    oracle.save_pretrained(folder / "theirs")
    return oracle, type(model).from_pretrained(folder / "theirs")


def test_question_answering_equals_transformers_in_both_directions(tmp_path: Path) -> None:
    model = shaken(AlbertForQuestionAnswering(CONFIG))
    oracle, back = both_directions(model, transformers.AlbertForQuestionAnswering, tmp_path)
    batch = padded_batch()
    real = batch["attention_mask"].bool()
    positions = {"start_positions": torch.tensor([0, 1, 5, 11]), "end_positions": torch.tensor([0, 3, 6, 2])}
    theirs = oracle(**batch)
    for candidate in (model, back):
        found = candidate(**batch, **positions)
        for name in ("start_logits", "end_logits"):
            assert_close(getattr(found, name)[real], getattr(theirs, name)[real])
            assert bool((getattr(found, name)[~real] == NEVER).all())
        # transformers allows answers at padding; without padding both agree.
        whole = {key: value[:, :4] for key, value in batch.items()} | {"attention_mask": None}
        expected = oracle(**whole, **positions)
        assert_close(candidate(**whole, **positions).loss, expected.loss)


def test_loss_of_question_answering_leaves_padding_out(tmp_path: Path) -> None:
    model = shaken(AlbertForQuestionAnswering(CONFIG))
    batch = padded_batch()
    positions = {"start_positions": torch.tensor([0, 1, 5, 3]), "end_positions": torch.tensor([0, 3, 6, 2])}
    alone = []
    for row, length in enumerate(LENGTHS.tolist()):
        one = {key: value[row : row + 1, :length] for key, value in batch.items()}
        where = {key: value[row : row + 1] for key, value in positions.items()}
        alone.append(model(**one, **where).loss)
    assert_close(model(**batch, **positions).loss, torch.stack(alone).mean())


def test_multiple_choice_equals_transformers_in_both_directions(tmp_path: Path) -> None:
    model = shaken(AlbertForMultipleChoice(CONFIG))
    oracle, back = both_directions(model, transformers.AlbertForMultipleChoice, tmp_path)
    batch = padded_batch()
    choices = {key: value.view(2, 2, 11) for key, value in batch.items()}
    labels = torch.tensor([1, 0])
    theirs = oracle(**choices, labels=labels)
    for candidate in (model, back):
        found = candidate(**choices, labels=labels)
        assert_close(found.logits, theirs.logits)
        assert_close(found.loss, theirs.loss)
        assert_close(candidate.packed_logits(*packed(batch), num_choices=2), theirs.logits)


def test_token_classification_equals_transformers_in_both_directions(tmp_path: Path) -> None:
    model = shaken(AlbertForTokenClassification(CONFIG))
    oracle, back = both_directions(model, transformers.AlbertForTokenClassification, tmp_path)
    batch = padded_batch()
    real = batch["attention_mask"].bool()
    labels = torch.randint(0, 3, (4, 11)).masked_fill(~real, -100)
    theirs = oracle(**batch, labels=labels)
    for candidate in (model, back):
        found = candidate(**batch, labels=labels)
        assert_close(found.logits[real], theirs.logits[real])
        assert not found.logits[~real].any()
        assert_close(found.loss, theirs.loss)
        assert_close(candidate.packed_logits(*packed(batch)), theirs.logits[real])


def test_classifier_reads_masked_columns_before_a_text_as_transformers_does(tmp_path: Path) -> None:
    model = shaken(AlbertForSequenceClassification(CONFIG))
    model.save_pretrained(tmp_path)
    encoder = transformers.AutoModel.from_pretrained(tmp_path).eval()
    batch = padded_batch()
    batch["attention_mask"] = batch["attention_mask"].flip(1)
    states = encoder(**batch).last_hidden_state[torch.arange(4), 11 - LENGTHS]  # [CLS]
    expected = model.classifier(torch.tanh(model.albert.pooler(states)))
    assert_close(model(**batch).logits, expected)


def test_a_beam_search_folder_loads_as_an_encoder_in_transformers_and_completely_here(tmp_path: Path) -> None:
    model = shaken(AlbertForQuestionAnsweringBeamSearch(CONFIG))
    model.save_pretrained(tmp_path)
    batch = padded_batch()
    real = batch["attention_mask"].bool()
    theirs = transformers.AutoModel.from_pretrained(tmp_path).eval()(**batch).last_hidden_state
    assert_close(model.albert(**batch).last_hidden_state[real], theirs[real])
    again = AlbertForQuestionAnsweringBeamSearch.from_pretrained(tmp_path)
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)


def test_beam_search_gives_the_same_ends_as_a_known_start() -> None:
    model = shaken(AlbertForQuestionAnsweringBeamSearch(CONFIG))
    batch = padded_batch()
    p_mask = question_mask(batch)
    inputs, allowed = packed(batch), p_mask[batch["attention_mask"].bool()]
    found = model(**batch, p_mask=p_mask, start_n_top=3, end_n_top=2)
    for k in range(3):
        starts = found.start_top_index[:, k]
        given = model.packed_logits(*inputs, p_mask=allowed, start_positions=starts)
        log_probs, positions = given.end_logits.log_softmax(-1).topk(2)
        ours = slice(2 * k, 2 * k + 2)
        reachable = found.start_top_log_probs[:, k] > NEVER / 2  # Row 1 has two allowed columns only.
        legal = reachable[:, None] & (log_probs > NEVER / 2)
        assert_close(found.end_top_log_probs[:, ours][legal], log_probs[legal])
        assert torch.equal(found.end_top_index[:, ours][legal], positions[legal])
        assert_close(
            given.start_logits.log_softmax(-1).gather(1, starts[:, None]).squeeze(1)[reachable],
            found.start_top_log_probs[:, k][reachable],
        )
        assert_close(given.cls_logits, found.cls_logits)


def test_beam_search_never_answers_where_p_mask_forbids_it() -> None:
    model = shaken(AlbertForQuestionAnsweringBeamSearch(CONFIG))
    batch = padded_batch()
    p_mask = question_mask(batch)
    forbidden = (p_mask == 1) | (batch["attention_mask"] == 0)
    found = model(**batch, p_mask=p_mask, start_n_top=11, end_n_top=11)
    by_column = found.start_top_log_probs.gather(1, found.start_top_index.argsort(1))
    assert bool((by_column[forbidden] < NEVER / 2).all())
    assert_close(by_column.exp().sum(1), torch.ones(4))


def test_beam_search_does_not_depend_on_padding_or_company() -> None:
    model = shaken(AlbertForQuestionAnsweringBeamSearch(CONFIG))
    batch = padded_batch()
    p_mask = question_mask(batch)
    together = model(**batch, p_mask=p_mask)
    found = model.packed_candidates(*packed(batch), p_mask=p_mask[batch["attention_mask"].bool()])
    for name in ("start_top_log_probs", "end_top_log_probs", "cls_logits"):
        assert_close(getattr(found, name), getattr(together, name))
    for row, length in enumerate(LENGTHS.tolist()):
        one = {key: value[row : row + 1, :length] for key, value in batch.items()}
        alone = model(**one, p_mask=p_mask[row : row + 1, :length])
        assert alone.end_top_index.shape == (1, 25)
        assert_close(alone.start_top_log_probs[0], together.start_top_log_probs[row])
        assert_close(alone.end_top_log_probs[0], together.end_top_log_probs[row])


def test_answerability_adds_to_the_loss_of_the_span() -> None:
    model = shaken(AlbertForQuestionAnsweringBeamSearch(CONFIG))
    batch = padded_batch()
    positions = {"start_positions": torch.tensor([0, 2, 5, 3]), "end_positions": torch.tensor([0, 2, 5, 4])}
    is_impossible = torch.tensor([1, 0, 0, 0])
    span = model(**batch, **positions)
    both = model(**batch, **positions, is_impossible=is_impossible)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(both.cls_logits, is_impossible.float())
    assert_close(both.loss - span.loss, expected / 2)


@pytest.mark.parametrize(
    "kind",
    [
        AlbertForMaskedLM,
        AlbertForMultipleChoice,
        AlbertForPreTraining,
        AlbertForQuestionAnswering,
        AlbertForQuestionAnsweringBeamSearch,
        AlbertForSequenceClassification,
    ],
)
def test_the_class_of_a_model_is_seen_from_its_tensors(kind: type[Pretrained]) -> None:
    shapes = {name: tuple(t.shape) for name, t in kind(CONFIG).state_dict().items()}
    assert architecture_of(shapes) == kind.__name__


def test_tensors_without_a_head_are_an_encoder() -> None:
    shapes = {f"albert.{name}": tuple(t.shape) for name, t in AlbertModel(CONFIG).state_dict().items()}
    assert architecture_of(shapes) == "AlbertModel"


# The original's numbers: encoders from one tiny checkpoint, heads from the traces.


def model_of_trace(reference: Path, kind: type[Pretrained], trace: dict[str, np.ndarray]) -> Pretrained:
    variables = dict(np.load(reference / "ckpt_tiny" / "variables.npz"))
    model = kind(AlbertConfig.from_json(reference / "ckpt_tiny" / "albert_config.json")).eval()
    body = {name: value for name, value in variables.items() if name.startswith("bert/")}
    head = {n.removeprefix("init/"): value for n, value in trace.items() if n.startswith("init/")}
    state = from_original({name: torch.tensor(value) for name, value in {**body, **head}.items()})
    model.load_state_dict({name: t for name, t in state.items() if name in model.state_dict()})
    return model


def batch_of_trace(trace: dict[str, np.ndarray]) -> dict[str, Tensor]:
    names = {"input_ids": "input_ids", "attention_mask": "input_mask", "token_type_ids": "segment_ids"}
    return {ours: torch.tensor(trace[theirs]).long() for ours, theirs in names.items()}


def check_gradients(model: torch.nn.Module, trace: dict[str, np.ndarray], prefix: str) -> None:
    gradients = {name: p.grad for name, p in model.named_parameters()}
    compared = 0
    for key, value in trace.items():
        if key.startswith(prefix):
            variable = key.removeprefix(prefix)
            expected = torch.tensor(value.T if variable.endswith("/kernel") else value)
            assert_close(gradients[name_of_original(variable)], expected)
            compared += 1
    assert compared > 20


@pytest.mark.reference
def test_multiple_choice_equals_the_original_on_race(reference: Path) -> None:
    trace = dict(np.load(reference / "finetune" / "race.npz"))
    model = model_of_trace(reference, AlbertForMultipleChoice, trace)
    batch = {name: x.view(2, 4, 48) for name, x in batch_of_trace(trace).items()}
    found = model(**batch, labels=torch.tensor(trace["labels"]).long())
    assert_close(found.logits, torch.tensor(trace["logits"][0]))
    assert_close(found.loss, torch.tensor(trace["loss"][0]))
    found.loss.backward()
    check_gradients(model, trace, "step0/grad/")


@pytest.mark.reference
@pytest.mark.parametrize("name", ["classifier_mnli", "classifier_stsb"])
def test_padded_classifier_equals_the_original(reference: Path, name: str) -> None:
    trace = dict(np.load(reference / "finetune" / f"{name}.npz"))
    labels = torch.tensor(trace["labels"])
    model = AlbertForSequenceClassification(
        AlbertConfig.from_json(
            reference / "ckpt_tiny" / "albert_config.json",
            id2label={i: str(i) for i in range(len(trace["init/output_bias"]))},
        )
    ).eval()
    body = dict(np.load(reference / "ckpt_tiny" / "variables.npz"))
    head = {key: trace[f"init/{key}"] for key in ("output_weights", "output_bias")}
    bert = {key: value for key, value in body.items() if key.startswith("bert/")}
    model.load_state_dict(from_original({k: torch.tensor(v) for k, v in {**bert, **head}.items()}))
    found = model(**batch_of_trace(trace), labels=labels.long() if name.endswith("mnli") else labels)
    assert_close(found.logits.squeeze(-1), torch.tensor(trace["logits"][0]))
    assert_close(found.loss, torch.tensor(trace["loss"][0]))


@pytest.mark.reference
def test_question_answering_equals_the_original_on_squad(reference: Path, tmp_path: Path) -> None:
    trace = dict(np.load(reference / "finetune" / "squad_v1.npz"))
    model = model_of_trace(reference, AlbertForQuestionAnswering, trace)
    batch = batch_of_trace(trace)
    real = batch["attention_mask"].bool()
    found = model(**batch)
    for mode in ("train", "infer"):
        for name in ("start_logits", "end_logits"):
            assert_close(getattr(found, name)[real], torch.tensor(trace[f"{mode}/{name}"])[real])
    # The original's loss allows answers at padding. Ours does not compute it, so loss and gradients are
    # compared with the same weights in transformers, which does.
    model.save_pretrained(tmp_path)
    oracle = transformers.AlbertForQuestionAnswering.from_pretrained(tmp_path).eval()
    positions = {name: torch.tensor(trace[name]).long() for name in ("start_positions", "end_positions")}
    oracle.albert.embeddings.word_embeddings.padding_idx = None  # Otherwise [PAD] gets no gradient.
    theirs = oracle(**batch, **positions)
    assert_close(theirs.loss, torch.tensor(trace["train/loss"]))
    theirs.loss.backward()
    check_gradients(oracle, trace, "train/grad/")


@pytest.mark.reference
def test_beam_search_equals_the_original_on_squad(reference: Path) -> None:
    trace = dict(np.load(reference / "finetune" / "squad_v2.npz"))
    model = model_of_trace(reference, AlbertForQuestionAnsweringBeamSearch, trace)
    batch = batch_of_trace(trace)
    known = {
        name: torch.tensor(trace[name]).long() for name in ("start_positions", "end_positions", "p_mask")
    }
    real = batch["attention_mask"].bool()
    given = model.packed_logits(
        *packed(batch), p_mask=known["p_mask"][real], start_positions=known["start_positions"]
    )
    legal = known["p_mask"] == 0
    for name in ("start", "end"):
        log_probs = getattr(given, f"{name}_logits").log_softmax(-1)
        expected = torch.tensor(trace[f"train/{name}_log_probs"])
        assert_close(log_probs[legal], expected[legal])
        assert bool((log_probs[~legal] == NEVER).all())
        assert bool((expected[~legal] == NEVER).all())
    assert_close(given.cls_logits, torch.tensor(trace["train/cls_logits"]))

    found = model(**batch, p_mask=known["p_mask"])
    for name in ("start_top_log_probs", "end_top_log_probs", "cls_logits"):
        assert_close(getattr(found, name), torch.tensor(trace[f"infer/{name}"]))
    for name in ("start_top_index", "end_top_index"):
        assert torch.equal(getattr(found, name), torch.tensor(trace[f"infer/{name}"]).long())

    loss = model(**batch, **known, is_impossible=torch.tensor(trace["is_impossible"])).loss
    assert_close(loss, torch.tensor(trace["train/loss"]))
    loss.backward()
    check_gradients(model, trace, "train/grad/")
