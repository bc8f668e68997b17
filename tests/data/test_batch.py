"""Padding: waveforms, tokens, labels and pairs of a batch."""

import inspect
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lightning.fabric.utilities.apply_func import move_data_to_device
from torch.testing import assert_close
from transformers import PreTrainedTokenizerFast

from speechalign.data.batch import IGNORE, SILENCE_MARGIN, Collate, SpeechBatch
from speechalign.data.records import Example, Utterance
from speechalign.errors import UserError
from speechalign.languages import LANGUAGES, language
from speechalign.models.speech_llm import SpeechLLM

WINDOW = 6400


def example(prompt: str = "<|deu|>", answer: str = "a house", code: str = "deu") -> Example:
    utterance = Utterance("id", "1", code, Path("a.wav"), 0.0, 1.0, "Haus", "haus", "other")
    return Example(utterance, "st", "eng", prompt, answer)


def wave(samples: int) -> torch.Tensor:
    return torch.arange(1, samples + 1) / samples


@given(st.lists(st.tuples(st.text(max_size=9), st.text(max_size=20)), min_size=1, max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_tokens_are_prompt_answer_end(tokenizer, texts):
    batch = Collate(tokenizer, WINDOW)([example(*text) for text in texts], [wave(9)] * len(texts))
    assert batch.tokens.shape == batch.labels.shape
    end = tokenizer.eos_token_id
    for row, (prompt, answer) in enumerate(texts):
        prompt_bytes, answer_bytes = len(prompt.encode()), len(answer.encode())
        assert batch.prompt_tokens[row] == prompt_bytes
        tokens, labels = batch.tokens[row].tolist(), batch.labels[row].tolist()
        assert tokenizer.decode(tokens[:prompt_bytes]) == prompt
        assert tokenizer.decode(tokens[prompt_bytes : prompt_bytes + answer_bytes]) == answer
        last = prompt_bytes + answer_bytes
        assert set(tokens[last:]) == {end}
        assert labels[:prompt_bytes] == [IGNORE] * prompt_bytes
        assert labels[prompt_bytes : last + 1] == tokens[prompt_bytes : last + 1]
        assert set(labels[last + 1 :]) <= {IGNORE}
    longest = max(len((prompt + answer).encode()) for prompt, answer in texts)
    assert batch.tokens.shape[1] == longest + 1


def test_an_end_token_inside_the_answer_is_supervised_and_in_the_prompt_is_not(tokenizer):
    end = tokenizer.eos_token
    batch = Collate(tokenizer, WINDOW)([example(f"p{end}", f"a{end}b")], [wave(9)])
    number = tokenizer.eos_token_id
    assert (batch.tokens[0] == number).tolist() == [False, True, False, True, False, True]
    assert (batch.labels[0] == number).tolist() == [False, False, False, True, False, True]


@given(st.lists(st.integers(1, WINDOW), min_size=1, max_size=4), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_waveforms_are_padded_with_zeros(tokenizer, lengths, to_window):
    waves = [wave(length) for length in lengths]
    batch = Collate(tokenizer, WINDOW, pad_to_window=to_window)([example()] * len(waves), waves)
    width = batch.waveform.shape[1]
    if to_window:
        assert width == WINDOW
    else:
        assert width % 320 == 0
        assert min(WINDOW, max(lengths) + SILENCE_MARGIN) <= width < max(lengths) + 960 + 320
        assert width <= WINDOW
    assert batch.waveform.dtype == torch.float32
    assert batch.samples.tolist() == lengths
    for row, one in zip(batch.waveform, waves, strict=True):
        assert_close(row[: len(one)], one)
        assert not row[len(one) :].any()


@pytest.mark.parametrize("to_window", [False, True])
def test_longer_than_the_window_is_an_error_that_names_the_utterance(tokenizer, to_window):
    collate = Collate(tokenizer, WINDOW, pad_to_window=to_window)
    assert collate([example()], [wave(WINDOW)]).waveform.shape == (1, WINDOW)
    with pytest.raises(UserError, match=r"id: 0\.5 s are longer than .* window of 0\.4 s"):
        collate([example()], [wave(8000)])


def test_languages_are_rows_of_the_table(tokenizer):
    examples = [example(code="deu"), example(code="yue")]
    batch = Collate(tokenizer, WINDOW)(examples, [wave(3), wave(4)])
    assert [LANGUAGES[row].code for row in batch.language] == ["deu", "yue"]
    assert batch.language[0] == language("German").row
    assert batch.examples == tuple(examples)


def test_pairs_are_rows(tokenizer):
    collate = Collate(tokenizer, WINDOW)
    examples, waves = [example()] * 4, [wave(5)] * 4
    assert collate(examples, waves, [(0, 1), (2, 3)]).pairs.tolist() == [[0, 1], [2, 3]]
    assert collate(examples, waves).pairs.shape == (0, 2)
    assert collate(examples, waves).pairs.dtype == torch.long


def test_lightning_moves_a_batch_as_it_is(tokenizer):
    collate = Collate(tokenizer, WINDOW)
    for batch in (
        collate([example()], [wave(5)]),
        collate([example()], (), (), [torch.ones(3, 2)]),
    ):
        moved = move_data_to_device(batch, torch.device("meta"))
        assert isinstance(moved, SpeechBatch)
        tensors = [field for field in moved if isinstance(field, torch.Tensor)]
        assert len(tensors) == 7 + (batch.encoded is not None)
        assert all(field.is_meta for field in tensors)
        assert moved.examples == batch.examples


def test_inputs_are_what_the_model_takes(tokenizer):
    batch = Collate(tokenizer, WINDOW)([example()], [wave(5)])
    parameters = list(inspect.signature(SpeechLLM.forward).parameters)[1:]
    assert list(SpeechBatch._fields[:8]) == parameters
    assert batch.inputs == batch[:8]


def test_what_is_hidden_is_padded_with_what_is_not(tokenizer):
    collate = Collate(tokenizer, WINDOW)
    hidden = [torch.ones(5, 3, dtype=torch.bool), torch.ones(5, 7, dtype=torch.bool)]
    batch = collate([example()] * 2, [wave(480), wave(1100)], hidden=hidden)
    assert batch.hidden.shape == (2, 5, batch.waveform.shape[1] // 160)
    assert batch.hidden.sum(dim=(1, 2)).tolist() == [15, 35]
    assert batch.hidden[1, :, :7].all()
    assert move_data_to_device(batch, torch.device("meta")).hidden.is_meta
    assert collate([example()], [wave(480)]).hidden is None


def test_a_tokenizer_without_an_end_is_an_error(tokenizer):
    endless = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer)
    with pytest.raises(UserError, match="no end-of-sequence token"):
        Collate(endless, WINDOW)
