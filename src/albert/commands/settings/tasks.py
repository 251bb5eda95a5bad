"""The settings of `albert tasks`."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TasksSettings:
    """List the known tasks with their data, metrics and default settings."""
