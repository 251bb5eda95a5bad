"""`albert bench` on a tiny model: what is compared before it is timed, and what is reported."""

import json
import runpy
import sys
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
import torch

from albert.benchmarks import inference, text, training, workload
from albert.benchmarks.jobs import make_job
from albert.benchmarks.lower_bound import (
    LOWER_BOUND,
    classifier_products,
    encoder_products,
    flops_of,
    lower_bound_candidate,
    pretraining_products,
)
from albert.benchmarks.rows import make_rows, report, spread
from albert.benchmarks.timing import (
    Candidate,
    DisagreementError,
    Job,
    Outcome,
    Recorded,
    Timing,
    distance,
    ratio,
    time_job,
)
from albert.benchmarks.workload import Workload, make_lengths, make_pretraining_batch, pad_pretraining
from albert.choices import JobName
from albert.cli.main import run
from albert.commands.bench import BenchSettings, bench, make_workload
from albert.config import AlbertConfig
from albert.data.batches import PretrainingBatch
from albert.errors import ConfigError
from albert.model import linear
from albert.model.flops import encoder_flops, pretraining_flops
from albert.optim import optimizers

CPU = torch.device("cpu")
TINY = AlbertConfig(
    vocab_size=97,
    embedding_size=8,
    hidden_size=12,
    num_hidden_layers=3,
    num_attention_heads=2,
    intermediate_size=20,
)


@pytest.fixture(autouse=True)
def small_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    """A vocabulary so small that it costs nothing."""
    monkeypatch.setattr(workload, "VOCAB_SIZE", 97)


@pytest.fixture
def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process is started to measure memory."""
    monkeypatch.setattr(
        "albert.commands.bench.peak_memory", lambda *_: {"peak_mb": 2.0, "above_start_mb": 1.0}
    )


@pytest.fixture
def no_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if transformers were not installed."""
    monkeypatch.setitem(sys.modules, "transformers", None)


def settings(*jobs: JobName, **changes: Any) -> BenchSettings:
    return replace(
        BenchSettings(
            jobs=jobs,
            size="mini",
            precision="float32",
            max_seq_length=8,
            batch_size=2,
            quick=True,
            compiled=False,
            device="cpu",
        ),
        **changes,
    )


def work(folder: Path, **changes: Any) -> Workload:
    return replace(make_workload(settings("inference"), folder), **changes)


def of(rows: list[dict[str, Any]], candidate: str) -> dict[str, Any]:
    (row,) = [row for row in rows if row["candidate"] == candidate]
    return row


def names_of(job: Job) -> list[str]:
    return [candidate.name for candidate in job.candidates]


@pytest.mark.usefixtures("no_memory")
def test_every_model_job_has_a_row_for_us_for_transformers_and_for_the_lower_bound() -> None:
    result = bench(settings("pretraining", "finetuning", "inference", "latency", rounds=1))
    jobs = {row["job"] for row in result["rows"]}
    assert len(jobs) == 4
    for job in jobs:
        rows = [row for row in result["rows"] if row["job"] == job and row["candidate"] != "albert, int8"]
        assert [row["candidate"] for row in rows] == ["albert", "transformers, sdpa", LOWER_BOUND]
        ours, theirs, bound = rows
        assert theirs["distance"] <= theirs["tolerance"]
        assert theirs["ratio"]["median"] == pytest.approx(
            ours["seconds"]["median"] / theirs["seconds"]["median"]
        )
        assert theirs["lower_bound_ratio"]["median"] == pytest.approx(
            bound["seconds"]["median"] / theirs["seconds"]["median"]
        )
        assert ours["utilisation"] > 0
    assert "ours / this" in result["report"]
    assert result["machine"]["cores"]
    assert set(result["versions"]) >= {"albert", "commit", "torch", "transformers"}


def test_a_wrong_output_is_refused_before_anything_is_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = inference._their_logits
    monkeypatch.setattr(inference, "_their_logits", lambda *arguments: right(*arguments) + 0.01)
    timed: list[str] = []
    monkeypatch.setattr(Timing, "median_seconds", property(lambda self: timed.append("timed")))
    with pytest.raises(DisagreementError, match=r"transformers, sdpa is 0\.00\d+ away from albert"):
        time_job(make_job("inference", work(tmp_path)), rounds=1, device=CPU)
    assert not timed


