"""A model that all tests of the server share, and a server of it."""

import pytest

from tests.inference.serving import Held, Serving, serving


@pytest.fixture(scope="session")
def held() -> Held:
    """The packaged model."""
    return Held.from_pretrained()


@pytest.fixture(scope="module")
def served(held) -> Serving:
    """A server without a key, of the usual bounds."""
    with serving(held) as one:
        yield one
