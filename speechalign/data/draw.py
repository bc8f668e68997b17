"""What an epoch hears: recordings drawn, languages weighted, sentences paired.

All of it is done on whole arrays, so that the order of a corpus of 400,000 recordings takes a
fraction of a second, and a resumed run draws it again instead of reading on to its place.
"""

import hashlib
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from speechalign.errors import UserError
from speechalign.files import digest

Recordings = Literal["one", "all"]
Indices = NDArray[np.int64]


class Units(NamedTuple):
    """Twos of rows that stay together."""

    first: Indices
    second: Indices
    parallel: NDArray[np.bool_]  # whether the two say the same in two languages

    def take(self, order: Indices) -> "Units":
        """Choose units by their places."""
        return Units(self.first[order], self.second[order], self.parallel[order])


class EpochDraw:
    """Random pairs of languages.

    An epoch, a function of (seed, epoch) alone, is built in this order:

    1. `recordings="one"`: a recording is drawn for every (sentence, language), so each is heard
       once. `"all"`: every recording is heard once.
    2. With a `temperature` T other than 1, a language that has n of these is heard in proportion
       to n^(1/T) instead of n (Arivazhagan et al. 2019): of a large one some are left out, drawn at
       random, and a small one is repeated. The sum stays.
    3. The languages of a sentence are shuffled and paired off: (1st, 2nd), (3rd, 4th), ... So all
       pairs of two of its languages are equally likely. Where a language has a sentence twice or
       more, each time is paired off by itself. Where `pairing` is a language, its recording
       comes first, is paired with one of the others, and all else is single.
    4. The language left over, and sentences with one language, are singles: they train by
       cross-entropy only. Singles are shuffled and put in twos; the last of an odd number is
       completed by a row of the epoch drawn at random (one repetition).

    With `pairing="none"` step 3 is left out: the same rows, all of them singles.
    """

    def __init__(
        self,
        sentences: Sequence[str],
        languages: Sequence[str],
        *,
        seed: int = 0,
        pairing: str = "random",
        recordings: Recordings = "one",
        temperature: float = 1.0,
    ):
        """Group the rows of a dataset by sentence and language.

        Args:
            sentences: What each row says; rows with equal keys are parallel or the same.
            languages: The language of each row.
            seed: Changes the order of every epoch.
            pairing: `random` pairs of languages, `none`, or the language that every pair has.
            recordings: Of a sentence in a language, that an epoch hears: `one` or `all`.
            temperature: 1 hears what there is, infinity all languages equally often.

        Raises:
            UserError: If there are no rows, none is of the language of every pair, or the
                temperature is below 1.
        """
        if not len(sentences):
            raise UserError("There is nothing to train on: no utterance is left.")
        if not temperature >= 1:
            raise UserError(f"temperature is {temperature}; expected 1 or more.")
        if pairing not in {"random", "none", *languages}:
            raise UserError(
                f"pairing is {pairing}; expected random, none or a language that is trained on: "
                f"{', '.join(sorted(set(languages)))}."
            )
        self.seed, self.pairing, self.recordings = seed, pairing, recordings
        sentence, language = numbered(sentences), numbered(languages)
        key = sentence * (language.max() + 1) + language
        self._rows = np.argsort(key, kind="stable")  # the rows, group by group
        _, self._start, self._size = np.unique(
            key[self._rows], return_index=True, return_counts=True
        )
        group = np.repeat(np.arange(len(self._start)), self._size)
        one = recordings == "one"
        first = self._rows[self._start]
        self._sentence = sentence[first]  # of each group
        self._group = np.arange(len(first)) if one else group  # of each thing that is drawn
        self._language = language[first][self._group]  # of each thing that is drawn
        self._leads = np.array(languages)[first] == pairing  # which groups begin every pair
        self._quota = None if temperature == 1 else quotas(self._language, temperature)
        policy = f"{seed} {pairing} {recordings} {temperature}"
        self.identity = digest("\n".join([policy, *sentences, *languages]))  # of all its epochs

    @property
    def has_pairs(self) -> bool:
        """Whether any sentence is there in two languages, and they are paired."""
        if self.pairing == "random":
            return len(np.unique(self._sentence)) < len(self._sentence)
        led, others = self._sentence[self._leads], self._sentence[~self._leads]
        return np.intersect1d(led, others).size > 0

    def __len__(self) -> int:
        """Count the units, the same in every epoch."""
        return -(-len(self._group) // 2)

    def units(self, epoch: int, bucket: Indices | None = None) -> Units:
        """Draw an epoch.

        Args:
            epoch: Its number.
            bucket: Class of length of each row; singles of one class are put together.
        """
        draw = generator(f"{self.seed}/{epoch}")
        things = np.repeat(np.arange(len(self._group)), self._times(draw.random(len(self._group))))
        group = self._group[things]
        if self.recordings == "one":
            within = (draw.random(len(group)) * self._size[group]).astype(np.int64)
            rows = self._rows[self._start[group] + within]
        else:
            rows = self._rows[things]
        layer = self._layer(group, draw)
        sentence = self._sentence[group] * (layer.max() + 1) + layer
        leads = self._leads[group]
        shuffled = np.where(leads, 0, draw.random(len(group)))
        order = np.argsort(sentence + shuffled)  # within sentences
        paired = self._paired(*places(sentence[order]), leads[order])
        first, second = rows[order[paired]][::2], rows[order[paired]][1::2]
        singles = draw.permutation(rows[order[~paired]])
        if bucket is not None:
            singles = singles[np.argsort(bucket[singles], kind="stable")]
        if len(singles) % 2:
            others = np.concatenate([first, second, singles[:-1]])
            singles = np.append(singles, draw.choice(others if len(others) else singles))
        parallel = np.arange(len(first) + len(singles) // 2) < len(first)
        return Units(
            np.concatenate([first, singles[::2]]),
            np.concatenate([second, singles[1::2]]),
            parallel,
        )

    def _paired(self, place: Indices, size: Indices, leads: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Tell for each thing, sentence by sentence, whether it is one of a pair."""
        if self.pairing == "random":
            return place < size // 2 * 2
        led = np.append(False, leads[:-1]) & (place == 1)
        return (leads & (size > 1)) | led

    def longest(self, durations: NDArray[np.float64]) -> NDArray[np.float64]:
        """Bound the lengths of units, in seconds: the k-th longest of any epoch by the k-th here.

        The longer row of a pair and a single are distinct recordings of their sentence. So the
        k longest of them are not longer than the k longest recordings of the sentence.

        Args:
            durations: Seconds of each row.
        """
        seconds = durations[self._rows]
        if self.recordings == "one":
            seconds = np.maximum.reduceat(seconds, self._start)
        if self._quota is not None:  # how many pairs a sentence has is left to chance
            longest = np.repeat(seconds, self._times(-seconds))
        elif self.pairing != "random":
            longest = seconds
        else:
            sentence = self._sentence[self._group]
            order = np.lexsort((-seconds, sentence))
            longest = seconds[
                order[places(sentence[order])[0] < self._most_units()[sentence[order]]]
            ]
        longest = np.append(longest, seconds.max())  # a row that completes an odd number
        return np.sort(longest)[::-1][: len(self)]

    def _most_units(self) -> Indices:
        """Count the pairs and singles of each sentence."""
        layer, _ = places(self._group)
        sentence = self._sentence[self._group]
        layers, things = np.unique(sentence * (layer.max() + 1) + layer, return_counts=True)
        return np.bincount(layers // (layer.max() + 1), (things + 1) // 2).astype(np.int64)

    def _times(self, key: NDArray[np.float64]) -> Indices:
        """Tell how often each thing is heard: a language's remainder goes to the lowest keys."""
        if self._quota is None:
            return np.ones(len(key), dtype=np.int64)
        order = np.lexsort((key, self._language))
        rank = np.empty(len(key), dtype=np.int64)
        rank[order], _ = places(self._language[order])
        times, rest = np.divmod(self._quota, np.bincount(self._language))
        return times[self._language] + (rank < rest[self._language])

    def _layer(self, group: Indices, draw: np.random.Generator) -> Indices:
        """Number, in random order, the times that a sentence is heard in one language."""
        layer = np.zeros(len(group), dtype=np.int64)
        if self.recordings == "all" or self._quota is not None:
            order = np.argsort(group + draw.random(len(group)))
            layer[order], _ = places(group[order])
        return layer


def numbered(names: Sequence[str]) -> Indices:
    """Number names in the order of their first appearance."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)


def places(keys: Indices) -> tuple[Indices, Indices]:
    """Tell for each of some sorted keys its place in the run of its equals, and their number."""
    starts = np.flatnonzero(np.diff(keys, prepend=keys[:1] - 1))
    sizes = np.diff(starts, append=len(keys))
    return np.arange(len(keys)) - np.repeat(starts, sizes), np.repeat(sizes, sizes)


def quotas(languages: Indices, temperature: float) -> Indices:
    """Share as many draws as there are things among languages, by n^(1/T), in whole numbers."""
    counts = np.bincount(languages)
    weights = counts ** (1 / temperature)
    exact = len(languages) * weights / weights.sum()
    quota = np.floor(exact).astype(np.int64)
    short = len(languages) - quota.sum()
    quota[np.argsort(quota - exact, kind="stable")[:short]] += 1
    return quota


def generator(key: str) -> np.random.Generator:
    """Seed a generator by a text; near keys give unrelated draws."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(key.encode()).digest()[:16]))
