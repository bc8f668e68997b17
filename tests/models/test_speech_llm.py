"""The composition: what is trained, what is stored, and that neighbours do not matter."""

import pytest
import torch
from torch.testing import assert_close

from speechalign.data.batch import IGNORE
from speechalign.errors import UserError
from speechalign.languages import language
from speechalign.models.bias import LanguageBias
from speechalign.models.encoder import WhisperEncoder
from speechalign.models.llm import CausalLLM
from speechalign.models.projector import LinearProjector, MLPProjector
from speechalign.models.qformer import FrameStack
from speechalign.models.speech_llm import SpeechLLM
from tests.models.conftest import noise


def ask(model, *seconds):
    """Forward of the first utterance of a batch with an answer of 5 tokens after 3 of prompt."""
    waveform, samples = noise(*seconds)
    batch = len(seconds)
    tokens = torch.arange(8).repeat(batch, 1)
    labels = tokens.clone()
    labels[:, :3] = IGNORE
    labels[1:, 6:] = IGNORE
    german = torch.full((batch,), language("deu").row)
    return model(waveform, samples, german, tokens, labels, torch.full((batch,), 3))


def test_an_answer_does_not_depend_on_its_neighbours(model):
    alone, alone_speech = ask(model, 0.7)
    together, speech = ask(model, 0.7, 2.9)
    assert_close(together.logits[:1], alone.logits, atol=1e-4, rtol=1e-4)
    for one, two in zip(alone_speech.layers, speech.layers, strict=True):
        assert_close(two[:1], one, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_stacked_frames_of_half_precision_reach_the_llm(whisper_folder, llm_folder, dtype):
    encoder = WhisperEncoder(whisper_folder, attend="speech", dtype=dtype)
    llm = CausalLLM(llm_folder, dtype="float32")
    stack = FrameStack(encoder.width)
    model = SpeechLLM(encoder, None, stack, LinearProjector(stack.width, llm.width), llm)
    assert torch.isfinite(ask(model, 0.7)[0].logits).all()


def test_only_the_adapter_is_trained(model):
    model.train()
    trained = {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {"qformer", "projector"}
    assert model.qformer.training
    assert not model.encoder.training
    assert not model.llm.transformer.training


def test_the_gradient_reaches_all_of_the_adapter(model):
    predicted, _ = ask(model.train(), 0.7, 2.9)
    predicted.logits.square().mean().backward()
    without = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []
    assert all(p.grad is None for p in model.llm.parameters())


def test_trained_state_round_trips_and_names_no_frozen_part(model, qformer):
    state = {k: v.clone() for k, v in model.trained_state().items()}
    assert {key.split(".")[0] for key in state} == {"bias", "qformer", "projector"}
    with torch.no_grad():
        model.qformer.queries.zero_()
    model.load_trained_state(state)
    assert_close(model.qformer.queries, state["qformer.queries"])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda s: s.pop("qformer.queries"), "missing: qformer.queries"),
        (lambda s: s.update(extra=torch.ones(1)), "unexpected: extra"),
        (lambda s: s.update({"qformer.queries": torch.ones(1)}), "shape: qformer.queries"),
    ],
)
def test_weights_that_do_not_fit_are_told(model, change, told):
    state = dict(model.trained_state())
    change(state)
    with pytest.raises(UserError, match=told):
        model.load_trained_state(state)


def test_widths_that_do_not_fit_are_told(model):
    with pytest.raises(UserError, match="gives 24 and the LLM takes 32"):
        SpeechLLM(model.encoder, None, model.qformer, LinearProjector(7, 32), model.llm)


def test_pooling_over_padding_needs_the_whole_window(model):
    bias = LanguageBias(16, pooling="all")
    with pytest.raises(UserError, match="pooling: valid"):
        SpeechLLM(model.encoder, bias, model.qformer, model.projector, model.llm)


def test_projectors_end_in_a_layer_norm():
    for projector in (LinearProjector(24, 32), MLPProjector(24, 32, hidden=8)):
        out = projector(torch.randn(2, 6, 24))
        assert_close(out.mean(dim=-1), torch.zeros(2, 6), atol=1e-5, rtol=0)
        again = type(projector)(24, 32, **projector.settings())
        assert again.state_dict().keys() == projector.state_dict().keys()
