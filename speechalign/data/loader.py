"""A training loader that a checkpoint can resume in mid-epoch, without reading what was trained."""

from collections.abc import Callable
from typing import Any

from lightning.pytorch import Trainer
from torch.utils.data import DataLoader

from speechalign.data.batch import SpeechBatch
from speechalign.data.examples import SpeechDataset
from speechalign.data.pairs import PairSampler
from speechalign.errors import UserError

Progress = Callable[[], tuple[int, int | float]]


def trained_batches(trainer: Trainer) -> tuple[int, int]:
    """Count the batches of the epoch under way: (those the weights have learnt from, others).

    The others were accumulated towards an optimizer step that has not come. They are lost in a
    stop, and a resumed run begins with the first of them.
    """
    # `processed`, because a checkpoint may be saved before a batch counts as `completed`, and
    # because a batch whose step failed is `ready` but has to be trained again.
    done = trainer.fit_loop.epoch_loop.batch_progress.state_dict()["current"]["processed"]
    accumulated = (
        done % trainer.accumulate_grad_batches if done < trainer.num_training_batches else 0
    )
    return done - accumulated, accumulated


class ResumableLoader(DataLoader[SpeechBatch]):
    """Batches of a PairSampler, with the place in them as state.

    Lightning stores the state of a loader that has one, and gives it back before the first batch.
    Three things it must be right about (lightning 2.6, found by experiment):

    - Workers fetch ahead, so what was *trained* is asked of the trainer, not counted here.
    - Lightning calls `iter()` before it sets the sampler's epoch, and workers would then prefetch
      the wrong one. So iteration begins with the first `next()`.
    - With `max_steps`, a resumed trainer can count one epoch too many. So the loader counts the
      epochs itself: each begun iteration is the next one.
    """

    def __init__(
        self, dataset: SpeechDataset, sampler: PairSampler, progress: Progress, **options: Any
    ):
        """Begin with the sampler's epoch.

        Args:
            dataset: Gives a batch for the sampler's rows.
            sampler: Chooses the rows.
            progress: Tells how many batches of the epoch under way were trained, and how many
                an epoch has (fewer than the sampler's with `limit_train_batches`).
            options: Of torch's DataLoader.
        """
        super().__init__(dataset, sampler=sampler, batch_size=None, **options)
        self.pairs = sampler
        self.progress = progress
        self._next = (sampler.epoch, 0)  # epoch and batch that the next iteration begins with
        self._begun = False

    def __iter__(self) -> Any:  # a generator, where torch promises an iterator class of its own
        """Iterate over the rest of an epoch."""
        epoch, batch = self._next
        self.pairs.set_epoch(epoch)
        self.pairs.resume(epoch, batch)
        self._next, self._begun = (epoch + 1, 0), True
        yield from super().__iter__()

    def state_dict(self) -> dict[str, Any]:
        """Tell which batch is trained next: its epoch, its number, and the batches of an epoch."""
        epoch, batch = self._next
        if self._begun:
            trained, batches = self.progress()
            epoch, batch = (epoch, 0) if trained >= batches else (epoch - 1, trained)
        return {
            "epoch": epoch,
            "batch": batch,
            "batches": len(self.pairs),
            "order": self.pairs.identity,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the next iteration begin where the state says.

        Raises:
            UserError: If it is in mid-epoch and the epochs have another length or order now.
        """
        if state["batch"] and state.get("order", self.pairs.identity) != self.pairs.identity:
            raise UserError(
                "The checkpoint is in the middle of an epoch of other recordings, or of another"
                " order of them: resume with the same data (its quality.tsv too) and settings of"
                " what an epoch hears, or start anew from its weights."
            )
        if state["batch"] and state["batches"] != len(self.pairs):
            raise UserError(
                f"The checkpoint is in the middle of an epoch of {state['batches']} batches; now an"
                f" epoch has {len(self.pairs)}. Resume with the same data, batch_size and number of"
                " processes, or start anew from its weights."
            )
        self._next, self._begun = (state["epoch"], state["batch"]), False
