"""Which Q-Former layers are aligned at each step: the paper's bandit and its controls.

Layers count from 1: layer l is the output of block l, `hidden_states[l]`. A scheduler knows
nothing of distributed training: rank 0 asks and tells the others, and every rank observes the
same cost. A random choice is a function of (seed, step) and of what was observed, independent of
the global random state, so that a scheduler restored from its state goes on exactly.
"""

import math
import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

import torch

from speechalign.errors import UserError

UNTRIED = 1e-6  # added to a count: a layer never tried has a bonus that outweighs all else


class LayerScheduler(ABC):
    """Chooses layers, one step after the other, and is told what aligning them cost.

    Attributes:
        layers: All that may be chosen.
        step: How often `choose` was called.
        counts: How often each layer was observed.
        costs: The last finite cost of each layer; None before.
    """

    def __init__(self, layers: Sequence[int]):
        """Start at step 0.

        Raises:
            UserError: If `layers` is empty, repeats a layer or counts from 0.
        """
        if not layers or min(layers) < 1 or len(set(layers)) < len(layers):
            raise UserError(f"layers is {list(layers)}: name distinct layers, counted from 1.")
        self.layers = tuple(layers)
        self.step = 0
        self.counts = [0] * len(layers)
        self.costs: list[float | None] = [None] * len(layers)

    @abstractmethod
    def choose(self) -> tuple[int, ...]:
        """Go one step on and return the layers to be aligned in it."""

    def observe(self, layer: int, cost: float) -> None:
        """Take note of the alignment cost of a chosen layer; one that is not finite is ignored."""
        if math.isfinite(cost):
            self.counts[self.layers.index(layer)] += 1
            self.costs[self.layers.index(layer)] = cost

    def state_dict(self) -> dict[str, Any]:
        """Return all that changes, in plain Python types."""
        return {
            "class": type(self).__name__,
            "layers": list(self.layers),
            "step": self.step,
            "counts": list(self.counts),
            "costs": list(self.costs),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where the scheduler that gave `state` stood.

        Raises:
            UserError: If `state` is that of another class or of other layers.
        """
        saved = state["class"], tuple(state["layers"])
        if saved != (type(self).__name__, self.layers):
            raise UserError(
                f"The checkpoint's scheduler is {saved[0]} over layers {list(saved[1])}, the "
                f"configured one {type(self).__name__} over {list(self.layers)}: make them agree."
            )
        self.step = state["step"]
        self.counts, self.costs = list(state["counts"]), list(state["costs"])


class AllLayers(LayerScheduler):
    """All given layers, at every step."""

    def choose(self) -> tuple[int, ...]:
        """Return all layers."""
        self.step += 1
        return self.layers


class Fixed(AllLayers):
    """One layer, at every step; the last of the paper's Q-Former is 8."""

    def __init__(self, layer: int):
        """Name the layer."""
        super().__init__((layer,))


class Sampler(LayerScheduler):
    """One layer a step, drawn with probabilities that a subclass gives."""

    def __init__(self, layers: Sequence[int], seed: int | None = None):
        """Name the layers to draw from, and the seed of the draws; None takes torch's."""
        super().__init__(layers)
        self.seed = torch.initial_seed() if seed is None else seed

    @abstractmethod
    def probabilities(self) -> list[float]:
        """Return the probability of each layer in the current step."""

    def choose(self) -> tuple[int, ...]:
        """Go one step on and draw a layer."""
        self.step += 1
        draw = random.Random(f"{self.seed}/{self.step}")
        return tuple(draw.choices(self.layers, self.probabilities()))

    def state_dict(self) -> dict[str, Any]:
        """Return all that changes, and the seed, in plain Python types."""
        return super().state_dict() | {"seed": self.seed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where the scheduler that gave `state` stood; see `LayerScheduler`."""
        super().load_state_dict(state)
        self.seed = state["seed"]


class Weighted(Sampler):
    """A layer drawn with given, constant odds."""

    def __init__(self, layers: Sequence[int], weights: Sequence[float], seed: int | None = None):
        """Name layers and their odds, which need not sum to 1.

        Raises:
            UserError: If the weights do not fit the layers, or are no odds.
        """
        super().__init__(layers, seed)
        if len(weights) != len(layers) or min(weights) < 0 or sum(weights) <= 0:
            raise UserError(
                f"weights is {list(weights)}: give {len(layers)} numbers, none negative, not all 0."
            )
        self.weights = tuple(weights)

    def probabilities(self) -> list[float]:
        """Return the odds, scaled to sum to 1."""
        return [weight / sum(self.weights) for weight in self.weights]


class Uniform(Weighted):
    """A layer drawn with equal chances: the honest control of `UCB`."""

    def __init__(self, layers: Sequence[int] = (1, 2, 3), seed: int | None = None):
        """Name the layers to draw from, and the seed of the draws; None takes torch's."""
        super().__init__(layers, [1.0] * len(layers), seed)


class UCB(Sampler):
    """The paper's bandit: upper confidence bounds, drawn from by a cooling softmax.

    The reward of a layer is the fall of its alignment cost since it was last observed, and Q_l its
    moving average. In step t, with n_l observations of layer l,

        temperature = max(temperature_floor, temperature_decay^t)
        bonus_l = beta sqrt(log t / (n_l + 1e-6))
        p = softmax((bonus + Q) / temperature)           sign "paper": a fast fall is rewarded
        p = softmax((bonus - Q) / temperature)           sign "dev": as the development code has it

    The paper gives no constants; the defaults are those of the development code, which prefers,
    against the paper's text, the layer whose cost falls least. With these constants the sign
    hardly matters: the falls of a layer sum to less than its first cost, so Q stays near 0.01
    while the bonuses are equal over layers, and simulated runs choose each of three layers in 32
    to 36 % of the steps under either sign. Compare with `Uniform` before crediting the bandit.
    """

    def __init__(
        self,
        layers: Sequence[int] = (1, 2, 3),
        beta: float = 1.0,
        decay: float = 0.9,
        temperature_decay: float = 0.999,
        temperature_floor: float = 0.05,
        sign: Literal["paper", "dev"] = "paper",
        seed: int | None = None,
    ):
        """Choose layers and constants.

        Args:
            layers: Layers to choose from; the paper keeps to low ones.
            beta: Strength of the bonus for layers that were tried rarely.
            decay: Of the moving average of rewards, from 0 (the last one) to 1 (never learns).
            temperature_decay: Factor on the temperature per step.
            temperature_floor: Lowest temperature.
            sign: Whether a fast fall of the cost is sought ("paper") or avoided ("dev").
            seed: Of the draws; by default torch's, which `seed_everything` sets.

        Raises:
            UserError: If a decay is outside [0, 1] or the floor is not positive.
        """
        super().__init__(layers, seed)
        if not (0 <= decay <= 1 and 0 <= temperature_decay <= 1 and temperature_floor > 0):
            raise UserError(
                f"decay ({decay}) and temperature_decay ({temperature_decay}) must be from 0 to 1 "
                f"and temperature_floor ({temperature_floor}) above 0."
            )
        self.beta, self.decay, self.sign = beta, decay, sign
        self.temperature_decay, self.temperature_floor = temperature_decay, temperature_floor
        self.rewards = [0.0] * len(layers)

    def probabilities(self) -> list[float]:
        """Return the softmax over layers; uniform in the first step, whose bonuses are 0."""
        step = max(self.step, 1)
        temperature = max(self.temperature_floor, self.temperature_decay**step)
        direction = 1 if self.sign == "paper" else -1
        scores = [
            self.beta * math.sqrt(math.log(step) / (count + UNTRIED)) + direction * reward
            for count, reward in zip(self.counts, self.rewards, strict=True)
        ]
        powers = [math.exp((score - max(scores)) / temperature) for score in scores]
        return [power / sum(powers) for power in powers]

    def observe(self, layer: int, cost: float) -> None:
        """Update the layer's reward with the fall of its cost; the first cost is only noted."""
        k = self.layers.index(layer)
        before = self.costs[k]
        super().observe(layer, cost)
        if before is not None and math.isfinite(cost):
            self.rewards[k] = self.decay * self.rewards[k] + (1 - self.decay) * (before - cost)

    def state_dict(self) -> dict[str, Any]:
        """Return all that changes, in plain Python types."""
        return super().state_dict() | {"rewards": list(self.rewards)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where the scheduler that gave `state` stood; see `LayerScheduler`."""
        super().load_state_dict(state)
        self.rewards = list(state["rewards"])
