"""A training loop on the CPU that survives being killed: same seed, same weights, resumed or not.

Everything random in a step is drawn after `torch.manual_seed` of (seed, step), and batches are a
function of (seed, step), so the state to keep is the weights, the optimizer and the step.
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train; `bfloat16` is quick on CPUs with AMX, slow on others."""

    steps: int
    rate: float  # peak learning rate, reached after `warmup` steps, then down a cosine to 2 %
    seed: int = 0
    warmup: int = 100
    decay: float = 0.01  # weight decay of matrices
    clip: float = 1.0  # largest norm of the gradient
    save_every: int = 250
    log_every: int = 50
    bfloat16: bool = True

    def rate_at(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        if step < self.warmup:
            return self.rate * (step + 1) / self.warmup
        done = (step - self.warmup) / max(self.steps - self.warmup, 1)
        return self.rate * (0.02 + 0.98 * (1 + math.cos(math.pi * min(done, 1.0))) / 2)


def fit(model: nn.Module, loss: Callable[[int], Tensor], plan: Plan, work: Path) -> None:
    """Train `model` for `plan.steps` steps, going on from the last checkpoint in `work` if any.

    Args:
        model: What is trained, in place.
        loss: The loss of a step; depends on the step, the model and torch's generator alone.
        plan: See `Plan`.
        work: Folder of the checkpoint and the log; made if missing.
    """
    work.mkdir(parents=True, exist_ok=True)
    optimizer = make_optimizer(model, plan)
    start = resume(model, optimizer, work)
    model.train()
    since, total = time.monotonic(), 0.0
    for step in range(start, plan.steps):
        total += train_step(model, optimizer, loss, plan, step)
        if (step + 1) % plan.log_every == 0:
            seconds = (time.monotonic() - since) / plan.log_every
            log(work, step=step + 1, loss=total / plan.log_every, seconds_per_step=seconds)
            since, total = time.monotonic(), 0.0
        if (step + 1) % plan.save_every == 0 or step + 1 == plan.steps:
            save(model, optimizer, step + 1, work)
    model.eval()


def make_optimizer(model: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    """AdamW that decays matrices and leaves vectors (norms, biases) alone."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": plan.decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=plan.rate, betas=(0.9, 0.98), fused=True)


def train_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Callable[[int], Tensor],
    plan: Plan,
    step: int,
) -> float:
    """Take one step and return its loss."""
    torch.manual_seed(plan.seed * 1_000_003 + step)
    for group in optimizer.param_groups:
        group["lr"] = plan.rate_at(step)
    with torch.autocast("cpu", torch.bfloat16, enabled=plan.bfloat16):
        value = loss(step)
    value.backward()
    nn.utils.clip_grad_norm_(model.parameters(), plan.clip, error_if_nonfinite=True)
    optimizer.step()
    optimizer.zero_grad()
    return value.item()


def save(model: nn.Module, optimizer: torch.optim.Optimizer, step: int, work: Path) -> None:
    """Write the checkpoint in one move, so that a kill leaves the old or the new one."""
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
    torch.save(state, work / "checkpoint.tmp")
    (work / "checkpoint.tmp").replace(work / "checkpoint.pt")


def resume(model: nn.Module, optimizer: torch.optim.Optimizer, work: Path) -> int:
    """Load the checkpoint, if there is one, and return the number of steps already taken."""
    if not (work / "checkpoint.pt").is_file():
        return 0
    state = torch.load(work / "checkpoint.pt", weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    log(work, resumed_at=state["step"])
    return state["step"]


def log(work: Path, **values: float) -> None:
    """Print a line of numbers and append it to `log.jsonl`."""
    line = json.dumps({name: round(value, 5) for name, value in values.items()})
    print(line, flush=True)
    with (work / "log.jsonl").open("a") as file:
        file.write(line + "\n")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a small JSON file for people to read."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True) + "\n")


def save_half(model: PreTrainedModel, output: Path) -> None:
    """Write a model's folder with weights rounded to float16, readable by everybody."""
    model.half().save_pretrained(output)
    (output / "model.safetensors").chmod(0o644)
