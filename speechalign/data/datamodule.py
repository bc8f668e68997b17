"""A parallel corpus as Lightning wants it: loaders of training, validation, test and prediction."""

import math
import os
from typing import Any, Literal, TypeVar, cast

import numpy as np
import torch
from lightning.pytorch import LightningDataModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedTokenizerBase

from speechalign.audio.augment import Augmentation
from speechalign.audio.io import SAMPLE_RATE
from speechalign.data.batch import Collate, SpeechBatch
from speechalign.data.draw import EpochDraw, Recordings
from speechalign.data.examples import SpeechDataset, unchanged
from speechalign.data.frames import FrameCache, FrameForm, frames_folder
from speechalign.data.items import Asking, Items
from speechalign.data.loader import ResumableLoader, trained_batches
from speechalign.data.pairs import PairSampler, ShardSampler
from speechalign.data.prompts import PromptTemplates, Task
from speechalign.data.readable import ReadableBatch, ReadableDataset
from speechalign.data.records import Example, Source, Utterance
from speechalign.data.selection import (
    Exam,
    check_exams,
    check_seconds,
    draw_utterances,
    exam,
    items_to_train,
    leaked_sentences,
    limit_sentences,
    tell_of_pairs,
)
from speechalign.data.settings import check_counts, check_languages, check_limits, check_weights
from speechalign.errors import UserError
from speechalign.languages import language

Read = TypeVar("Read")
PROMPTS = PromptTemplates()
BIAS_UTTERANCES = 500  # recordings of a language that its centroid is estimated from, at most


