"""Pairs, epochs, ranks and resuming: the order is a function of (seed, epoch)."""

from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from speechalign.data.draw import EpochDraw
from speechalign.data.pairs import BatchRows, PairSampler, ShardSampler
from speechalign.errors import UserError

CORPORA = st.lists(
    st.tuples(st.integers(0, 12).map(str), st.sampled_from("abcde")), min_size=1, max_size=60
)
SHAPES = st.tuples(st.sampled_from([2, 4, 6]), st.integers(1, 4))  # batch size, processes


def sampler_of(corpus, batch_size=4, world_size=1, rank=0, **settings) -> PairSampler:
    """Sample a corpus of (sentence, language), or of (sentence, language, seconds)."""
    sentences, languages, *durations = zip(*corpus, strict=True)
    lengths = {"durations": durations[0]} if durations else {}
    if "batch_seconds" in settings:
        lengths["batch_seconds"] = settings.pop("batch_seconds")
    draw = EpochDraw(sentences, languages, **settings)
    return PairSampler(draw, batch_size, rank=rank, world_size=world_size, **lengths)


def epochs_of(corpus, batch_size=4, world_size=1, epoch=0, **settings) -> list[list[BatchRows]]:
    """List the batches of one epoch by rank."""
    samplers = [
        sampler_of(corpus, batch_size, world_size, rank, **settings) for rank in range(world_size)
    ]
    for sampler in samplers:
        sampler.set_epoch(epoch)
    return [list(sampler) for sampler in samplers]


def units(batches: list[BatchRows]) -> list[tuple[int, int]]:
    rows = [row for batch in batches for row in batch.rows]
    return list(zip(rows[::2], rows[1::2], strict=True))


