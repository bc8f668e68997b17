"""Which utterances make up each batch: parallel pairs for training, shards for evaluation.

Samplers yield whole batches (`DataLoader(..., sampler=..., batch_size=None)`). They subclass
`DistributedSampler`, so Lightning tells them the epoch and does not wrap them once more.
"""

import random
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, cast

from torch.utils.data import Dataset, DistributedSampler

from speechalign.errors import UserError

Pairing = Literal["random", "none"]


class BatchRows(NamedTuple):
    """One process's share of one batch."""

    rows: tuple[int, ...]  # of the dataset
    pairs: tuple[tuple[int, int], ...]  # positions in `rows` that say the same in two languages
    epoch: int


class _Unit(NamedTuple):
    """Two rows that stay together."""

    first: int
    second: int
    parallel: bool


class PairSampler(DistributedSampler[BatchRows]):
    """Random pairs of languages, one recording of each.

    An epoch, a function of (seed, epoch) alone, is built in this order:

    1. A recording is drawn for every (sentence, language): each is heard once an epoch.
    2. The languages of a sentence are shuffled and paired off: (1st, 2nd), (3rd, 4th), ... So all
       pairs of two of its languages are equally likely.
    3. The language left over, and sentences with one language, are singles: they train by
       cross-entropy only. Singles are shuffled and put in twos; the last of an odd number is
       completed by a row of the epoch drawn at random (one repetition).
    4. These units of two rows are shuffled, and the first ones repeated until they fill a whole
       number of global batches. Global batch b is units [b·M, (b+1)·M), M = world size · batch
       size / 2, and rank r has the r-th equal part of it: the same global batches come out of one
       process and of many, as long as their global batch size is the same.

    With `pairing="none"` step 2 is left out: the same rows, all of them singles.
    """

    def __init__(
        self,
        sentences: Sequence[str],
        languages: Sequence[str],
        batch_size: int,
        *,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        pairing: Pairing = "random",
    ):
        """Group the rows of a dataset by sentence and language.

        Args:
            sentences: What each row says; rows with equal keys are parallel or the same.
            languages: The language of each row.
            batch_size: Rows per process and batch; even.
            seed: Changes the order of every epoch.
            rank: Of this process.
            world_size: Number of processes.
            pairing: `random` pairs of languages, or `none`.

        Raises:
            UserError: If there are no rows or `batch_size` is odd.
        """
        if batch_size < 2 or batch_size % 2:
            raise UserError(f"batch_size is {batch_size}; pairs need an even number, 2 or more.")
        if not sentences:
            raise UserError("There is nothing to train on: no utterance is left.")
        rows = cast("Dataset[BatchRows]", range(len(sentences)))  # only its length is asked for
        super().__init__(rows, num_replicas=world_size, rank=rank, seed=seed)
        self.batch_size = batch_size
        self.pairing = pairing
        self._resume_at = (0, 0)
        self._recordings: dict[str, dict[str, list[int]]] = {}
        for row, (sentence, language) in enumerate(zip(sentences, languages, strict=True)):
            self._recordings.setdefault(sentence, {}).setdefault(language, []).append(row)

    def __len__(self) -> int:
        """Count the batches of a whole epoch, the same in every epoch and on every rank."""
        counts = [len(languages) for languages in self._recordings.values()]
        pairs = sum(count // 2 for count in counts) if self.pairing == "random" else 0
        units = pairs + (sum(counts) - 2 * pairs + 1) // 2
        return -(-units // self._units_per_batch)

    def __iter__(self) -> Iterator[BatchRows]:
        """Yield the batches of `self.epoch`, from the first or from where `resume` says."""
        units = self._epoch_units()
        share = self.batch_size // 2
        epoch, batch = self._resume_at
        for start in range(batch if epoch == self.epoch else 0, len(self)):
            begin = start * self._units_per_batch + self.rank * share
            yield _batch(units[begin : begin + share], self.epoch)

    def resume(self, epoch: int, batch: int) -> None:
        """Let iterations of `epoch` begin at `batch` (per rank, from 0); other epochs at 0.

        The batches before it are not even drawn, so nothing of them is read or decoded.
        """
        self._resume_at = (epoch, batch)

    @property
    def _units_per_batch(self) -> int:
        return self.num_replicas * self.batch_size // 2

    def _epoch_units(self) -> list[_Unit]:
        # A string seed goes through SHA-512: near seeds and epochs give unrelated orders.
        draw = random.Random(f"{self.seed}/{self.epoch}")
        units, singles = [], []
        for languages in self._recordings.values():
            rows = [draw.choice(recordings) for recordings in languages.values()]
            draw.shuffle(rows)
            paired = len(rows) // 2 * 2 if self.pairing == "random" else 0
            units += [_Unit(rows[at], rows[at + 1], True) for at in range(0, paired, 2)]
            singles += rows[paired:]
        draw.shuffle(singles)
        if len(singles) % 2:
            others = [row for unit in units for row in unit[:2]] + singles[:-1]
            singles.append(draw.choice(others or singles))
        units += [_Unit(singles[at], singles[at + 1], False) for at in range(0, len(singles), 2)]
        draw.shuffle(units)
        total = len(self) * self._units_per_batch
        return (units * (total // len(units) + 1))[:total]


class ShardSampler(DistributedSampler[BatchRows]):
    """Every row exactly once over all ranks, the longest first.

    Neighbours in a batch have similar lengths, which limits padding. Ranks may differ by one row.
    """

    def __init__(
        self, durations: Sequence[float], batch_size: int, *, rank: int = 0, world_size: int = 1
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
        rows = cast("Dataset[BatchRows]", range(len(durations)))  # only its length is asked for
        super().__init__(rows, num_replicas=world_size, rank=rank, shuffle=False)
        self.batch_size = batch_size
        order = sorted(range(len(durations)), key=lambda row: (-durations[row], row))
        self._rows = order[rank::world_size]

    def __len__(self) -> int:
        """Count the batches of this rank."""
        return -(-len(self._rows) // self.batch_size)

    def __iter__(self) -> Iterator[BatchRows]:
        """Yield the batches of this rank; none of them has pairs."""
        for at in range(0, len(self._rows), self.batch_size):
            yield BatchRows(tuple(self._rows[at : at + self.batch_size]), (), 0)


def _batch(units: list[_Unit], epoch: int) -> BatchRows:
    rows = tuple(row for unit in units for row in unit[:2])
    pairs = tuple((2 * at, 2 * at + 1) for at, unit in enumerate(units) if unit.parallel)
    return BatchRows(rows, pairs, epoch)
