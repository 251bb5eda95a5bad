"""`albert demo`: the whole of it, small, on text that every machine has.

Vocabulary, token shards, pretraining, filled masks and a classifier, by the functions behind the other
subcommands. The folder remembers what is done: run again, an interrupted demo goes on where it was, and a
finished one gets another stage of pretraining.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from albert.checkpoint.folder import write_json
from albert.checkpoint.layout import RUN_FILE, RunLayout
from albert.commands.finetune import FinetuneSettings, finetune
from albert.commands.prepare import PrepareSettings, prepare
from albert.commands.pretrain import pretrain
from albert.commands.vocab import RECORD_NAME, VocabSettings, vocab
from albert.config import AlbertConfig
from albert.console import human_seconds, say
from albert.data.corpus.storage import write_whole
from albert.data.preparing import JOB_NAME
from albert.data.shards.jobs import hash_share, join_lines
from albert.demo.stages import (
    Stage,
    State,
    begin_anew_without,
    masked_lm_baseline,
    read_legs,
    stage_folder,
    steps_within,
)
from albert.demo.text import (
    DEV_FILE,
    Document,
    find_documents,
    majority_share,
    standard_library,
    write_tables,
)
from albert.errors import ConfigError, DataError
from albert.inference.pipelines import pipeline
from albert.pretraining.recipes import recipe_settings
from albert.pretraining.settings import PretrainSettings
from albert.reports.curves import Baselines, draw_curves, held_out_points

HELD_OUT = 0.1
EVALUATIONS = 20
COIN = 0.5
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


@dataclass(frozen=True, kw_only=True)
class DemoSettings:
    """Does the whole of it, small, on the documentation inside the running Python.

    Vocabulary, shards, pretraining against two baselines, filled masks, a classifier from pretrained and
    from random weights. Run again, it continues: with what was interrupted, else with more pretraining.
    """

    minutes: float = 3.5
    """Minutes of pretraining, this time; the rest takes about one more."""
    output: Path = Path("demo")
    """Folder for everything it makes."""

    def __post_init__(self) -> None:
        if not 0 < self.minutes < 100_000:
            raise ConfigError(f"--minutes is {self.minutes}; expected a number above 0, such as 4")


@dataclass(frozen=True, kw_only=True)
class DemoScale:
    """How large everything is; the defaults were chosen by trials, see docs/demo.md."""

    python_folder: Path = field(default_factory=standard_library)
    """Folder of Python modules whose documentation is the text."""
    vocab_size: int = 4000
    """Pieces."""
    embedding_size: int = 128
    """Width of the embeddings."""
    hidden_size: int = 192
    """Width of the encoder; the feed-forward part is four times as wide."""
    heads: int = 3
    """Attention heads."""
    layers: tuple[int, ...] = (1, 2, 3)
    """Depth of the first stage, the second, ...; the last holds for all that follow."""
    initializer_range: float = 0.05
    """Standard deviation of the first weights; the published 0.02 is too little for so narrow a model."""
    max_seq_length: int = 64
    """Pieces of the longest sequence."""
    masked_lm_prob: float = 0.25
    """Share of the pieces of a sequence to hide; more than the published 0.15, as each step teaches more."""
    batch_size: int = 32
    """Sequences of a step."""
    learning_rate: float = 1e-3
    """Peak of the first stage; later ones take half of it."""
    warmup_share: float = 0.05
    """Share of a stage's steps over which the learning rate rises."""
    steps: int | None = None
    """Steps of a stage, whatever the minutes; None for as many as fit into them."""
    finetune_steps: int | None = None
    """Steps of each classifier; None for three passes."""
    finetune_learning_rate: float = 5e-4
    """Peak for both classifiers."""


def demo(settings: DemoSettings) -> dict[str, Any]:
    """Runs or continues the demo and returns what it found; RunError if the folder holds something else."""
    return run_demo(settings, DemoScale())


def run_demo(settings: DemoSettings, scale: DemoScale) -> dict[str, Any]:
    """Runs or continues the demo at a given scale and returns what it found."""
    start = time.monotonic()
    folder = settings.output
    state = State.read(folder)
    state.write(folder)
    _make_data(folder, scale)
    state = _with_a_stage_to_do(settings, scale, state)
    stage = state.stages[-1]
    say(f"pretraining, stage {stage.number}: depth {stage.layers}, {stage.steps:,} steps")
    begin_anew_without(stage_folder(folder, stage.number), RUN_FILE)
    write_json(_config_file(folder, stage), _config(scale, stage.layers).to_dict())
    pretraining = _stage_settings(folder, scale, stage)
    scores = pretrain(pretraining)
    curves = _show_curves(folder, state, scores, masked_lm_baseline(pretraining))
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
    """Makes text, vocabulary, shards and tables, each unless it is there and whole."""
    text = folder / "documents.jsonl"
    if not text.is_file():
        documents = find_documents(scale.python_folder)
        rows = ({"package": d.package, "text": "\n".join(d.sentences)} for d in documents)
        write_whole(text, "".join(json.dumps(row) + "\n" for row in rows).encode())
        say(f"{text}: {len(documents):,} documents, {text.stat().st_size / 1e6:.2f} MB")
    tokenizer, data, tables = folder / "vocab", folder / "data", folder / "packages"
    begin_anew_without(tokenizer, RECORD_NAME)
    begin_anew_without(data, JOB_NAME)
    vocab(VocabSettings(input=(str(text),), output=tokenizer, vocab_size=scale.vocab_size, splitting="lines"))
    prepare(
        PrepareSettings(
            input=(str(text),), tokenizer=tokenizer, output=str(data), splitting="lines", held_out=HELD_OUT
        )
    )
    if not (tables / DEV_FILE).is_file():
        documents = _read_documents(text)
        write_tables(tables, documents, _held_out(documents))


