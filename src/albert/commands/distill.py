"""`albert distill`: a small model learns to do what a large one does, resumable at any step."""

from typing import Any

from albert.commands.following import embedding, prediction
from albert.distillation.plan import make_plan
from albert.distillation.run import carry_out
from albert.distillation.settings import DistillSettings
from albert.distillation.teacher import TaskTeacher

__all__ = ["DistillSettings", "distill"]


def distill(settings: DistillSettings) -> dict[str, Any]:
    """Train a student; return how well it agrees with its teacher on held-out texts, and what to type next.

    Raises:
        AlbertError: Teacher, texts or settings cannot be used, or a folder holds something else.
    """
    plan = make_plan(settings)
    result = carry_out(plan)
    model = result["model"]
    if isinstance(plan.teacher, TaskTeacher):
        return result | {"next": prediction(model)}
    return result | {"next": embedding(model)}
