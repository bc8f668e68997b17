"""Bridges: every hidden layer, no look at padding, and the sizes of the paper."""

import pytest
import torch
from torch.testing import assert_close

from speechalign.models.encoder import Frames
from speechalign.models.qformer import FrameStack, QFormer


def test_every_hidden_layer_is_returned_in_order(qformer):
    """Layer l is the output of block l: compared with hooks on the blocks themselves."""
    seen: list[torch.Tensor] = []
    for block in qformer.blocks.encoder.layer:
        block.register_forward_hook(lambda *call: seen.append(call[-1]))
    tokens = qformer(Frames(torch.randn(2, 5, 16), torch.tensor([5, 3])))
    assert len(tokens.layers) == 5
    for layer, output in zip(tokens.layers[1:], seen, strict=True):
        assert_close(layer, output)
    embedded = qformer.blocks.layernorm(qformer.queries).expand(2, -1, -1)
    assert_close(tokens.layers[0], embedded)
    assert tokens.mask.all()


def test_padded_frames_are_never_read(qformer):
    hidden = torch.randn(2, 9, 16)
    count = torch.tensor([9, 4])
    one = qformer(Frames(hidden, count))
    hidden[1, 4:] = 100.0
    other = qformer(Frames(hidden, count))
    alone = qformer(Frames(hidden[1:, :4], count[1:]))
    for a, b, c in zip(one.layers, other.layers, alone.layers, strict=True):
        assert_close(a, b)
        assert_close(a[1:], c, atol=1e-5, rtol=1e-5)


def test_speech_enters_at_the_scheduled_blocks(qformer):
    """Cross-attention every second block: blocks 1 and 3 of four."""
    crossing = [block.has_cross_attention for block in qformer.blocks.encoder.layer]
    assert crossing == [True, False, True, False]


def test_the_papers_qformer_has_the_papers_number_of_weights():
    """Counted from the paper's configuration: so many in the blocks, and in the queries."""
    with torch.device("meta"):
        former = QFormer(1280)
    assert sum(p.numel() for p in former.blocks.parameters()) == 69_305_856
    assert former.queries.numel() == 61_440


def test_settings_rebuild_the_same_part(qformer):
    again = QFormer(16, **qformer.settings())
    again.load_state_dict(qformer.state_dict())
    spoken = Frames(torch.randn(1, 5, 16), torch.tensor([5]))
    assert_close(again(spoken).last, qformer(spoken).last)


@pytest.mark.parametrize("counts", [(7, 4), (5, 5), (1, 9)])
def test_stacked_frames_are_the_frames_in_order(counts):
    spoken = Frames(torch.randn(2, max(counts), 3), torch.tensor(counts))
    tokens = FrameStack(3, stack=4)(spoken)
    for row, count in enumerate(counts):
        valid = tokens.last[row][tokens.mask[row]].reshape(-1, 3)
        assert len(valid) == -(-count // 4) * 4
        assert_close(valid[:count], spoken.hidden[row, :count])
        assert (valid[count:] == 0).all()


def test_attention_is_the_softmax_of_queries_and_keys():
    qformer = QFormer(16, 4, 5, 32, 4, 64, cross_attention_every=2).eval()
    frames = Frames(torch.randn(2, 9, 16), torch.tensor([9, 6]))
    seen: dict[str, torch.Tensor] = {}
    for name, module in qformer.blocks.named_modules():
        if name.endswith(("crossattention.attention.query", "crossattention.attention.key")):
            module.register_forward_hook(
                lambda _, __, output, name=name: seen.__setitem__(name, output.detach())
            )
    before = qformer(frames).layers[-1]
    found = qformer.attention(frames)
    assert torch.equal(qformer(frames).layers[-1], before)
    assert len(found) == 4
    for block, weights in enumerate(found):
        place = f"encoder.layer.{block // 2 * 2}.crossattention.attention"
        q, k = (
            seen[f"{place}.{name}"].unflatten(2, (4, 8)).transpose(1, 2)
            for name in ("query", "key")
        )
        scores = (q @ k.mT / 8**0.5).masked_fill(~frames.mask[:, None, None], -torch.inf)
        assert_close(weights, scores.softmax(dim=-1).mean(dim=1), atol=1e-5, rtol=0)
