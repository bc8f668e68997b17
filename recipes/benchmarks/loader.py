"""Time loading to batches of log-mel features against datasets and lhotse, in one run.

`python -m recipes.benchmarks.loader` (the peers come with the `dev` extra). All read the same wav
files in the same order, 16 to a batch, once an epoch. Before anything is timed, the features of
all are compared.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import soundfile
import torch
from datasets import Audio
from datasets import Dataset as Table
from lhotse import CutSet, MonoCut, Recording, SupervisionSegment
from lhotse.dataset import OnTheFlyFeatures, SimpleCutSampler
from lhotse.features.whisper_fbank import WhisperFbank
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedTokenizerBase, WhisperFeatureExtractor

from recipes.benchmarks.corpus import CODE, SPLIT, write_corpus
from speechalign.assets import resolve
from speechalign.audio.features import HOP, LogMel
from speechalign.audio.io import SAMPLE_RATE
from speechalign.data.batch import Collate, SpeechBatch
from speechalign.data.examples import SpeechDataset, unchanged
from speechalign.data.fleurs import Fleurs
from speechalign.data.items import Asking, join
from speechalign.data.pairs import BatchRows
from speechalign.data.prompts import PromptTemplates
from speechalign.data.records import Utterance
from speechalign.models.loading import load_tokenizer

WINDOW = 30 * SAMPLE_RATE  # samples
EDGE = 2  # last frames, where lhotse mirrors the recording and the others hear silence
TOLERANCE = 1e-3  # of features that range from about -1 to 1
OURS = "speechalign"


class Setting(NamedTuple):
    """What all loaders share."""

    root: Path
    utterances: Sequence[Utterance]
    batch: int
    workers: int

    @property
    def reading(self) -> dict[str, Any]:
        """Options of torch's DataLoader."""
        return {"num_workers": self.workers, "persistent_workers": self.workers > 0}


class Features:
    """Batches of ours to log-mel."""

    def __init__(self) -> None:
        self.log_mel = LogMel()

    def __call__(self, batch: SpeechBatch) -> Tensor:
        """Compute what the encoder's first convolution takes."""
        return self.log_mel(batch.waveform, batch.samples)


def speechalign(
    setting: Setting, tokenizer: PreTrainedTokenizerBase, pad: bool, inside: bool
) -> Iterable[Tensor]:
    """Load as training does, texts tokenized; features in the main process, or `inside` workers."""
    items = join(setting.utterances, {}, Asking(("asr",), CODE, PromptTemplates()))
    rows = range(len(items))
    batches = [
        BatchRows(tuple(rows[at : at + setting.batch]), (), 0) for at in rows[:: setting.batch]
    ]
    collate: Any = Features() if inside else unchanged
    loader: DataLoader[Any] = DataLoader(
        SpeechDataset(items, Collate(tokenizer, WINDOW, pad)),
        sampler=batches,
        batch_size=None,
        collate_fn=collate,
        **setting.reading,
    )
    return loader if inside else Mapped(Features(), loader)


class Mapped:
    """A loader whose batches are worked on in the main process."""

    def __init__(self, work: Callable[[SpeechBatch], Tensor], loader: Iterable[SpeechBatch]):
        self.work, self.loader = work, loader

    def __iter__(self) -> Iterator[Tensor]:
        """Work on one batch after the other."""
        return map(self.work, self.loader)


def datasets(setting: Setting, padding: str) -> Iterable[Tensor]:
    """Load with a transform that decodes, and a collator that extracts.

    (Its own decoder needs torchcodec; soundfile is at least as fast.)
    """
    table = Table.from_dict({
        "audio": [str(utterance.audio) for utterance in setting.utterances],
        "text": [utterance.text for utterance in setting.utterances],
    })
    table = table.cast_column("audio", Audio(decode=False)).with_transform(decode)
    return DataLoader(
        table,  # pyright: ignore[reportArgumentType] - it has what torch asks of a dataset
        batch_size=setting.batch,
        collate_fn=Extract(padding),
        **setting.reading,
    )


