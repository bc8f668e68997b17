"""A picture of a training run from the CSV log that Lightning wrote."""

import csv
import re
from pathlib import Path

from matplotlib.figure import Figure

PANELS = {
    "Cross-entropy": r"train/ce|val/ce|val/ce_zero_shot",
    "Optimal transport": r"train/ot",
    "Likeness of unrelated utterances (1: all alike)": r"train/collapse_layer_\d+",
}


def draw_curves(log: Path, picture: Path) -> None:
    """Draw the terms of the loss over the steps."""
    with log.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    logged = list(rows[0]) if rows else []
    figure = Figure(figsize=(13, 3.6), layout="constrained")
    panels = figure.subplots(1, len(PANELS))
    for axes, (title, wanted) in zip(panels, PANELS.items(), strict=True):
        for name in filter(re.compile(wanted).fullmatch, logged):
            points = [(int(r["step"]), float(r[name])) for r in rows if r.get(name)]
            axes.plot(*zip(*points, strict=True), label=name.replace("train/collapse_", ""))
        axes.set(title=title, xlabel="optimizer step")
        if axes.lines:
            axes.legend()
        axes.grid(alpha=0.3)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=120)
