"""A run that is killed after some steps."""

from collections.abc import Callable

import pytest

from albert.training.log import StepLog
from albert.training.loop import Step


def interrupt(monkeypatch: pytest.MonkeyPatch, run: Callable[[], object], *, step: int) -> None:
    """Run until some step, where the process is killed."""
    add = StepLog.add

    def killed(self: StepLog, done: Step) -> None:
        if done.number == step:
            raise KeyboardInterrupt
        add(self, done)

    with monkeypatch.context() as patch:
        patch.setattr(StepLog, "add", killed)
        with pytest.raises(KeyboardInterrupt):
            run()
