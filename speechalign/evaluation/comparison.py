"""Systems beside one another: differences from the first, by pair of languages and on average."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

from speechalign.errors import UserError
from speechalign.evaluation.counted import Counted
from speechalign.evaluation.predictions import Pair
from speechalign.evaluation.presets import is_of
from speechalign.evaluation.significance import DRAWS, Difference, compare, holm, tally
from speechalign.plurals import so_many

HOLM = (
    "corrected over the pairs of languages that one system and one metric have; not over metrics or"
    " systems, and means are not corrected"
)


FEW = 3  # ids that are named


class System(NamedTuple):
    """One system with its runs, one a seed."""

    name: str
    runs: list[list[Counted]]
    places: Sequence[str] = ()  # where the runs are

    def place(self, run: int) -> str:
        """Call one run by its place, or by its number."""
        return self.places[run] if self.places else f"run {run} of {self.name}"

    def part(self, run: int, pair: Pair) -> Counted | None:
        """What one run answered in one pair of languages."""
        return next((part for part in self.runs[run] if part.pair == pair), None)

    def saying(self, sentences: Mapping[Pair, Mapping[str, str]]) -> "System":
        """The same system with some pairs of languages alone, and with given sentence ids.

        Args:
            sentences: Ids of the pairs that are kept, by the recording's id.
        """
        kept = [[part for part in run if part.pair in sentences] for run in self.runs]
        return self._replace(
            runs=[[part.saying(sentences[part.pair]) for part in run] for run in kept]
        )


def comparable(systems: Sequence[System]) -> list[System]:
    """Leave what all runs of all systems answered, with the sentence ids of the very first run.

    What recordings say the same is told in as many ways as there are formats of predictions, and
    only in one way can sentences be drawn for all.

    Raises:
        UserError: If that is nothing, systems have unequal numbers of runs, or the runs answered
            different recordings.
    """
    pairs = shared_pairs(systems)
    sentences = {
        part.pair: {row.id: row.sentence_id for row in part.rows}
        for part in systems[0].runs[0]
        if part.pair in pairs
    }
    return [system.saying(sentences) for system in systems]


def shared_pairs(systems: Sequence[System]) -> list[Pair]:
    """List the pairs of languages that all runs of all systems answered in, the same in each.

    Raises:
        UserError: See `comparable`.
    """
    if len({len(system.runs) for system in systems}) > 1:
        counts = (f"{system.name} has {so_many(len(system.runs), 'run')}" for system in systems)
        raise UserError(
            f"{', '.join(counts)}: give equally many, in the order of their seeds, as"
            " NAME=FOLDER,FOLDER."
        )
    everything = [{part.pair for part in run} for system in systems for run in system.runs]
    pairs = sorted(set.intersection(*everything))
    if not pairs:
        each = (
            f"{system.place(run)} has {', '.join('-'.join(part.pair) for part in parts)}"
            for system in systems
            for run, parts in enumerate(system.runs)
        )
        raise UserError(f"The runs have no pair of languages in common: {'; '.join(each)}.")
    for pair in pairs:
        check_alike(systems, pair)
    return pairs


def check_alike(systems: Sequence[System], pair: Pair) -> None:
    """See that all runs answered the same recordings in one pair of languages.

    Raises:
        UserError: If not; names two runs, and recordings by which they differ.
    """
    runs = [(system, run) for system in systems for run in range(len(system.runs))]
    first, *others = ((system.place(run), system.part(run, pair)) for system, run in runs)
    for other in others:
        found = list(unlike(first, other))
        if found:
            raise UserError(
                f"{first[0]} and {other[0]} have different recordings of {'-'.join(pair)}:"
                f" {'; '.join(found)}. Evaluate both on the same data; answers without ids get"
                " those of the corpus by `evaluate --predictions` with --data."
            )


def unlike(one: tuple[str, Counted | None], other: tuple[str, Counted | None]) -> Iterator[str]:
    """Say by which recordings two runs differ: each its place, and its part of one pair."""
    told, known = (
        {row.id: row.reference for row in part.rows} if part else {} for _, part in (one, other)
    )
    rephrased = [name for name in told.keys() & known.keys() if told[name] != known[name]]
    for ids, what in (
        (told.keys() - known.keys(), f"only in {one[0]}"),
        (known.keys() - told.keys(), f"only in {other[0]}"),
        (rephrased, "with different references"),
    ):
        if ids:
            names = ", ".join([*sorted(ids)[:FEW], *["…"] * (len(ids) > FEW)])
            yield f"{so_many(len(ids), 'recording')} {what} ({names})"


def compare_systems(
    systems: Sequence[System],
    groups: Mapping[str, Sequence[str]],
    draws: int = DRAWS,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Compare each system with the first.

    Args:
        systems: Two or more, counted by one convention.
        groups: Source languages to average over, by the group's name.
        draws: Of bootstrap and randomisation.
        seed: Of them.

    Returns:
        For each system but the first `{"name", "runs", "pairs": {"deu-eng": {"bleu": told}},
        "averages": {"trained": {"bleu": told}}}`, where `told` has value, low, high, two p-values
        and, for pairs, the corrected one, and the scores of all runs.

    Raises:
        UserError: If they cannot be compared.
    """
    base, *others = comparable(systems)
    pairs = [part.pair for part in base.runs[0]]
    return [
        {
            "name": system.name,
            "runs": len(system.runs),
            "pairs": by_pair(system, base, pairs, draws, seed),
            "averages": {
                group: means
                for group, sources in groups.items()
                if (
                    means := on_average(
                        system, base, [p for p in pairs if p[0] in sources], draws, seed
                    )
                )
            },
        }
        for system in others
    ]


