"""Fixtures that all tests share: tiny models with random weights, synthetic speech."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    WhisperConfig,
    WhisperForConditionalGeneration,
)

settings.register_profile("speechalign", deadline=None, max_examples=50)
settings.load_profile("speechalign")

REAL = Path(os.environ.get("SPEECHALIGN_TEST_DATA") or Path(__file__).parents[2] / "shared/data")


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Small tensors gain nothing from threads, and two test processes slow one another down."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real recordings and texts that do not travel with the repository."""
    if not (REAL / "real" / "SOURCES.md").is_file():
        pytest.skip("no real recordings: SPEECHALIGN_TEST_DATA names no folder that has them")
    return REAL


@pytest.fixture(scope="session")
def whisper_folder(tmp_path_factory) -> str:
    """A Whisper of random weights that hears 4 s."""
    return save_whisper(tmp_path_factory.mktemp("whisper"), max_source_positions=200)


@pytest.fixture(scope="session")
def long_whisper_folder(tmp_path_factory) -> str:
    """A Whisper of random weights with the published window of 30 s and 128 mel bins."""
    folder = tmp_path_factory.mktemp("long_whisper")
    return save_whisper(folder, max_source_positions=1500, num_mel_bins=128)


@pytest.fixture(scope="session")
def llm_folder(tmp_path_factory) -> str:
    """A Qwen2 of random weights over bytes."""
    folder = tmp_path_factory.mktemp("llm")
    torch.manual_seed(0)
    vocabulary = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    end = "<|endoftext|>"
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=end, pad_token=end)
    fast.save_pretrained(folder)
    config = Qwen2Config(
        vocab_size=len(fast),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.2,  # ten times the usual: a quiet random LLM answers the same to all
        bos_token_id=None,
        eos_token_id=fast.eos_token_id,
        pad_token_id=fast.eos_token_id,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    return str(folder)


def save_whisper(folder: Path, **settings: int) -> str:
    torch.manual_seed(0)
    config = WhisperConfig(
        d_model=16,
        encoder_layers=2,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        vocab_size=64,
        max_target_positions=16,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=3,
        suppress_tokens=[],
        begin_suppress_tokens=[],
        **settings,
    )
    model = WhisperForConditionalGeneration(config)
    # as drawn, random frames are nearly alike: louder weights make tests of differences sharp
    for name, weight in model.named_parameters():
        if weight.dim() > 1 and "embed_positions" not in name:
            weight.data *= 5
    model.save_pretrained(folder)
    return str(folder)
