"""Fixtures that all tests share."""

from pathlib import Path

import pytest
import torch
from hypothesis import settings

settings.register_profile("speechalign", deadline=None, max_examples=50)
settings.load_profile("speechalign")

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Small tensors gain nothing from threads, and two test processes slow one another down."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real recordings that do not travel with the repository."""
    if not SHARED.is_dir():
        pytest.skip("the folder of real recordings is not beside this checkout")
    return SHARED / "data"
