"""Translate and transcribe audio with a trained model: the Python interface of the project."""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, overload

import torch
from torch import Tensor

from speechalign.assets import PACKAGED
from speechalign.audio.io import SAMPLE_RATE, AudioSource, load_audio
from speechalign.data.batch import pad_waveforms
from speechalign.data.prompts import PromptTemplates, Task
from speechalign.errors import Caution, UserError
from speechalign.languages import LANGUAGES, Language, language, names
from speechalign.models import artifact
from speechalign.models.bias_pack import lay_over
from speechalign.models.decode import Decoding, generate
from speechalign.models.device import on_device
from speechalign.models.encoder import Frames
from speechalign.models.speech_llm import SpeechLLM

Wanted = Literal["transcript", "translation"]
YIELDING: dict[Wanted, tuple[Task, ...]] = {
    "transcript": ("asr", "srt"),
    "translation": ("st", "srt"),
}

# of AudioSource each; a checker would not take a list[str] for a list[AudioSource]
Many = list[Any] | tuple[Any, ...]


class Answer(NamedTuple):
    """What was understood of one recording."""

    text: str
    language: str  # spoken; canonical code
    certainty: float | None  # where the language was guessed: its probability among those known
    duration: float  # seconds

    def __str__(self) -> str:
        """The text alone."""
        return self.text


