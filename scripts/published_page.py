"""Write docs/published-numbers.md: for each task with published scores, command, work and expected band.

tests/docs/test_published_page.py checks that the page is up to date.
usage: python scripts/published_page.py
"""

from pathlib import Path

import numpy as np

from albert.config import AlbertConfig
from albert.model.flops import encoder_flops
from albert.tasks.catalogue import TASKS, solver_of
from albert.tasks.published import Band, band, recipe_for
from albert.tasks.task import Task

PAGE = Path(__file__).parents[1] / "docs" / "published-numbers.md"
MODELS = {"en": ("albert/albert-base-v2", "base-v2", 30_000), "zh": ("ALBERT_ZH_BASE", "base", 21_128)}
"""For each language the checkpoint, its size, and its vocabulary."""
PASSES = 3
"""A training step costs as much as three forward passes."""
SUSTAINED = 50e12
"""Operations a second that a data-centre GPU sustains in bf16, for the estimate of time."""
INTRODUCTION = """# Reproduce the published numbers

Made by `python scripts/published_page.py` from the tables of the package; do not edit.

One command for each task on which others have published scores of models of the size `base`:

```
albert finetune --task TASK --model MODEL --data FOLDER --output runs/TASK
```

MODEL is `albert/albert-base-v2` on the Hub, for Chinese albert_zh's base checkpoint (a folder or an
archive). FOLDER is what the benchmark unpacks to; without `--data` it comes from the Hub. The settings are
those that `--recipe auto` takes from table 14 of the paper, the README of the original and that of
albert_zh; the command prints the source of each, and `RUN/report.html` shows the band next to the result.
RTE, STS-B and MRPC gain from an encoder that was fine-tuned on MNLI first: `--init-from runs/mnli`.
Published scores are often the best of several seeds; `--seeds 5` gives the median.

The work is an upper bound, with every sequence at its full length; four fifths of the texts of GLUE have 60
tokens or fewer, and only real tokens are computed. The time is that work at 50 TFLOP/s, which a data-centre
GPU sustains in bf16: an estimate, not a measurement. None of these runs was made for this page, which needs
the checkpoints and a GPU; what the tests prove is that the same weights and inputs give the original's
numbers."""


def make_page() -> str:
    """Return the page."""
    rows = [
        "| task | steps x batch x tokens | work | minutes at most | score | published, from | to | by |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for task in TASKS.values():
        _, size, vocab_size = MODELS[task.language]
        config = AlbertConfig.of_size(size, vocab_size=vocab_size)
        if (found := band(task, config)) is not None:
            rows.append(_row(task, config, found))
    return f"{INTRODUCTION}\n\n" + "\n".join(rows) + "\n"


def _row(task: Task, config: AlbertConfig, found: Band) -> str:
    recipe = recipe_for(task, config)
    score = f"{found.metric} | {found.low:g} | {found.high:g} | {found.source} |"
    if recipe.max_steps is None:
        length = f"{recipe.num_epochs:g} passes x {recipe.batch_size} x {recipe.max_seq_length}"
        return f"| `{task.name}` | {length} | | | {score}"
    sequences = recipe.batch_size * (4 if solver_of(task).features_class.__name__ == "ChoiceFeatures" else 1)
    tokens = np.full(sequences, recipe.max_seq_length)
    work = PASSES * encoder_flops(config, tokens) * recipe.max_steps
    length = f"{recipe.max_steps:,} x {recipe.batch_size} x {recipe.max_seq_length}"
    return f"| `{task.name}` | {length} | {work / 1e15:,.0f} PFLOP | {work / SUSTAINED / 60:,.0f} | {score}"


if __name__ == "__main__":
    PAGE.write_text(make_page(), encoding="utf-8")
