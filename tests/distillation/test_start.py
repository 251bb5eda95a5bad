"""A student that starts from its teacher."""

from pathlib import Path

import pytest
import torch

from albert.config import AlbertConfig
from albert.distillation.settings import StudentSettings
from albert.distillation.start import principal_basis, start_from_teacher, student_config, word_table
from albert.errors import ConfigError
from albert.model.albert_model import AlbertModel
from albert.model.packing import Packing
from albert.text.tokenizer import AlbertTokenizer
from samples.teachers import teacher_config

COUNTS = torch.ones(2000)


def states(model: AlbertModel, ids: torch.Tensor) -> torch.Tensor:
    packing = Packing.of_lengths(torch.tensor([len(ids)]))
    with torch.no_grad():
        return model.eval().encode(ids, torch.zeros_like(ids), packing)


def started(teacher: AlbertModel, config: AlbertConfig, basis: torch.Tensor) -> tuple[AlbertModel, float]:
    student = AlbertModel(config, add_pooling_layer=False)
    words = teacher.embeddings.word_embeddings.weight.detach()
    start = start_from_teacher(student, teacher, words, counts=COUNTS, basis=basis)
    return student, start.variance_kept


def make_teacher(**changes: object) -> AlbertModel:
    torch.manual_seed(1)
    return AlbertModel(teacher_config(**changes), add_pooling_layer=False).eval()


def test_a_student_of_the_teachers_shape_is_the_teacher(tokenizer_folder: Path) -> None:
    teacher = make_teacher()
    own = AlbertTokenizer.from_pretrained(tokenizer_folder)
    settings = StudentSettings(layers=4, groups=4, embedding_size=32)
    student, kept = started(teacher, student_config(teacher.config, settings, own), torch.eye(32))
    ids = torch.arange(5, 25)
    assert kept == 1.0
    torch.testing.assert_close(states(student, ids), states(teacher, ids), rtol=0, atol=0)


def test_embeddings_of_low_rank_are_factorised_almost_without_loss(tokenizer_folder: Path) -> None:
    teacher = make_teacher()
    low_rank = torch.randn(2000, 6) @ torch.randn(6, 32)
    teacher.embeddings.word_embeddings.weight.data = low_rank
    teacher.embeddings.position_embeddings.weight.data.zero_()
    teacher.embeddings.token_type_embeddings.weight.data.zero_()
    own = AlbertTokenizer.from_pretrained(tokenizer_folder)
    kept = [
        started(
            teacher,
            student_config(teacher.config, StudentSettings(layers=4, groups=4, embedding_size=size), own),
            torch.eye(32),
        )[1]
        for size in (4, 8, 24)
    ]
    assert kept == sorted(kept)
    assert kept[1] > 0.9, "six directions fit into eight numbers"


def test_layers_are_picked_evenly_and_a_group_is_the_mean_of_its_layers(tokenizer_folder: Path) -> None:
    teacher = make_teacher()
    own = AlbertTokenizer.from_pretrained(tokenizer_folder)
    config = student_config(teacher.config, StudentSettings(layers=2, groups=1, embedding_size=16), own)
    student, _ = started(teacher, config, torch.eye(32))
    first, last = (teacher.encoder.layers()[i].ffn.weight for i in (0, 3))
    torch.testing.assert_close(student.encoder.layers()[0].ffn.weight, (first + last) / 2)


def test_a_narrower_student_of_states_in_few_directions_computes_what_the_teacher_does() -> None:
    """Heads and neurons whose weights are 0, and directions that no weight touches, can be left out."""
    teacher = make_teacher(hidden_act="relu")
    basis = torch.eye(32)[:, :16]
    block = teacher.encoder.layers()[0]
    narrow = AlbertModel(
        teacher_config(hidden_size=16, embedding_size=16, num_attention_heads=2, intermediate_size=32),
        add_pooling_layer=False,
    )
    for linear in (block.attention.query, block.attention.key, block.attention.value, block.ffn):
        linear.weight.data[:, 16:] = 0
    block.attention.value.weight.data[16:] = 0  # heads 2 and 3 read nothing
    block.attention.value.bias.data.zero_()
    block.ffn.weight.data[32:] = 0
    words = teacher.embeddings.word_embeddings.weight.detach()
    start_from_teacher(narrow, teacher, words, counts=COUNTS, basis=basis)
    found = narrow.encoder.layers()[0]
    torch.testing.assert_close(found.ffn.weight, block.ffn.weight[:32, :16])
    torch.testing.assert_close(found.attention.value.weight, block.attention.value.weight[:16, :16])
    torch.testing.assert_close(found.attention.dense.weight, block.attention.dense.weight[:16, :16])


def test_the_principal_basis_is_orthonormal_and_keeps_the_largest_directions() -> None:
    torch.manual_seed(0)
    directions = torch.linalg.qr(torch.randn(8, 8)).Q
    x = torch.randn(500, 8) * torch.tensor([9.0, 5.0, 3.0, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3]) @ directions.T
    basis = principal_basis([x[:200], x[200:]], 3)
    torch.testing.assert_close(basis.T @ basis, torch.eye(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(x @ basis @ basis.T, x, atol=0.05, rtol=0)


def test_tokens_that_the_teacher_lacks_start_as_the_mean_of_their_spelling(golden: Path) -> None:
    teacher = make_teacher()
    own = AlbertTokenizer.from_pretrained(golden / "tokenization")
    other = AlbertTokenizer.from_pretrained(golden / "tokenization")
    assert word_table(teacher, own, other) is not None
    table = teacher.embeddings.word_embeddings.weight
    torch.testing.assert_close(word_table(teacher, own, other), table)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (StudentSettings(hidden_size=64), "up to its width 32"),
        (StudentSettings(hidden_size=20), "a multiple of its head size 8"),
        (StudentSettings(embedding_size=64), "at most the hidden size 32"),
    ],
)
def test_a_shape_that_cannot_start_from_the_teacher_is_refused(
    settings: StudentSettings, expected: str, tokenizer_folder: Path
) -> None:
    own = AlbertTokenizer.from_pretrained(tokenizer_folder)
    with pytest.raises(ConfigError, match=expected):
        student_config(teacher_config(), settings, own)
