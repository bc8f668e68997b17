"""Translate and transcribe audio with a trained model: the Python interface of the project."""

import gc
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self, cast, overload

import torch

from speechalign.assets import PACKAGED
from speechalign.audio.io import AudioSource, Readable
from speechalign.audio.recording import Recording
from speechalign.data.prompts import PromptTemplates, Task
from speechalign.errors import Caution, UserError
from speechalign.inference.answers import Answer
from speechalign.inference.asking import Question, Wanted
from speechalign.inference.export import Shareable
from speechalign.inference.interpreter import Interpreter
from speechalign.inference.long_audio import Told, collect, understand_all
from speechalign.inference.manner import Manner
from speechalign.languages import Language, language, names
from speechalign.models import artifact
from speechalign.models.bias_pack import lay_over
from speechalign.models.decode import Decoding
from speechalign.models.device import on_device
from speechalign.models.loading import DType
from speechalign.models.speech_llm import SpeechLLM

# of AudioSource each; a checker would not take a list[str] for a list[AudioSource]
Many = list[Any] | tuple[Any, ...]


class Translator(Interpreter, Shareable):
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
        super().__init__(model, prompts, decoding, tasks)
        self.languages, self.zero_shot, self.target = languages, zero_shot, target

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
            decoding: Fields of `Decoding` that differ from those stored with the model. Answers are
                as long as their speech has time for, whatever `max_new_tokens` is stored; one that
                is told here limits them.

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
        translator = cls(
            on_device(model, device),
            prompts,
            decoding_now,
            about["tasks"],
            known["trained"],
            heard,
            known["target"],
        )
        translator.most = decoding.get("max_new_tokens")
        return translator

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
        if manner.transcripts and question.task == "st":
            self.task_for("transcript")  # which is told before anything is decoded
        source = None if from_ == "auto" else language(from_)
        self.caution(wanted, language(to), source)
        understand = partial(self.understand, question=question, source=source, manner=manner)
        openers = (partial(Recording.open, one) for one in audio)
        segmenter = manner.segmenter(self.model.encoder.window_samples)
        return understand_all(openers, segmenter, understand, manner.batch_size)

    def __enter__(self) -> Self:
        """Use the model within a `with`, after which its memory is free."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the model, and free its memory; nothing can be asked any more."""
        with self.lock:
            self.__dict__.pop("model", None)
            gc.collect()
            torch.cuda.empty_cache()

    def __getattr__(self, name: str) -> Any:
        """Say why there is no model.

        Raises:
            UserError: Of the model, if it was let go of.
            AttributeError: Of anything else that is not there.
        """
        if name == "model":
            raise UserError("This model was let go of, by close() or a `with`: load it again.")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

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
