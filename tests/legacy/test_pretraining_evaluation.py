"""`run_pretraining --do_eval`: its scores, its start and end, and the checkpoint it keeps."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from albert import AlbertForPreTraining
from albert.data.batches import PretrainingBatch
from albert.data.tfrecord.files import RecordFile
from albert.data.tfrecord.masked_records import parse_records
from albert.legacy import pretraining_evaluation
from albert.legacy.scripts import script_main
from samples.original_files import SHAPE, random_model, write_tensorflow

main = script_main("run_pretraining")


def evaluate(config: Path, records: Path, output: Path, *more: str) -> int:
    return main(
        [
            f"--input_file={records}",
            f"--output_dir={output}",
            f"--albert_config_file={config}",
            "--nodo_train",
            "--do_eval",
            "--max_seq_length=128",
            "--num_train_steps=4",
            *more,
        ]
    )


def train(config: Path, records: Path, output: Path, *more: str) -> int:
    return main(
        [
            f"--input_file={records}",
            f"--output_dir={output}",
            f"--albert_config_file={config}",
            "--max_seq_length=128",
            "--num_train_steps=4",
            "--num_warmup_steps=1",
            "--train_batch_size=4",
            "--save_checkpoints_steps=2",
            *more,
        ]
    )


def results_in(folder: Path) -> list[dict[str, float]]:
    """Return the evaluations in eval_results.txt."""
    found: list[dict[str, float]] = []
    for line in (folder / "eval_results.txt").read_text().splitlines():
        name, equals, value = line.partition(" = ")
        if name == "global_step":
            found.append({})
        if equals:
            found[-1][name] = float(value)
    return found


def padded(batch: PretrainingBatch) -> dict[str, Tensor]:
    """Return records as a padded batch."""
    tensors = {name: torch.zeros(len(batch), 128, dtype=torch.long) for name in ("ids", "mask", "segments")}
    labels = torch.full((len(batch), 128), -100)
    for row in range(len(batch)):
        one = batch.take(row, row + 1)
        length = int(one.lengths[0])
        tensors["ids"][row, :length] = torch.from_numpy(one.input_ids)
        tensors["mask"][row, :length] = 1
        tensors["segments"][row, :length] = torch.from_numpy(one.token_type_ids)
        labels[row, one.masked_positions] = torch.from_numpy(one.masked_labels)
    return {**tensors, "labels": labels, "orders": torch.from_numpy(batch.sentence_order_labels)}


@torch.no_grad()
def always_predicting(batch: PretrainingBatch, rank: int) -> AlbertForPreTraining:
    """Return a model that always predicts the most frequent masked token, or that of another rank."""
    model = random_model(rank)
    frequent = Counter(batch.masked_labels.tolist()).most_common()
    model.predictions.bias[frequent[rank][0]] += 100.0
    return model


@torch.no_grad()
def expected_scores(model: AlbertForPreTraining, batches: list[PretrainingBatch]) -> dict[str, float]:
    """Return the scores by the model's `forward` and the definitions of the original."""
    losses, rights, order_losses, order_rights, totals = [], [], [], [], []
    for batch in batches:
        x = padded(batch)
        output = model(x["ids"], x["mask"], x["segments"])
        is_masked = x["labels"] >= 0
        loss = F.cross_entropy(output.prediction_logits[is_masked], x["labels"][is_masked], reduction="none")
        order = F.cross_entropy(output.sop_logits, x["orders"], reduction="none")
        losses.append(loss)
        rights.append(output.prediction_logits[is_masked].argmax(-1) == x["labels"][is_masked])
        order_losses.append(order)
        order_rights.append(output.sop_logits.argmax(-1) == x["orders"])
        totals.append(loss.sum() / (len(loss) + 1e-5) + order.mean())
    return {
        "loss": float(torch.stack(totals).mean()),
        "masked_lm_loss": float(torch.cat(losses).mean()),
        "masked_lm_accuracy": float(torch.cat(rights).float().mean()),
        "sentence_order_loss": float(torch.cat(order_losses).mean()),
        "sentence_order_accuracy": float(torch.cat(order_rights).float().mean()),
    }


@pytest.fixture
def batch(records: Path) -> PretrainingBatch:
    """All 40 records in their order."""
    file = RecordFile(records)
    messages = [file.read(start) for start in file.find_starts().tolist()]
    return parse_records(messages, vocab_size=2000, max_seq_length=128)


@pytest.mark.parametrize("form", ["prefix", "folder", "output_dir"])
def test_scores_are_those_of_the_first_records_in_order(
    form: str, config_file: Path, records: Path, batch: PretrainingBatch, tmp_path: Path
) -> None:
    model, output = always_predicting(batch, 0), tmp_path / "out"
    more = ["--eval_batch_size=16", "--max_eval_steps=3"]
    if form == "prefix":
        prefix = write_tensorflow(tmp_path / "albert" / "model.ckpt-7", model, step=7)
        more.append(f"--init_checkpoint={prefix}")
    elif form == "folder":
        model.save_pretrained(tmp_path / "model")
        more.append(f"--init_checkpoint={tmp_path / 'model'}")
    else:
        write_tensorflow(output / "model.ckpt-7", model, step=7)
        write_tensorflow(output / "model.ckpt-5", random_model(seed=1), step=5)
    assert evaluate(config_file, records, output, *more) == 0
    (found,) = results_in(output)
    # Three batches of 16 out of 40 records: the last one starts over at the end of the records.
    again = PretrainingBatch.join([batch.take(32, 40), batch.take(0, 8)])
    expected = expected_scores(model, [batch.take(0, 16), batch.take(16, 32), again])
    assert found.pop("global_step") == (7 if form == "output_dir" else 0)
    assert found == pytest.approx(expected, abs=1e-5)


