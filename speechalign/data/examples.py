"""Examples read from disk batch by batch."""

import random
from collections.abc import Mapping, Sequence
from typing import TypeVar

from torch import Tensor
from torch.utils.data import Dataset

from speechalign.audio.augment import Augmentation
from speechalign.audio.features import HOP
from speechalign.audio.io import AudioError, load_audio
from speechalign.data.archive import ArchiveMember
from speechalign.data.batch import Collate, SpeechBatch
from speechalign.data.frames import FrameCache, kept_frames
from speechalign.data.items import Item
from speechalign.data.pairs import BatchRows
from speechalign.data.prompts import Task
from speechalign.data.records import Example, Utterance
from speechalign.errors import UserError

Batch = TypeVar("Batch")


def read_audio(utterance: Utterance, to_end: bool = False) -> Tensor:
    """Load one utterance as 16 kHz mono.

    Args:
        utterance: The recording.
        to_end: Read its file to the end, however long the recording is told to be.

    Raises:
        UserError: If it cannot be read; names the utterance.
    """
    audio = utterance.audio
    try:
        return load_audio(
            audio.read() if isinstance(audio, ArchiveMember) else audio,
            start=utterance.start,
            duration=None if to_end else utterance.duration,
        )
    except AudioError as error:
        raise UserError(f"{utterance.id}: {error}") from error


def unchanged(batch: Batch) -> Batch:
    """Leave the batch as the dataset made it; torch's default would turn tuples into lists."""
    return batch


class SpeechDataset(Dataset[SpeechBatch]):
    """Items on disk; asked for the rows of a batch, it gives the batch."""

    def __init__(
        self,
        items: Sequence[Item],
        collate: Collate,
        weights: Mapping[Task, float] | None = None,
        seed: int = 0,
        cache: FrameCache | None = None,
        augment: Augmentation | None = None,
    ):
        """Keep the items; nothing is read yet.

        Args:
            items: The examples to choose from, one tuple a recording.
            collate: Pads the batch.
            weights: How often each task is drawn, relative to the others; equally by default.
            seed: Of all that is drawn.
            cache: Has the frames of recordings, which are then not read.
            augment: How recordings vary from epoch to epoch, if they are to.
        """
        self.items = items
        self.collate = collate
        self.weights = weights or {}
        self.seed = seed
        self.cache = cache
        self.augment = augment

    def __len__(self) -> int:
        """Count the recordings."""
        return len(self.items)

    def __getitem__(self, batch: BatchRows) -> SpeechBatch:
        """Read and pad the recordings of one batch.

        Raises:
            UserError: If a recording cannot be read or is longer than the window.
        """
        examples = [self.draw(row, batch.epoch) for row in batch.rows]
        frames = kept_frames(self.cache, [example.utterance for example in examples])
        if frames:
            encoded = [hidden[:valid] for hidden, valid in frames]
            return self.collate(examples, (), batch.pairs, encoded)
        waveforms = [read_audio(example.utterance) for example in examples]
        if self.augment is None:
            return self.collate(examples, waveforms, batch.pairs)
        takes, hidden = self.vary(self.augment, examples, waveforms, batch.epoch)
        return self.collate(examples, takes, batch.pairs, hidden=hidden)

    def vary(
        self,
        augment: Augmentation,
        examples: Sequence[Example],
        waveforms: Sequence[Tensor],
        epoch: int,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Make other takes, each a function of (seed, epoch, recording) alone.

        Returns:
            Waveforms, and what is hidden of their log-mel features.
        """
        takes, hidden = [], []
        for example, waveform in zip(examples, waveforms, strict=True):
            draw = random.Random(f"augment/{self.seed}/{epoch}/{example.utterance.id}")
            takes.append(augment.vary(waveform, self.collate.window_samples, draw))
            hidden.append(augment.hide(self.collate.mels, -(-len(takes[-1]) // HOP), draw))
        return takes, hidden

    def draw(self, row: int, epoch: int) -> Example:
        """Choose the task of one recording, a function of (seed, epoch, recording) alone."""
        item = self.items[row]
        if len(item) == 1:
            return item[0]
        draw = random.Random(f"{self.seed}/{epoch}/{item[0].utterance.id}")
        return draw.choices(item, [self.weights.get(example.task, 1.0) for example in item])[0]