def decode(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Read the files of a batch."""
    sounds = [soundfile.read(audio["path"], dtype="float32")[0] for audio in batch["audio"]]
    return {"audio": sounds, "text": batch["text"]}


class Extract:
    """Collation by transformers' extractor, which takes a whole batch at once."""

    def __init__(self, padding: str) -> None:
        self.padding, self.extractor = padding, WhisperFeatureExtractor(feature_size=80)

    def __call__(self, rows: list[dict[str, Any]]) -> Tensor:
        """Pad and extract."""
        sounds = [row["audio"] for row in rows]
        extracted = self.extractor(
            sounds, sampling_rate=SAMPLE_RATE, padding=self.padding, return_tensors="pt"
        )
        return extracted["input_features"]


class CutFeatures(Dataset[Tensor]):
    """A dataset after lhotse's documentation: features of a batch of cuts, on the fly."""

    def __init__(self) -> None:
        self.features = OnTheFlyFeatures(WhisperFbank())

    def __getitem__(self, cuts: CutSet) -> Tensor:
        """Read and extract; channels before frames, as the encoder takes them."""
        return self.features(cuts)[0].transpose(1, 2)


def lhotse(setting: Setting) -> Iterable[Tensor]:
    """Load with lhotse's sampler and its Whisper features."""
    cuts = CutSet.from_cuts([cut(utterance) for utterance in setting.utterances])
    return DataLoader(
        CutFeatures(),
        sampler=SimpleCutSampler(cuts, max_cuts=setting.batch, shuffle=False),
        batch_size=None,
        **setting.reading,
    )


def cut(utterance: Utterance) -> MonoCut:
    """Turn a recording into what lhotse reads."""
    recording = Recording.from_file(str(utterance.audio), recording_id=utterance.id)
    length = recording.duration
    said = SupervisionSegment(utterance.id, utterance.id, 0, length, text=utterance.text)
    return MonoCut(utterance.id, 0, length, 0, [said], recording=recording)


def loaders(setting: Setting, tokenizer: PreTrainedTokenizerBase) -> dict[str, Iterable[Tensor]]:
    """All loaders of one setting, by name."""
    found: dict[str, Iterable[Tensor]] = {OURS: speechalign(setting, tokenizer, False, False)}
    if setting.workers:
        found[f"{OURS}, features in workers"] = speechalign(setting, tokenizer, False, True)
    found |= {
        f"{OURS}, 30 s": speechalign(setting, tokenizer, True, False),
        "datasets + transformers, 30 s": datasets(setting, "max_length"),
        "datasets + transformers": datasets(setting, "longest"),
        "lhotse, on the fly": lhotse(setting),
    }
    return found


def check(found: dict[str, Iterable[Tensor]], utterances: Sequence[Utterance]) -> None:
    """See that all give the same features of every utterance.

    Raises:
        SystemExit: If they do not, as times of different things are not compared.
    """
    lengths = [round(one.duration * SAMPLE_RATE) // HOP - EDGE for one in utterances]
    ours = [row for batch in found[OURS] for row in batch]
    for name, loader in found.items():
        theirs = [row for batch in loader for row in batch]
        for one, other, frames in zip(ours, theirs, lengths, strict=True):
            apart = (one[:, :frames] - other[:, :frames]).abs().max().item()
            if not apart < TOLERANCE:
                raise SystemExit(f"{name}: features differ from ours by {apart:.4f}.")


def seconds(loader: Iterable[Tensor]) -> float:
    """Time one epoch."""
    start = time.perf_counter()
    for _ in loader:
        pass
    return time.perf_counter() - start


def compare(setting: Setting, tokenizer: PreTrainedTokenizerBase, repeats: int) -> None:
    """Print one line per loader.

    They take turns, so that a busy machine slows all alike, and in another order each time, so that
    none always comes after the same one, which leaves its memory behind.
    """
    found = loaders(setting, tokenizer)
    check(found, setting.utterances)
    order = random.Random(0)
    rounds = [
        {name: seconds(found[name]) for name in order.sample(list(found), len(found))}
        for _ in range(repeats)
    ]
    print(f"\n{f'{setting.workers} workers':<36}{'ms/utterance':>14}{'ratio':>8}")
    for name in found:
        took = median(one[name] for one in rounds) / len(setting.utterances)
        ratio = median(one[name] / one[OURS] for one in rounds)
        print(f"{name:<36}{took * 1e3:>14.2f}{ratio:>8.2f}")


def main() -> None:
    """Read the options, write the corpus, and compare for each number of workers."""
    parser = argparse.ArgumentParser(description="Time loading to log-mel batches.")
    parser.add_argument("--utterances", type=int, default=320)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1, help="of the main process")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    tokenizer = load_tokenizer(resolve("assets:micro/llm"), None)
    with tempfile.TemporaryDirectory() as folder:
        root = write_corpus(Path(folder), options.utterances)
        utterances = Fleurs(str(root)).utterances(CODE, SPLIT)
        mean = sum(one.duration for one in utterances) / len(utterances)
        print(
            f"{options.utterances} recordings of {mean:.1f} s, batches of {options.batch}, "
            f"{options.threads} thread(s), median of {options.repeats} epochs."
        )
        for workers in options.workers:
            setting = Setting(root, utterances, options.batch, workers)
            compare(setting, tokenizer, options.repeats)


if __name__ == "__main__":
    main()
