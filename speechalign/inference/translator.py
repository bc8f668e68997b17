"""Translate and transcribe audio with a trained model: the Python interface of the project."""

import gc
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self, cast, overload

import torch
from torch import Tensor

from speechalign.assets import PACKAGED
from speechalign.audio.io import SAMPLE_RATE, AudioSource, Readable, load_audio
from speechalign.audio.recording import Recording
from speechalign.audio.segment import Piece
from speechalign.data.batch import pad_waveforms
from speechalign.data.prompts import PromptTemplates, Task
from speechalign.errors import Caution, UserError
from speechalign.inference.answers import Answer, Segment, Word
from speechalign.inference.asking import Question, Reply, Wanted, ask
from speechalign.inference.export import Shareable
from speechalign.inference.long_audio import Told, collect, understand_all
from speechalign.inference.manner import Manner
from speechalign.inference.times import word_times
from speechalign.languages import LANGUAGES, Language, language, names
from speechalign.models import artifact
from speechalign.models.bias_pack import lay_over
from speechalign.models.decode import Decoding
from speechalign.models.device import on_device
from speechalign.models.encoder import Frames
from speechalign.models.loading import DType
from speechalign.models.speech_llm import SpeechLLM

YIELDING: dict[Wanted, tuple[Task, ...]] = {
    "transcript": ("asr", "srt"),
    "translation": ("st", "srt"),
}

# of AudioSource each; a checker would not take a list[str] for a list[AudioSource]
Many = list[Any] | tuple[Any, ...]


