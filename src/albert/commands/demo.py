"""`albert demo`: run everything in small, on text that every machine has.

Vocabulary, token shards, pretraining, filled masks and a classifier, by the functions of the other commands.
The folder records what is done: run again, an interrupted demo continues where it was, and a finished one
gets another stage of pretraining.
"""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from albert.checkpoint.layout import RUN_FILE
from albert.commands.finetune import FinetuneSettings, finetune
from albert.commands.prepare import PrepareSettings, prepare
from albert.commands.pretrain import pretrain
from albert.commands.settings.demo import DemoSettings
from albert.commands.vocab import RECORD_NAME, VocabSettings, vocab
from albert.console import human_seconds, say
from albert.data.recognition import JOB_NAME
from albert.data.shards.jobs import hash_share, join_lines
from albert.demo.stages import (
    DemoScale,
    add_stage,
    masked_lm_baseline,
    prepare_stage,
    remove_without,
    show_curves,
)
from albert.demo.state import Stage, State
from albert.demo.text import DEV_FILE, majority_share, read_documents, write_documents, write_tables
from albert.errors import DataError
from albert.inference.pipelines import pipeline

__all__ = ["DemoSettings", "demo"]

HELD_OUT = 0.1
MASKED_TEXTS = (
    "Return [MASK] if the file exists.",
    "This method is [MASK] when the connection is closed.",
    "The first argument is the [MASK] of the file.",
)
OWN_TEXT = (
    "albert vocab --input YOUR.txt --output own/vocab --vocab-size 8000",
    "albert prepare --input YOUR.txt --tokenizer own/vocab --output own/data",
    "albert pretrain --recipe small --data own/data --output own/run",
    'albert fill-mask --model own/run/model "A sentence with a [MASK]."',
    "albert finetune --task classification --model own/run/model --data FOLDER_WITH_TRAIN_AND_DEV_TSV "
    "--output own/classifier",
)


def demo(settings: DemoSettings) -> dict[str, Any]:
    """Run or continue the demo and return its results; RunError if the folder holds something else."""
    return run_demo(settings, DemoScale())


def run_demo(settings: DemoSettings, scale: DemoScale) -> dict[str, Any]:
    """Run or continue the demo at a given scale and return its results."""
    start = time.monotonic()
    folder = settings.output
    state = State.read(folder)
    state.write(folder)
    _make_data(folder, scale)
    state = add_stage(folder, state, scale, minutes=settings.minutes)
    stage = state.stages[-1]
    say(f"pretraining, stage {stage.number}: depth {stage.layers}, {stage.steps:,} steps")
    pretraining = prepare_stage(folder, scale, stage)
    scores = pretrain(pretraining)
    curves = show_curves(folder, state.stages, scores, masked_lm_baseline(pretraining))
    model = Path(scores["model"])
    result = {
        "stages": len(state.stages),
        "steps": sum(done.steps for done in state.stages),
        **curves,
        "fill_mask": _fill_masks(model),
        "package_of_a_sentence": _classify(folder, scale, stage, model=model),
        "model": str(model),
        "with_your_own_text": {str(number): command for number, command in enumerate(OWN_TEXT, 1)},
    }
    replace(state, shown=stage.number).write(folder)
    say(f"the demo took {human_seconds(time.monotonic() - start)}; run it again to pretrain further")
    return result


def _make_data(folder: Path, scale: DemoScale) -> None:
    """Make text, vocabulary, shards and tables, each unless it is complete already."""
    text, tokenizer, data, tables = (
        folder / name for name in ("documents.jsonl", "vocab", "data", "packages")
    )
    if not text.is_file():
        write_documents(text, scale.python_folder)
    remove_without(tokenizer, RECORD_NAME)
    remove_without(data, JOB_NAME)
    vocab(VocabSettings(input=(str(text),), output=tokenizer, vocab_size=scale.vocab_size, splitting="lines"))
    prepare(
        PrepareSettings(
            input=(str(text),), tokenizer=tokenizer, output=str(data), splitting="lines", held_out=HELD_OUT
        )
    )
    if not (tables / DEV_FILE).is_file():
        documents = read_documents(text)
        # The documents that `prepare` holds out, so that pretraining never saw the classifier's test data.
        held_out = [hash_share(join_lines(document.sentences)) < HELD_OUT for document in documents]
        write_tables(tables, documents, held_out)


def _fill_masks(model: Path) -> dict[str, str]:
    """Return the three most probable tokens for the mask of each text."""
    fill = pipeline("fill-mask", model=model)
    filled = {}
    for text in MASKED_TEXTS:
        rows = fill(text, top_k=3)
        filled[text] = ", ".join(f"{row['token_str']} {row['score']:.0%}" for row in rows)
        say(f"{text}  {filled[text]}")
    return filled


def _classify(folder: Path, scale: DemoScale, stage: Stage, *, model: Path) -> dict[str, Any]:
    """Return the held-out accuracies of two classifiers, from the model and from random weights."""
    accuracies = {}
    for start in ("pretrained", "random"):
        output = folder / "classifiers" / f"{stage.number}-{start}"
        remove_without(output, RUN_FILE)
        say(f"fine-tuning from {start} weights: which package does a sentence document?")
        result = finetune(
            FinetuneSettings(
                task="classification",
                model=str(model),
                data=folder / "packages",
                output=output,
                from_scratch=start == "random",
                max_steps=scale.finetune_steps,
                batch_size=32,
                max_seq_length=scale.max_seq_length,
                learning_rate=scale.finetune_learning_rate,
                eval_steps=200,
            )
        )
        if "last" not in result:
            raise DataError(f"{folder / 'packages' / DEV_FILE}: no sentence was held out; remove {folder}")
        accuracies[f"from_{start}_weights"] = result["last"]["accuracy"]
    return {**accuracies, "majority": majority_share(folder / "packages")}
