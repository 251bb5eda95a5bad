"""`albert pretrain`: prepared data to a pretrained model, resumable at any moment."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from albert.checkpoint.conversion import model_folder
from albert.checkpoint.folder import load_weights, read_config
from albert.checkpoint.pretrained import AlbertForPreTraining
from albert.checkpoint.release import check_tokenizer, model_card, write_model_folder
from albert.console import progress, say
from albert.data.batches import NO_ORDER_LABEL, PretrainingBatch
from albert.data.example_settings import ExampleSettings
from albert.data.examples import Examples
from albert.errors import ConfigError
from albert.model.config import AlbertConfig
from albert.model.losses import LossSum, cross_entropy_sum
from albert.optim.optimizers import make_optimizer
from albert.optim.schedules import make_schedule
from albert.recipes.pretraining_data import PretrainingData, open_pretraining_data
from albert.text.tokenizer import AlbertTokenizer
from albert.training.log import StepLog, flat_scores
from albert.training.loop import Score, evaluate, train
from albert.training.runs import Run, settings_as_json
from albert.training.settings import LoopSettings, OptimizerSettings, find_device
from albert.training.stopping import graceful_stop


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainSettings:
    """Pretrains a model on prepared data.

    Masked language model plus sentence order, both heads from the start. Running the same command again
    on an unfinished folder continues it.
    """

    data: tuple[Path, ...]
    """Folder that `albert prepare` wrote, whose tokenizer becomes the model's; or TFRecord files, as the
    original's create_pretraining_data.py wrote them."""
    output: Path
    """Folder of the run."""
    tokenizer: Path | None = None
    """Folder of the tokenizer that made the TFRecord files; shards bring their own."""
    eval_data: tuple[Path, ...] = ()
    """TFRecord files to evaluate on; shards bring held-out documents."""
    workers: int = 1
    """Processes that make examples; 1: the one that trains, when it needs them. The examples are the same."""
    size: str | None = None
    """Published size: base, large, xlarge, xxlarge (-v1 with dropout), tiny, small; else base."""
    config: Path | None = None
    """Configuration file instead of a size: config.json or the original's albert_config.json."""
    init_from: str | None = None
    """Model whose weights to start from, in any form; with --size or --config it may have another depth."""
    eval_examples: int = 1000
    """Held-out examples an evaluation looks at."""
    examples: ExampleSettings = ExampleSettings()
    """How examples are made."""
    optimizer: OptimizerSettings = OptimizerSettings()
    """How the weights are moved."""
    loop: LoopSettings = LoopSettings()
    """How long, on what, how often to save."""


class PretrainingObjective:
    """Masked LM over all hidden pieces plus sentence order over all pairs."""

    def counts(self, batch: PretrainingBatch) -> dict[str, int]:
        """Returns how many pieces are hidden and how many sequences have an order."""
        ordered = int((batch.sentence_order_labels != NO_ORDER_LABEL).sum())
        return {"masked_lm": len(batch.masked_positions), "sentence_order": ordered}

    def sums(self, model: AlbertForPreTraining, batch: PretrainingBatch) -> dict[str, LossSum]:
        """Returns both losses summed over the batch."""
        masked_lm, order = model.packed_logits(
            *(
                torch.from_numpy(array).to(model.device, non_blocking=True)
                for array in (batch.input_ids, batch.token_type_ids, batch.lengths, batch.masked_positions)
            )
        )
        labels = torch.from_numpy(batch.masked_labels).to(model.device)
        order_labels = torch.from_numpy(batch.sentence_order_labels).to(model.device)
        return {
            "masked_lm": cross_entropy_sum(masked_lm, labels),
            "sentence_order": cross_entropy_sum(order, order_labels),
        }


def pretrain(settings: PretrainSettings) -> dict[str, Any]:
    """Pretrains a model and returns its scores on held-out text."""
    data = open_pretraining_data(settings.data, tokenizer=settings.tokenizer, eval_data=settings.eval_data)
    config = _find_config(settings, data.tokenizer)
    run = Run.open(
        settings.output,
        command="pretrain",
        settings=settings_as_json(settings),
        inputs={"data": data.fingerprint},
    )
    if run.result is not None:
        say(f"{settings.output}: already finished")
        return run.result
    loop = settings.loop
    torch.manual_seed(loop.seed)
    model = AlbertForPreTraining(config).to(find_device(loop.device))
    if settings.init_from is not None:
        load_weights(
            model, model_folder(settings.init_from), has_map=config.embedding_size != config.hidden_size
        )
    optimizer = make_optimizer(
        settings.optimizer.optimizer,
        model,
        weight_decay=settings.optimizer.weight_decay,
        beta2=settings.optimizer.adam_beta2,
    )
    _announce(model, data, settings)
    score = partial(_held_out_scores, model, data, settings)
    keep = partial(_write_model, run=run, model=model, tokenizer=data.tokenizer)
    examples = Examples(data.train(settings.examples, seed=loop.seed), workers=settings.workers)
    _train(run, model, optimizer, examples=examples, score=score, keep=keep, settings=settings)
    scores = flat_scores(score())
    keep(run.model, scores=scores)
    result = {"steps": loop.max_steps, **scores, "model": str(run.model)}
    run.finish(result)
    return result


