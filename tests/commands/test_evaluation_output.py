"""The page of `evaluate` and `compare`: what it tells of sentences, and who can read it."""

import re

import pytest

from speechalign.commands.evaluation_output import TEMPLATE, seen, view_of
from speechalign.evaluation.counted import count
from speechalign.evaluation.predictions import Prediction
from speechalign.evaluation.presets import Convention
from speechalign.evaluation.scoring import groups_of, summarize
from speechalign.evaluation.sentences import most_changed, worst

CONVENTION = Convention()
RIGHT = "Der König singt."


def spoken(said, target="deu"):
    """One recording of a German sentence."""
    return Prediction("1", "1", "deu", target, "", 1.0, said, None, RIGHT)


def test_transcripts_are_shown_by_their_error_rate():
    wrong, better = (count([spoken(said)]) for said in ("Der Kenig sinkt.", "Der König sinkt."))
    (shown,) = map(seen, worst(wrong, CONVENTION))
    assert shown["measure"] == "CER"
    assert shown["score"] == pytest.approx(100 * 2 / 15)  # characters, without the full stop
    assert (shown["change"], shown["gained"]) == (None, False)
    (shown,) = map(seen, most_changed(better, wrong, CONVENTION))
    assert shown["score"] == pytest.approx(100 / 15)
    assert shown["change"] == pytest.approx(-100 / 15)
    assert shown["gained"]
    (shown,) = map(seen, most_changed(wrong, better, CONVENTION))
    assert not shown["gained"]


def test_translations_are_shown_by_chrf():
    (shown,) = map(seen, worst(count([spoken("Der Kenig.", "eng")]), CONVENTION))
    assert shown["measure"] == "chrF++"
    assert 0 < shown["score"] < 100


def test_the_page_knows_of_which_metrics_less_is_better():
    parts = count([spoken(RIGHT), spoken(RIGHT, "eng")])
    told = summarize(parts, CONVENTION, groups_of(parts), draws=2)
    view = view_of([told], [])
    assert set(view["lower"]) == {"wer", "cer"}
    assert set(view["labels"]) == {"bleu", "chrf", "wer", "cer"}
    assert (view["comparison"], view["notes"], view["sources"]) == ([], [], [[]])


def test_text_on_the_page_is_legible_on_a_phone():
    sizes = [
        int(size) for size in re.findall(r"font(?:-size)?:[^;}]*?(\d+)px", TEMPLATE.read_text())
    ]
    assert sizes
    assert min(sizes) >= 11
    assert "max-width: 100%; height: auto" not in TEMPLATE.read_text()  # a drawing shrinks its text
