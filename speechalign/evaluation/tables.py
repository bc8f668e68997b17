"""Scores to paste: plain text, LaTeX, and the matrix of source and target languages as CSV."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from speechalign.evaluation.presets import TRANSCRIBED, TRANSCRIPTS
from speechalign.languages import language

LABELS = {
    "bleu": "BLEU",
    "chrf": "chrF++",
    "spbleu": "spBLEU",
    "wer": "WER",
    "cer": "CER",
    "comet": "COMET",
}
GROUP_LABELS = {
    "trained": "trained languages",
    "zero_shot": "zero-shot languages",
    "high_resource": "high-resource languages",
    "low_resource": "low-resource languages",
    "all": "all languages",
}
SPECIAL = {character: rf"\{character}" for character in "%_&#${}"} | {
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "→": r"$\rightarrow$",
    "±": r"$\pm$",
}


def label(metric: str) -> str:
    """Call a metric as tables do."""
    if metric.startswith(TRANSCRIPTS):
        return f"{label(metric.removeprefix(TRANSCRIPTS))} of transcripts"
    return LABELS[metric]


def lower_is_better(metric: str) -> bool:
    """Whether a metric counts errors."""
    return metric.removeprefix(TRANSCRIPTS) in TRANSCRIBED


def names_of(metrics: Mapping[str, Any]) -> list[str]:
    """Name all metrics of a run, those of translations first."""
    names = dict.fromkeys(name for told in metrics["pairs"].values() for name in told["scores"])
    return sorted(names, key=lambda name: name in TRANSCRIBED)


def title(pair: str) -> str:
    """Call a pair of languages as people do."""
    source, target = (language(code).name for code in pair.split("-"))
    return f"{source} → {target}" if source != target else f"{source}, transcribed"


def mean_titles(groups: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Call the averages as people do; those of one language, and of the same again, are left out.

    Args:
        groups: Languages by the group's name.

    Returns:
        Titles by the group's name.
    """
    told: dict[frozenset[str], tuple[str, str]] = {}
    for group, codes in groups.items():
        whose = "all " if group == "all" else ""
        title = f"mean of {whose}{len(codes)} {GROUP_LABELS[group].removeprefix(whose)}"
        told.setdefault(frozenset(codes), (group, title))
    return dict(found for codes, found in told.items() if len(codes) > 1)


def gap_titles(gaps: Iterable[str], groups: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Call the gaps between groups as people do; those between the same again are left out.

    Args:
        gaps: Names of two groups, joined by `-`.
        groups: Languages by the group's name.

    Returns:
        Titles by the gap's name.
    """
    told: dict[tuple[frozenset[str], ...], tuple[str, str]] = {}
    for gap in gaps:
        names = gap.split("-")
        one, other = (GROUP_LABELS[name].removesuffix(" languages") for name in names)
        between = tuple(frozenset(groups[name]) for name in names)
        told.setdefault(between, (gap, f"{one} minus {other}"))
    return dict(told.values())


def groups_in(metrics: Mapping[str, Any]) -> dict[str, list[str]]:
    """List the groups that a run is averaged over, with their languages."""
    return {group: told["languages"] for group, told in metrics["averages"].items()}


def cell(score: Mapping[str, float] | None) -> str:
    """Write a score with its interval, if it has one."""
    if score is None:
        return ""
    if "low" not in score:
        return f"{score['value']:.1f}"
    return f"{score['value']:.1f} [{score['low']:.1f}, {score['high']:.1f}]"


def rows_of(metrics: Mapping[str, Any]) -> list[list[str]]:
    """Write the table of a run: a head, a line a pair of languages, a line a group."""
    names = names_of(metrics)
    main = names[0]
    rows = [["", *map(label, names), f"strict {label(main)}", "failed", "recordings", "sentences"]]
    for pair, told in metrics["pairs"].items():
        scores = told["scores"]
        rows.append([
            title(pair),
            *(cell(scores.get(name)) for name in names),
            f"{scores[main]['strict']:.1f}" if main in scores else "",
            str(told["failed"]),
            str(told["recordings"]),
            str(told["sentences"]),
        ])
    for group, called in mean_titles(groups_in(metrics)).items():
        told = metrics["averages"][group]
        strict = f"{told[main]['strict']:.1f}" if main in told else ""
        rows.append([called, *(cell(told.get(name)) for name in names), strict, *[""] * 3])
    for gap, called in gap_titles(metrics["gaps"], groups_in(metrics)).items():
        told = metrics["gaps"][gap]
        rows.append([called, *(cell(told.get(name)) for name in names), *[""] * 4])
    return rows


def signatures(metrics: Mapping[str, Any]) -> list[str]:
    """List the signatures of all scores, each with the pairs that it is of."""
    found: dict[tuple[str, str], list[str]] = {}
    for pair, told in metrics["pairs"].items():
        for name, score in told["scores"].items():
            found.setdefault((label(name), score["signature"]), []).append(pair)
    alone = {name for name, _ in found}
    several = {name for name in alone if sum(name == other for other, _ in found) > 1}
    return [f"texts: {metrics['texts']}"] + [
        f"{name} ({', '.join(pairs)}): {signature}" if name in several else f"{name}: {signature}"
        for (name, signature), pairs in found.items()
    ]


def plain(rows: Sequence[Sequence[str]]) -> str:
    """Write rows in columns for a terminal."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        f"{row[0]:<{widths[0]}}  "
        + "  ".join(f"{text:>{width}}" for text, width in zip(row[1:], widths[1:], strict=True))
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


def latex(rows: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    """Write rows as a LaTeX table with booktabs' rules; notes stand beside it as comments."""
    body = [" & ".join(map(escaped, row)) + r" \\" for row in rows]
    return "\n".join([
        *(f"% {note}" for note in notes),
        rf"\begin{{tabular}}{{l{'r' * (len(rows[0]) - 1)}}}",
        r"\toprule",
        body[0],
        r"\midrule",
        *body[1:],
        r"\bottomrule",
        r"\end{tabular}",
        "",
    ])


def escaped(text: str) -> str:
    """Write text so that LaTeX takes it as it is."""
    return "".join(SPECIAL.get(character, character) for character in text)


def matrix(metrics: Mapping[str, Any], name: str) -> str:
    """Write one metric as CSV: a line a source language, a column a target language."""
    pairs = {
        tuple(pair.split("-")): told["scores"].get(name) for pair, told in metrics["pairs"].items()
    }
    sources, targets = ([*dict.fromkeys(pair[side] for pair in sorted(pairs))] for side in (0, 1))
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow([f"source \\ target ({label(name)})", *targets])
    for source in sources:
        scores = [pairs.get((source, target)) for target in targets]
        lines.writerow([source, *("" if s is None else f"{s['value']:.4f}" for s in scores)])
    return text.getvalue()