def test_fine_tuning_is_also_compared_with_batches_padded_to_the_full_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    widths: list[set[int]] = []
    right = training._their_steps

    def watched(work: Workload, given: training.Training, model: Any) -> Any:
        widths.append({given.pad(batch)["input_ids"].shape[1] for batch in given.batches})
        return right(work, given, model)

    monkeypatch.setattr(training, "_their_steps", watched)
    full = work(tmp_path, all_peers=True, max_seq_length=80, num_batches=2)
    timings = time_job(make_job("finetuning", full), rounds=1, device=CPU)
    names = ["transformers, sdpa", "transformers, eager", "transformers, sdpa, padded to 80"]
    assert [*timings] == ["albert", *names, LOWER_BOUND]
    longest, eager, padded = widths
    assert max(longest) < 80
    assert eager == longest
    assert padded == {80}
    apart = timings[names[-1]].distance
    assert apart is not None
    assert apart < training.TOLERANCE


def test_an_optimiser_that_updates_wrongly_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job("optimizer", work(tmp_path))
    assert time_job(job, rounds=1, device=CPU)["LAMB, tensor by tensor"].distance is not None
    right = optimizers._trust_ratios
    monkeypatch.setattr(optimizers, "_trust_ratios", lambda *given: 0.9 * right(*given))
    with pytest.raises(DisagreementError, match="tensor by tensor"):
        time_job(job, rounds=1, device=CPU)


@pytest.mark.parametrize("name", ["inference", "latency"])
def test_int8_is_measured_next_to_float32_where_the_device_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: JobName
) -> None:
    job = make_job(name, work(tmp_path))
    timings = time_job(job, rounds=1, device=CPU)
    assert [*timings] == ["albert", "albert, int8", "transformers, sdpa", LOWER_BOUND]
    apart = timings["albert, int8"].distance
    assert apart is not None
    assert inference.TOLERANCE < apart < inference.INT8_TOLERANCE  # so it is not float32 again
    assert "albert, int8" not in names_of(make_job(name, work(tmp_path, precision="bf16")))

    def refuse(device: torch.device) -> None:
        raise ConfigError(f"no int8 on {device}")

    monkeypatch.setattr(inference, "check_int8", refuse)
    assert names_of(make_job(name, work(tmp_path))) == ["albert", "transformers, sdpa", LOWER_BOUND]


def test_int8_with_other_results_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job("inference", work(tmp_path, batch_size=4, max_seq_length=30))
    right = linear._quantized_product
    monkeypatch.setattr(linear, "_quantized_product", lambda x, weights: right(x.roll(1, 0), weights))
    with pytest.raises(DisagreementError, match=r"albert, int8 is 0\.\d+ away from albert, expected at most"):
        time_job(job, rounds=1, device=CPU)


@pytest.mark.usefixtures("no_memory")
def test_int8_has_a_row_and_a_line_without_the_bounds_of_float32() -> None:
    result = bench(settings("latency", "optimizer"))
    ours, int8, theirs, _ = result["rows"][:4]
    assert int8["ratio"]["median"] == pytest.approx(
        median(a / b for a, b in zip(ours["seconds"]["rounds"], int8["seconds"]["rounds"], strict=True))
    )
    assert not {"utilisation", "lower_bound_ratio"} & {*int8}
    (line,) = [text for text in result["report"].splitlines() if text.startswith("  albert, int8 ")]
    assert spread(int8["ratio"]) in line
    assert "%" not in line

    table = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "table.py"))["make_table"](result)
    first, second, optimisers = [line.split(" | ") for line in table.splitlines()[4:]]
    assert first[0] == "| inference, one text at a time, glue"
    assert first[2] == f"transformers, sdpa {spread(theirs['ratio'])}"
    assert second[0] == "| inference, one text at a time, glue: int8"
    assert second[1].startswith(f"{int8['milliseconds']:.3g} ms per text, ")
    assert "of peak" not in second[1]
    over = [ratio(int8["seconds"]["rounds"], row["seconds"]["rounds"]) for row in (ours, theirs)]
    assert second[2] == f"albert {spread(over[0])}; transformers, sdpa {spread(over[1])}"
    assert second[3:5] == ["", ""]
    assert "; albert, AdamW " in optimisers[2]  # different work, so it has no line of its own


