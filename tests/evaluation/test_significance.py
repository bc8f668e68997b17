"""Bootstrap over sentences and runs, against sacrebleu and against simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.significance import PairedTest

from speechalign.errors import UserError
from speechalign.evaluation.predictions import Prediction
from speechalign.evaluation.significance import (
    Difference,
    Interval,
    blocks,
    bootstrap,
    compare,
    holm,
    tally_of,
)

TRIALS = 200
MOST = 20  # of 200 where 10 are expected; 21 or more happen once in 700 times
WORDS = "the a dog cat king sees hears red small house near by and of two"


def answers(hypotheses, references, source="deu", prefix=""):
    return [
        Prediction(f"{prefix}{source}{n}", str(n), source, "eng", "", 1.0, said, None, right)
        for n, (said, right) in enumerate(zip(hypotheses, references, strict=True))
    ]


def sentences(draw, count):
    return [" ".join(draw.choice(WORDS.split(), 8)) for _ in range(count)]


def noisy(draw, texts, rate):
    return [
        " ".join(w if draw.random() > rate else "wrong" for w in text.split()) for text in texts
    ]


@pytest.mark.parametrize("rate", [0.10, 0.13, 0.16])
def test_one_run_and_one_language_is_sacrebleus_paired_bootstrap(rate):
    draw = np.random.default_rng(0)
    references = sentences(draw, 200)
    one, other = noisy(draw, references, 0.10), noisy(draw, references, rate)
    systems = [("other", other), ("one", one)]
    base, system = PairedTest(systems, {"bleu": BLEU()}, [references], "bs", 2000)()[1]["BLEU"]
    runs = [tally_of(answers(said, references), ["deu"]) for said in (one, other)]
    ours = compare(runs[:1], runs[1:], draws=2000)
    told = ours.interval
    assert told.value == pytest.approx(system.score - base.score, abs=1e-9)
    assert ours.p_bootstrap / 2 == pytest.approx(system.p_value, abs=0.05)  # theirs: one side
    assert told.low < told.value < told.high
    _, exchanged = PairedTest(systems, {"bleu": BLEU()}, [references], "ar", 2000)()
    assert ours.p_randomization == pytest.approx(exchanged["BLEU"][1].p_value, abs=0.05)
    mean, half = exchanged_interval(systems[1][1], references)
    alone = bootstrap(runs[0], 2000)
    assert alone.mean() == pytest.approx(mean, abs=0.3)
    assert np.ptp(np.quantile(alone, [0.025, 0.975])) / 2 == pytest.approx(half, rel=0.1)


def exchanged_interval(said, references):
    """The mean and half the interval that sacrebleu's own bootstrap gives."""
    score = BLEU().corpus_score(said, [references], n_bootstrap=2000)
    return score._mean, score._ci


def test_no_effect_is_rarely_found():
    """Two systems that err alike, of recordings that come in clusters of one sentence."""
    found = {"interval": 0, "bootstrap": 0, "randomization": 0}
    for trial in range(TRIALS):
        draw = np.random.default_rng(trial)
        references = sentences(draw, 60)
        runs = []
        for _ in range(2):
            hard = draw.random(60) < 0.3  # a sentence fails in all its languages together
            rows = []
            for source in ("deu", "fra", "ita"):
                said = [
                    noisy(draw, [text], 0.5 if bad else 0.05)[0]
                    for text, bad in zip(references, hard, strict=True)
                ]
                rows += answers(said, references, source)
            runs.append(tally_of(rows, ["deu", "fra", "ita"]))
        told = compare(runs[:1], runs[1:], draws=300)
        found["interval"] += not told.interval.low <= 0 <= told.interval.high
        found["bootstrap"] += told.p_bootstrap < 0.05
        found["randomization"] += told.p_randomization < 0.05
    assert max(found.values()) <= MOST, found


def test_an_effect_is_found():
    draw = np.random.default_rng(0)
    references = sentences(draw, 150)
    one, other = (tally_of(answers(noisy(draw, references, rate), references), ["deu"])
                  for rate in (0.05, 0.15))  # fmt: skip
    told = compare([one], [other])
    assert told.interval.low > 0
    assert max(told.p_bootstrap, told.p_randomization) < 0.01


