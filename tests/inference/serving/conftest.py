"""A model that all tests of the server share, and a server of it."""

import tempfile

import pytest

from tests.inference.serving.clients import Held, Serving, serving


@pytest.fixture(scope="session", autouse=True)
def disk(tmp_path_factory):
    """A place for uploads that other processes do not share: what is left there is looked at."""
    before, tempfile.tempdir = tempfile.tempdir, str(tmp_path_factory.mktemp("uploads"))
    yield
    tempfile.tempdir = before


@pytest.fixture(scope="session")
def held() -> Held:
    """The packaged model."""
    return Held.from_pretrained()


@pytest.fixture(scope="module")
def served(held) -> Serving:
    """A server without a key, of the usual bounds."""
    with serving(held) as one:
        yield one
