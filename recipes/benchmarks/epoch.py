"""Time training steps of the micro world from kept frames against steps from audio, in one run.

`python -m recipes.benchmarks.epoch`. One training alternates between blocks of steps that read
kept frames and blocks that decode and encode, so that a busy machine slows both alike. The steps
at the borders of blocks, which have something of both, are not counted. Options that are not its
own go to the training, e.g. `--model.bias=null`.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

from speechalign.assets import resolve
from speechalign.commands.demo import quiet_lightning
from speechalign.commands.training import command_line
from speechalign.data.batch import SpeechBatch
from speechalign.data.examples import SpeechDataset
from speechalign.training.callbacks import data_of

CLOCK = "recipes.benchmarks.epoch.Clock"


class Clock(Callback):
    """Alternates between kept frames and audio, and times every step with the reading before it.

    Args:
        block: Steps of one kind before the other has its turn; 3 or more.
    """

    def __init__(self, block: int) -> None:
        self.block = block
        self.steps: list[tuple[bool, float]] = []  # from kept frames?, seconds
        self.last = 0.0

    @override
    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: SpeechBatch,
        batch_idx: int,
    ) -> None:
        """Note one step, and choose how the next batch is read."""
        now = time.perf_counter()
        self.steps.append((batch.encoded is not None, now - self.last))
        loader = trainer.train_dataloader
        assert loader is not None
        assert isinstance(loader.dataset, SpeechDataset)
        kept = len(self.steps) // self.block % 2 == 0
        loader.dataset.cache = data_of(trainer).frames if kept else None
        self.last = time.perf_counter()

    def seconds(self, kept: bool) -> float:
        """Median time of a step between two of its own kind."""
        kinds = [kind for kind, _ in self.steps]
        inner = range(1, len(self.steps) - 1)
        return median(self.steps[at][1] for at in inner if set(kinds[at - 1 : at + 2]) == {kept})


def settings(folder: Path, steps: int, sentences: int, batch: int, block: int) -> list[str]:
    """Options of a training in the micro world that is only timed."""
    clock = f"[{{class_path: {CLOCK}, init_args: {{block: {block}}}}}]"
    return [
        f"--config={resolve('assets:micro/config.yaml')}",
        f"--trainer.default_root_dir={folder}",
        f"--trainer.max_steps={steps}",
        "--trainer.limit_val_batches=0",
        "--trainer.enable_progress_bar=false",
        "--trainer.enable_checkpointing=false",
        f"--trainer.callbacks={clock}",
        "--data.zero_shot=[]",
        f"--data.batch_size={batch}",
        f"--data.max_train_sentences={sentences}",
        f"--data.cache={folder / 'frames'}",
    ]


def main() -> None:
    """Read the options, train, and print both times."""
    parser = argparse.ArgumentParser(description="Time training steps with and without the cache.")
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--block", type=int, default=6, help="steps of one kind in a row")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--sentences", type=int, default=200, help="that are heard, of 5 languages")
    parser.add_argument("--threads", type=int, default=2)
    options, more = parser.parse_known_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder, quiet_lightning():
        sizes = options.steps, options.sentences, options.batch, options.block
        run = command_line("fit", settings(Path(folder), *sizes) + more)
    callbacks: list[Any] = getattr(run.trainer, "callbacks", [])
    clock = next(one for one in callbacks if hasattr(one, "steps"))  # imported by its path
    cached, plain = (clock.seconds(kept) for kept in (True, False))
    print(f"Batches of {options.batch}, {options.threads} thread(s), {options.steps} steps.")
    print(f"{'':<14}{'ms/step':>9}{'ratio':>8}")
    print(f"{'kept frames':<14}{cached * 1e3:>9.0f}{1:>8.2f}")
    print(f"{'from audio':<14}{plain * 1e3:>9.0f}{plain / cached:>8.2f}")


if __name__ == "__main__":
    main()
