"""The paper's ablation in the micro world: baseline, bias, OT and both, over several seeds.

    python -m recipes.micro.ablation --output runs/ablation --seeds 3 --jobs 2

Every run has the budget of `speechalign demo` unless `--steps` says other. A run that was stopped
goes on from its last checkpoint, a finished one is not run again unless its configuration changed;
the table over all of them is printed at the end.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from speechalign.assets import FOLDER
from speechalign.commands.demo import seed_and_budget
from speechalign.files import write_text

ROOT = Path(__file__).parents[2]
MICRO = FOLDER / "micro"
SETTINGS = {
    "baseline": ("no_bias", "no_ot"),
    "+ bias": ("no_ot",),
    "+ OT": ("no_bias",),
    "+ bias + OT": (),
}
# with no audio of a zero-shot language at all, the mean of the trained languages stands in for it
WITHOUT_AUDIO = "--model.bias.init_args.unknown=mean"
COLUMNS = ("trained", "zero_shot", "zero_shot_without_audio")


@cache
def world() -> str:
    """Digest of encoder, LLM and corpus, which all scores depend on."""
    digest = hashlib.sha256()
    for part in ("encoder", "llm", "fleurs"):
        for file in sorted((MICRO / part).rglob("*.*")):
            digest.update(file.read_bytes())
    return digest.hexdigest()


class Run(NamedTuple):
    """One training with its tests."""

    setting: str
    seed: int
    steps: int | None
    folder: Path

    @property
    def overlays(self) -> list[Path]:
        """The configurations, of which later ones lie over earlier ones."""
        names = ["micro", *(f"ablation/{name}" for name in SETTINGS[self.setting])]
        return [ROOT / "configs" / f"{name}.yaml" for name in names]

    @property
    def options(self) -> list[str]:
        """What the command line is told."""
        return [
            *(f"--config={file}" for file in self.overlays),
            *seed_and_budget(self.seed, self.steps),
            "--trainer.enable_progress_bar=false",
        ]

    @property
    def place(self) -> Path:
        """A folder for this configuration, in this world, alone."""
        told = [*(file.read_text() for file in self.overlays), *self.options[len(self.overlays) :]]
        digest = hashlib.sha256("\n".join([*told, world()]).encode()).hexdigest()[:8]
        name = "_".join(["micro", *SETTINGS[self.setting], f"seed{self.seed}", digest])
        return self.folder.absolute() / name

    @property
    def result(self) -> Path:
        """Where its scores are, once it is finished."""
        return self.place / "result.json"


def run(one: Run) -> dict[str, Any]:
    """Train and test, in processes of their own; nothing that is done is done again."""
    if one.result.exists():
        return json.loads(one.result.read_text(encoding="utf-8"))
    finished = one.place / "finished"
    last = one.place / "checkpoints" / "last.ckpt"
    if not finished.exists():
        going_on = ["--ckpt_path=last"] if last.exists() else []
        speechalign("fit", one.place, [*one.options, *going_on])
        finished.touch()
    metrics = score(one)
    result = {
        "setting": one.setting,
        "seed": one.seed,
        "trained": metrics["trained"],
        "zero_shot": metrics["zero_shot"],
        "bleu": {pair: scores["bleu"] for pair, scores in metrics["pairs"].items()},
    }
    if "no_bias" not in SETTINGS[one.setting]:
        result["zero_shot_without_audio"] = score(one, WITHOUT_AUDIO)["zero_shot"]
    write_text(one.result, json.dumps(result, indent=2) + "\n")
    return result


def score(one: Run, *options: str) -> dict[str, Any]:
    """Test the checkpoint that was best on dev."""
    best = one.place / "checkpoints" / "best.ckpt"
    speechalign("test", one.place, [*one.options, *options, f"--ckpt_path={best}"])
    newest = max(one.place.glob("logs/version_*/metrics.json"), key=lambda f: f.stat().st_mtime_ns)
    return json.loads(newest.read_text(encoding="utf-8"))


def speechalign(verb: str, folder: Path, options: Sequence[str]) -> None:
    """Run a command with one thread; all it writes goes into `folder`."""
    there = f"--trainer.default_root_dir={folder}"  # last: a configuration after it would win
    subprocess.run(
        [sys.executable, "-m", "speechalign", verb, *options, there],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        check=True,
    )


def table(results: Sequence[dict[str, Any]]) -> str:
    """Write mean and standard deviation over seeds as a Markdown table."""
    lines = [
        "| setting | seeds | trained BLEU | zero-shot BLEU | zero-shot BLEU without its audio |",
        "|---|---|---|---|---|",
    ]
    for setting in SETTINGS:
        own = [row for row in results if row["setting"] == setting]
        if own:
            cells = [spread([row[name] for row in own if name in row]) for name in COLUMNS]
            lines.append(f"| {setting} | {len(own)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def spread(values: Sequence[float]) -> str:
    """Write a mean with its standard deviation, as far as there are values."""
    if len(values) < 2:
        return f"{values[0]:.1f}" if values else ""
    return f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}"


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, help="by default as in configs/micro.yaml")
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side, one thread each")
    given = parser.parse_args()
    runs = [Run(s, n, given.steps, given.output) for n in range(given.seeds) for s in SETTINGS]
    with ThreadPoolExecutor(given.jobs) as pool:
        try:
            for finished in as_completed([pool.submit(run, one) for one in runs]):
                print(json.dumps(finished.result()), flush=True)
        except BaseException:  # say so now, and not after all the others
            pool.shutdown(cancel_futures=True)
            raise
    print(table([run(one) for one in runs]))


if __name__ == "__main__":
    main()
