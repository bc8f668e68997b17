"""Examples and their waveforms become one padded batch; the only place where padding happens."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedTokenizerBase

from speechalign.audio.features import FRAME, HOP
from speechalign.audio.io import SAMPLE_RATE
from speechalign.data.records import Example
from speechalign.errors import UserError
from speechalign.languages import language

IGNORE = -100  # label where no loss is due (torch's cross-entropy skips it)
SILENCE_MARGIN = 960  # samples after the longest utterance: no frame of it sees the tensor's edge


class SpeechBatch(NamedTuple):
    """U utterances of up to `samples` samples and L tokens, with P parallel pairs among them."""

    waveform: Float[Tensor, "U samples"]  # 16 kHz; zeros after each utterance; none if `encoded`
    samples: Int[Tensor, " U"]  # that are speech
    language: Int[Tensor, " U"]  # row of LANGUAGES, of the speech
    tokens: Int[Tensor, "U L"]  # prompt, answer, end of sequence; then filled up with the latter
    labels: Int[Tensor, "U L"]  # tokens, with IGNORE outside answer and end of sequence
    prompt_tokens: Int[Tensor, " U"]  # number of tokens before the answer
    encoded: Float[Tensor, "U T D"] | None  # frames, where they were kept
    hidden: Bool[Tensor, "U mels S"] | None  # of the log-mel, in training with augmentation
    pairs: Int[Tensor, "P 2"]  # rows that say the same in two languages
    examples: tuple[Example, ...]

    @property
    def inputs(self) -> tuple[Tensor | None, ...]:
        """What `SpeechLLM.forward` takes, in its order."""
        return self[:8]


class Collate:
    """Pad examples into a SpeechBatch.

    Waveforms get zeros up to `min(window, longest + SILENCE_MARGIN)` samples, rounded up to whole
    frames. Prompt and answer are tokenized apart, so that the prompt's tokens are the same in
    training and in inference. Labels are masked by position, not by value: the end-of-sequence
    token is supervised although the same token fills up the rows.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        window_samples: int,
        pad_to_window: bool = False,
        mels: int = 80,
    ):
        """Fit the collation to a model.

        Args:
            tokenizer: Of the LLM; no special tokens are added but its end of sequence.
            window_samples: Most samples that the encoder takes.
            pad_to_window: Always pad to the full window, as Whisper was trained.
            mels: Bands of the encoder's log-mel features.

        Raises:
            UserError: If the tokenizer has no end-of-sequence token.
        """
        if not isinstance(tokenizer.eos_token_id, int):
            raise UserError(
                "The LLM's tokenizer has no end-of-sequence token (eos_token), so answers could"
                " not end; set one in its folder."
            )
        self.tokenizer = tokenizer
        self.end: int = tokenizer.eos_token_id
        self.window_samples = window_samples
        self.pad_to_window = pad_to_window
        self.mels = mels

    def __call__(
        self,
        examples: Sequence[Example],
        waveforms: Sequence[Float[Tensor, " samples"]],
        pairs: Sequence[tuple[int, int]] = (),
        encoded: Sequence[Float[Tensor, "_ D"]] = (),
        hidden: Sequence[Bool[Tensor, "mels _"]] = (),
    ) -> SpeechBatch:
        """Pad U examples.

        Args:
            examples: What is asked.
            waveforms: Their recordings; none if they are `encoded`.
            pairs: Rows that say the same.
            encoded: The encoder's frames of the recordings, if they are known.
            hidden: Cells of their log-mel features that the encoder is not to see, if any.

        Raises:
            UserError: If a recording is longer than the encoder's window.
        """
        prompts = self._encode([example.prompt for example in examples])
        answers = [[*a, self.end] for a in self._encode([example.answer for example in examples])]
        tokens = [torch.tensor(p + a) for p, a in zip(prompts, answers, strict=True)]
        labels = [
            torch.tensor([IGNORE] * len(p) + a) for p, a in zip(prompts, answers, strict=True)
        ]
        if encoded:
            waveform = torch.zeros(len(examples), 0)
            samples = torch.tensor([len(frames) * FRAME for frames in encoded])
        else:
            for example, one in zip(examples, waveforms, strict=True):
                self._check_length(example, one)
            waveform, samples = pad_waveforms(waveforms, self.window_samples, self.pad_to_window)
        return SpeechBatch(
            waveform=waveform,
            samples=samples,
            language=torch.tensor([language(e.utterance.language).row for e in examples]),
            tokens=pad_sequence(tokens, batch_first=True, padding_value=self.end),
            labels=pad_sequence(labels, batch_first=True, padding_value=IGNORE),
            prompt_tokens=torch.tensor([len(prompt) for prompt in prompts]),
            encoded=self._pad_frames(encoded) if encoded else None,
            hidden=pad_hidden(hidden, waveform.shape[1] // HOP) if hidden else None,
            pairs=torch.tensor(pairs, dtype=torch.long).reshape(-1, 2),
            examples=tuple(examples),
        )

    def _encode(self, texts: list[str]) -> list[list[int]]:
        return self.tokenizer(texts, add_special_tokens=False).input_ids

    def _pad_frames(self, frames: Sequence[Float[Tensor, "_ D"]]) -> Float[Tensor, "U T D"]:
        """Pad to as many frames as the padded waveforms have: dropout draws for all of them."""
        count = padded_samples(
            max(map(len, frames)) * FRAME, self.window_samples, self.pad_to_window
        )
        padded = frames[0].new_zeros(len(frames), count // FRAME, frames[0].shape[1])
        for row, one in zip(padded, frames, strict=True):
            row[: len(one)] = one
        return padded

    def _check_length(self, example: Example, waveform: Float[Tensor, " samples"]) -> None:
        if len(waveform) > self.window_samples:
            raise UserError(
                f"{example.utterance.id}: {len(waveform) / SAMPLE_RATE:.1f} s are longer than the"
                f" encoder's window of {self.window_samples / SAMPLE_RATE:.1f} s; cut the"
                " recording into shorter pieces."
            )


def pad_waveforms(
    waveforms: Sequence[Float[Tensor, " samples"]], window_samples: int, pad_to_window: bool
) -> tuple[Float[Tensor, "U samples"], Int[Tensor, " U"]]:
    """Pad waveforms with zeros to one length: (padded, samples that are speech)."""
    samples = torch.tensor([len(waveform) for waveform in waveforms])
    length = padded_samples(int(samples.max()), window_samples, pad_to_window)
    padded = torch.empty(len(waveforms), length)
    for row, waveform in zip(padded, waveforms, strict=True):
        row[: len(waveform)] = waveform
        row[len(waveform) :] = 0
    return padded, samples


def pad_hidden(hidden: Sequence[Bool[Tensor, "mels _"]], frames: int) -> Bool[Tensor, "U mels S"]:
    """Pad masks of log-mel features to so many frames; padding is not hidden, it is silence."""
    padded = torch.zeros(len(hidden), len(hidden[0]), frames, dtype=torch.bool)
    for row, one in zip(padded, hidden, strict=True):
        row[:, : one.shape[1]] = one
    return padded


def padded_samples(longest: int, window_samples: int, pad_to_window: bool) -> int:
    """Length of a batch: the window, or `min(window, longest + SILENCE_MARGIN)` in whole frames."""
    if pad_to_window:
        return window_samples
    return min(window_samples, -(-(longest + SILENCE_MARGIN) // FRAME) * FRAME)