class Translator(Shareable):
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
        self.lock = threading.Lock()  # one batch at a time, whoever asks

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path = PACKAGED,
        device: str = "auto",
        bias: str | Path | None = None,
        revision: str | None = None,
        dtype: DType | None = None,
        llm_bits: int | None = None,
        **decoding: int,
    ) -> Self:
        """Load an exported folder, one on the Hugging Face Hub, or a training checkpoint.

        Args:
            path: The folder, the Hub id (`user/model` or `user/model@revision`) or the `.ckpt`
                file; the default is the packaged micro model.
            device: `cpu`, `cuda`, …; `auto` is a GPU where there is one.
            bias: A bias pack (`speechalign estimate-bias`) with languages to know beside its own.
            revision: Commit, tag or branch of a Hub id; the default is its main branch.
            dtype: Number format of encoder and LLM; the default is that of the training.
            llm_bits: 8 or 4, to quantise the LLM (of the extra `quantize`).
            decoding: Fields of `Decoding` that differ from those stored with the model.

        Raises:
            UserError: If nothing of the kind can be loaded from there, or the encoder or the LLM
                is another than the model was trained on.
        """
        model, about = artifact.load(path, revision, dtype, llm_bits)
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
        self, audio: AudioSource, to: str | None = None, from_: str = "auto", **how: Any
    ) -> Answer: ...

    @overload
    def translate(
        self, audio: Many, to: str | None = None, from_: str = "auto", **how: Any
    ) -> list[Answer]: ...

    @overload
    def translate(
        self, audio: Iterator[Any], to: str | None = None, from_: str = "auto", **how: Any
    ) -> Iterator[Answer]: ...

    def translate(
        self,
        audio: AudioSource | Many | Iterator[Any],
        to: str | None = None,
        from_: str = "auto",
        **how: Any,
    ) -> Answer | list[Answer] | Iterator[Answer]:
        """Translate speech of any length.

        Args:
            audio: A file, bytes, or samples at 16 kHz; or a list or an iterator of such.
            to: Language of the translation, by any of its codes; by default the one that the model
                was trained to translate into.
            from_: Language of the speech; `auto` takes the nearest language centroid, segment by
                segment.
            how: Fields of `Manner`: `batch_size`, `transcripts`, `words`, `detector`, `pause`,
                `longest`.

        Returns:
            An `Answer`; a list of them if a list was given, an iterator if an iterator was.

        Raises:
            UserError: If a language or recording cannot be used.
        """
        return self._answers(audio, "translation", to or self.target, from_, Manner(**how))

    @overload
    def transcribe(self, audio: AudioSource, from_: str = "auto", **how: Any) -> Answer: ...

    @overload
    def transcribe(self, audio: Many, from_: str = "auto", **how: Any) -> list[Answer]: ...

    @overload
    def transcribe(
        self, audio: Iterator[Any], from_: str = "auto", **how: Any
    ) -> Iterator[Answer]: ...

    def transcribe(
        self, audio: AudioSource | Many | Iterator[Any], from_: str = "auto", **how: Any
    ) -> Answer | list[Answer] | Iterator[Answer]:
        """Write down speech in its own language; arguments and result as for `translate`."""
        return self._answers(audio, "transcript", self.target, from_, Manner(**how))

    def _answers(
        self,
        audio: AudioSource | Many | Iterator[Any],
        wanted: Wanted,
        to: str,
        from_: str,
        manner: Manner,
    ) -> Answer | list[Answer] | Iterator[Answer]:
        several = isinstance(audio, list | tuple | Iterator) and not isinstance(audio, Readable)
        many = cast(Iterable[Any], audio) if several else [audio]
        told = self.tell(many, wanted, to, from_, manner)
        answers = collect(told, wanted, language(to).joint)
        if not several:
            return next(answers)
        return answers if isinstance(audio, Iterator) else list(answers)

    def tell(
        self, audio: Iterable[Any], wanted: Wanted, to: str, from_: str, manner: Manner
    ) -> Iterator[Told]:
        """Understand recordings, and tell each segment as soon as it is.

        Args:
            audio: Files, bytes or samples; each is opened when it is its turn.
            wanted: transcript or translation.
            to: Language of a translation.
            from_: Language of the speech, or `auto`.
            manner: How.

        Yields:
            Segments of the first recording and its end, those of the second, and so on. A recording
            that cannot be read ends with an error.

        Raises:
            UserError: If a language or task cannot be used.
        """
        question = Question(self.task_for(wanted), wanted, language(to).code)
        source = None if from_ == "auto" else language(from_)
        self.caution(wanted, language(to), source)
        understand = partial(self.understand, question=question, source=source, manner=manner)
        openers = (partial(Recording.open, one) for one in audio)
        segmenter = manner.segmenter(self.model.encoder.window_samples)
        return understand_all(openers, segmenter, understand, manner.batch_size)

    def understand(
        self,
        pieces: Sequence[Piece],
        question: Question,
        source: Language | None,
        manner: Manner,
    ) -> list[Segment]:
        """Answer one batch of pieces."""
        with self.lock, torch.inference_mode():
            frames, rows, certainty = self.frames([piece.waveform for piece in pieces], source)
            codes = [LANGUAGES[row].code for row in rows.tolist()]
            asked = partial(ask, self.model, self.prompts, self.decoding, frames, codes)
            replies = asked(question)
            beside = [reply.transcript for reply in replies]
            if manner.transcripts and question.task == "st":
                heard = Question(self.task_for("transcript"), "transcript", question.target)
                beside = [reply.text for reply in asked(heard)]
            words: list[list[Word]] = [[] for _ in pieces]
            if manner.words:
                timed = zip(pieces, replies, codes, strict=True)
                words = [
                    self.words(frames, row, piece, reply, question, code)
                    for row, (piece, reply, code) in enumerate(timed)
                ]
        return [
            Segment(
                start=piece.start,
                end=piece.end,
                text=reply.text,
                language=code,
                certainty=sure,
                probability=reply.probability,
                doubtful=reply.doubtful,
                source_text=transcript if manner.transcripts else None,
                words=tuple(timed),
            )
            for piece, reply, code, sure, transcript, timed in zip(
                pieces, replies, codes, certainty, beside, words, strict=True
            )
        ]

    def words(
        self,
        frames: Frames,
        row: int,
        piece: Piece,
        reply: Reply,
        question: Question,
        source: str,
    ) -> list[Word]:
        """Time the words of one answer, in seconds of the recording."""
        before = self.prompts.prompt(question.task, source, question.target)
        if question.task == "srt" and question.wanted == "translation":
            before += self.prompts.answer("srt", reply.transcript or "", "")
        alone = Frames(frames.hidden[row : row + 1], frames.lengths[row : row + 1])
        written = language(source if question.wanted == "transcript" else question.target)
        span = piece.start - piece.offset, piece.end - piece.offset
        found = word_times(self.model, alone, before, reply.text, bool(written.joint), span)
        return [
            Word(word.text, word.start + piece.offset, word.end + piece.offset) for word in found
        ]

    def __enter__(self) -> Self:
        """Use the model within a `with`, after which its memory is free."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the model, and free its memory; nothing can be asked any more."""
        with self.lock:
            del self.model
            gc.collect()
            torch.cuda.empty_cache()

    def caution(self, wanted: Wanted, target: Language, source: Language | None) -> None:
        """Warn where a model is asked for what it was not trained to do, and answers."""
        for told in self.cautions(wanted, target, source):
            warnings.warn(told, Caution, stacklevel=5)

    def cautions(self, wanted: Wanted, target: Language, source: Language | None) -> Iterator[str]:
        """Tell what a model was not trained to do."""
        if source is not None and source.code not in self.languages + self.zero_shot:
            yield (
                f"This model was trained on {names(self.languages)}: what it makes of "
                f"{source.name} is a guess."
            )
        if wanted == "translation" and target.code != self.target:
            yield (
                f"This model was trained to translate into {language(self.target).name}: its "
                f"answers may not be in {target.name}."
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
        """Load one recording that the model can hear at once.

        Raises:
            UserError: If it is no audio, cannot be read, or is longer than the encoder's window.
        """
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
