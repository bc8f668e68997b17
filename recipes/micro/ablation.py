"""The paper's ablation in the micro world: baseline, bias, OT and both, over several seeds.

    python -m recipes.micro.ablation --output runs/ablation --seeds 3 --jobs 2

Every run has the budget of `speechalign demo`. Finished runs are kept in results.jsonl and not run
again; the table is printed at the end.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2]
SETTINGS = {
    "baseline": ("no_bias", "no_ot"),
    "+ bias": ("no_ot",),
    "+ OT": ("no_bias",),
    "+ bias + OT": (),
}


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side, one thread each")
    options = parser.parse_args()
    log = options.output / "results.jsonl"
    done = {(row["setting"], row["seed"]) for row in read(log)}
    missing = [(s, n) for n in range(options.seeds) for s in SETTINGS if (s, n) not in done]
    with ThreadPoolExecutor(options.jobs) as pool:
        for row in pool.map(lambda run: run_one(run[0], run[1], options.output), missing):
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)
    print(table(read(log)))


def read(log: Path) -> list[dict]:
    """Read the finished runs."""
    if not log.exists():
        return []
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def run_one(setting: str, seed: int, output: Path) -> dict:
    """Train and test one setting with one seed, in processes of their own."""
    name = "_".join(["without", *SETTINGS[setting]]) if SETTINGS[setting] else "full"
    folder = output / f"{name}_{seed}"
    overlays = [f"--config=configs/ablation/{overlay}.yaml" for overlay in SETTINGS[setting]]
    options = [
        "--config=configs/micro.yaml",
        *overlays,
        f"--seed_everything={seed}",
        f"--data.seed={seed}",
        f"--trainer.default_root_dir={folder}",
        "--trainer.enable_progress_bar=false",
    ]
    best = folder / "checkpoints" / "best.ckpt"
    if not (folder / "finished").exists():
        speechalign("fit", options)
        (folder / "finished").touch()
    speechalign("test", [*options, f"--ckpt_path={best}"])
    metrics = json.loads(
        max(folder.glob("logs/version_*/metrics.json")).read_text(encoding="utf-8")
    )
    bleu = {pair: scores["bleu"] for pair, scores in metrics["pairs"].items()}
    return {
        "setting": setting,
        "seed": seed,
        "trained": metrics["trained"],
        "zero_shot": metrics["zero_shot"],
        "bleu": bleu,
    }


def speechalign(verb: str, options: list[str]) -> None:
    """Run a command with one thread."""
    subprocess.run(
        [sys.executable, "-m", "speechalign", verb, *options],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        check=True,
    )


def table(rows: list[dict]) -> str:
    """Write mean and standard deviation over seeds as a Markdown table."""
    lines = ["| setting | seeds | trained BLEU | zero-shot BLEU |", "|---|---|---|---|"]
    for setting in SETTINGS:
        own = [row for row in rows if row["setting"] == setting]
        if own:
            cells = [spread([row[name] for row in own]) for name in ("trained", "zero_shot")]
            lines.append(f"| {setting} | {len(own)} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)


def spread(values: list[float]) -> str:
    """Write a mean with its standard deviation, if there are several values."""
    if len(values) == 1:
        return f"{values[0]:.1f}"
    return f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}"


if __name__ == "__main__":
    main()