def test_clusters_widen_the_interval_where_recordings_fail_together():
    """Each sentence thrice, with one answer: as much is known as from each of them once."""
    draw = np.random.default_rng(0)
    references = sentences(draw, 100)
    said = noisy(draw, references, 0.3)
    once = answers(said, references)
    thrice = [row._replace(id=f"{row.id}/{n}") for row in once for n in range(3)]
    spread = [np.std(bootstrap(tally_of(rows, ["deu"]))) for rows in (once, thrice)]
    assert spread[1] == pytest.approx(spread[0], rel=1e-9)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_that_of_the_definition(p_values):
    corrected = holm(p_values)
    order = np.argsort(p_values, kind="stable")
    for rank, place in enumerate(order):
        steps = [(len(p_values) - r) * p_values[order[r]] for r in range(rank + 1)]
        assert corrected[place] == min(1.0, max(steps))


def test_draws_do_not_depend_on_how_many_are_held_at_once(monkeypatch):
    whole = np.concatenate(list(blocks(50, 40, seed=1)))
    monkeypatch.setattr("speechalign.evaluation.significance.AT_ONCE", 50 * 7)
    parts = list(blocks(50, 40, seed=1))
    assert len(parts) == 6
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("runs", [2, 3, 5])
def test_no_effect_is_rarely_found_in_several_runs_that_differ(runs):
    """Two systems whose runs err at rates of their own, alike in the mean."""
    found = {"interval": 0, "p": 0}
    for trial in range(TRIALS):
        draw = np.random.default_rng([runs, trial])
        references = sentences(draw, 40)
        rates = np.clip(draw.normal(0.2, 0.06, (2, runs)), 0, 1)
        one, other = (
            [tally_of(answers(noisy(draw, references, rate), references), ["deu"]) for rate in side]
            for side in rates
        )
        told = compare(one, other, draws=200)
        found["interval"] += not told.interval.low <= 0 <= told.interval.high
        found["p"] += told.p < 0.05
    assert max(found.values()) <= MOST, found


def test_runs_that_disagree_widen_the_interval():
    draw = np.random.default_rng(0)
    references = sentences(draw, 300)
    base = tally_of(answers(noisy(draw, references, 0.2), references), ["deu"])
    rates = (0.05, 0.3, 0.1, 0.25)
    runs = [tally_of(answers(noisy(draw, references, r), references), ["deu"]) for r in rates]
    alone = [compare([run], [base]).interval for run in runs]
    told = compare(runs, [base] * 4)
    together = told.interval
    assert told.p_randomization is None
    assert told.p == told.p_bootstrap
    assert np.mean(told.scores) - np.mean(told.baseline) == pytest.approx(together.value)
    assert together.value == pytest.approx(np.mean([one.value for one in alone]))
    assert together.low < 0 < together.high
    assert all(one.high - one.low < together.high - together.low for one in alone)


def test_what_cannot_be_compared_is_refused():
    rows = answers(["a dog"], ["a dog"])
    run = tally_of(rows, ["deu"])
    with pytest.raises(UserError, match="no predictions from fra"):
        tally_of(rows, ["deu", "fra"])
    with pytest.raises(UserError, match="1 run against 2"):
        compare([run], [run, run])
    with pytest.raises(UserError, match="draws is 0"):
        compare([run], [run], draws=0)
    assert compare([run], [run], draws=1).interval.value == 0
    with pytest.raises(UserError, match="different recordings"):
        compare([run], [tally_of(answers(["a dog"], ["a cat"]), ["deu"])])
    other = [row._replace(sentence_id="2") for row in rows]
    with pytest.raises(UserError, match="different sentence_ids for the same recordings"):
        compare([run], [tally_of(other, ["deu"])])
    written = [*answers(["a"], ["a"]), answers(["a"], ["a"], "fra")[0]._replace(tgt_lang="jpn")]
    with pytest.raises(UserError, match=r"13a.*ja-mecab"):
        tally_of(written, ["deu", "fra"])
    with pytest.raises(UserError, match="has the metric wer"):
        tally_of(rows, ["deu"], "wer")


def test_a_difference_is_written_with_its_sign():
    assert str(Interval(1.25, -0.31, 2.94)) == "+1.2 [-0.3, +2.9]"
    assert str(Difference(Interval(-1.26, -3.0, 0.04), 0.1, 0.2, (), ())) == "-1.3 [-3.0, +0.0]"
