"""Where settings begin to make no sense; what is told of them is in `test_datamodule`."""

import math

import pytest

from speechalign.data.settings import check_counts, check_limits
from speechalign.errors import UserError


@pytest.mark.parametrize("least", [0, 1])
def test_counts_begin_with_the_least(least):
    check_counts(least, one=least, many=10**9, unlimited=None)
    with pytest.raises(UserError, match=f"few is {least - 1}; expected {least} or more"):
        check_counts(least, one=least, few=least - 1)


def test_limits_are_above_zero():
    check_limits(short=1e-9, endless=math.inf, unlimited=None)
    for seconds in (0.0, -0.0, -1.0, -math.inf, math.nan):
        with pytest.raises(UserError, match=r"none is .*; expected seconds, more than 0"):
            check_limits(short=1e-9, none=seconds)
