"""One training with its test: gone on with where it was stopped, kept once it is finished."""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from recipes.micro.experiments.grid import Setting
from speechalign.assets import FOLDER
from speechalign.commands.demo import seed_and_budget
from speechalign.files import write_text

MICRO = FOLDER / "micro"


@cache
def world() -> str:
    """Digest of encoder, LLM and corpus, which all scores depend on."""
    digest = hashlib.sha256()
    for part in ("encoder", "llm", "fleurs"):
        for file in sorted((MICRO / part).rglob("*.*")):
            digest.update(file.read_bytes())
    return digest.hexdigest()


class Run(NamedTuple):
    """One training with its test."""

    setting: Setting
    seed: int
    steps: int | None
    folder: Path

    @property
    def options(self) -> list[str]:
        """What the command line is told."""
        return [
            *(f"--config={file}" for file in self.setting.configs),
            *seed_and_budget(self.seed, self.steps),
            *self.setting.options,
            "--trainer.enable_progress_bar=false",
        ]

    @property
    def place(self) -> Path:
        """A folder for this configuration, in this world, alone."""
        files = len(self.setting.configs)
        told = [*(file.read_text() for file in self.setting.configs), *self.options[files:]]
        digest = hashlib.sha256("\n".join([*told, world()]).encode()).hexdigest()[:8]
        name = re.sub(r"\W+", "_", self.setting.name).strip("_")
        return self.folder.absolute() / f"{name}_seed{self.seed}_{digest}"

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
    best = one.place / "checkpoints" / "best.ckpt"
    speechalign("test", one.place, [*one.options, f"--ckpt_path={best}"])
    newest = max(one.place.glob("logs/version_*/metrics.json"), key=lambda f: f.stat().st_mtime_ns)
    metrics = json.loads(newest.read_text(encoding="utf-8"))
    result = {
        "setting": one.setting.name,
        "seed": one.seed,
        "steps": one.steps,
        "options": list(one.setting.options),
        "trained": metrics["trained"],
        "zero_shot": metrics["zero_shot"],
        "bleu": {pair: scores["bleu"] for pair, scores in metrics["pairs"].items()},
        "languages": metrics["languages"],
        "predictions": str(newest.with_name("predictions.jsonl")),
    }
    write_text(one.result, json.dumps(result, indent=2) + "\n")
    return result


def speechalign(verb: str, folder: Path, options: Sequence[str]) -> None:
    """Run a command with one thread; all it writes goes into `folder`."""
    there = f"--trainer.default_root_dir={folder}"  # last: a configuration after it would win
    subprocess.run(
        [sys.executable, "-m", "speechalign", verb, *options, there],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        check=True,
    )
