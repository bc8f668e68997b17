"""Number formats of the frozen models: asked for, kept, and how far answers are from those of fp32.

Quantised weights are looked at themselves: each is to lie within half a step of what was loaded.
"""

from itertools import pairwise

import pytest
import torch
from bitsandbytes.functional import dequantize_4bit
from torch.testing import assert_close

from speechalign.errors import UserError
from speechalign.models import artifact, loading
from speechalign.models.llm import CausalLLM
from tests.models.test_artifact import ABOUT
from tests.models.test_speech_llm import ask

MICRO = "assets:micro/llm"


@pytest.fixture(scope="module")
def plain():
    return CausalLLM(MICRO, dtype="float32")


def linear(llm):
    layer = llm.transformer.model.layers[0].mlp
    return [layer.up_proj.weight, layer.gate_proj.weight, layer.down_proj.weight]


def predicted(llm, speech):
    ones = torch.ones(speech.shape[:2], dtype=torch.bool)
    tokens = torch.tensor([llm.tokenizer.encode("The man gives the flower to the boy.")])
    return llm(speech, ones, tokens, torch.ones_like(tokens, dtype=torch.bool), tokens).logits


def test_eight_bits_are_within_half_a_step_of_each_row(plain):
    quantised = CausalLLM(MICRO, dtype="float32", bits=8)
    for was, now in zip(linear(plain), linear(quantised), strict=True):
        assert now.dtype == torch.int8
        step = was.abs().amax(dim=1, keepdim=True) / 127
        # bitsandbytes rounds weights to half precision before
        assert ((now * step - was).abs() <= step * (0.5 + 127 * 2**-10)).all()


def test_four_bits_are_within_the_widest_gap_of_their_sixteen_levels(plain):
    quantised = CausalLLM(MICRO, dtype="float32", bits=4)
    for was, now in zip(linear(plain), linear(quantised), strict=True):
        levels = now.quant_state.code
        assert len(levels) == 16
        gap = max((b - a).item() for a, b in pairwise(levels))
        blocks = was.flatten().unflatten(0, (-1, now.quant_state.blocksize))
        error = (dequantize_4bit(now, now.quant_state) - was).abs().flatten().view_as(blocks)
        # the blocks' scales are quantised too, to eight bits
        assert (error <= blocks.abs().amax(dim=1, keepdim=True) * (gap / 2 + 0.02)).all()


@pytest.mark.parametrize(("bits", "near"), [(8, 0.05), (4, 0.5)])
def test_predictions_stay_near_and_gradients_reach_speech(plain, bits, near):
    speech = 0.1 * torch.randn(1, 5, plain.width, generator=torch.Generator().manual_seed(0))
    speech.requires_grad_()
    quantised = CausalLLM(MICRO, dtype="float32", bits=bits)
    expected, found = predicted(plain, speech), predicted(quantised, speech)
    away = (found - expected).norm() / expected.norm()
    assert 0 < away < near
    assert not any(weight.requires_grad for weight in quantised.parameters())
    (wanted,) = torch.autograd.grad(expected.square().mean(), speech)
    (got,) = torch.autograd.grad(found.square().mean(), speech)
    assert torch.cosine_similarity(wanted.flatten(), got.flatten(), dim=0) > 1 - near


def test_an_artifact_is_loaded_in_the_numbers_asked_for(model, tmp_path):
    expected, _ = ask(model, 0.7)
    artifact.save(tmp_path, model, ABOUT)
    halved, _ = artifact.load(tmp_path, dtype="bfloat16")
    assert {halved.encoder.dtype_name, halved.llm.dtype_name} == {"bfloat16"}
    assert_close(ask(halved, 0.7)[0].logits.float(), expected.logits, atol=0.1, rtol=0.05)
    assert {weight.dtype for weight in halved.qformer.parameters()} == {torch.float32}
    quantised, _ = artifact.load(tmp_path, llm_bits=8)
    assert quantised.llm.bits == 8
    artifact.save(tmp_path / "again", quantised, ABOUT)
    assert artifact.load(tmp_path / "again")[0].llm.bits == 8  # as it was trained
    again, _ = artifact.load(tmp_path)  # what is stored is as it was
    assert_close(ask(again, 0.7)[0].logits, expected.logits)


def test_a_missing_library_is_told(monkeypatch):
    monkeypatch.setattr(loading, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"pip install 'speechalign\[quantize\]'"):
        CausalLLM(MICRO, bits=4)
