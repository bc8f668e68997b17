"""States by stage equal those of the whole forward, taken at its blocks by hooks."""

import pytest
import torch
from torch.testing import assert_close

from speechalign.data.batch import IGNORE
from speechalign.errors import UserError
from speechalign.languages import language
from speechalign.models.encoder import Frames
from speechalign.models.llm import CausalLLM
from speechalign.models.projector import LinearProjector
from speechalign.models.qformer import FrameStack
from speechalign.models.representations import pooled, representations, stages
from speechalign.models.speech_llm import SpeechLLM
from tests.models.conftest import noise

GERMAN = torch.full((2,), language("deu").row)


@pytest.fixture
def biased(model) -> SpeechLLM:
    row = language("deu").row
    model.bias.centroid.data[row] = torch.linspace(-1, 1, 16)
    model.bias.trained[row] = True
    return model


@pytest.fixture
def frames(model) -> Frames:
    return model.encoder(*noise(0.7, 2.9))


def test_stages_have_the_order_of_the_model(model):
    assert stages(model) == [
        "encoder", "encoder+bias", "qformer.1", "qformer.2", "qformer.3", "qformer.4",
        "projector", "llm.1", "llm.2",
    ]  # fmt: skip


def test_states_equal_those_of_a_training_step(biased, frames):
    """Hooks look at the blocks while the model answers; a prompt after the speech is no matter."""
    seen = {}

    def look(name):
        def hook(module, inputs, output):
            seen[name] = output[0] if isinstance(output, tuple) else output

        return hook

    blocks = biased.qformer.blocks.encoder.layer
    parts = {f"qformer.{k}": block for k, block in enumerate(blocks, start=1)}
    parts |= {"projector": biased.projector, "llm.1": biased.llm.transformer.model.layers[0]}
    parts["llm.2"] = biased.llm.transformer.model.norm
    hooks = [part.register_forward_hook(look(name)) for name, part in parts.items()]
    tokens = torch.arange(8).repeat(2, 1)
    labels = torch.where(tokens < 3, IGNORE, tokens)
    with torch.no_grad():
        biased(*noise(0.7, 2.9), GERMAN, tokens, labels, torch.full((2,), 3))
    for hook in hooks:
        hook.remove()
    found = representations(biased, frames, GERMAN, tokens=list(parts))
    assert list(found) == stages(biased)
    for name in parts:
        assert found[name].mask.all()
        assert_close(found[name].tokens, seen[name][:, :6], atol=1e-5, rtol=1e-5)
        assert_close(found[name].pooled, seen[name][:, :6].mean(dim=1), atol=1e-5, rtol=1e-5)


def test_the_bias_moves_the_mean_frame_by_itself(biased, frames):
    found = representations(biased, frames, GERMAN, ["encoder", "encoder+bias"])
    before, after = found["encoder"].pooled, found["encoder+bias"].pooled
    assert_close(before - after, torch.linspace(-1, 1, 16).expand(2, 16), atol=1e-5, rtol=1e-5)
    assert_close(before[0], frames.hidden[0, :35].mean(dim=0))  # 0.7 s are 35 frames
    assert found["encoder"].tokens is None


def test_nothing_runs_that_is_not_asked_for(model, frames, monkeypatch):
    monkeypatch.setattr(CausalLLM, "hidden_states", None)
    assert list(representations(model, frames, GERMAN, ["qformer.2"])) == ["qformer.2"]
    with pytest.raises(TypeError):
        representations(model, frames, GERMAN, ["llm.1"])
    monkeypatch.setattr(SpeechLLM, "listen", None)
    assert list(representations(model, frames, GERMAN, ["encoder+bias"])) == ["encoder+bias"]


def test_an_unknown_stage_is_named(model, frames):
    with pytest.raises(UserError, match=r"'qformer\.9'; this model has encoder, "):
        representations(model, frames, GERMAN, ["qformer.9"])


def test_neighbours_do_not_matter(model):
    alone = representations(model, model.encoder(*noise(0.7)), GERMAN[:1])
    together = representations(model, model.encoder(*noise(0.7, 2.9)), GERMAN)
    for stage, one in alone.items():
        assert_close(together[stage].pooled[:1], one.pooled, atol=1e-4, rtol=1e-4)


def test_a_model_without_bias_and_qformer(model, frames):
    stack = FrameStack(16, stack=5)
    plain = SpeechLLM(model.encoder, None, stack, LinearProjector(80, 32), model.llm)
    assert stages(plain) == ["encoder", "projector", "llm.1", "llm.2"]
    found = representations(plain, frames, GERMAN, tokens=["projector"])["projector"]
    assert found.mask.sum(dim=1).tolist() == [7, 29]
    assert_close(found.pooled[0], found.tokens[0, :7].mean(dim=0))


def test_later_tokens_weigh_more_by_position():
    states = torch.tensor([[1.0], [10.0], [100.0]]).expand(3, 3, 1)
    mask = torch.tensor([[True, True, True], [False, True, True], [True, True, False]])
    expected = torch.tensor([[321 / 6], [210 / 3], [21 / 3]])
    assert_close(pooled(states, mask, "position"), expected)
    assert_close(pooled(states, mask), torch.tensor([[37.0], [55.0], [5.5]]))
    assert pooled(states.half(), mask).dtype == torch.float32
