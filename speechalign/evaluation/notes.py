"""Notes beside tables: what it takes to find the same numbers again, a line each."""

from collections.abc import Mapping, Sequence
from typing import Any

from speechalign.evaluation.tables import signatures, title
from speechalign.plurals import so_many


def run_notes(metrics: Mapping[str, Any]) -> list[str]:
    """Tell how the scores of one run were found.

    Args:
        metrics: What `metrics.json` holds.
    """
    return [
        f"scored by the preset {metrics['preset']}",
        *signatures(metrics),
        *sizes(metrics["pairs"]),
        f"intervals: 95 % of {metrics['draws']} draws of sentences, seed {metrics['seed']}",
        *corpora([metrics["data"]]),
        *decoding(metrics["system"]),
        versions(metrics["versions"]),
    ]


def sizes(pairs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """List how much was answered, each number with the pairs of languages that it is of."""
    found: dict[str, list[str]] = {}
    for pair, told in pairs.items():
        recordings, sentences = (told[kind] for kind in ("recordings", "sentences"))
        size = f"{so_many(recordings, 'recording')} of {so_many(sentences, 'sentence')}"
        found.setdefault(size, []).append(title(pair))
    return [f"{size}: {', '.join(titles)}" for size, titles in found.items()]


def corpora(told: Sequence[Mapping[str, Any]]) -> list[str]:
    """List what was asked about: each corpus once, with its split and its revision if known.

    Args:
        told: `data` of each run; empty where it is not known.
    """
    lines = [
        f"corpus: {one['corpus']}, split {one['split']}, revision {one['revision'] or 'unknown'}"
        for one in told
        if one
    ]
    return list(dict.fromkeys(lines))


def decoding(system: Mapping[str, Any]) -> list[str]:
    """Tell how a model of ours answered; nothing of other systems.

    Args:
        system: As `metrics.json` has it, or of a run as `comparison.json` has it.
    """
    if "decoding" not in system:
        return []
    numbers = {name: system[name] for name in ("dtype", "llm_bits") if system.get(name)}
    told = ({"task": system["task"]} if "task" in system else {}) | system["decoding"] | numbers
    return [f"decoding: {', '.join(f'{name} {value}' for name, value in told.items())}"]


def versions(software: Mapping[str, str]) -> str:
    """List the versions of what scored."""
    return f"versions: {', '.join(' '.join(told) for told in software.items())}"
