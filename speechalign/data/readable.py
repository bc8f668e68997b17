"""Recordings that an evaluation asks about, of which some cannot be read: these count, too."""

from typing import NamedTuple

from torch.utils.data import Dataset
from typing_extensions import override

from speechalign.data.batch import SpeechBatch
from speechalign.data.examples import SpeechDataset, read_audio
from speechalign.data.pairs import BatchRows
from speechalign.data.records import Example, Utterance
from speechalign.errors import UserError


class ReadableBatch(NamedTuple):
    """A batch without the recordings that cannot be read."""

    batch: SpeechBatch | None  # None if none can
    unread: list[Example]


class ReadableDataset(Dataset[ReadableBatch]):
    """The batches of a dataset, with recordings that cannot be read set apart."""

    def __init__(self, speech: SpeechDataset) -> None:
        self.speech = speech

    def __len__(self) -> int:
        """Count the recordings."""
        return len(self.speech)

    @override
    def __getitem__(self, rows: BatchRows) -> ReadableBatch:
        try:
            return ReadableBatch(self.speech[rows], [])
        except UserError:  # one of them, or more: which is seen by reading each
            fine, unread = [], []
            for row in rows.rows:
                example = self.speech.draw(row, rows.epoch)
                (fine if readable(example.utterance) else unread).append((row, example))
            if not unread:
                raise
            kept = BatchRows(tuple(row for row, _ in fine), (), rows.epoch)
            batch = self.speech[kept] if fine else None
            return ReadableBatch(batch, [example for _, example in unread])


def readable(utterance: Utterance) -> bool:
    """Whether the audio of an utterance can be read."""
    try:
        read_audio(utterance)
    except UserError:
        return False
    return True
