"""Numbers of things in messages."""

import pytest

from speechalign.plurals import so_many


@pytest.mark.parametrize(
    ("number", "told"), [(0, "0 runs"), (1, "1 run"), (2, "2 runs"), (10, "10 runs")]
)
def test_so_many(number, told):
    assert so_many(number, "run") == told
