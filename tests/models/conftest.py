"""A tiny speech LLM, and speech that is not."""

import pytest
import torch

from speechalign.models.bias import LanguageBias
from speechalign.models.encoder import WhisperEncoder
from speechalign.models.llm import CausalLLM
from speechalign.models.projector import LinearProjector
from speechalign.models.qformer import QFormer
from speechalign.models.speech_llm import SpeechLLM


@pytest.fixture
def qformer() -> QFormer:
    torch.manual_seed(1)
    return QFormer(16, blocks=4, queries=6, width=24, heads=4, feed_forward=48, dropout=0.0)


@pytest.fixture
def model(whisper_folder, llm_folder, qformer) -> SpeechLLM:
    encoder = WhisperEncoder(whisper_folder, attend="speech")
    llm = CausalLLM(llm_folder, dtype="float32")
    return SpeechLLM(
        encoder,
        LanguageBias(encoder.width),
        qformer,
        LinearProjector(qformer.width, llm.width),
        llm,
    ).eval()


def noise(*seconds: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """White noise padded as collation pads: (waveform, samples)."""
    generator = torch.Generator().manual_seed(seed)
    samples = torch.tensor([int(s * 16_000) for s in seconds])
    longest = int(samples.max()) + 960
    waveform = torch.zeros(len(seconds), longest + -longest % 320)
    for row, count in zip(waveform, samples, strict=True):
        row[:count] = 0.1 * torch.randn(int(count), generator=generator)
    return waveform, samples