@given(CORPORA, SHAPES, st.integers(0, 9), st.sampled_from(["random", "none"]))
def test_an_epoch_hears_every_sentence_in_every_language_once(corpus, shape, epoch, pairing):
    ranks = epochs_of(corpus, *shape, epoch=epoch, pairing=pairing)
    order = units([batch for share in zip(*ranks, strict=True) for batch in share])
    languages = Counter(sentence for sentence, _ in set(corpus)).values()
    paired = sum(count // 2 * 2 for count in languages) if pairing == "random" else 0
    singles = sum(languages) - paired
    count = paired // 2 + (singles + 1) // 2
    heard = Counter(corpus[row] for unit in order[:count] for row in unit)
    assert set(heard) == set(corpus)
    assert sum(heard.values()) == len(heard) + singles % 2  # an odd single is completed by one
    batch_size, world_size = shape
    assert 0 <= len(order) - count < batch_size * world_size // 2  # fill the last global batch
    assert order[count:] == (order[:count] * len(order))[count : len(order)]


@given(CORPORA, SHAPES)
def test_pairs_say_the_same_in_two_languages_and_are_as_many_as_can_be(corpus, shape):
    ranks = epochs_of(corpus, *shape)
    pairs = {
        (batch.rows[one], batch.rows[other])
        for rank in ranks
        for batch in rank
        for one, other in batch.pairs
    }
    for one, other in pairs:
        assert corpus[one][0] == corpus[other][0]
        assert corpus[one][1] != corpus[other][1]
    languages = Counter(sentence for sentence, _ in set(corpus))
    assert len(pairs) == sum(count // 2 for count in languages.values())


@given(CORPORA, SHAPES)
def test_without_pairing_there_are_no_pairs(corpus, shape):
    ranks = epochs_of(corpus, *shape, pairing="none")
    assert not any(batch.pairs for rank in ranks for batch in rank)


@given(CORPORA, SHAPES, st.integers(0, 3))
def test_batches_are_full_and_ranks_have_equally_many(corpus, shape, epoch):
    batch_size, world_size = shape
    ranks = epochs_of(corpus, *shape, epoch=epoch)
    sampler = sampler_of(corpus, *shape)
    assert [len(rank) for rank in ranks] == [len(sampler)] * world_size
    for batch in (batch for rank in ranks for batch in rank):
        assert len(batch.rows) == batch_size
        assert batch.epoch == epoch
        assert all(other == one + 1 and one % 2 == 0 for one, other in batch.pairs)


@given(CORPORA, st.sampled_from([2, 4]), st.integers(2, 4), st.integers(0, 3))
def test_ranks_share_the_global_batch_of_one_process(corpus, batch_size, world_size, epoch):
    (alone,) = epochs_of(corpus, batch_size * world_size, 1, epoch=epoch)
    ranks = epochs_of(corpus, batch_size, world_size, epoch=epoch)
    together = list(zip(*ranks, strict=True))
    assert len(alone) == len(together)
    for whole, shares in zip(alone, together, strict=True):
        assert whole.rows == tuple(row for share in shares for row in share.rows)
        offset = [
            (batch_size * rank + one, batch_size * rank + other)
            for rank, share in enumerate(shares)
            for one, other in share.pairs
        ]
        assert list(whole.pairs) == offset


@given(CORPORA, st.integers(1, 4))
def test_ranks_do_not_overlap_within_an_epoch(corpus, world_size):
    ranks = epochs_of(corpus, 2, world_size)
    batches = [units(list(share)) for share in zip(*ranks, strict=True)]
    distinct = len({unit for batch in batches for unit in batch})
    for batch in batches:
        assert len(set(batch)) == min(len(batch), distinct)


@given(CORPORA, SHAPES, st.integers(0, 5), st.booleans(), st.data())
def test_resuming_is_continuing(corpus, shape, epoch, by_seconds, data):
    settings = {"batch_seconds": 70, "recordings": "all", "temperature": 2} if by_seconds else {}
    if by_seconds:
        corpus = [(*row, 1 + 30 * n / len(corpus)) for n, row in enumerate(corpus)]
    rank = data.draw(st.integers(0, shape[1] - 1))
    sampler, resumed = (sampler_of(corpus, *shape, rank, **settings) for _ in range(2))
    sampler.set_epoch(epoch)
    whole = list(sampler)
    start = data.draw(st.integers(0, len(sampler)))
    resumed.resume(epoch, start)
    resumed.set_epoch(epoch)
    assert list(resumed) == whole[start:]
    resumed.set_epoch(epoch + 1)
    sampler.set_epoch(epoch + 1)
    assert list(resumed) == list(sampler)
    assert len(resumed) == len(whole)


def test_the_order_is_a_function_of_seed_and_epoch():
    corpus = [(str(n // 3), "abc"[n % 3]) for n in range(60)]
    assert epochs_of(corpus, seed=1, epoch=2) == epochs_of(corpus, seed=1, epoch=2)
    orders = {
        str(epochs_of(corpus, seed=seed, epoch=epoch)) for seed in range(3) for epoch in range(3)
    }
    assert len(orders) == 9


def test_pairs_of_languages_and_recordings_are_uniform():
    corpus = [("s", language) for language in "abcde" for _ in range(2)]
    sampler = sampler_of(corpus, 2)
    pairs, recordings = Counter(), Counter()
    for epoch in range(3000):
        sampler.set_epoch(epoch)
        for batch in sampler:
            for one, other in batch.pairs:
                first, second = batch.rows[one], batch.rows[other]
                pairs["".join(sorted(corpus[first][1] + corpus[second][1]))] += 1
                recordings.update([first, second])
    assert set(pairs) == {a + b for a, b in combinations("abcde", 2)}
    # A right sampler fails one of these for one seed in 10,000; the seed is fixed.
    assert chisquare(list(pairs.values())).pvalue > 1e-4
    assert set(recordings) == set(range(10))
    assert chisquare(list(recordings.values())).pvalue > 1e-4


def test_sentences_and_singles_are_mixed():
    corpus = [(str(n), language) for n in range(40) for language in ("ab" if n < 20 else "a")]
    halves, companions = set(), set()
    for epoch in range(5):
        ((half, rest),) = epochs_of(corpus, batch_size=30, epoch=epoch)
        assert 2 < len(half.pairs) < 15  # of 20 pairs and 10 units of singles
        sentences = [int(corpus[row][0]) for row in half.rows]
        assert sentences != sorted(sentences)
        halves.add(frozenset(sentences))
        singles = [unit for unit in units([half, rest]) if corpus[unit[0]][0] != corpus[unit[1]][0]]
        companions.add(frozenset(map(frozenset, singles)))
    assert len(halves) == len(companions) == 5


def test_a_lone_recording_fills_a_batch():
    ((batch,),) = epochs_of([("s", "a")], batch_size=4)
    assert batch == BatchRows((0, 0, 0, 0), (), 0)


@pytest.mark.parametrize("batch_size", [-2, 0, 1, 3])
def test_pairs_need_an_even_batch(batch_size):
    with pytest.raises(UserError, match="even number"):
        sampler_of([("s", "a")], batch_size)


SPOKEN = st.lists(
    st.tuples(st.integers(0, 12).map(str), st.sampled_from("abcde"), st.floats(0.5, 30)),
    min_size=1,
    max_size=60,
)


@given(SPOKEN, SHAPES, st.floats(60, 200), st.integers(0, 5), st.sampled_from(["one", "all"]))
def test_batches_by_seconds_keep_to_them(corpus, shape, batch_seconds, epoch, recordings):
    settings = {"batch_seconds": batch_seconds, "recordings": recordings}
    ranks = epochs_of(corpus, *shape, epoch=epoch, **settings)
    assert {len(rank) for rank in ranks} == {len(sampler_of(corpus, *shape, **settings))}
    for share in zip(*ranks, strict=True):
        assert len({len(batch.rows) for batch in share}) == 1  # as many on every rank
        for batch in share:
            longest = max(corpus[row][2] for row in batch.rows)
            assert 2 <= len(batch.rows) <= shape[0]
            assert longest * len(batch.rows) <= batch_seconds
            for one, other in batch.pairs:
                first, second = corpus[batch.rows[one]], corpus[batch.rows[other]]
                assert first[0] == second[0]
                assert first[1] != second[1]


@given(SPOKEN, st.integers(1, 4), st.integers(0, 5))
def test_batches_by_seconds_hear_everything(corpus, world_size, epoch):
    settings = {"batch_seconds": 100, "recordings": "all"}
    ranks = epochs_of(corpus, 8, world_size, epoch, **settings)
    rows = Counter(row for rank in ranks for batch in rank for row in batch.rows)
    assert set(rows) == set(range(len(corpus)))


def test_batches_by_seconds_repeat_little():
    corpus = [(str(n // 5), "abcde"[n % 5], 2 + n * 0.37 % 25) for n in range(5000)]
    for world_size in (1, 4):
        ranks = epochs_of(corpus, 64, world_size, batch_seconds=400)
        rows = [row for rank in ranks for batch in rank for row in batch.rows]
        assert len(rows) - len(set(rows)) <= 2 * world_size * 32
        seconds = sum(corpus[row][2] for row in rows)
        padded = sum(
            len(batch.rows) * max(corpus[row][2] for row in batch.rows)
            for rank in ranks
            for batch in rank
        )
        assert seconds / padded > 0.8  # pairs of a long and a short one; at random 0.55
        assert padded / sum(map(len, ranks)) > 0.7 * 400


def test_two_of_the_longest_must_fit():
    with pytest.raises(UserError, match=r"batch_seconds is 50; two of the longest .* 60\.0 s"):
        sampler_of([("1", "a", 30.0), ("1", "b", 2.0)], batch_seconds=50)


@given(st.lists(st.floats(0.1, 30), max_size=40), st.integers(1, 5), st.integers(1, 4))
def test_shards_have_every_row_once_the_longest_first(durations, batch_size, world_size):
    shards = [
        ShardSampler(durations, batch_size, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    rows = []
    for shard in shards:
        batches = list(shard)
        assert len(batches) == len(shard)
        assert all(1 <= len(batch.rows) <= batch_size and not batch.pairs for batch in batches)
        own = [row for batch in batches for row in batch.rows]
        seconds = [durations[row] for row in own]
        assert seconds == sorted(seconds, reverse=True)
        rows += own
    assert sorted(rows) == list(range(len(durations)))
    sizes = [sum(len(batch.rows) for batch in shard) for shard in shards]
    assert max(sizes) - min(sizes) <= 1


def test_a_shard_needs_a_batch():
    with pytest.raises(UserError, match="1 or more"):
        ShardSampler([1.0], 0)
