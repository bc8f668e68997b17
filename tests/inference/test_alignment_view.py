"""What the page of two recordings shows, against the parts that it is made of."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from speechalign import Translator
from speechalign.alignment.divergence import SinkhornDivergence
from speechalign.assets import resolve
from speechalign.audio.io import load_audio
from speechalign.errors import UserError
from speechalign.inference.alignment_view import centroids, outline, view_pair
from speechalign.languages import language
from speechalign.models.encoder import Frames
from speechalign.models.qformer import FrameStack

CONVERGED = SinkhornDivergence(iterations=500)
CLIPS = Path(resolve("assets:micro/clips"))


@pytest.fixture(scope="module")
def translator() -> Translator:
    return Translator.from_pretrained()


@pytest.fixture(scope="module")
def seen(translator):
    pair = load_audio(CLIPS / "deu.ogg"), load_audio(CLIPS / "fra.ogg")
    sources = language("deu"), None
    return view_pair(translator, pair, ("a", "b"), sources, CONVERGED)


def test_both_sides_are_told(seen, translator):
    one, other = seen["sides"]
    assert (one["language"], one["certainty"]) == ("German", None)
    assert other["language"] == "French"
    assert other["certainty"] > 0.5
    assert one["translation"] == translator.translate(CLIPS / "deu.ogg", from_="deu").text
    assert one["duration"] == pytest.approx(len(load_audio(CLIPS / "deu.ogg")) / 16_000)


def test_every_layer_has_its_plan(seen, translator):
    assert [layer["layer"] for layer in seen["layers"]] == [1, 2, 3]
    with torch.no_grad():
        tokens = []
        for name in ("deu", "fra"):
            frames, _, _ = translator.frames([load_audio(CLIPS / f"{name}.ogg")], language(name))
            tokens.append(translator.model.listen(frames).tokens.layers)
    for layer in seen["layers"]:
        x, y = (side[layer["layer"]] for side in tokens)
        assert layer["divergence"] == pytest.approx(CONVERGED(x, y).item(), abs=1e-6)
        plan = np.array(layer["plan"])
        assert plan.shape == (24, 24)
        assert plan.sum(axis=0) == pytest.approx(np.ones(24), abs=0.01)
        assert plan.trace() / 24 == pytest.approx(layer["diagonal"], abs=1e-3)
        for side, times in zip(seen["sides"], layer["times"], strict=True):
            assert 0 <= min(times) < max(times) <= side["duration"]


def test_it_can_be_written_as_json(seen):
    assert json.loads(json.dumps(seen, allow_nan=False)) == seen


def test_a_token_that_hears_one_frame_is_placed_there():
    weights = torch.zeros(1, 2, 50)
    weights[0, 0, 10], weights[0, 1, [20, 30]] = 1, 0.5
    frames = Frames(torch.zeros(1, 50, 4), torch.tensor([50]))
    assert centroids(weights, frames)[0].tolist() == pytest.approx([0.21, 0.51])


def test_the_outline_has_the_loudest_sample_of_each_stretch():
    wave = torch.zeros(4000)
    wave[[15, 3999]] = torch.tensor([-0.5, 0.25])
    bars = outline(wave)
    assert len(bars) == 400
    assert (bars[1], bars[-1], sum(bars)) == (0.5, 0.25, 0.75)
    assert outline(torch.ones(3)) == [1, 1, 1]


def test_a_model_without_queries_is_refused(translator, monkeypatch):
    monkeypatch.setattr(translator.model, "qformer", FrameStack(48))
    wave = torch.zeros(16_000)
    with pytest.raises(UserError, match="no Q-Former"):
        view_pair(translator, (wave, wave), ("a", "b"), (None, None), SinkhornDivergence())
