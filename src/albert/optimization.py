"""Names of the original's module `optimization`; none has a counterpart of one line."""

from typing import Any

from albert.legacy.moved import refuse

_MOVED = {
    "AdamWeightDecayOptimizer": "albert.optim.optimizers has AdamW and LAMB for PyTorch",
    "LAMBOptimizer": "albert.optim.optimizers has AdamW and LAMB for PyTorch",
    "create_optimizer": "albert.optim.optimizers.make_optimizer, with albert.optim.schedules.make_schedule",
}


def __getattr__(name: str) -> Any:
    return refuse(__name__, name, _MOVED)
