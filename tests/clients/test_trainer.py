"""Hugging Face's Trainer and accelerate train our classes as they train those of transformers."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from datasets import Dataset

import albert
from albert.errors import CheckpointError

SHAPE = {
    "vocab_size": 2000,
    "embedding_size": 8,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 20,
    "max_position_embeddings": 32,
    # Its random numbers are drawn for a padded batch there and for the tokens alone here.
    "classifier_dropout_prob": 0.0,
}
TEXTS = [f"the value {number} is a {kind}" for number in range(8) for kind in ("type", "module")]
HEADS = ["AlbertForSequenceClassification", "AlbertForTokenClassification", "AlbertForMaskedLM"]


@pytest.fixture(scope="module")
def folders(tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models written by transformers, with our tokenizer."""
    found = {}
    for name in (*HEADS, "AlbertForQuestionAnswering"):
        torch.manual_seed(0)
        found[name] = tmp_path_factory.mktemp(name)
        getattr(transformers, name)(transformers.AlbertConfig(**SHAPE)).save_pretrained(found[name])
        albert.AlbertTokenizer.from_pretrained(tokenizer_folder).save_pretrained(found[name])
    return found


def open_both(folder: Path, name: str) -> list[tuple[Any, Any]]:
    """Return model and tokenizer of transformers, and ours."""
    theirs = getattr(transformers, name).from_pretrained(folder, dtype=torch.float32)
    ours = getattr(albert, name).from_pretrained(folder)
    tokenizers = (
        transformers.AutoTokenizer.from_pretrained(folder),
        albert.AlbertTokenizer.from_pretrained(folder),
    )
    return list(zip((theirs, ours), tokenizers, strict=True))


def trainer_for(model: Any, tokenizer: Any, output: Path, **settings: Any) -> Any:
    """Return a Trainer for four steps of a model's task."""
    name = type(model).__name__
    # Of equal length for answers: there, padding is one of the places where an answer can start.
    texts = TEXTS[:1] * len(TEXTS) if name == "AlbertForQuestionAnswering" else TEXTS
    rows = Dataset.from_dict({"text": texts}).map(
        lambda batch: tokenizer(batch["text"], truncation=True, max_length=16),
        batched=True,
        remove_columns="text",
    )
    collator: Any = transformers.DataCollatorWithPadding(tokenizer)
    if name == "AlbertForSequenceClassification":
        rows = rows.add_column("label", [number % 2 for number in range(len(TEXTS))])
    elif name == "AlbertForTokenClassification":
        rows = rows.map(lambda row: {"labels": [index % 2 for index in range(len(row["input_ids"]))]})
        collator = transformers.DataCollatorForTokenClassification(tokenizer)
    elif name == "AlbertForMaskedLM":
        collator = transformers.DataCollatorForLanguageModeling(tokenizer, seed=3)
    else:
        rows = rows.add_column("start_positions", [2] * len(TEXTS)).add_column(
            "end_positions", [3] * len(TEXTS)
        )
    defaults = {
        "per_device_train_batch_size": 4, "num_train_epochs": 1, "logging_steps": 1, "save_steps": 2,
        "learning_rate": 0.5, "optim": "sgd", "seed": 1, "report_to": [], "use_cpu": True,
        "disable_tqdm": True,
    }  # fmt: skip
    arguments = transformers.TrainingArguments(str(output), **{**defaults, **settings})
    return transformers.Trainer(
        model,
        arguments,
        train_dataset=rows,
        eval_dataset=rows,
        data_collator=collator,
        processing_class=tokenizer,
    )


def losses_of(trainer: Any) -> list[float]:
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*HEADS, "AlbertForQuestionAnswering"])
def test_the_trainer_trains_evaluates_and_predicts_as_with_transformers(
    folders: dict[str, Path], tmp_path: Path, name: str
) -> None:
    found = []
    for number, (model, tokenizer) in enumerate(open_both(folders[name], name)):
        trainer = trainer_for(model, tokenizer, tmp_path / str(number))
        trainer.train()
        found.append(
            (losses_of(trainer), trainer.evaluate()["eval_loss"] if name != "AlbertForMaskedLM" else 0)
        )
    assert len(found[0][0]) == 4
    torch.testing.assert_close(found[1], found[0], atol=2e-5, rtol=0)


@pytest.mark.filterwarnings("ignore")
def test_a_training_is_resumed_and_its_model_is_kept(folders: dict[str, Path], tmp_path: Path) -> None:
    name = "AlbertForSequenceClassification"
    _, (model, tokenizer) = open_both(folders[name], name)
    trainer = trainer_for(
        model, tokenizer, tmp_path, load_best_model_at_end=True, eval_strategy="steps", eval_steps=2
    )
    trainer.train()
    _, (fresh, _) = open_both(folders[name], name)
    resumed = trainer_for(fresh, tokenizer, tmp_path)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert losses_of(resumed)[-1] == pytest.approx(losses_of(trainer)[-1], abs=1e-6)
    # The Trainer stores the configuration of its own classes only; the message says how to store ours.
    with pytest.raises(CheckpointError, match=r"no config\.json.*model\.config\.save_pretrained"):
        albert.AlbertForSequenceClassification.from_pretrained(tmp_path / "checkpoint-4")
    fresh.config.save_pretrained(tmp_path / "checkpoint-4")
    opened = transformers.AlbertForSequenceClassification.from_pretrained(tmp_path / "checkpoint-4")
    for key, tensor in fresh.state_dict().items():
        assert torch.equal(opened.state_dict()[key], tensor)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "settings",
    [{"gradient_accumulation_steps": 2}, {"activation_checkpointing": True}, {"label_smoothing_factor": 0.1}],
)
def test_settings_of_the_trainer_take_effect(
    folders: dict[str, Path], tmp_path: Path, settings: dict[str, Any]
) -> None:
    name = "AlbertForSequenceClassification"
    _, (model, tokenizer) = open_both(folders[name], name)
    trainer = trainer_for(model, tokenizer, tmp_path, **settings)
    trainer.train()
    if "gradient_accumulation_steps" in settings:
        assert len(losses_of(trainer)) == 2
        assert all(0.3 < loss < 1.2 for loss in losses_of(trainer))  # a mean, not a sum of two
    assert model.is_activation_checkpointing == ("activation_checkpointing" in settings)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_accelerate_trains_returns_float32_and_saves_as_documented(
    folders: dict[str, Path], tmp_path: Path, precision: str
) -> None:
    name = "AlbertForSequenceClassification"
    _, (model, tokenizer) = open_both(folders[name], name)
    AcceleratorState._reset_state(True)
    accelerator = Accelerator(mixed_precision=precision, cpu=True)
    model, optimizer = accelerator.prepare(model, torch.optim.AdamW(model.parameters()))
    out = model(**tokenizer(TEXTS[:2], padding=True, return_tensors="pt"), labels=torch.tensor([0, 1]))
    assert out.logits.dtype == torch.float32
    accelerator.backward(out.loss)
    optimizer.step()
    accelerator.unwrap_model(model).save_pretrained(
        tmp_path,
        is_main_process=accelerator.is_main_process,
        save_function=accelerator.save,
        state_dict=accelerator.get_state_dict(model),
    )
    opened = transformers.AlbertForSequenceClassification.from_pretrained(tmp_path)
    trained = accelerator.unwrap_model(model).classifier.weight
    assert torch.equal(opened.classifier.weight, trained)
    AcceleratorState._reset_state(True)