class SpeechDataModule(LightningDataModule):
    """Speech in several languages, and text in one.

    Training draws parallel pairs (`PairSampler`) and one task a recording. Evaluation asks every
    recording for the heaviest task. Where there are zero-shot languages, validation and test have
    two loaders: first the trained languages, then the zero-shot ones, so that the model can be
    selected on the former alone.

    What is left out is logged. Evaluation leaves out recordings without a reference only; those
    longer than the encoder's window are in no batch but in `too_long`, by split (once its loaders
    were made), to be scored as failures. So are those of test that cannot be read: `ReadableBatch`.
    """

    def __init__(
        self,
        source: Source,
        languages: list[str],
        target: str = "eng",
        zero_shot: list[str] | None = None,
        tasks: dict[Task, float] | None = None,
        batch_size: int = 16,
        eval_batch_size: int = 32,
        workers: int = 0,
        max_seconds: float | None = None,
        seed: int | None = None,
        prompts: PromptTemplates = PROMPTS,
        train_splits: list[str] | None = None,
        max_train_sentences: int | None = None,
        pairing: str = "random",
        recordings: Recordings = "one",
        temperature: float = 1.0,
        batch_seconds: float | None = None,
        cache: bool | str = False,
        cache_dtype: Literal["float32", "bfloat16"] | None = None,
        cache_frames: Literal["valid", "all"] = "valid",
        augment: Augmentation | None = None,
    ):
        """Remember what to load; nothing is read yet.

        Args:
            source: The corpus.
            languages: Source languages to train on and to evaluate, by any code.
            target: The language of the answers of st and srt.
            zero_shot: Further source languages to evaluate.
            tasks: How often each task is drawn, relative to the others; by default only st.
            batch_size: Utterances per process and training step; even, two to a pair. With
                `batch_seconds`: at most.
            eval_batch_size: Utterances per process and evaluation step.
            workers: Processes that read ahead, per training process; 0 reads in step.
            max_seconds: Longer recordings are not trained on; by default the encoder's window.
            seed: Of the order, the tasks and the limited sentences; by default that of
                `seed_everything`, or 0.
            prompts: The wording of the tasks.
            train_splits: Splits to train on; by default only `train`.
            max_train_sentences: Train on so many sentences, the same in all languages.
            pairing: `random` pairs of languages, `none`, or the language that begins every pair.
            recordings: How many of a sentence in a language an epoch hears: `one` or `all`.
            temperature: 1 hears each language as often as there is of it, infinity all equally
                often; in between in proportion to n^(1/temperature).
            batch_seconds: Let batches have similar lengths, and padding included so many seconds
                per process at most, instead of equally many utterances. For an encoder that
                attends to speech alone.
            cache: Folder to keep the encoder's frames of train and dev in, computed once before
                training; or whether to keep them in `default_cache_dir()`.
            cache_dtype: Keep them with so many digits; by default as the encoder gives them.
            cache_frames: Keep the `valid` frames, or `all` of the encoder's window, which a bias
                that pools over padding needs.
            augment: How the recordings of training vary from epoch to epoch. They are then encoded
                anew each time, and only frames of dev are kept.

        Raises:
            UserError: If a language is unknown, named twice or both source and target, the tasks
                have no sensible weights, or a number is too low.
        """
        super().__init__()
        self.allow_zero_length_dataloader_with_multiple_devices = True  # few items, many ranks
        self.source = source
        self.languages = [language(code).code for code in languages]
        self.zero_shot = [language(code).code for code in zero_shot or ()]
        self.target = language(target).code
        self.tasks = tasks or {"st": 1.0}
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.workers = workers
        self.max_seconds = math.inf if max_seconds is None else max_seconds
        self.seed = int(os.environ.get("PL_GLOBAL_SEED", 0)) if seed is None else seed
        self.prompts = prompts
        self.train_splits = train_splits or ["train"]
        self.max_train_sentences = max_train_sentences
        self.pairing = pairing if pairing in {"random", "none"} else language(pairing).code
        self.recordings: Recordings = recordings
        self.temperature = temperature
        self.batch_seconds = batch_seconds
        self.cache = frames_folder(cache)
        self.form = FrameForm(cache_frames, cache_dtype)
        self.augment = augment
        self.frames: FrameCache | None = None
        self.too_long: dict[str, list[Example]] = {}
        self._collate: Collate | None = None
        self._train_items: Items | None = None  # once they are listed
        self._exams: dict[str, list[Exam]] = {}
        check_counts(0, workers=workers)
        check_counts(1, eval_batch_size=eval_batch_size, max_train_sentences=max_train_sentences)
        check_limits(max_seconds=max_seconds, batch_seconds=batch_seconds)
        check_weights(self.tasks)
        self._written = [] if set(self.tasks) == {"asr"} else [self.target]
        check_languages(self.languages, self.zero_shot, next(iter(self._written), None))

    def configure(
        self,
        tokenizer: PreTrainedTokenizerBase,
        window_samples: int,
        pad_to_window: bool = False,
        mels: int = 80,
    ) -> None:
        """Fit the batches to a model: its tokenizer, its encoder's window in samples, its bands."""
        self._collate = Collate(tokenizer, window_samples, pad_to_window, mels)
        self._train_items, self._exams = None, {}

    def prepare_data(self) -> None:
        """Open the archives once, in one process of each machine, so that the others find them."""
        stage = (self.trainer and self.trainer.state.fn) or TrainerFn.FITTING
        fitting = [*self.train_splits, "dev"]
        splits = {TrainerFn.FITTING: fitting, TrainerFn.VALIDATING: ["dev"]}.get(stage, ["test"])
        for code in self.languages + self.zero_shot:
            for split in splits:
                if self.source.has_audio(code, split):
                    self._corpus(split).utterances(code, split)

    def setup(self, stage: str) -> None:  # noqa: ARG002 - Lightning's signature
        """Take tokenizer and window from the trainer's model; a UserError tells if it has none."""
        model = getattr(self.trainer and self.trainer.lightning_module, "speech_llm", None)
        if model is not None:
            encoder = model.encoder
            heard = (encoder.window_samples, encoder.pads_to_window, encoder.mels)
            self.configure(model.tokenizer, *heard)
        elif self._collate is None:
            raise UserError(
                "The data need a tokenizer and a window: train a module that has a `speech_llm`,"
                " or call `configure` first."
            )

    def train_dataloader(self) -> ResumableLoader:
        """Give the batches of training; a checkpoint of the trainer has the place in them."""
        items = self.train_items()
        draw = EpochDraw(
            items.sentences,
            items.languages,
            seed=self.seed,
            pairing=self.pairing,
            recordings=self.recordings,
            temperature=self.temperature,
        )
        tell_of_pairs(draw)
        check_seconds(self.batch_seconds, self._fitted().pad_to_window)
        slowest = min(self.augment.speed) if self.augment else 1.0
        by = {"durations": items.durations / slowest, "batch_seconds": self.batch_seconds}
        sampler = PairSampler(draw, self.batch_size, **self._place(), **by)
        if self.trainer is not None:
            epochs = self.trainer.fit_loop.epoch_progress.state_dict()["current"]
            sampler.set_epoch(epochs["processed"])
        cache = None if self.augment else self.frames
        dataset = SpeechDataset(
            items, self._fitted(), self.tasks, self.seed, cache=cache, augment=self.augment
        )
        return ResumableLoader(dataset, sampler, self._progress, **self._reading())

    def val_dataloader(self) -> list[DataLoader[SpeechBatch]]:
        """Give the dev split: trained languages, then zero-shot ones if there are any."""
        return [self._loader(*asked) for asked in self._exam("dev")]

    def test_dataloader(self) -> list[DataLoader[ReadableBatch]]:
        """Give the test split: trained languages, then zero-shot ones if there are any."""
        return [self._loader(ReadableDataset(speech), told) for speech, told in self._exam("test")]

    predict_dataloader = test_dataloader

    def train_items(self) -> Items:
        """List what is trained on, one item a recording."""
        if self._train_items is not None:
            return self._train_items
        asking = self._asking(*self.tasks)
        codes = [*self.languages, *self.zero_shot, *self._written]
        leaked = leaked_sentences(self.source, codes, self.train_splits)
        items, seconds = Items(), self._train_seconds()
        for split in self.train_splits:
            items += items_to_train(self.source, self.languages, split, asking, seconds, leaked)
        if self.max_train_sentences is not None:
            items = limit_sentences(items, self.max_train_sentences, self.seed)
        self._train_items = items
        return items

    def exams(self, split: str) -> list[Exam]:
        """List what is asked: of the trained languages, then of the zero-shot ones if any.

        Raises:
            UserError: If the corpus lacks a language or the split, or there is nothing to ask.
        """
        if split not in self._exams:
            asking = self._asking(max(self.tasks, key=lambda task: self.tasks[task]))
            window = self._fitted().window_samples / SAMPLE_RATE
            self._exams[split] = [
                exam(self._corpus(split), codes, split, asking, window)
                for codes in (self.languages, self.zero_shot)
                if codes
            ]
        return self._exams[split]

    def estimation_utterances(self, code: str, limit: int = BIAS_UTTERANCES) -> list[Utterance]:
        """Draw recordings to estimate a language's bias from."""
        heard = language(code).code, self.train_splits, self._train_seconds()
        return draw_utterances(self.source, *heard, limit, self.seed)

    def _corpus(self, split: str) -> Source:
        return self.source.with_missing() if split == "test" else self.source

    def _exam(self, split: str) -> list[tuple[SpeechDataset, NDArray[np.float64]]]:
        exams = self.exams(split)
        self.too_long[split] = [example for _, too_long in exams for example in too_long]
        check_exams(exams, split, self._place()["world_size"])
        fitted = self._fitted()
        return [(SpeechDataset(i, fitted, cache=self.frames), i.durations) for i, _ in exams]

    def _loader(self, dataset: Dataset[Read], seconds: NDArray[np.float64]) -> DataLoader[Read]:
        sampler = ShardSampler(seconds, self.eval_batch_size, **self._place())
        return DataLoader(dataset, sampler=sampler, batch_size=None, **self._reading())

    def _reading(self) -> dict[str, Any]:
        return {
            "num_workers": self.workers,
            "persistent_workers": self.workers > 0,
            "generator": torch.Generator().manual_seed(self.seed),  # spares the global one
            "collate_fn": unchanged,
        }

    def _asking(self, *tasks: Task) -> Asking:
        return Asking(tasks, self.target, self.prompts)

    def _train_seconds(self) -> float:
        return min(self._fitted().window_samples / SAMPLE_RATE, self.max_seconds)

    def _fitted(self) -> Collate:
        if self._collate is None:
            raise UserError("The data are not fitted to a model yet: call `configure` first.")
        return self._collate

    def _place(self) -> dict[str, int]:
        one = {"rank": 0, "world_size": 1}
        at = self.trainer
        return {"rank": at.global_rank, "world_size": at.world_size} if at else one

    def _progress(self) -> tuple[int, int | float]:
        trainer = cast("Trainer", self.trainer)
        return trained_batches(trainer)[0], trainer.num_training_batches