def _train(
    run: Run,
    model: AlbertForPreTraining,
    optimizer: torch.optim.Optimizer,
    *,
    examples: Examples,
    score: Callable[[], dict[str, Score]],
    keep: Callable[..., None],
    settings: PretrainSettings,
) -> None:
    """Runs the steps that are missing: log, evaluate, keep the best, save."""
    loop = settings.loop
    steps_done = run.resume(model, optimizer)
    batches = examples.batches(loop.micro_size, start=steps_done * loop.batch_size)
    schedule = make_schedule(
        settings.optimizer.schedule,
        peak=settings.optimizer.learning_rate,
        warmup_steps=settings.optimizer.warmup_steps,
        train_steps=loop.max_steps,
    )
    best = min(_held_out_losses(run), default=float("inf"))
    with (
        graceful_stop() as stop,
        progress("pretraining", total=loop.max_steps, done=steps_done, unit=" steps") as bar,
    ):
        log = StepLog(run, bar, log_steps=loop.log_steps)
        for step in train(
            model,
            batches,
            PretrainingObjective(),
            optimizer,
            learning_rate=schedule,
            settings=loop,
            max_grad_norm=settings.optimizer.max_grad_norm,
            steps_done=steps_done,
        ):
            log.add(step)
            if step.number % loop.eval_steps == 0:
                scores = score()
                log.scores(step.number, scores)
                if "masked_lm" in scores and scores["masked_lm"].loss < best:
                    best = scores["masked_lm"].loss
                    keep(run.best, scores=flat_scores(scores))
            if step.number % loop.save_steps == 0 or stop:
                run.save(step.number, model, optimizer, keep=loop.keep_checkpoints)
            if stop:
                stop.leave()


def _find_config(settings: PretrainSettings, tokenizer: AlbertTokenizer) -> AlbertConfig:
    """Returns the model's shape from --size, --config or --init-from, with the tokenizer's vocabulary."""
    if settings.size is not None and settings.config is not None:
        raise ConfigError("--size and --config both give a shape; choose one")
    if settings.config is not None:
        config = AlbertConfig.from_json(settings.config)
    elif settings.size is None and settings.init_from is not None:
        config = read_config(model_folder(settings.init_from))
    else:
        config = AlbertConfig.of_size(settings.size or "base", vocab_size=tokenizer.vocab_size)
    source = settings.config or settings.init_from or "--size"
    where = settings.tokenizer or settings.data[0]
    check_tokenizer(tokenizer, config.vocab_size, source=f"{source} and {where}")
    if settings.examples.max_seq_length > config.max_position_embeddings:
        raise ConfigError(
            f"--max-seq-length {settings.examples.max_seq_length} exceeds the model's "
            f"{config.max_position_embeddings} positions"
        )
    return config


def _announce(model: AlbertForPreTraining, data: PretrainingData, settings: PretrainSettings) -> None:
    """Says what is about to happen."""
    parameters = sum(p.numel() for p in model.parameters())
    loop = settings.loop
    say(
        f"{parameters:,} parameters on {model.device}; {data.summary}; "
        f"{loop.max_steps:,} steps of {loop.batch_size} examples of up to "
        f"{settings.examples.max_seq_length} pieces"
    )


def _held_out_scores(
    model: AlbertForPreTraining, data: PretrainingData, settings: PretrainSettings
) -> dict[str, Score]:
    """Returns the scores on held-out examples; none where none were held out."""
    source = data.held_out(settings.examples)
    if source is None:
        return {}
    batches = Examples(source).one_pass(settings.loop.micro_size, limit=settings.eval_examples)
    return evaluate(model, batches, PretrainingObjective(), settings.loop)


def _held_out_losses(run: Run) -> Iterator[float]:
    """Yields the masked LM losses of the evaluations that are logged."""
    for record in run.log_records():
        if "masked_lm_loss" in record.get("held_out", {}):
            yield record["held_out"]["masked_lm_loss"]


def _write_model(
    folder: Path,
    *,
    run: Run,
    model: AlbertForPreTraining,
    tokenizer: AlbertTokenizer,
    scores: dict[str, float],
) -> None:
    """Writes the model as it is now to `folder`, with its card."""
    description = (
        "An ALBERT encoder with its masked LM and sentence-order heads, pretrained on the prepared text "
        f"in `{' '.join(run.record['settings']['data'])}`."
    )
    card = model_card(
        "ALBERT, pretrained", description=description, task="fill-mask", scores=scores, record=run.record
    )
    write_model_folder(folder, model, tokenizer, card=card, record=run.record)