class Translator:
    """A trained model with what it takes to ask it.

    Args:
        model: In eval mode, on the device to work on.
        prompts: The templates it was trained with.
        decoding: How to search for an answer.
        tasks: What it was trained to do.
        languages: Codes of the languages it was trained to understand.
        zero_shot: Codes of those that it is said to understand without having been trained to.
        target: Code of the language it was trained to translate into.
    """

    def __init__(
        self,
        model: SpeechLLM,
        prompts: PromptTemplates,
        decoding: Decoding,
        tasks: list[Task],
        languages: list[str],
        zero_shot: list[str],
        target: str,
    ) -> None:
        self.model, self.prompts, self.decoding = model, prompts, decoding
        self.tasks, self.target = tasks, target
        self.languages, self.zero_shot = languages, zero_shot

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path = PACKAGED,
        device: str = "auto",
        bias: str | Path | None = None,
        **decoding: int,
    ) -> Self:
        """Load an exported folder or a training checkpoint.

        Args:
            path: The folder or `.ckpt` file; the default is the packaged micro model.
            device: `cpu`, `cuda`, …; `auto` is a GPU where there is one.
            bias: A bias pack (`speechalign estimate-bias`) with languages to know beside its own.
            decoding: Fields of `Decoding` that differ from those stored with the model.

        Raises:
            UserError: If nothing of the kind can be loaded from there.
        """
        model, about = artifact.load(path)
        known = about["languages"]
        heard = list(known["zero_shot"])
        if bias is not None:
            heard += [
                code for code in lay_over(bias, model.bias, model.encoder) if code not in heard
            ]
        try:
            prompts, stored = PromptTemplates(**about["prompts"]), Decoding(**about["decoding"])
        except TypeError as error:
            raise UserError(f"{str(path)!r} does not fit this version: {error}.") from error
        decoding_now = replace(stored, **decoding)
        return cls(
            on_device(model, device),
            prompts,
            decoding_now,
            about["tasks"],
            known["trained"],
            heard,
            known["target"],
        )

    @overload
    def translate(
        self, audio: AudioSource, to: str | None = None, from_: str = "auto", batch_size: int = 16
    ) -> Answer: ...

    @overload
    def translate(
        self, audio: Many, to: str | None = None, from_: str = "auto", batch_size: int = 16
    ) -> list[Answer]: ...

    def translate(
        self,
        audio: AudioSource | Many,
        to: str | None = None,
        from_: str = "auto",
        batch_size: int = 16,
    ) -> Answer | list[Answer]:
        """Translate speech.

        Args:
            audio: A file, bytes, or samples at 16 kHz; or a list of such.
            to: Language of the translation, by any of its codes; by default the one that the model
                was trained to translate into.
            from_: Language of the speech; `auto` takes the nearest language centroid.
            batch_size: How many recordings are decoded together; no effect on the text.

        Returns:
            An `Answer`, or a list of them if a list was given.

        Raises:
            UserError: If a language or recording cannot be used.
        """
        if isinstance(audio, list | tuple):
            return self.ask(audio, "translation", to or self.target, from_, batch_size)
        return self.ask([audio], "translation", to or self.target, from_, batch_size)[0]

    @overload
    def transcribe(
        self, audio: AudioSource, from_: str = "auto", batch_size: int = 16
    ) -> Answer: ...

    @overload
    def transcribe(
        self, audio: Many, from_: str = "auto", batch_size: int = 16
    ) -> list[Answer]: ...

    def transcribe(
        self, audio: AudioSource | Many, from_: str = "auto", batch_size: int = 16
    ) -> Answer | list[Answer]:
        """Write down speech in its own language; arguments and result as for `translate`."""
        if isinstance(audio, list | tuple):
            return self.ask(audio, "transcript", self.target, from_, batch_size)
        return self.ask([audio], "transcript", self.target, from_, batch_size)[0]

    def ask(
        self, audio: Many, wanted: Wanted, to: str, from_: str, batch_size: int
    ) -> list[Answer]:
        """Answer for several recordings, those of like length together."""
        if batch_size < 1:
            raise UserError(f"The batch size is {batch_size}: it must be 1 or more.")
        task, target = self.task_for(wanted), language(to)
        source = None if from_ == "auto" else language(from_)
        self.caution(wanted, target, source)
        waveforms = [self.hear(one) for one in audio]
        order = sorted(range(len(waveforms)), key=lambda i: -len(waveforms[i]))
        answers: dict[int, Answer] = {}
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            heard = self.answer([waveforms[i] for i in rows], task, target, source)
            for i, answer in zip(rows, heard, strict=True):
                transcript, translation = self.prompts.split(task, answer.text)
                said = transcript if wanted == "transcript" else translation
                answers[i] = answer._replace(text=said or "")
        return [answers[i] for i in range(len(waveforms))]

    def caution(self, wanted: Wanted, target: Language, source: Language | None) -> None:
        """Warn where a model is asked for what it was not trained to do, and answers."""
        if source is not None and source.code not in self.languages + self.zero_shot:
            warnings.warn(
                f"This model was trained on {names(self.languages)}: what it makes of "
                f"{source.name} is a guess.",
                Caution,
                stacklevel=4,
            )
        if wanted == "translation" and target.code != self.target:
            warnings.warn(
                f"This model was trained to translate into {language(self.target).name}: its "
                f"answers may not be in {target.name}.",
                Caution,
                stacklevel=4,
            )

    def task_for(self, wanted: Wanted) -> Task:
        """Choose the trained task that yields what is wanted.

        Raises:
            UserError: If there is none.
        """
        for task in YIELDING[wanted]:
            if task in self.tasks:
                return task
        raise UserError(f"This model was trained for {', '.join(self.tasks)}: no {wanted} of it.")

    def hear(self, audio: AudioSource) -> Tensor:
        """Load one recording.

        Raises:
            UserError: If it is no audio, cannot be read, or is longer than the encoder's window.
        """
        if not isinstance(audio, AudioSource):
            raise UserError(
                f"Audio cannot be of type {type(audio).__name__}: give a path, bytes, a file opened"
                " with mode 'rb', samples at 16 kHz as array or tensor, or a list of such."
            )
        waveform = load_audio(audio)
        window = self.model.encoder.window_samples
        if len(waveform) > window:
            name = str(audio) if isinstance(audio, str | Path) else "The recording"
            raise UserError(
                f"{name} lasts {len(waveform) / SAMPLE_RATE:.1f} s, but this model hears at most "
                f"{window / SAMPLE_RATE:.1f} s at a time: cut it into shorter pieces."
            )
        return waveform

    @torch.inference_mode()
    def answer(
        self,
        waveforms: list[Tensor],
        task: Task,
        target: Language,
        source: Language | None,
    ) -> list[Answer]:
        """Decode one batch; the texts are whole answers."""
        frames, rows, certainty = self.frames(waveforms, source)
        sources = [LANGUAGES[row] for row in rows.tolist()]
        prompts = [self.prompts.prompt(task, source.code, target.code) for source in sources]
        said = generate(self.model, frames, prompts, self.decoding)
        return [
            Answer(one.text, source.code, sure, len(waveform) / SAMPLE_RATE)
            for one, source, sure, waveform in zip(said, sources, certainty, waveforms, strict=True)
        ]

    @torch.inference_mode()
    def frames(
        self, waveforms: list[Tensor], source: Language | None
    ) -> tuple[Frames, Tensor, list[float] | list[None]]:
        """Encode one batch, and take the bias of its languages off.

        Returns:
            The frames, the spoken language of each as row of LANGUAGES, and how sure a guess is.
        """
        encoder = self.model.encoder
        device = next(encoder.parameters()).device
        batch, samples = pad_waveforms(waveforms, encoder.window_samples, encoder.pads_to_window)
        frames = encoder(batch.to(device), samples.to(device))
        rows, certainty = self.spoken(frames, source)
        if self.model.bias is not None:
            frames = self.model.bias(frames, rows)
        return frames, rows, certainty

    def spoken(
        self, frames: Frames, source: Language | None
    ) -> tuple[Tensor, list[float] | list[None]]:
        """Tell the language of each utterance: rows of LANGUAGES, and how sure a guess is."""
        if source is not None:
            return torch.full_like(frames.lengths, source.row), [None] * len(frames.lengths)
        if self.model.bias is None:
            raise UserError(
                "This model has no language centroids to tell languages by: say --from."
            )
        rows, certainty = self.model.bias.nearest(frames)
        return rows, certainty.tolist()