def _read_documents(path: Path) -> list[Document]:
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [Document(package=row["package"], sentences=tuple(row["text"].split("\n"))) for row in rows]


def _held_out(documents: Sequence[Document]) -> list[bool]:
    """Returns which documents `prepare` holds out: pretraining never saw what the classifier is tested on."""
    return [hash_share(join_lines(document.sentences)) < HELD_OUT for document in documents]


def _with_a_stage_to_do(settings: DemoSettings, scale: DemoScale, state: State) -> State:
    """Returns the state with a last stage that is not yet shown: the interrupted one, or a new one."""
    if state.stages and state.shown < state.stages[-1].number:
        return state
    number = len(state.stages) + 1
    stage = Stage(number=number, layers=scale.layers[min(number, len(scale.layers)) - 1], steps=1)
    steps = scale.steps
    if steps is None:
        draft = _stage_settings(settings.output, scale, stage)
        steps = steps_within(60 * settings.minutes, draft, _config(scale, stage.layers))
    state = replace(state, stages=(*state.stages, replace(stage, steps=steps)))
    state.write(settings.output)
    return state


def _stage_settings(folder: Path, scale: DemoScale, stage: Stage) -> PretrainSettings:
    """Returns the settings of a stage: a function of the stage alone, so that it can be resumed."""
    continues = stage.number > 1
    return recipe_settings(
        "small",
        data=(folder / "data",),
        output=stage_folder(folder, stage.number),
        config=_config_file(folder, stage),
        init_from=str(RunLayout(stage_folder(folder, stage.number - 1)).model) if continues else None,
        max_seq_length=scale.max_seq_length,
        masked_lm_prob=scale.masked_lm_prob,
        learning_rate=scale.learning_rate / (2 if continues else 1),
        warmup_steps=int(scale.warmup_share * stage.steps),
        max_steps=stage.steps,
        batch_size=scale.batch_size,
        save_steps=max(1, stage.steps // EVALUATIONS),
        eval_steps=max(1, stage.steps // EVALUATIONS),
        log_steps=max(1, min(50, stage.steps // EVALUATIONS)),
        seed=stage.number,
    )


def _config_file(folder: Path, stage: Stage) -> Path:
    return folder / f"config-{stage.layers}-layers.json"


def _config(scale: DemoScale, layers: int) -> AlbertConfig:
    return AlbertConfig(
        vocab_size=scale.vocab_size,
        embedding_size=scale.embedding_size,
        hidden_size=scale.hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=scale.heads,
        intermediate_size=4 * scale.hidden_size,
        max_position_embeddings=2 * scale.max_seq_length,
        initializer_range=scale.initializer_range,
    )


def _show_curves(
    folder: Path, state: State, scores: dict[str, Any], masked_lm_guess: float
) -> dict[str, Any]:
    """Draws the curves of all stages and returns both accuracies, first and last, beside their baselines."""
    legs = read_legs(folder, state.stages)
    path = folder / "curves.png"
    draw_curves(path, legs, Baselines(masked_lm=masked_lm_guess, sentence_order=COIN))

    def first_and_last(name: str) -> dict[str, float]:
        return {"at_first": held_out_points(legs, name)[1][0], "now": scores[name]}

    return {
        "masked_lm_accuracy": {
            **first_and_last("masked_lm_accuracy"),
            "most_frequent_piece": masked_lm_guess,
        },
        "sentence_order_accuracy": {**first_and_last("sentence_order_accuracy"), "coin": COIN},
        "curves": str(path),
    }


def _fill_masks(model: Path) -> dict[str, str]:
    """Returns the three likeliest fillings of each of the texts."""
    fill = pipeline("fill-mask", model=model)
    filled = {}
    for text in MASKED_TEXTS:
        rows = fill(text, top_k=3)
        filled[text] = ", ".join(f"{row['token_str']} {row['score']:.0%}" for row in rows)
        say(f"{text}  {filled[text]}")
    return filled


def _classify(folder: Path, scale: DemoScale, stage: Stage, *, model: Path) -> dict[str, Any]:
    """Returns the held-out accuracies of a classifier from the model and of one from random weights."""
    accuracies = {}
    for start in ("pretrained", "random"):
        output = folder / "classifiers" / f"{stage.number}-{start}"
        begin_anew_without(output, RUN_FILE)
        say(f"a classifier from {start} weights: which package does a sentence document")
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
