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
    Interval,
    Run,
    compare_runs,
    corpus_bleu,
    segment_counts,
)

WORDS = "the a dog cat king sees hears red small house near by and of two"
TEXTS = st.lists(st.sampled_from(WORDS.split()), max_size=9).map(" ".join)


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


@given(st.lists(st.tuples(TEXTS, TEXTS.filter(bool)), min_size=1, max_size=12))
def test_summed_counts_give_sacrebleus_score(segments):
    hypotheses, references = zip(*segments, strict=True)
    metric = BLEU()
    counts = sum(segment_counts(metric, *segment) for segment in segments)
    expected = metric.corpus_score(list(hypotheses), [list(references)]).score
    assert corpus_bleu(counts[None])[0] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("rate", [0.10, 0.13, 0.16])
def test_one_run_and_one_language_is_sacrebleus_paired_bootstrap(rate):
    draw = np.random.default_rng(0)
    references = sentences(draw, 200)
    one, other = noisy(draw, references, 0.10), noisy(draw, references, rate)
    systems = [("other", other), ("one", one)]
    base, system = PairedTest(systems, {"bleu": BLEU()}, [references], "bs", 2000)()[1]["BLEU"]
    runs = [Run(answers(said, references), ["deu"]) for said in (one, other)]
    ours = compare_runs(runs[:1], runs[1:])
    assert ours.value == pytest.approx(system.score - base.score, abs=1e-9)
    assert ours.p / 2 == pytest.approx(system.p_value, abs=0.05)  # theirs looks at one side
    assert ours.low < ours.value < ours.high


def test_no_effect_is_rarely_found():
    """Two systems that err alike, of recordings that come in clusters of one sentence."""
    found = 0
    for trial in range(100):
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
            runs.append(Run(rows, ["deu", "fra", "ita"]))
        interval = compare_runs(runs[:1], runs[1:], draws=300)
        found += not interval.low <= 0 <= interval.high
    assert found <= 12  # 5 expected; 13 or more of 100 happen once in 600 times


def test_runs_that_disagree_widen_the_interval():
    draw = np.random.default_rng(0)
    references = sentences(draw, 300)
    base = Run(answers(noisy(draw, references, 0.2), references), ["deu"])
    rates = (0.05, 0.3, 0.1, 0.25)
    runs = [Run(answers(noisy(draw, references, rate), references), ["deu"]) for rate in rates]
    alone = [compare_runs([run], [base]) for run in runs]
    together = compare_runs(runs, [base] * 4)
    assert together.value == pytest.approx(np.mean([one.value for one in alone]))
    assert together.low < 0 < together.high
    assert all(one.high - one.low < together.high - together.low for one in alone)


def test_what_cannot_be_compared_is_refused():
    rows = answers(["a dog"], ["a dog"])
    run = Run(rows, ["deu"])
    with pytest.raises(UserError, match="no predictions from fra"):
        Run(rows, ["deu", "fra"])
    with pytest.raises(UserError, match="1 runs against 2"):
        compare_runs([run], [run, run])
    with pytest.raises(UserError, match="draws is 0"):
        compare_runs([run], [run], draws=0)
    assert compare_runs([run], [run], draws=1).value == 0
    with pytest.raises(UserError, match="different recordings"):
        compare_runs([run], [Run(answers(["a dog"], ["a cat"]), ["deu"])])
    written = [*answers(["a"], ["a"]), answers(["a"], ["a"], "fra")[0]._replace(tgt_lang="jpn")]
    with pytest.raises(UserError, match="13a and ja-mecab"):
        Run(written, ["deu", "fra"])


def test_an_interval_is_written_with_its_sign():
    assert str(Interval(1.25, -0.31, 2.94, 0.1)) == "+1.2 [-0.3, +2.9]"
