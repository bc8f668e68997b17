"""Projectors: what they put out at the start, and that their settings rebuild them."""

import pytest
import torch
from torch.testing import assert_close

from speechalign.models.projector import LinearProjector, MLPProjector


@pytest.mark.parametrize("scale", [1.0, 0.1])
@pytest.mark.parametrize("kind", [LinearProjector, MLPProjector])
def test_embeddings_begin_at_the_scale_that_is_asked_for(kind, scale):
    torch.manual_seed(0)
    projected = kind(24, 32, scale=scale)(torch.randn(3, 5, 24))
    assert projected.shape == (3, 5, 32)
    assert_close(projected.square().mean(-1).sqrt(), torch.full((3, 5), scale), rtol=1e-3, atol=0)


@pytest.mark.parametrize(
    "made", [LinearProjector(24, 32, scale=0.1), MLPProjector(24, 32, hidden=7, scale=0.2)]
)
def test_settings_rebuild_it(made):
    again = type(made)(24, 32, **made.settings())
    assert again.settings() == made.settings()
    again.load_state_dict(made.state_dict())
