"""The speech LLM: frozen encoder → language bias → bridge → projector → frozen LLM."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from speechalign.errors import UserError
from speechalign.models.bias import LanguageBias, check_pooling
from speechalign.models.encoder import Frames, WhisperEncoder, frame_counts
from speechalign.models.llm import CausalLLM, Predictions
from speechalign.models.projector import Projector
from speechalign.models.qformer import Bridge, SpeechTokens

FROZEN = ("encoder.", "llm.")  # parts that are named, never stored


class SpeechPrefix(NamedTuple):
    """What the LLM reads of the speech, and how it came to be."""

    embeddings: Float[Tensor, "U Q E"]
    tokens: SpeechTokens


class SpeechLLM(nn.Module):
    """A speech translator composed of parts; only bias, bridge and projector are trained.

    Args:
        encoder: Speech to frames, frozen.
        bias: Language centroids to subtract, or None for no compensation.
        qformer: Frames to speech tokens.
        projector: Speech tokens to LLM embeddings.
        llm: Frozen.

    Raises:
        UserError: If the widths of neighbouring parts differ, or the bias cannot pool the frames.
    """

    def __init__(
        self,
        encoder: WhisperEncoder,
        bias: LanguageBias | None,
        qformer: Bridge,
        projector: Projector,
        llm: CausalLLM,
    ) -> None:
        super().__init__()
        self.encoder, self.bias, self.qformer = encoder, bias, qformer
        self.projector, self.llm = projector, llm
        if (qformer.width, llm.width) != (projector.width, projector.llm_width):
            raise UserError(
                f"The projector maps {projector.width} to {projector.llm_width}, but the bridge "
                f"gives {qformer.width} and the LLM takes {llm.width}: make them equal."
            )
        if bias is not None:
            check_pooling(bias.pooling, encoder)

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The LLM's tokenizer."""
        return self.llm.tokenizer

    def frames(
        self,
        waveform: Float[Tensor, "U samples"],
        samples: Int[Tensor, " U"],
        language: Int[Tensor, " U"],
        encoded: Float[Tensor, "U T D"] | None = None,
        hidden: Bool[Tensor, "U mels S"] | None = None,
    ) -> Frames:
        """Encode speech and take away what its language (row of LANGUAGES) adds.

        With `encoded`, the encoder has done its work, and the waveform is not looked at. What is
        `hidden` of the log-mel features is not seen.
        """
        if encoded is None:
            frames = self.encoder(waveform, samples, hidden)
        else:
            frames = Frames(encoded, frame_counts(samples))
        return frames if self.bias is None else self.bias(frames, language)

    def listen(self, frames: Frames) -> SpeechPrefix:
        """Turn compensated frames into what the LLM reads."""
        tokens = self.qformer(frames)
        # FrameStack hands on the encoder's own numbers, which may be of half precision
        dtype = next(self.projector.parameters()).dtype
        return SpeechPrefix(self.projector(tokens.last.to(dtype)), tokens)

    def forward(
        self,
        waveform: Float[Tensor, "U samples"],
        samples: Int[Tensor, " U"],
        language: Int[Tensor, " U"],
        tokens: Int[Tensor, "U L"],
        labels: Int[Tensor, "U L"],
        prompt_tokens: Int[Tensor, " U"],
        encoded: Float[Tensor, "U T D"] | None = None,
        hidden: Bool[Tensor, "U mels S"] | None = None,
    ) -> tuple[Predictions, SpeechTokens]:
        """Predict the labelled tokens from speech, prompt and the answer so far.

        Args:
            waveform: 16 kHz speech, zero-padded.
            samples: How many of them are valid.
            language: Spoken language, row of LANGUAGES.
            tokens: Prompt, answer and end of sequence, right-padded.
            labels: The tokens to predict, negative elsewhere.
            prompt_tokens: How many tokens come before the answer.
            encoded: The encoder's frames where they are known.
            hidden: Cells of the log-mel features that the encoder is not to see.
        """
        frames = self.frames(waveform, samples, language, encoded, hidden)
        speech = self.listen(frames)
        count = prompt_tokens + (labels >= 0).sum(dim=1)
        valid = torch.arange(tokens.shape[1], device=tokens.device) < count[:, None]
        predictions = self.llm(speech.embeddings, speech.tokens.mask, tokens, valid, labels)
        return predictions, speech.tokens

    def trained_state(self) -> dict[str, Tensor]:
        """All weights that are not a frozen part's."""
        return {k: v for k, v in self.state_dict().items() if not k.startswith(FROZEN)}

    def load_trained_state(self, state: dict[str, Tensor]) -> None:
        """Put back what `trained_state` gave.

        Raises:
            UserError: If a trained weight is missing, misshapen or unknown.
        """
        own = self.trained_state()
        missing, unexpected = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
        misshapen = [k for k in own.keys() & state.keys() if own[k].shape != state[k].shape]
        faults = {"missing": missing, "unexpected": unexpected, "of another shape": misshapen}
        if any(faults.values()):
            told = "; ".join(f"{k}: {', '.join(v[:3])}" for k, v in faults.items() if v)
            raise UserError(
                f"These weights do not fit this model ({told}): use the configuration that they "
                "were trained with."
            )
        self.load_state_dict(state, strict=False)
