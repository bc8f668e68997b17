"""Learning-rate schedules: linear warm-up, then constant (the paper's stages) or linear decay."""

import math
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from typing_extensions import override

from speechalign.errors import UserError


class WarmupConstant(LambdaLR):
    """Rise linearly over `warmup_steps` optimizer steps, then stay."""

    def __init__(self, optimizer: Optimizer, warmup_steps: int = 200) -> None:
        super().__init__(optimizer, lambda step: min(1.0, (step + 1) / max(1, warmup_steps)))


class WarmupLinear(LambdaLR):
    """Rise linearly over `warmup_steps` optimizer steps, then fall to 0 at the end of the training.

    Args:
        optimizer: Whose learning rates are scaled.
        warmup_steps: Optimizer steps of the rise.
        total_steps: Optimizer steps of the whole; by default those of the trainer (`end_at`).
    """

    def __init__(
        self, optimizer: Optimizer, warmup_steps: int, total_steps: int | None = None
    ) -> None:
        self.warmup_steps, self.total_steps = warmup_steps, total_steps
        super().__init__(optimizer, self.factor)

    def factor(self, step: int) -> float:
        """Share of the learning rate in a step, counted from 0."""
        rise = (step + 1) / max(1, self.warmup_steps)
        if self.total_steps is None:
            return min(1.0, rise)
        fall = (self.total_steps - step) / max(1, self.total_steps - self.warmup_steps)
        return max(0.0, min(1.0, rise, fall))

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on at the same step, towards the end that is set now."""
        kept = {k: v for k, v in state_dict.items() if k not in ("warmup_steps", "total_steps")}
        super().load_state_dict(kept)

    def end_at(self, trainer_steps: float) -> None:
        """Take the end from the trainer, unless it was given.

        Raises:
            UserError: If the trainer has no end, or goes on after the learning rate is 0.
        """
        if self.total_steps is None and math.isfinite(trainer_steps):
            self.total_steps = int(trainer_steps)
        if self.total_steps is None or self.total_steps < trainer_steps:
            raise UserError(
                f"WarmupLinear falls to 0 after {self.total_steps or 'an unknown number of'} steps "
                f"and the trainer makes {trainer_steps}: set trainer.max_steps, and leave "
                "lr_scheduler's total_steps out."
            )
