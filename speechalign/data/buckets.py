"""Batches of similar lengths, as large as a budget of seconds allows."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from speechalign.data.draw import Indices
from speechalign.errors import UserError

CLASSES = 32  # of length, with equally many recordings each, at most
BATCHES = 8  # of a class, at least; each class costs up to one batch that is not full


class Cut(NamedTuple):
    """Global batches, as places in an order of units; each has `share` units for every rank."""

    order: Indices
    start: Indices
    share: Indices


class Buckets:
    """Cut units into batches, all units of one class of length.

    Every rank's part of a batch lasts `batch_seconds` at most, padding included, and has
    `batch_size` rows at most. An epoch always has the same number of batches, whichever recordings
    it draws: as many as the longest epoch needs. In others the batches are a little smaller, and
    nothing is repeated but what makes the ranks' parts equal (fewer than one unit a rank and class)
    and, where there are fewer units than that number asks for, whole batches.
    """

    def __init__(
        self,
        durations: NDArray[np.float64],
        batch_seconds: float,
        batch_size: int,
        world_size: int = 1,
    ):
        """Find the classes.

        Args:
            durations: Seconds of each row.
            batch_seconds: Of one rank's part of a batch, padded; at most.
            batch_size: Rows of one rank's part of a batch, at most.
            world_size: Number of ranks.

        Raises:
            UserError: If two of the longest recordings are more than `batch_seconds`.
        """
        longest = durations.max()
        if not 2 * longest <= batch_seconds:
            raise UserError(
                f"batch_seconds is {batch_seconds:g}; two of the longest recordings take"
                f" {2 * longest:.1f} s: give as many at least, or a lower max_seconds."
            )
        budget = batch_seconds * world_size
        classes = int(np.clip(durations.sum() / budget / BATCHES, 1, CLASSES))
        shares = np.arange(1, classes + 1) / classes
        self.edges = np.unique(np.quantile(durations, shares, method="higher"))
        self.sizes = np.clip((batch_seconds / 2 / self.edges).astype(np.int64), 1, batch_size // 2)
        self.world_size = world_size

    def of(self, seconds: NDArray[np.float64]) -> Indices:
        """Tell the class of each length."""
        return np.searchsorted(self.edges, seconds)

    def batches(self, longest: NDArray[np.float64]) -> int:
        """Count the batches that suffice for every epoch.

        Args:
            longest: Seconds of each unit, at most; as `EpochDraw.longest` says.
        """
        return int((1 / self.sizes[self.of(longest)]).sum() / self.world_size) + len(self.sizes)

    def cut(self, seconds: NDArray[np.float64], count: int, draw: np.random.Generator) -> Cut:
        """Cut units into `count` global batches.

        Args:
            seconds: Of each unit, those of its longer row.
            count: As `batches` says.
            draw: Chooses which units come together.
        """
        bucket = self.of(seconds)
        mixed = np.lexsort((draw.random(len(seconds)), bucket))
        sizes = np.bincount(bucket, minlength=len(self.sizes))
        shares = -(-sizes // self.world_size)
        orders, share = [], []
        for own, rows, batches in zip(
            np.split(mixed, np.cumsum(sizes)[:-1]), shares, self._spread(shares, count), strict=True
        ):
            orders.append(np.resize(own, rows * self.world_size))
            share.append(np.full(batches, rows // max(batches, 1)))
            share[-1][: rows % max(batches, 1)] += 1
        share = np.concatenate(share)
        start = np.concatenate([[0], np.cumsum(share * self.world_size)[:-1]])
        shuffled = np.resize(draw.permutation(len(share)), count)
        return Cut(np.concatenate(orders), start[shuffled], share[shuffled])

    def _spread(self, shares: Indices, count: int) -> Indices:
        """Give each class its number of batches, `count` in all if there are as many units."""
        load = shares / self.sizes
        batches = -(-shares // self.sizes)
        spare = count - batches.sum()
        batches = np.minimum(shares, batches + (spare * load / load.sum()).astype(np.int64))
        while batches.sum() < min(count, shares.sum()):
            fill = np.where(batches < shares, load / np.maximum(batches, 1), -1.0)
            batches[fill.argmax()] += 1
        return batches
