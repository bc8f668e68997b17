"""Which utterances make up each batch: parallel pairs for training, shards for evaluation.

Samplers yield whole batches (`DataLoader(..., sampler=..., batch_size=None)`). They subclass
`DistributedSampler`, so Lightning tells them the epoch and does not wrap them once more.
"""

from collections.abc import Iterator
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike
from torch.utils.data import Dataset, DistributedSampler

from speechalign.data.buckets import Buckets, Cut
from speechalign.data.draw import EpochDraw, Units, generator
from speechalign.errors import UserError
from speechalign.files import digest


class BatchRows(NamedTuple):
    """One process's share of one batch."""

    rows: tuple[int, ...]  # of the dataset
    pairs: tuple[tuple[int, int], ...]  # positions in `rows` that say the same in two languages
    epoch: int


class PairSampler(DistributedSampler[BatchRows]):
    """The units of an `EpochDraw`, shuffled and cut into batches.

    Batches of equal size: the units are shuffled, and the first ones repeated until they fill a
    whole number of global batches. Global batch b is units [b·M, (b+1)·M), M = world size · batch
    size / 2, and rank r has the r-th equal part of it: the same global batches come out of one
    process and of many, as long as their global batch size is the same.

    Batches by seconds, where `batch_seconds` is given: see `Buckets`.
    """

    def __init__(
        self,
        draw: EpochDraw,
        batch_size: int,
        *,
        rank: int = 0,
        world_size: int = 1,
        durations: ArrayLike = (),
        batch_seconds: float | None = None,
    ):
        """Take over the draw.

        Args:
            draw: Of rows of a dataset.
            batch_size: Rows per process and batch; even. With `batch_seconds`: at most.
            rank: Of this process.
            world_size: Number of processes.
            durations: Seconds of each row of the dataset; for `batch_seconds`.
            batch_seconds: Longest row of a batch times its rows, per process, at most.

        Raises:
            UserError: If `batch_size` is odd, or `batch_seconds` too few for two rows.
        """
        if batch_size < 2 or batch_size % 2:
            raise UserError(f"batch_size is {batch_size}; pairs need an even number, 2 or more.")
        rows = cast("Dataset[BatchRows]", range(2 * len(draw)))  # only its length is asked for
        super().__init__(rows, num_replicas=world_size, rank=rank, seed=draw.seed)
        self.draw = draw
        self.batch_size = batch_size
        self._resume_at = (0, 0)
        self._seconds = np.asarray(durations, dtype=np.float64)
        self._buckets: Buckets | None = None
        self.identity = draw.identity  # of the order of all epochs
        self._count = -(-len(draw) // (world_size * batch_size // 2))
        if batch_seconds is not None:
            self.identity = digest(f"{draw.identity} {batch_seconds} {self._seconds.tolist()}")
            longest = draw.longest(self._seconds)
            self._buckets = Buckets(self._seconds, batch_seconds, batch_size, world_size)
            self._count = self._buckets.batches(longest)

    def __len__(self) -> int:
        """Count the batches of a whole epoch, the same in every epoch and on every rank."""
        return self._count

    def __iter__(self) -> Iterator[BatchRows]:
        """Yield the batches of `self.epoch`, from the first or from where `resume` says."""
        units, cut = self._epoch()
        epoch, batch = self._resume_at
        for at in range(batch if epoch == self.epoch else 0, len(self)):
            begin = cut.start[at] + self.rank * cut.share[at]
            yield _batch(units.take(cut.order[begin : begin + cut.share[at]]), self.epoch)

    def resume(self, epoch: int, batch: int) -> None:
        """Let iterations of `epoch` begin at `batch` (per rank, from 0); other epochs at 0.

        The batches before it are not even made, so nothing of them is read or decoded.
        """
        self._resume_at = (epoch, batch)

    def _epoch(self) -> tuple[Units, Cut]:
        draw = generator(f"{self.seed}/{self.epoch}/order")
        if self._buckets is None:
            units = self.draw.units(self.epoch)
            share = self.batch_size // 2
            start = np.arange(self._count) * self.num_replicas * share
            order = np.resize(
                draw.permutation(len(self.draw)), self._count * self.num_replicas * share
            )
            return units, Cut(order, start, np.full(self._count, share))
        units = self.draw.units(self.epoch, self._buckets.of(self._seconds))
        longer = np.maximum(self._seconds[units.first], self._seconds[units.second])
        return units, self._buckets.cut(longer, self._count, draw)


class ShardSampler(DistributedSampler[BatchRows]):
    """Every row exactly once over all ranks, the longest first.

    Neighbours in a batch have similar lengths, which limits padding. Ranks may differ by one row.
    """

    def __init__(
        self, durations: ArrayLike, batch_size: int, *, rank: int = 0, world_size: int = 1
    ):
        """Sort the rows of a dataset.

        Args:
            durations: Seconds of each row.
            batch_size: Rows per process and batch.
            rank: Of this process.
            world_size: Number of processes.

        Raises:
            UserError: If `batch_size` is not positive.
        """
        if batch_size < 1:
            raise UserError(f"The batch size of evaluation is {batch_size}; expected 1 or more.")
        order = np.argsort(-np.asarray(durations, dtype=np.float64), kind="stable")
        rows = cast("Dataset[BatchRows]", range(len(order)))  # only its length is asked for
        super().__init__(rows, num_replicas=world_size, rank=rank, shuffle=False)
        self.batch_size = batch_size
        self._rows: list[int] = order[rank::world_size].tolist()

    def __len__(self) -> int:
        """Count the batches of this rank."""
        return -(-len(self._rows) // self.batch_size)

    def __iter__(self) -> Iterator[BatchRows]:
        """Yield the batches of this rank; none of them has pairs."""
        for at in range(0, len(self._rows), self.batch_size):
            yield BatchRows(tuple(self._rows[at : at + self.batch_size]), (), 0)


def _batch(units: Units, epoch: int) -> BatchRows:
    rows = np.stack([units.first, units.second], axis=1).ravel().tolist()
    pairs = tuple((2 * at, 2 * at + 1) for at in np.flatnonzero(units.parallel).tolist())
    return BatchRows(tuple(rows), pairs, epoch)
