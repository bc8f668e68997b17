"""One training with its test: gone on with where it was stopped, kept once it is finished.

A finished run is a row: scores, Recall@1 by stage, and all answers, so that a table with its
intervals can be made of rows alone, wherever they were run.
"""

import hashlib
import json
import lzma
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from recipes.micro.experiments.grid import Setting
from speechalign.assets import FOLDER
from speechalign.commands.demo import seed_and_budget
from speechalign.errors import UserError
from speechalign.evaluation.predictions import read_predictions
from speechalign.files import write_bytes, write_text

MICRO = FOLDER / "micro"
CORPUS = "assets:micro/fleurs"
FORMAT = "2"  # of a row
GROUPS = ("trained", "zero_shot")  # of languages
NOBODY: dict[str, list[str]] = {"languages": []}


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
    folder: Path
    start: "Run | None" = None  # whose best checkpoint it goes on from

    @property
    def options(self) -> list[str]:
        """What the command line is told."""
        going_on = () if self.start is None else (f"--model.init_from={self.start.best}",)
        return [*(f"--config={file}" for file in self.setting.configs), *self.choices, *going_on]

    @property
    def choices(self) -> list[str]:
        """What it is told beside configurations, and the place of the run that it goes on from."""
        return [
            *seed_and_budget(self.seed, self.setting.steps),
            *self.setting.options,
            "--trainer.enable_progress_bar=false",
        ]

    @property
    def place(self) -> Path:
        """A folder for this configuration, in this world, alone."""
        return self.folder.absolute() / self.name

    @property
    def name(self) -> str:
        """Name this configuration, in this world, alone."""
        told = [*(file.read_text("utf-8") for file in self.setting.configs), *self.choices]
        told += [] if self.start is None else [self.start.name]
        digest = hashlib.sha256("\n".join([FORMAT, *told, world()]).encode()).hexdigest()[:8]
        name = re.sub(r"\W+", "_", self.setting.name).strip("_")
        return f"{name}_seed{self.seed}_{digest}"

    @property
    def there(self) -> str:
        """The option for where it writes; to be the last: a configuration after it would win."""
        return f"--trainer.default_root_dir={self.place}"

    @property
    def best(self) -> Path:
        """The checkpoint that was best on dev."""
        return self.place / "checkpoints" / "best.ckpt"

    @property
    def result(self) -> Path:
        """Where its scores are, once it is finished."""
        return self.place / "result.json"


def train(one: Run) -> None:
    """Train, or go on with it; a finished training is not done again."""
    finished = one.place / "finished"
    last = one.place / "checkpoints" / "last.ckpt"
    if not finished.exists():
        going_on = ["--ckpt_path=last"] if last.exists() else []
        speechalign("fit", one.place, [*one.options, *going_on, one.there])
        finished.touch()


def run(one: Run) -> dict[str, Any]:
    """Train, test and look for Recall@1, in processes of their own; nothing is done again."""
    if one.result.exists():
        return json.loads(one.result.read_text(encoding="utf-8"))
    train(one)
    speechalign("test", one.place, [*one.options, f"--ckpt_path={one.best}", one.there])
    newest = max(one.place.glob("logs/version_*/metrics.json"), key=lambda f: f.stat().st_mtime_ns)
    metrics = json.loads(newest.read_text(encoding="utf-8"))
    numbers = one.place / "alignment.json"
    corpus = [f"--manifest={CORPUS}", "--split=test", f"--checkpoint={one.best}"]
    files = [f"--output={one.place / 'alignment.html'}", f"--numbers={numbers}"]
    speechalign("inspect", one.place, [*corpus, *files])
    stages = json.loads(numbers.read_text(encoding="utf-8"))["stages"]
    averages = metrics["averages"]
    means = {group: told["bleu"]["value"] for group, told in averages.items()}
    result = {
        "run": one.name,
        "setting": one.setting.name,
        "seed": one.seed,
        "steps": one.setting.steps,
        "options": list(one.setting.options),
        **{group: means.get(group) for group in GROUPS},
        "bleu": {pair: told["scores"]["bleu"]["value"] for pair, told in metrics["pairs"].items()},
        "languages": {group: averages.get(group, NOBODY)["languages"] for group in GROUPS},
        "recall_at_1": {stage["stage"]: stage["recall_at_1"] for stage in stages},
        "predictions": [
            row._replace(audio="")._asdict()  # whose place is of one machine
            for row in read_predictions(newest.with_name("predictions.jsonl"))
        ],
    }
    write_text(one.result, json.dumps(result, ensure_ascii=False) + "\n")
    return result


def read_rows(file: Path) -> dict[str, dict[str, Any]]:
    """Read finished runs by name; none if there is no such file.

    Raises:
        UserError: If it is not what `write_rows` wrote.
    """
    if not file.exists():
        return {}
    try:
        lines = lzma.decompress(file.read_bytes()).decode().split("\n")  # not at U+2028
        return {row["run"]: row for row in map(json.loads, filter(None, lines))}
    except (OSError, lzma.LZMAError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{file} does not hold finished runs ({error}).") from error


def write_rows(file: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write finished runs, a line each; answers are much alike, and take next to no room."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_bytes(file, lzma.compress(text.encode()))


def speechalign(verb: str, place: Path, options: Sequence[str]) -> None:
    """Run a command with one thread; what it says goes into a log of the run.

    Raises:
        UserError: If it fails; names the log and its last line.
    """
    place.mkdir(parents=True, exist_ok=True)
    log = place / "log.txt"
    with log.open("a", encoding="utf-8") as told:
        ended = subprocess.run(
            [sys.executable, "-m", "speechalign", verb, *options],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=told,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if ended.returncode:
        *_, last = ["", *log.read_text(encoding="utf-8").split("\n")[:-1]]
        raise UserError(f"{verb} failed, as {log} tells: {last}")
