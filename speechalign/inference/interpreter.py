"""A trained model asked about batches of speech: what it hears, in which language, and when."""

import threading
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from speechalign.audio.io import SAMPLE_RATE, AudioSource, load_audio
from speechalign.audio.recording import Recording
from speechalign.audio.segment import Piece
from speechalign.data.batch import pad_waveforms
from speechalign.data.prompts import PromptTemplates, Task
from speechalign.errors import UserError
from speechalign.inference.answers import Segment, Word
from speechalign.inference.asking import Question, Reply, Wanted, ask
from speechalign.inference.manner import Manner
from speechalign.inference.times import word_times
from speechalign.languages import LANGUAGES, Language, language
from speechalign.models.decode import Decoding
from speechalign.models.encoder import Frames
from speechalign.models.speech_llm import SpeechLLM

YIELDING: dict[Wanted, tuple[Task, ...]] = {
    "transcript": ("asr", "srt"),
    "translation": ("st", "srt"),
}


class Interpreter:
    """Answers questions about pieces of speech, one batch at a time, whoever asks.

    Args:
        model: In eval mode, on the device to work on.
        prompts: The templates it was trained with.
        decoding: How to search for an answer; how long that may be, its speech tells.
        tasks: What it was trained to do.

    Attributes:
        most: Tokens of an answer at most, where its speech has time for more.
    """

    def __init__(
        self, model: SpeechLLM, prompts: PromptTemplates, decoding: Decoding, tasks: list[Task]
    ) -> None:
        self.model, self.prompts, self.decoding, self.tasks = model, prompts, decoding, tasks
        self.most: int | None = None
        self.lock = threading.Lock()

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
            replies = asked(question, most=self.most)
            beside = [reply.transcript for reply in replies]
            if manner.transcripts and question.task == "st":
                heard = Question(self.task_for("transcript"), "transcript", question.target)
                beside = [reply.text for reply in asked(heard, most=self.most)]
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
                temperature=reply.temperature,
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
        recording = Recording.open(audio)
        window = self.model.encoder.window_samples
        if round(recording.duration * SAMPLE_RATE) > window:
            raise UserError(
                f"{recording.name} lasts {recording.duration:.1f} s, but this model hears at most "
                f"{window / SAMPLE_RATE:.1f} s at a time: cut it into shorter pieces."
            )
        return load_audio(recording.source)

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