def draws_by_pair(draws: int, pairs: int) -> int:
    """Tell how many draws a pair of languages gets, where so many pairs are corrected for.

    They are as many as it takes for the smallest p-value to pass 5 % after the correction.
    """
    return max(draws, 40 * pairs)


def by_pair(
    system: System,
    base: System,
    pairs: Sequence[Pair],
    draws: int,
    seed: int,
) -> dict[str, Any]:
    """Compare pair by pair; p-values are corrected over the pairs (Holm), metric by metric."""
    draws = draws_by_pair(draws, len(pairs))
    told: dict[str, Any] = {"-".join(pair): {} for pair in pairs}
    for name in metrics_in(system, base, pairs):
        having = [pair for pair in pairs if counted_alike((system, base), [pair], name)]
        found = [difference(system, base, [pair], name, draws, seed) for pair in having]
        corrected = holm([one.p for one in found])
        for pair, one, p in zip(having, found, corrected, strict=True):
            told["-".join(pair)][name] = plain(one) | {"p_corrected": p}
    return told


def on_average(
    system: System,
    base: System,
    pairs: Sequence[Pair],
    draws: int,
    seed: int,
) -> dict[str, Any]:
    """Compare the averages over some pairs, where the metric allows one and all sources have it."""
    told: dict[str, Any] = {}
    for name in metrics_in(system, base, pairs):
        alike = [pair for pair in pairs if is_of(pair, name)]
        everywhere = {pair[0] for pair in alike} == {pair[0] for pair in pairs}
        if everywhere and counted_alike((system, base), alike, name):
            told[name] = plain(difference(system, base, alike, name, draws, seed))
    return told


def metrics_in(system: System, base: System, pairs: Sequence[Pair]) -> list[str]:
    """Name the metrics that both have in some of the pairs."""
    names = chain.from_iterable(
        part.counts for pair in pairs for part in [system.part(0, pair)] if part is not None
    )
    return [
        name
        for name in dict.fromkeys(names)
        if any(counted_alike((system, base), [pair], name) for pair in pairs)
    ]


def counted_alike(systems: Sequence[System], pairs: Sequence[Pair], name: str) -> bool:
    """Whether all runs of some systems have a metric in some pairs of languages, and the same."""
    parts = [
        system.part(run, pair)
        for system in systems
        for run in range(len(system.runs))
        for pair in pairs
    ]
    having = [part for part in parts if part is not None and name in part.counts]
    signatures = {part.metrics[name].signature for part in having}
    return len(having) == len(parts) and len(signatures) == 1


def difference(
    system: System,
    base: System,
    pairs: Sequence[Pair],
    name: str,
    draws: int,
    seed: int,
) -> Difference:
    """Compare the average of some pairs by one metric."""
    one, other = (
        [tally([part for part in run if part.pair in pairs], name) for run in side.runs]
        for side in (system, base)
    )
    return compare(one, other, draws, seed)


def plain(one: Difference) -> dict[str, Any]:
    """Write a difference as plain data."""
    return {
        **one.interval._asdict(),
        "p_bootstrap": one.p_bootstrap,
        "p_randomization": one.p_randomization,
        "scores": list(one.scores),
        "baseline": list(one.baseline),
    }
