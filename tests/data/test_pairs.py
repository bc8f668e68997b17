"""Pairs, epochs, ranks and resuming: the order is a function of (seed, epoch)."""

from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from speechalign.data.pairs import BatchRows, PairSampler, ShardSampler
from speechalign.errors import UserError

CORPORA = st.lists(
    st.tuples(st.integers(0, 12).map(str), st.sampled_from("abcde")), min_size=1, max_size=60
)
SHAPES = st.tuples(st.sampled_from([2, 4, 6]), st.integers(1, 4))  # batch size, processes


def epochs_of(corpus, batch_size=4, world_size=1, epoch=0, **settings) -> list[list[BatchRows]]:
    """List the batches of one epoch by rank."""
    sentences, languages = zip(*corpus, strict=True)
    samplers = [
        PairSampler(sentences, languages, batch_size, rank=rank, world_size=world_size, **settings)
        for rank in range(world_size)
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
    sentences, languages = zip(*corpus, strict=True)
    sampler = PairSampler(sentences, languages, batch_size, world_size=world_size)
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


@given(CORPORA, SHAPES, st.integers(0, 5), st.data())
def test_resuming_is_continuing(corpus, shape, epoch, data):
    batch_size, world_size = shape
    sentences, languages = zip(*corpus, strict=True)
    rank = data.draw(st.integers(0, world_size - 1))
    sampler = PairSampler(sentences, languages, batch_size, rank=rank, world_size=world_size)
    sampler.set_epoch(epoch)
    whole = list(sampler)
    start = data.draw(st.integers(0, len(sampler)))
    resumed = PairSampler(sentences, languages, batch_size, rank=rank, world_size=world_size)
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
    sampler = PairSampler(*zip(*corpus, strict=True), 2)
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
        PairSampler(["s"], ["a"], batch_size)


def test_nothing_to_train_on_is_an_error():
    with pytest.raises(UserError, match="nothing to train on"):
        PairSampler([], [], 2)


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
