"""The divergence on an accelerator: the same as on the processor, and the host never waits."""

import pytest
import torch
from torch.testing import assert_close

from speechalign.alignment.divergence import SinkhornDivergence
from tests.alignment.problems import related, tokens, with_gradients


@pytest.mark.gpu
@pytest.mark.parametrize("debias", [True, False])
def test_the_accelerator_gives_the_same_and_is_not_waited_for(debias):
    if not torch.cuda.is_available():
        pytest.skip("there is no accelerator here")
    x = tokens(4, 80, 768, dtype=torch.float32)
    y, loss = related(x, 0.3), SinkhornDivergence(debias=debias)
    there = [one.detach().cuda() for one in (x, y)]
    with_gradients(loss, *there)  # what is made once may wait
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = with_gradients(loss, *there)
    finally:
        torch.cuda.set_sync_debug_mode(before)
    for one, expected in zip(found, with_gradients(loss, x, y), strict=True):
        assert_close(one.cpu(), expected, rtol=1e-3, atol=1e-6)
