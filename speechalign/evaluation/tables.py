"""Scores to paste: plain text, LaTeX, and the matrix of source and target languages as CSV."""

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
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


def names_of(metrics: Mapping[str, Any]) -> list[str]:
    """Name all metrics of a run, those of translations first."""
    names = dict.fromkeys(name for told in metrics["pairs"].values() for name in told["scores"])
    return sorted(names, key=lambda name: name in TRANSCRIBED)


def title(pair: str) -> str:
    """Call a pair of languages as people do."""
    source, target = (language(code).name for code in pair.split("-"))
    return f"{source} → {target}" if source != target else f"{source}, transcribed"


def mean_title(group: str, count: int) -> str:
    """Call the average of a group of so many languages as people do."""
    return (
        f"mean of all {count} languages"
        if group == "all"
        else (f"mean of {count} {GROUP_LABELS[group]}")
    )


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
    for group, told in metrics["averages"].items():
        if len(told["languages"]) > 1:
            strict = told[main]["strict"] if main in told else None
            rows.append([
                mean_title(group, len(told["languages"])),
                *(cell(told.get(name)) for name in names),
                "" if strict is None else f"{strict:.1f}",
                *[""] * 3,
            ])
    for gap, told in metrics["gaps"].items():
        one, other = (GROUP_LABELS[name].removesuffix(" languages") for name in gap.split("-"))
        rows.append([f"{one} minus {other}", *(cell(told.get(name)) for name in names), *[""] * 4])
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


def comparison_rows(baseline: str, systems: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Write differences from a baseline: a head, then a line a pair and a line a group."""
    tests = ["p (randomisation)", "p (bootstrap)", "p (Holm)"]
    rows = [["", "metric", baseline, "score", "difference", *tests]]
    for system in systems:
        runs = "" if system["runs"] == 1 else f", {system['runs']} runs"
        told = {title(pair): metrics for pair, metrics in system["pairs"].items()}
        told |= {f"mean of {GROUP_LABELS[g]}": m for g, m in system["averages"].items()}
        for where, metrics in told.items():
            for name, one in metrics.items():
                rows.append([
                    f"{system['name']}{runs}: {where}",
                    label(name),
                    spread(one["baseline"]),
                    spread(one["scores"]),
                    f"{one['value']:+.1f} [{one['low']:+.1f}, {one['high']:+.1f}]",
                    probability(one["p_randomization"]),
                    probability(one["p_bootstrap"]),
                    probability(one.get("p_corrected")),
                ])
    return rows


def spread(scores: Sequence[float]) -> str:
    """Write a mean over runs with its standard deviation, if there are several."""
    if len(scores) == 1:
        return f"{scores[0]:.1f}"
    return f"{statistics.mean(scores):.1f} ± {statistics.stdev(scores):.1f}"


def probability(p: float | None) -> str:
    """Write a p-value."""
    if p is None:
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
