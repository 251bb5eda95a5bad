"""The settings of `albert report`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from albert.choices import Axis
from albert.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSettings:
    """Draw the curves of one or more runs, and compare them.

    Works for pretraining and fine-tuning, also while a run is still training.
    """

    runs: Positional[Annotated[tuple[Path, ...], arg(metavar="RUN [RUN ...]")]]
    """Folders of the runs."""
    output: Path | None = None
    """Folder for report.png and report.html; default: report/ in the first run."""
    x: Axis = "steps"
    """Horizontal axis: steps, tokens, or hours of training steps (without evaluations)."""

    def __post_init__(self) -> None:
        if not self.runs:
            raise ConfigError("no run was given; expected folders of runs: albert report RUN [RUN ...]")
