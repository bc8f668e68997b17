"""Bias compensation: centroids in closed form, and what subtracting them can change."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.covariance import oas
from torch.testing import assert_close

from speechalign.errors import UserError
from speechalign.languages import language
from speechalign.models.bias import LanguageBias
from speechalign.models.encoder import Frames
from speechalign.models.moments import moments_of
from speechalign.models.qformer import QFormer

GERMAN, FRENCH, DUTCH = (language(code).row for code in ("deu", "fra", "nld"))


def frames(*counts: int, width: int = 16, seed: int = 0) -> Frames:
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(len(counts), max(counts), width, generator=generator) + seed
    return Frames(hidden, torch.tensor(counts))


def known(bias: LanguageBias, code: str, spoken: Frames, trained: bool = True) -> None:
    bias.learn(code, bias.moments([spoken]), trained)


def test_mean_of_the_estimation_set_becomes_zero():
    bias, spoken = LanguageBias(16), frames(7, 4, 9)
    known(bias, "deu", spoken)
    compensated = bias(spoken, torch.full((3,), GERMAN))
    assert_close(bias.pool(compensated).mean(dim=0), torch.zeros(16), atol=1e-6, rtol=0)


def test_an_estimate_in_batches_is_the_estimate_of_all():
    bias, one, other = LanguageBias(16), frames(7, 4, seed=1), frames(9, 2, 3, seed=2)
    moments = bias.moments([one, other])
    pooled = [spoken.hidden[i, :n].mean(dim=0) for spoken in (one, other)
              for i, n in enumerate(spoken.lengths)]  # fmt: skip
    assert moments.number == 5
    assert_close(moments.mean.float(), torch.stack(pooled).mean(dim=0))


def test_pooling_over_all_frames_hears_the_padding():
    spoken = frames(7, 4)
    assert_close(LanguageBias(16, pooling="all").pool(spoken), spoken.hidden.mean(dim=1))
    assert not torch.allclose(LanguageBias(16).pool(spoken), spoken.hidden.mean(dim=1))


@pytest.mark.parametrize("unknown", ["unlabelled", "mean", "none"])
def test_a_language_outside_training_follows_the_policy(unknown):
    bias = LanguageBias(16, unknown=unknown)
    german, french, dutch = frames(5, seed=1), frames(6, seed=2), frames(7, seed=3)
    known(bias, "deu", german)
    known(bias, "fra", french)
    mean = (bias.pool(german) + bias.pool(french)) / 2
    never_heard = {"unlabelled": mean, "mean": mean, "none": torch.zeros(1, 16)}[unknown]
    assert_close(bias.of(torch.tensor([DUTCH])), never_heard)
    known(bias, "nld", dutch, trained=False)
    expected = bias.pool(dutch) if unknown == "unlabelled" else never_heard
    assert_close(bias.of(torch.tensor([DUTCH])), expected)
    assert_close(bias.of(torch.tensor([GERMAN])), bias.pool(german))


def test_attention_is_blind_to_the_bias_but_its_output_shifts_by_the_projected_bias():
    """Logits of one query all shift alike, so maps stay; outputs shift by -W_v b."""
    torch.manual_seed(0)
    former = QFormer(16, blocks=1, queries=6, width=24, heads=4, feed_forward=48, dropout=0.0)
    former.blocks.set_attn_implementation("eager")
    bias, spoken = LanguageBias(16), frames(12, 9, seed=4)
    known(bias, "deu", spoken)
    attention = former.blocks.encoder.layer[0].crossattention.attention
    shift = attention.value.weight @ bias.centroid[GERMAN]
    outputs: list[torch.Tensor] = []
    attention.register_forward_hook(lambda *call: outputs.append(call[-1][0]))
    maps = []
    for heard in (spoken, bias(spoken, torch.full((2,), GERMAN))):
        result = former.blocks(
            query_embeds=former.queries.expand(2, -1, -1),
            encoder_hidden_states=heard.hidden,
            encoder_attention_mask=heard.mask,
            output_attentions=True,
        )
        maps.append(result.cross_attentions[0])
    assert_close(maps[1], maps[0], atol=1e-6, rtol=1e-5)
    assert_close(outputs[1], outputs[0] - shift, atol=1e-5, rtol=1e-5)
    assert shift.abs().max() > 0.01


def test_only_a_trainable_bias_receives_a_gradient():
    spoken = frames(5, 6)
    for trainable in (False, True):
        bias = LanguageBias(16, trainable=trainable)
        known(bias, "deu", spoken)
        out = bias(spoken, torch.tensor([GERMAN, GERMAN])).hidden.sum()
        assert out.requires_grad is trainable
    out.backward()
    assert bias.centroid.grad is not None
    assert bias.centroid.grad[GERMAN].abs().sum() > 0
    assert bias.centroid.grad[FRENCH].abs().sum() == 0


def voices(code_seed: int, utterances: int) -> Frames:
    """Utterances of 1 frame around a centre, with the same correlated scatter everywhere."""
    generator = torch.Generator().manual_seed(code_seed)
    mixing = torch.linspace(-1, 2, 36).reshape(6, 6).tril() + 2 * torch.eye(6)
    apart = torch.randn(utterances, 6, generator=generator) @ mixing.T
    centre = torch.tensor([3.0, -2, 0, 1, 0, 0]) * (code_seed % 3)
    return Frames((centre + apart)[:, None], torch.ones(utterances, dtype=torch.long))


def test_the_language_is_told_as_by_linear_discriminant_analysis():
    bias = LanguageBias(6)
    with pytest.raises(UserError, match="say --from"):
        bias.nearest(voices(0, 2))
    codes = {code: language(code).row for code in ("deu", "fra", "nld")}
    heard = {code: voices(seed, 40) for seed, code in enumerate(codes)}
    for code, spoken in heard.items():
        known(bias, code, spoken)
    other = voices(4, 50)
    rows, certainty = bias.nearest(other)
    points = {code: spoken.hidden[:, 0].numpy() for code, spoken in heard.items()}
    within = np.concatenate([own - own.mean(axis=0) for own in points.values()])
    # as many vectors as there are degrees of freedom, with the same spread: three means were taken
    freedom = len(within) - 3
    made = np.linalg.qr(np.random.default_rng(0).normal(size=(freedom, 6)))[0]
    made = made @ np.linalg.cholesky(within.T @ within).T
    covariance, _ = oas(made, assume_centered=True)
    densities = np.stack([
        multivariate_normal(own.mean(axis=0), covariance).pdf(other.hidden[:, 0].numpy())
        for own in points.values()
    ])
    expected = densities / densities.sum(axis=0)
    assert rows.tolist() == [list(codes.values())[place] for place in expected.argmax(axis=0)]
    assert_close(certainty, torch.from_numpy(expected.max(axis=0)), atol=1e-5, rtol=1e-4)
    assert 0.5 < (rows == codes["fra"]).double().mean() <= 1


def test_one_language_cannot_be_told_from_others():
    bias = LanguageBias(6)
    known(bias, "deu", voices(0, 9))
    with pytest.raises(UserError, match="say --from"):
        bias.nearest(voices(0, 2))


def test_what_is_forgotten_is_as_if_it_had_never_been():
    bias, fresh = LanguageBias(6), LanguageBias(6)
    known(bias, "deu", voices(0, 9))
    bias.forget()
    for name, value in fresh.state_dict().items():
        assert torch.equal(bias.state_dict()[name], value)


def test_no_audio_is_an_error():
    with pytest.raises(UserError, match="No audio of 'deu'"):
        LanguageBias(4).learn("deu", moments_of(torch.zeros(0, 4)), trained=True)
