"""Pairs of languages as they are written after --pairs."""

import pytest

from speechalign.commands.asked import read_pairs
from speechalign.errors import UserError


@pytest.mark.parametrize(
    ("told", "pairs"),
    [
        ("*->eng", ["deu-eng", "nld-eng"]),
        ("de -> en", ["deu-eng"]),
        ("deu->*", ["deu-eng", "deu-fra"]),
        ("deu>deu,nld→eng", ["deu-deu", "nld-eng"]),
        ("*->*", ["deu-eng", "deu-fra", "nld-eng", "nld-fra"]),
    ],
)
def test_pairs(told, pairs):
    found = read_pairs(told, ["deu", "nld"], ["eng", "fra"])
    assert ["-".join(pair) for pair in found] == pairs


def test_no_pairs_are_told():
    with pytest.raises(UserError, match="no such languages"):
        read_pairs("*->eng", [], ["eng"])
