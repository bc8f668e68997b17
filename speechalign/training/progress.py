"""What a training shows on its way: a bar on a terminal, elsewhere a line now and then."""

import math
import sys
import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm
from lightning.pytorch.trainer.states import TrainerFn
from typing_extensions import override

QUIET = 60.0  # seconds after which a line is due, looks at dev apart
SHOWN = {"train/loss": "loss", "val/ce": "dev loss"}


class Progress(TQDMProgressBar):
    """One bar over the whole training, step of `max_steps`; without a terminal, lines instead.

    (Lightning's bar begins anew with every epoch, and a resumed one with a wrong total.) There is a
    line at each look at dev, and one after every minute without.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tells = False  # in lines
        self.total: int | None = None  # optimizer steps; None where nothing limits them
        self.first = 0  # step that this process went on from
        self.started: float | None = None  # by the clock that `time.monotonic` reads, as `told`
        self.told = 0.0

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find out whether anybody could see a bar move."""
        super().setup(trainer, pl_module, stage)
        terminal = sys.stdout.isatty()
        self.tells = trainer.is_global_zero and not terminal
        if not terminal:
            self.disable()

    @override
    def on_train_start(self, *_: Any) -> None:
        """Wait for the first batch: biases are estimated and told of before it."""
        self.train_progress_bar = Tqdm(disable=True)
        self.started = None

    @override
    def on_train_epoch_start(self, *_: Any, **__: Any) -> None:
        """Leave the bar as it is."""

    @override
    def on_train_batch_start(self, trainer: Trainer, *_: Any, **__: Any) -> None:
        """Show the bar and start the clock, at the first batch of this process."""
        if self.started is not None:
            return
        steps = trainer.estimated_stepping_batches
        self.total = int(steps) if math.isfinite(steps) and steps >= 0 else None
        self.first = trainer.global_step
        self.started = self.told = time.monotonic()
        bar = self.train_progress_bar = self.init_train_tqdm()
        bar.total, bar.initial = self.total, self.first
        bar.n = bar.last_print_n = self.first
        bar.refresh()

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, *_: Any, **__: Any
    ) -> None:
        """Move the bar, or tell of the step if nothing was told for long."""
        step, bar = trainer.global_step, self.train_progress_bar
        between = getattr(trainer, "log_every_n_steps", 1)  # set late, unknown to type checkers
        if self.is_enabled and step % between == 0:
            bar.set_postfix(self.get_metrics(trainer, pl_module), refresh=False)
        bar.update(step - bar.n)
        if self.tells and time.monotonic() - self.told > QUIET:
            self.tell(f"{self.place(step)}{self.left(step)}")

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tell what dev says."""
        super().on_validation_end(trainer, pl_module)
        if self.tells and trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            found = self.get_metrics(trainer, pl_module)
            dev = f", dev loss {found['dev loss']}" if "dev loss" in found else ""
            step = trainer.global_step
            self.tell(f"{self.place(step)}{dev}{self.left(step)}")

    @override
    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """What stands behind the bar."""
        known = trainer.callback_metrics
        return {told: f"{known[name]:.3f}" for name, told in SHOWN.items() if name in known}

    def place(self, step: int) -> str:
        """Say how far the training is."""
        return f"step {step}" if self.total is None else f"step {step} of {self.total}"

    def left(self, step: int) -> str:
        """Say how long it will still take, if that can be known."""
        done = step - self.first
        if self.total is None or self.started is None or done < 1 or step >= self.total:
            return ""
        seconds = (time.monotonic() - self.started) / done * (self.total - step)
        return f", {duration(seconds)} left"

    def tell(self, line: str) -> None:
        """Print a line that whoever reads a pipe sees at once."""
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
        self.told = time.monotonic()


def duration(seconds: float) -> str:
    """Write a length of time as people say it: `about 8 min`."""
    if seconds < 60:
        return "under a minute"
    if seconds < 5400:
        return f"about {seconds / 60:.0f} min"
    return f"about {seconds / 3600:.1f} h"
