import io
import math
import random
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from speechalign.alignment.schedule import UCB, AllLayers, Fixed, Uniform, Weighted
from speechalign.errors import UserError

KINDS = [
    lambda: UCB(seed=3),
    lambda: UCB(sign="dev", seed=3),
    lambda: Uniform((1, 2, 5), seed=3),
    lambda: Weighted((2, 4), (1.0, 3.0), seed=3),
    lambda: Fixed(8),
    lambda: AllLayers((1, 2, 3)),
]


def play(scheduler, steps, first=0):
    """Let costs fall, faster in higher layers, with a wave that a bandit could react to."""
    chosen = []
    for t in range(first, first + steps):
        layers = scheduler.choose()
        chosen.append(layers)
        for layer in layers:
            scheduler.observe(layer, math.exp(-layer * t / 500) + 0.05 * math.sin(t * layer))
    return chosen


def frequencies(chosen):
    counts = Counter(layer for layers in chosen for layer in layers)
    return {layer: count / len(chosen) for layer, count in counts.items()}


@pytest.mark.parametrize(("sign", "direction"), [("paper", 1), ("dev", -1)])
def test_probabilities_equal_a_computation_by_hand(sign, direction):
    bandit = UCB(sign=sign)
    for layer, cost in ((1, 1.0), (2, 0.9), (3, 0.8), (1, 0.6), (2, 0.8), (1, 0.7)):
        bandit.observe(layer, cost)
    bandit.step = 7
    # Q_1 = 0.9 (0.1 · 0.4) + 0.1 (0.6 - 0.7) = 0.026, Q_2 = 0.1 · 0.1 = 0.01, Q_3 = 0
    rewards, counts, temperature = [0.026, 0.01, 0.0], [3, 2, 1], 0.999**7
    powers = [
        math.exp((math.sqrt(math.log(7) / (n + 1e-6)) + direction * q) / temperature)
        for q, n in zip(rewards, counts, strict=True)
    ]
    assert bandit.probabilities() == pytest.approx([power / sum(powers) for power in powers])


def test_the_signs_prefer_opposite_layers_when_rewards_differ():
    for sign, best in (("paper", 2), ("dev", 0)):
        bandit = UCB(sign=sign, temperature_decay=0.0)
        bandit.step, bandit.counts, bandit.rewards = 100, [50, 50, 50], [-0.2, 0.0, 0.2]
        assert max(range(3), key=bandit.probabilities().__getitem__) == best


def test_first_step_is_uniform_and_then_untried_layers_come_first():
    bandit = UCB((4, 2, 7))
    assert bandit.probabilities() == pytest.approx([1 / 3] * 3)
    assert {layer for layers in play(bandit, 3) for layer in layers} == {2, 4, 7}


@pytest.mark.parametrize("sign", ["paper", "dev"])
def test_the_papers_bandit_is_nearly_uniform(sign):
    shares = frequencies(play(UCB(sign=sign), 4000))
    assert all(0.30 < shares[layer] < 0.37 for layer in (1, 2, 3))


def test_temperature_has_a_floor():
    bandit = UCB(temperature_floor=0.5)
    bandit.step, bandit.counts, bandit.rewards = 10**6, [10**9] * 3, [0.5, 0.0, 0.0]
    expected = math.exp(0.5 / 0.5)
    assert bandit.probabilities()[0] == pytest.approx(expected / (expected + 2), rel=1e-3)


def test_uniform_and_weighted_frequencies():
    uniform = frequencies(play(Uniform((1, 2, 3, 4)), 4000))
    assert all(abs(uniform[layer] - 0.25) < 0.03 for layer in (1, 2, 3, 4))
    weighted = frequencies(play(Weighted((2, 4, 6), (1.0, 3.0, 0.0)), 4000))
    assert abs(weighted[2] - 0.25) < 0.03
    assert 6 not in weighted


def test_fixed_and_all_layers():
    assert play(Fixed(8), 3) == [(8,)] * 3
    assert play(AllLayers((3, 1)), 2) == [(3, 1)] * 2


@pytest.mark.parametrize("make", KINDS)
def test_choices_depend_on_the_seed_alone(make):
    random.seed(0)
    torch.manual_seed(0)
    first = play(make(), 50)
    random.seed(1)
    torch.manual_seed(1)
    assert play(make(), 50) == first


def test_seeds_differ():
    assert play(Uniform(seed=0), 50) != play(Uniform(seed=1), 50)


def test_without_a_seed_the_draws_follow_torchs_and_are_restored():
    torch.manual_seed(0)
    one, same = Uniform(), Uniform()
    torch.manual_seed(1)
    other = Uniform()
    state = one.state_dict()
    drawn = play(one, 50)
    assert play(same, 50) == drawn
    assert play(other, 50) != drawn
    other.load_state_dict(state)
    assert play(other, 50) == drawn


@pytest.mark.parametrize("make", KINDS)
@given(stop=st.integers(0, 40))
def test_a_restored_scheduler_goes_on_exactly(make, stop):
    whole, part = make(), make()
    expected = play(whole, 60)
    begun = play(part, stop)
    file = io.BytesIO()
    torch.save(part.state_dict(), file)
    play(part, 5)  # what happens after saving must not reach the saved state
    restored = make()
    restored.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    assert begun + play(restored, 60 - stop, first=stop) == expected
    assert restored.state_dict() == whole.state_dict()


def test_state_is_a_copy():
    bandit = UCB()
    state = bandit.state_dict()
    play(bandit, 10)
    assert state == UCB().state_dict()
    other = UCB()
    other.load_state_dict(state)
    play(other, 10)
    assert state == UCB().state_dict()


def test_costs_that_are_not_finite_are_ignored():
    bandit = UCB()
    bandit.observe(1, 1.0)
    bandit.observe(1, math.nan)
    bandit.observe(1, math.inf)
    bandit.observe(1, 0.5)
    assert bandit.counts == [2, 0, 0]
    assert bandit.costs == [0.5, None, None]
    assert bandit.rewards == pytest.approx([0.05, 0.0, 0.0])


@pytest.mark.parametrize(
    "saved", [Uniform((1, 2, 3)).state_dict(), UCB((1, 2)).state_dict()], ids=["class", "layers"]
)
def test_a_state_of_another_scheduler_is_refused(saved):
    with pytest.raises(UserError, match="make them agree"):
        UCB((1, 2, 3)).load_state_dict(saved)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Uniform(()), "name distinct layers"),
        (lambda: Fixed(0), "counted from 1"),
        (lambda: AllLayers((1, 1)), "name distinct layers"),
        (lambda: Weighted((1, 2), (1.0,)), "give 2 numbers"),
        (lambda: Weighted((1, 2), (1.0, -1.0)), "none negative"),
        (lambda: Weighted((1, 2), (0.0, 0.0)), "not all 0"),
        (lambda: UCB(decay=1.5), r"decay \(1.5\)"),
        (lambda: UCB(temperature_floor=0.0), r"temperature_floor \(0.0\)"),
    ],
)
def test_a_wrong_setting_is_named(make, message):
    with pytest.raises(UserError, match=message):
        make()