@pytest.mark.usefixtures("no_transformers", "no_memory")
def test_without_transformers_only_albert_is_measured_and_a_message_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = bench(settings("pretraining", rounds=1))["rows"]
    assert [row["candidate"] for row in rows] == ["albert", LOWER_BOUND]
    assert "transformers is not installed, so only albert is measured" in capsys.readouterr().err


@pytest.mark.usefixtures("no_transformers")
def test_text_jobs_report_the_recorded_speed_of_the_original(tmp_path: Path) -> None:
    job = make_job("examples", work(tmp_path))
    timings = time_job(job, rounds=1, device=CPU)
    row = make_rows(job, timings, peak=1.0, memory={})[-1]
    ours = timings["albert"].median_seconds
    assert row["candidate"] == "create_pretraining_data.py"
    assert row["ratio"]["median"] == pytest.approx(ours / job.tokens * 51.7e6 / 725)
    assert "recorded" in row["note"]


def test_our_tokenizer_gives_the_tokens_of_the_fast_one(tmp_path: Path) -> None:
    timings = time_job(make_job("tokenization", work(tmp_path)), rounds=1, device=CPU)
    assert timings["transformers, fast"].distance == 0
    assert set(timings) == {"albert", "transformers, fast", text.LOWER_BOUND}


@pytest.mark.usefixtures("no_transformers", "no_memory")
def test_json_and_the_output_file_hold_the_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "new" / "result.json"
    flags = "--jobs latency --size mini --max-seq-length 8 --batch-size 2 --quick --rounds 1 --device cpu"
    assert run(["bench", *flags.split(), "--output", str(output), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    stored = json.loads(output.read_text())
    assert {**stored, "report": printed["report"]} == printed
    assert stored["settings"]["size"] == "mini"
    assert stored["settings"]["rounds"] == 1
    row = of(stored["rows"], "albert")
    assert row["sequences"] == 2
    assert row["milliseconds"] == pytest.approx(500 * row["seconds"]["median"])
    assert row["tokens_per_second"] == pytest.approx(row["tokens"] / row["seconds"]["median"], abs=0.6)


def test_memory_is_measured_in_its_own_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from albert.benchmarks.memory import peak_memory

    found = peak_memory(work(tmp_path), "inference", "albert")
    assert found is not None
    assert 0 <= found["above_start_mb"] < found["peak_mb"]
    assert 100 < found["peak_mb"] < 2000


def test_ratios_are_of_two_times_of_the_same_round() -> None:
    def candidate(name: str) -> Candidate:
        return Candidate(name=name, make=lambda: lambda: np.zeros(1), tolerance=0.0, compiled=name == "b")

    job = Job(
        name="x",
        tokens=10,
        flops=6,
        candidates=[candidate("a"), candidate("b")],
        lower_bound="b",
        recorded=[Recorded(name="old", tokens_per_second=2.0, note="recorded")],
    )
    timings = {
        "a": Timing(first_seconds=1, distance=0, seconds=[1.0, 2.0, 9.0]),
        "b": Timing(first_seconds=7, distance=0, seconds=[2.0, 2.0, 3.0]),
    }
    ours, theirs, old = make_rows(job, timings, peak=3.0, memory={"a": {"peak_mb": 5.0}})
    assert theirs["ratio"] == {"median": 1.0, "min": 0.5, "max": 3.0}
    assert ours["lower_bound_ratio"] == {"median": 1.0, "min": 1 / 3, "max": 2.0}
    assert ours["tokens_per_second"] == 5
    assert ours["utilisation"] == 1.0
    assert ours["memory"] == {"peak_mb": 5.0}
    assert theirs["compile_seconds"] == 5.0
    assert old["ratio"] == {"median": 0.4}
    assert "1.00 (0.50 to 3.00)" in report([ours, theirs, old])


def test_candidates_take_turns_and_each_round_starts_with_another() -> None:
    order: list[str] = []

    def candidate(name: str) -> Candidate:
        def go() -> Outcome:
            order.append(name)
            return np.zeros(1)

        return Candidate(name=name, make=lambda: go, tolerance=0.0)

    time_job(Job(name="x", candidates=[candidate("a"), candidate("b")]), rounds=3, device=CPU)
    assert "".join(order) == "ababbaab"


def test_the_distance_of_another_shape_or_of_nan_is_infinite() -> None:
    assert distance(np.zeros(2), np.zeros(3)) == np.inf
    assert distance(np.array([np.nan]), np.zeros(1)) == np.inf
    assert distance(np.array([1.0, 101.0]), np.array([1.0, 100.0])) == pytest.approx(1 / 101)


@pytest.mark.parametrize("embedding_size", [8, 12])
def test_the_lower_bound_computes_exactly_the_products_that_are_counted(embedding_size: int) -> None:
    config = replace(TINY, embedding_size=embedding_size)
    lengths = np.array([7, 5, 5, 3])
    pretraining = list(pretraining_products(config, lengths, 6))
    assert flops_of(pretraining, backward=True) == pretraining_flops(config, lengths, 6)
    encoder = list(encoder_products(config, lengths, num_rows=4))
    assert flops_of(encoder, backward=False) == encoder_flops(config, lengths, num_rows=4)
    head = 2 * 4 * config.hidden_size * (config.hidden_size + config.num_labels)
    classifier = list(classifier_products(config, lengths))
    assert flops_of(classifier, backward=False) == encoder_flops(config, lengths, num_rows=4) + head


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_the_lower_bound_runs_as_many_operations_as_it_reports(tmp_path: Path, precision: Any) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    products = list(pretraining_products(TINY, np.array([7, 5]), 3))
    # torch's counter sees only torch's own products, so torch computes those of oneDNN here.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("albert.model.linear._prefers_onednn", lambda _: False)
        candidate = lower_bound_candidate(work(tmp_path, precision=precision), products, backward=True)
        once = candidate.make()
        with FlopCounterMode(display=False) as counter:
            once()
    assert counter.get_total_flops() == flops_of(products, backward=True)


def test_lengths_follow_the_distribution_and_the_cut() -> None:
    glue = make_lengths("glue", 1000, longest=128)
    assert np.median(glue) == pytest.approx(28, abs=1)
    assert glue.max() == 128
    sst2 = make_lengths("sst2", 1000, longest=128)
    assert np.median(sst2) == 11
    assert sst2.mean() == pytest.approx(
        963_896 / 67_349, rel=0.03
    )  # tokens of the training set over its texts
    assert 62 < sst2.max() <= 81
    assert make_lengths("squad", 1000, longest=384).mean() > 3 * glue.mean()
    assert make_lengths("full", 3, longest=9).tolist() == [9, 9, 9]
    assert np.array_equal(glue, make_lengths("glue", 1000, longest=128))


def test_padding_keeps_every_token_and_every_label() -> None:
    batch: PretrainingBatch = make_pretraining_batch(np.array([9, 4, 6]))
    padded = pad_pretraining(batch)
    real = padded["attention_mask"].bool()
    assert padded["input_ids"].shape == (3, 9)
    assert padded["input_ids"][real].tolist() == batch.input_ids.tolist()
    assert padded["token_type_ids"][real].tolist() == batch.token_type_ids.tolist()
    labels = padded["labels"][real]
    assert (labels >= 0).nonzero().flatten().tolist() == batch.masked_positions.tolist()
    assert labels[labels >= 0].tolist() == batch.masked_labels.tolist()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rounds": 0}, "--rounds is 0"),
        ({"batch_size": 0}, "--batch-size is 0"),
        ({"max_seq_length": 600}, "expected 8 to 512"),
        ({"jobs": ()}, "--jobs names none; known are pretraining"),
    ],
)
def test_senseless_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(BenchSettings(), **changes)
