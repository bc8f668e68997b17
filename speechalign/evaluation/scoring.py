"""Scores of a run: each pair of languages with intervals and failures, averages and gaps.

The result is plain data, what `metrics.json` holds. The score of a pair comes three times: as the
answers are, over all recordings; with each sentence counted once (its first recording by id); and
strict, with failed answers taken for empty ones. Averages weigh source languages alike.
"""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from speechalign.errors import UserError
from speechalign.evaluation.counted import Counted
from speechalign.evaluation.failures import KINDS
from speechalign.evaluation.normalize import clean
from speechalign.evaluation.presets import Convention, is_of
from speechalign.evaluation.significance import (
    DRAWS,
    Interval,
    Tally,
    bootstrap,
    interval,
    measured,
    tally,
)
from speechalign.languages import language

TEXTS = "NFC, single spaces"  # what is done to hypotheses and references before they are counted
GAPS = (("trained", "zero_shot"), ("high_resource", "low_resource"))
PACKAGES = ("speechalign", "torch", "transformers", "lightning", "sacrebleu", "jiwer", "py3langid")


def summarize(
    parts: Sequence[Counted],
    convention: Convention,
    groups: Mapping[str, Sequence[str]],
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, Any]:
    """Score what was counted.

    Args:
        parts: Every pair of languages.
        convention: That they were counted by.
        groups: Source languages to average over, each weighing the same, by the group's name.
        draws: Of the bootstrap.
        seed: Of the bootstrap.

    Returns:
        `{"pairs": {"deu-eng": …}, "averages": {"trained": …}, "gaps": {"trained-zero_shot": …}}`.
    """
    if draws < 1:
        raise UserError(f"draws is {draws}: give 1 or more.")
    sampled = {
        (part.pair, name): bootstrap(tally([part], name), draws, seed)
        for part in parts
        for name in part.counts
    }
    return {
        "preset": convention.preset,
        "texts": TEXTS,
        "draws": draws,
        "seed": seed,
        "pairs": {
            "-".join(part.pair): {
                "recordings": len(part.rows),
                "sentences": len(set(part.sentences)),
                "scores": {
                    name: score_of(part, name, sampled[part.pair, name]) for name in part.counts
                },
                **told_of_failures(part),
            }
            for part in parts
        },
        **averages(parts, groups, draws, seed),
    }


def score_of(part: Counted, name: str, drawn: np.ndarray) -> dict[str, Any]:
    """One score of one pair of languages, in its three forms."""
    metric = part.metrics[name]
    value = float(metric.score(part.counts[name].sum(axis=0)))
    told = interval(value, drawn, len(set(part.sentences)))
    return {
        "value": value,
        "low": told.low,
        "high": told.high,
        "by_sentence": float(metric.score(part.once() @ part.counts[name])),
        "strict": float(metric.score(part.strict[name].sum(axis=0)))
        if name in part.strict
        else None,
        "signature": metric.signature,
    }


def told_of_failures(part: Counted) -> dict[str, Any]:
    """Count the failures of one pair by kind, and list them by recording."""
    counts = {kind: sum(kind in failure.kinds for failure in part.failures) for kind in KINDS}
    said = sum(len(clean(row.prediction)) for row in part.rows)
    references = [clean(row.reference) for row in part.rows]
    expected = sum(map(len, references))
    return {
        "failed": len(part.failures),
        "failures": {kind: count for kind, count in counts.items() if count},
        "failed_rows": {part.rows[f.row].id: list(f.kinds) for f in part.failures},
        "length_ratio": said / expected if expected else None,  # characters
        "empty_references": sum(not reference for reference in references),
    }


def groups_of(
    parts: Sequence[Counted], trained: Sequence[str] = (), zero_shot: Sequence[str] = ()
) -> dict[str, list[str]]:
    """Name the groups of source languages that are averaged over.

    A language is of low resource if Whisper large-v3, which learnt from what there is of speech,
    hardly understands it (`languages.LOW_RESOURCE`).
    """
    spoken = sorted({part.pair[0] for part in parts})
    poor = [code for code in spoken if language(code).is_low_resource]
    groups = {
        "trained": [code for code in spoken if code in trained],
        "zero_shot": [code for code in spoken if code in zero_shot],
        "high_resource": [code for code in spoken if code not in poor] if poor else [],
        "low_resource": poor,
        "all": spoken,
    }
    return {name: codes for name, codes in groups.items() if codes}


def averages(
    parts: Sequence[Counted],
    groups: Mapping[str, Sequence[str]],
    draws: int,
    seed: int,
) -> dict[str, Any]:
    """Average over groups of source languages, where the metric allows it and all of them have it.

    The gaps between groups are told too; for them, all groups are drawn from all sentences, so that
    those which both have are drawn for both.
    """
    names = list(dict.fromkeys(name for part in parts for name in part.counts))
    found: dict[str, Any] = {"averages": {}, "gaps": {}}
    everywhere = sorted({sentence for part in parts for sentence in part.sentences})
    drawn: dict[tuple[str, str], tuple[Tally, np.ndarray]] = {}
    for group, sources in groups.items():
        told: dict[str, Any] = {"languages": list(sources)}
        for name in names:
            members = [p for p in parts if p.pair[0] in sources and is_of(p.pair, name)]
            mean = averaged(members, name)
            if mean is None or {part.pair[0] for part in members} != set(sources):
                continue
            own = bootstrap(mean, draws, seed)
            told[name] = interval(measured(mean), own, len(mean.sentences))._asdict()
            if mean.sentences != everywhere:
                own = bootstrap(spread_over(mean, everywhere), draws, seed)
            drawn[group, name] = mean, own
            if all(name in part.strict for part in members):
                told[name]["strict"] = measured(tally(members, name, strict=True))
            told[name]["signature"] = mean.metric.signature
        found["averages"][group] = told
    for one, other in GAPS:
        both = [name for name in names if (one, name) in drawn and (other, name) in drawn]
        if both:
            found["gaps"][f"{one}-{other}"] = {
                name: gap(drawn[one, name], drawn[other, name])._asdict() for name in both
            }
    return found


def gap(one: tuple[Tally, np.ndarray], other: tuple[Tally, np.ndarray]) -> Interval:
    """Tell by how much one group is above another, with as few sentences as the smaller has."""
    fewest = min(len(mean.sentences) for mean, _ in (one, other))
    return interval(measured(one[0]) - measured(other[0]), one[1] - other[1], fewest)


def averaged(members: Sequence[Counted], name: str) -> Tally | None:
    """Add up pairs for their average; None where they lack the metric, or count differently.

    (BLEU over the tokens of Japanese and over those of German has no meaningful average.)
    """
    if not members or any(name not in part.counts for part in members):
        return None
    signatures = {part.metrics[name].signature for part in members}
    return tally(members, name) if len(signatures) == 1 else None


def spread_over(one: Tally, sentences: list[str]) -> Tally:
    """Give a tally on more sentences, so that groups are drawn together."""
    place = {sentence: number for number, sentence in enumerate(sentences)}
    counts = np.zeros((len(one.pairs), len(sentences), one.counts.shape[2]))
    counts[:, [place[sentence] for sentence in one.sentences]] = one.counts
    return one._replace(sentences=sentences, counts=counts)


def software() -> dict[str, str]:
    """Versions of what a number depends on."""
    return {package: version(package) for package in PACKAGES}
