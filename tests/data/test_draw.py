"""What an epoch hears: policies of recordings, weighted languages."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechalign.data.draw import EpochDraw, numbered, places, quotas
from speechalign.errors import UserError

CORPORA = st.lists(
    st.tuples(st.integers(0, 9).map(str), st.sampled_from("abcd")), min_size=1, max_size=60
)
PAIRINGS = st.sampled_from(["random", "none", "a"])
TEMPERATURES = st.sampled_from([1.0, 1.5, 3.0, float("inf")])


def drawn(corpus, epoch=0, **settings) -> list[tuple[int, int, bool]]:
    units = EpochDraw(*zip(*corpus, strict=True), **settings).units(epoch)
    return list(zip(*(column.tolist() for column in units), strict=True))


@given(CORPORA, st.integers(0, 5), PAIRINGS)
def test_all_recordings_are_heard_once(corpus, epoch, pairing):
    corpus = [*corpus, ("0", "a")]
    rows = [
        row for unit in drawn(corpus, epoch, recordings="all", pairing=pairing) for row in unit[:2]
    ]
    if len(corpus) % 2:
        (twice,) = (Counter(rows) - Counter(range(len(corpus)))).elements()
        rows.remove(twice)
    assert sorted(rows) == list(range(len(corpus)))


@given(CORPORA, st.integers(0, 5), TEMPERATURES, st.sampled_from(["one", "all"]))
def test_pairs_are_of_one_sentence_and_two_languages(corpus, epoch, temperature, recordings):
    for one, other, parallel in drawn(
        corpus, epoch, temperature=temperature, recordings=recordings
    ):
        if parallel:
            assert corpus[one][0] == corpus[other][0]
            assert corpus[one][1] != corpus[other][1]


@given(CORPORA, TEMPERATURES, st.sampled_from(["one", "all"]), st.integers(0, 3))
def test_languages_are_heard_as_their_quota_says(corpus, temperature, recordings, epoch):
    draw = EpochDraw(*zip(*corpus, strict=True), temperature=temperature, recordings=recordings)
    units = draw.units(epoch)
    assert len(units.first) == len(draw)
    rows = np.concatenate([units.first, units.second])
    heard = Counter(corpus[row][1] for row in rows.tolist())
    there = Counter(language for _, language in (corpus if recordings == "all" else set(corpus)))
    total, weights = sum(there.values()), {c: n ** (1 / temperature) for c, n in there.items()}
    for code, weight in weights.items():
        exact = total * weight / sum(weights.values())
        assert exact - 1 < heard[code] <= exact + 2  # one may complete an odd number


@given(CORPORA, TEMPERATURES, st.sampled_from(["one", "all"]), st.integers(0, 3))
def test_every_pair_begins_with_the_anchor(corpus, temperature, recordings, epoch):
    """It is paired wherever its sentence is heard in another language too."""
    corpus = [*corpus, ("0", "a")]
    settings = {"temperature": temperature, "recordings": recordings, "pairing": "a"}
    pairs = [unit[:2] for unit in drawn(corpus, epoch, **settings) if unit[2]]
    assert all(corpus[one][0] == corpus[other][0] for one, other in pairs)
    assert all(corpus[one][1] == "a" != corpus[other][1] for one, other in pairs)
    if temperature == 1 and recordings == "one":
        led = {sentence for sentence, language in corpus if language == "a"}
        assert len(pairs) == len(led & {s for s, language in corpus if language != "a"})
    draw = EpochDraw(*zip(*corpus, strict=True), **settings)
    assert draw.has_pairs or not pairs


def test_an_anchor_that_is_not_there_is_refused():
    with pytest.raises(UserError, match=r"pairing is fra; expected random, none or .*: deu, ita"):
        EpochDraw(["1", "1"], ["ita", "deu"], pairing="fra")


def test_temperature_of_infinity_makes_languages_equal():
    corpus = [(str(n), "a") for n in range(90)] + [(str(n), "b") for n in range(10)]
    heard = Counter(
        corpus[row][1] for unit in drawn(corpus, temperature=np.inf) for row in unit[:2]
    )
    assert heard == {"a": 50, "b": 50}
    rows = Counter(row for unit in drawn(corpus, temperature=np.inf) for row in unit[:2])
    assert {rows[row] for row in range(90, 100)} == {5}  # of a small language, all equally often
    assert {rows[row] for row in range(90)} == {0, 1}
    pairs = sum(parallel for _, _, parallel in drawn(corpus, temperature=np.inf))
    assert 0 < pairs <= 10  # one for each sentence of both that is heard in both


def test_what_is_left_out_changes():
    corpus = [(str(n), "a") for n in range(90)] + [("0", "b")]
    left = {
        frozenset(row for unit in drawn(corpus, epoch, temperature=5) for row in unit[:2])
        for epoch in range(5)
    }
    assert len(left) == 5


@given(st.lists(st.integers(1, 500), min_size=1, max_size=12), st.floats(1, 100, exclude_min=True))
def test_quotas_sum_up(counts, temperature):
    languages = np.repeat(np.arange(len(counts)), counts)
    quota = quotas(languages, temperature)
    assert quota.sum() == sum(counts)
    exact = np.array(counts) ** (1 / temperature)
    np.testing.assert_allclose(quota, sum(counts) * exact / exact.sum(), atol=1)


def test_a_temperature_of_1_is_none():
    languages = numbered(list("aaabbc"))
    assert quotas(languages, 1.0).tolist() == [3, 2, 1]


@given(
    CORPORA,
    TEMPERATURES,
    st.sampled_from(["one", "all"]),
    PAIRINGS,
    st.integers(0, 2**32),
)
def test_no_unit_is_longer_than_the_longest(corpus, temperature, recordings, pairing, seed):
    corpus = [*corpus, ("0", "a")]
    seconds = np.random.default_rng(seed).uniform(1, 30, len(corpus))
    draw = EpochDraw(
        *zip(*corpus, strict=True),
        temperature=temperature,
        recordings=recordings,
        pairing=pairing,
    )
    longest = draw.longest(seconds)
    units = draw.units(seed % 7)
    assert len(longest) == len(draw)
    longer = np.sort(np.maximum(seconds[units.first], seconds[units.second]))[::-1]
    assert (longer <= longest).all()


def test_the_bound_is_near_where_recordings_of_a_sentence_are_alike():
    corpus = [(str(n // 4), "abcd"[n % 4]) for n in range(400)]
    seconds = np.array([2.0 + n // 4 % 25 for n in range(400)])
    draw = EpochDraw(*zip(*corpus, strict=True))
    units = draw.units(0)
    longer = np.maximum(seconds[units.first], seconds[units.second])
    assert draw.longest(seconds).sum() <= longer.sum() + seconds.max()


def test_places_count_within_runs():
    place, size = places(np.array([3, 3, 5, 7, 7, 7]))
    assert place.tolist() == [0, 1, 0, 0, 1, 2]
    assert size.tolist() == [2, 2, 1, 3, 3, 3]


def test_nothing_to_train_on_is_an_error():
    with pytest.raises(UserError, match="nothing to train on"):
        EpochDraw([], [])


@pytest.mark.parametrize("temperature", [0, -1.0, 0.99, float("nan")])
def test_a_temperature_below_1_is_an_error(temperature):
    with pytest.raises(UserError, match="expected 1 or more"):
        EpochDraw(["s"], ["a"], temperature=temperature)