def test_the_evaluation_ends_after_the_given_number_of_steps(
    config_file: Path, records: Path, batch: PretrainingBatch, tmp_path: Path
) -> None:
    write_tensorflow(tmp_path / "out" / "model.ckpt-best", random_model(), step=9)
    more = ["--eval_batch_size=8", "--max_eval_steps=1"]
    assert evaluate(config_file, records, tmp_path / "out", *more) == 0
    (found,) = results_in(tmp_path / "out")
    assert found["global_step"] == 9
    expected = expected_scores(random_model(), [batch.take(0, 8)])
    assert found["masked_lm_loss"] == pytest.approx(expected["masked_lm_loss"], abs=1e-5)


def test_it_waits_for_checkpoints_of_another_process_and_ends_with_the_last(
    config_file: Path, records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it waits, the training continues to its next checkpoint."""
    from albert.pretraining.run import Pretraining

    output = tmp_path / "run"
    save, waits = Pretraining._save, []

    def save_and_leave(self: Pretraining, place: Any) -> None:
        save(self, place)
        raise KeyboardInterrupt

    def train_a_little(seconds: float) -> None:
        waits.append(seconds)
        first = len(waits) == 1
        monkeypatch.setattr(Pretraining, "_save", save_and_leave if first else save)
        assert train(config_file, records, output) == (130 if first else 0)

    monkeypatch.setattr(pretraining_evaluation, "sleep", train_a_little)
    more = ["--eval_batch_size=8", "--max_eval_steps=2"]
    assert evaluate(config_file, records, output, *more) == 0
    assert len(waits) == 2
    assert [found["global_step"] for found in results_in(output)] == [2, 4]


def test_a_checkpoint_that_is_removed_meanwhile_is_skipped(
    config_file: Path, records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "run"
    assert train(config_file, records, output) == 0
    record = json.loads((output / "run.json").read_text())
    del record["result"]
    (output / "run.json").write_text(json.dumps(record))
    shutil.copytree(output / "checkpoints" / "step-4", output / "checkpoints" / "step-9")
    load = pretraining_evaluation.load_snapshot_weights

    def remove_first(snapshot: Path, model: AlbertForPreTraining) -> None:
        if snapshot.name == "step-9":
            shutil.rmtree(snapshot)
        load(snapshot, model)

    monkeypatch.setattr(pretraining_evaluation, "load_snapshot_weights", remove_first)
    more = ["--eval_batch_size=8", "--max_eval_steps=1"]
    assert evaluate(config_file, records, output, *more) == 0
    assert [found["global_step"] for found in results_in(output)] == [4]


def test_the_checkpoint_with_the_best_masked_lm_accuracy_of_all_evaluations_is_kept(
    config_file: Path, records: Path, batch: PretrainingBatch, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    more = ["--eval_batch_size=40", "--max_eval_steps=1"]
    models = [always_predicting(batch, rank) for rank in (9, 0, 4)]
    accuracies = [expected_scores(model, [batch])["masked_lm_accuracy"] for model in models]
    assert accuracies[1] > accuracies[2] > accuracies[0] > 0
    for number, model in enumerate(models):
        model.save_pretrained(tmp_path / str(number))
        assert (
            evaluate(config_file, records, output, *more, f"--init_checkpoint={tmp_path / str(number)}") == 0
        )
    assert [found["masked_lm_accuracy"] for found in results_in(output)] == pytest.approx(accuracies)
    kept = AlbertForPreTraining.from_pretrained(output / "best").state_dict()
    assert all(torch.equal(kept[name], tensor) for name, tensor in models[1].state_dict().items())
    lines = (output / "eval_results.txt").read_text().splitlines()
    assert lines.count("saved model.ckpt-0 to model.ckpt-best") == 2


def test_a_configuration_of_another_model_is_refused(
    config_file: Path, records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run"
    assert train(config_file, records, output) == 0
    record = json.loads((output / "run.json").read_text())
    del record["result"]
    (output / "run.json").write_text(json.dumps(record))
    config_file.write_text(json.dumps({**SHAPE, "intermediate_size": 16}))
    assert evaluate(config_file, records, output) == 1
    assert "step-4: albert.encoder" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("flag", ["--eval_batch_size", "--max_eval_steps"])
def test_an_evaluation_without_batches_is_refused(
    flag: str, config_file: Path, records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(config_file, records, tmp_path / "run", f"{flag}=0") == 1
    assert f"{flag} is 0; expected at least 1" in capsys.readouterr().err


@pytest.mark.reference
def test_scores_equal_those_of_the_original(reference: Path, tmp_path: Path) -> None:
    checkpoint = reference / "ckpt_spm2k"
    more = ["--eval_batch_size=32", "--max_eval_steps=30"]
    more.append(f"--init_checkpoint={checkpoint / 'model.ckpt-best'}")
    records = reference / "pretrain_data" / "base128.tfrecord"
    assert evaluate(checkpoint / "albert_config.json", records, tmp_path / "out", *more) == 0
    (found,) = results_in(tmp_path / "out")
    (original,) = results_in(reference / "eval_pretraining")
    assert len(original) == 6
    assert found == pytest.approx(original, abs=1e-5)
