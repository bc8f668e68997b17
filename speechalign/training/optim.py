"""Learning-rate schedules: linear warm-up, then constant (the paper's stages) or linear decay."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


class WarmupConstant(LambdaLR):
    """Rise linearly over `warmup_steps` optimizer steps, then stay."""

    def __init__(self, optimizer: Optimizer, warmup_steps: int = 200) -> None:
        super().__init__(optimizer, lambda step: min(1.0, (step + 1) / max(1, warmup_steps)))


class WarmupLinear(LambdaLR):
    """Rise linearly over `warmup_steps` optimizer steps, then fall to 0 at `total_steps`."""

    def __init__(self, optimizer: Optimizer, warmup_steps: int, total_steps: int) -> None:
        def factor(step: int) -> float:
            rise = (step + 1) / max(1, warmup_steps)
            fall = (total_steps - step) / max(1, total_steps - warmup_steps)
            return max(0.0, min(1.0, rise, fall))

        super().__init__(optimizer, factor)
