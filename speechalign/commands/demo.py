"""`speechalign demo`: translate, train and evaluate in the packaged micro world."""

import json
import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speechalign.assets import resolve
from speechalign.commands.parsing import run
from speechalign.errors import UserError
from speechalign.files import write_text
from speechalign.languages import language

if TYPE_CHECKING:  # it loads torch, for which no --help waits
    from speechalign.commands.training import CommandLine

CONFIG = "assets:micro/config.yaml"
CLIPS = "assets:micro/clips"
STEPS_BETWEEN_LOOKS = 150  # at dev, as in configs/micro.yaml
LENGTH = "This takes about 10 minutes on two idle cores.\n"
WIDTH = 18  # of the column of languages


def main(verb: str, arguments: list[str]) -> None:
    """Run the command line."""
    run(demo, verb, arguments)


def demo(output: str = "runs/demo", steps: int | None = None, seed: int = 0) -> None:
    """Train, evaluate and translate in the packaged micro world.

    Translates clips with the packaged adapter, trains one from scratch with POTSA, scores it on
    trained and zero-shot languages, and writes report.json and curves.png.

    Args:
        output: Folder for the results; made if absent.
        steps: Optimizer steps of the training; by default as in configs/micro.yaml.
        seed: Of the training.
    """
    if steps is not None and steps < 1:
        raise UserError(f"--steps is {steps}: give 1 or more.")
    from speechalign.commands.curves import draw_curves  # loads much, as below

    seconds: dict[str, float] = {}
    with timed(seconds, "clips"):
        show_clips()
    with timed(seconds, "train"), quiet_lightning():
        trained = train(Path(output) / "training", steps, seed)
    with timed(seconds, "evaluate"), quiet_lightning():
        metrics = evaluate(trained)
    report = summarize(metrics, seconds)
    write_text(Path(output) / "report.json", json.dumps(report, indent=2) + "\n")
    draw_curves(Path(metrics["folder"]) / "metrics.csv", Path(output) / "curves.png")
    print(table(report))
    print(f"\nWritten: {output}/report.json, {output}/curves.png; the run is in {output}/training")


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Note how long a stage took."""
    start = time.monotonic()
    yield
    seconds[stage] = round(time.monotonic() - start, 1)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Leave the terminal to the progress bar: no notes of Lightning's but warnings."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def tell(line: str) -> None:
    """Print a line that whoever reads a pipe sees at once."""
    print(line, flush=True)


def show_clips() -> None:
    """Translate the shipped clips and print them beside their references."""
    from speechalign.inference.translator import Translator

    folder = Path(resolve(CLIPS))
    clips = json.loads((folder / "clips.json").read_text(encoding="utf-8"))
    translator = Translator.from_pretrained()
    tell("\nThe packaged adapter translates clips it never heard:\n")
    for clip in clips:
        answer = translator.translate(folder / clip["file"], to="eng", from_=clip["language"])
        print(f"  {language(clip['language']).name:<{WIDTH}} {clip['transcript']}")
        print(f"  {'→ English':<{WIDTH}} {answer.text}")
        print(f"  {'reference':<{WIDTH}} {clip['translation']}\n")


def train(folder: Path, steps: int | None, seed: int) -> "CommandLine":
    """Train an adapter from scratch with POTSA, in a folder that only demos use."""
    from speechalign.commands.training import command_line

    tell("Training an adapter from scratch: cross-entropy + λ · optimal transport")
    tell(LENGTH if steps is None else "")
    clear(folder)
    return command_line("fit", settings(folder, steps, seed))


def clear(folder: Path) -> None:
    """Make an empty folder, or empty that of an earlier demo.

    Raises:
        UserError: If it holds anything else, or cannot be made.
    """
    mark = folder / ".speechalign-demo"
    if folder.exists() and any(folder.iterdir()) and not mark.exists():
        raise UserError(f"{folder} holds something that no demo wrote: give another --output.")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(parents=True)
        mark.touch()
    except OSError as error:
        raise UserError(
            f"{folder} cannot be made ({error.strerror}): give another --output."
        ) from error


def settings(folder: Path, steps: int | None, seed: int) -> list[str]:
    """Options of a training in the micro world."""
    return [
        f"--config={resolve(CONFIG)}",
        f"--trainer.default_root_dir={folder}",
        *seed_and_budget(seed, steps),
    ]


def seed_and_budget(seed: int, steps: int | None) -> list[str]:
    """Options for one seed everywhere, and for another number of steps if it is given."""
    return [
        f"--seed_everything={seed}",
        *(budget(steps) if steps else ()),
    ]


def budget(steps: int) -> list[str]:
    """Options for another number of steps; the last look at dev is at their end, or just before."""
    looks = -(-steps // STEPS_BETWEEN_LOOKS)
    return [
        f"--trainer.max_steps={steps}",
        f"--trainer.val_check_interval={steps // looks}",
        f"--model.lr_scheduler.init_args.warmup_steps={min(100, steps // 4)}",
    ]


def evaluate(trained: "CommandLine") -> dict[str, Any]:
    """Score the checkpoint that was best on dev on the test split."""
    tell("\nTranslating the test split with the checkpoint that was best on dev")
    trained.trainer.test(trained.model, trained.datamodule, ckpt_path="best", verbose=False)
    return metrics_of(trained)


def metrics_of(tested: "CommandLine") -> dict[str, Any]:
    """Read what a test wrote, and say in which folder."""
    folder = Path(tested.trainer.log_dir or "")
    return json.loads((folder / "metrics.json").read_text()) | {"folder": str(folder)}


def summarize(metrics: dict[str, Any], seconds: dict[str, float]) -> dict[str, Any]:
    """Pick what the demo reports out of the metrics of the test."""
    pairs, groups = metrics["pairs"], metrics["averages"]
    scores = {pair.split("-")[0]: told["scores"]["bleu"] for pair, told in pairs.items()}
    return {
        "bleu": {code: score["value"] for code, score in scores.items()},
        "signature": groups["trained"]["bleu"]["signature"],
        "recordings": {pair.split("-")[0]: told["recordings"] for pair, told in pairs.items()},
        **{name: groups[name]["bleu"]["value"] for name in ("trained", "zero_shot")},
        **{f"{name}_languages": groups[name]["languages"] for name in ("trained", "zero_shot")},
        "seconds": seconds,
        "versions": metrics["versions"],
    }


def table(report: dict[str, Any]) -> str:
    """Write the scores as a table for people."""
    rows = [f"\n{'into English, from':<24}{'BLEU':>7}{'recordings':>13}"]
    for name in ("trained", "zero_shot"):
        rows.append("-" * 44)
        for code in report[f"{name}_languages"]:
            score, count = report["bleu"][code], report["recordings"][code]
            rows.append(f"{language(code).name:<24}{score:>7.1f}{count:>13}")
        rows.append(f"{name.replace('_', '-') + ' mean':<24}{report[name]:>7.1f}")
    rows.append(f"\n{report['signature']}")
    return "\n".join(rows)
