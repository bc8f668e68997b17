"""Systems beside one another, the sentences that changed, and the tables to paste."""

import csv
import io

import pytest

from speechalign.errors import UserError
from speechalign.evaluation import tables
from speechalign.evaluation.comparison import System, compare_systems
from speechalign.evaluation.comparison_tables import comparison_rows, probability
from speechalign.evaluation.counted import count
from speechalign.evaluation.presets import Convention
from speechalign.evaluation.scoring import groups_of, summarize
from speechalign.evaluation.sentences import most_changed, worst
from speechalign.evaluation.significance import compare, tally_of
from tests.evaluation.test_significance import answers, noisy, sentences

CONVENTION = Convention()


@pytest.fixture(scope="module")
def runs():
    """Two runs each of a good and a bad system, from two languages."""
    import numpy as np

    draw = np.random.default_rng(0)
    references = sentences(draw, 80)
    return {
        name: [
            [
                row
                for source in ("deu", "fra")
                for row in answers(noisy(draw, references, rate), references, source)
            ]
            for _ in range(2)
        ]
        for name, rate in (("bad", 0.3), ("good", 0.1))
    }


@pytest.fixture(scope="module")
def systems(runs):
    return [System(name, [count(rows) for rows in told]) for name, told in runs.items()]


def test_a_better_system_is_told_by_pair_and_on_average(runs, systems):
    (told,) = compare_systems(systems, {"trained": ["deu", "fra"]}, draws=200)
    assert (told["name"], told["runs"]) == ("good", 2)
    assert set(told["pairs"]) == {"deu-eng", "fra-eng"}
    tallies = [[tally_of(rows, ["deu", "fra"]) for rows in runs[name]] for name in ("good", "bad")]
    expected = compare(*tallies, draws=200)
    mean = told["averages"]["trained"]["bleu"]
    assert (mean["value"], mean["low"], mean["high"]) == pytest.approx(expected.interval)
    for pair in told["pairs"].values():
        for one in pair.values():
            assert one["value"] > 0
            assert one["p_corrected"] >= one["p_bootstrap"]
            assert one["p_randomization"] is None
            assert len(one["scores"]) == len(one["baseline"]) == 2
    single = [System(system.name, system.runs[:1]) for system in systems]
    (told,) = compare_systems(single, {}, draws=10)
    for pair in told["pairs"].values():
        for one in pair.values():
            assert one["low"] > 0
            assert one["p_randomization"] <= one["p_corrected"] < 0.05  # with draws enough


def test_what_cannot_be_compared_is_told(systems):
    alone = System("one", systems[0].runs[:1])
    with pytest.raises(UserError, match="one has 1 run, good has 2 runs"):
        compare_systems([alone, systems[1]], {})
    french = System("french", [[run[1]] for run in systems[0].runs])
    german = System("german", [[run[0]] for run in systems[0].runs])
    with pytest.raises(UserError, match="no pair of languages in common"):
        compare_systems([french, german], {})
    (told,) = compare_systems([french, systems[1]], {"all": ["deu", "fra"]}, draws=20)
    assert set(told["pairs"]) == {"fra-eng"}


def compared(bad, good):
    systems = [System("bad", [count(bad)]), System("good", [count(good)])]
    return compare_systems(systems, {"all": ["deu", "fra"]}, draws=100)


def test_all_runs_are_drawn_by_the_sentences_of_the_first(runs):
    """Two recordings say each sentence; one system tells so by other ids, or not at all."""
    bad, good = ([row._replace(sentence_id=f"{int(row.sentence_id) // 2:02}") for row in side[0]]
                 for side in runs.values())  # fmt: skip
    renamed = [row._replace(sentence_id=f"sentence {row.sentence_id}") for row in bad]
    apart = [row._replace(sentence_id=row.id) for row in good]
    assert compared(renamed, good) == compared(bad, apart) == compared(bad, good)


def test_pairs_of_different_tokenizers_have_no_average(runs):
    japanese = [row._replace(tgt_lang="jpn") for row in runs["bad"][0] if row.src_lang == "fra"]
    rows = [row for row in runs["bad"][0] if row.src_lang == "deu"] + japanese
    systems = [System(name, [count(rows)]) for name in "ab"]
    (told,) = compare_systems(systems, {"all": ["deu", "fra"]}, draws=20)
    assert set(told["pairs"]["fra-jpn"]) == {"bleu", "chrf"}
    assert set(told["averages"]["all"]) == {"chrf"}


def test_transcripts_do_not_cost_the_average_of_translations(runs):
    spoken = runs["bad"][0][:80]
    asr = [row._replace(tgt_lang="deu") for row in spoken]
    systems = [System(name, [count(spoken + asr)]) for name in "ab"]
    (told,) = compare_systems(systems, {"all": ["deu"]}, draws=20)
    assert set(told["averages"]["all"]) == {"bleu", "chrf", "wer", "cer"}


def test_the_worst_and_the_most_changed_sentences(systems):
    bad, good = (system.runs[0] for system in systems)
    found = worst(bad, CONVENTION, 6)
    assert [one.score for one in found] == sorted(one.score for one in found)
    assert len(found) == 6
    assert len({(one.row.src_lang, one.row.sentence_id) for one in found}) == 6
    changed = most_changed(good, bad, CONVENTION, 4)
    assert all(one.change > 0 for one in changed[:4])
    assert changed[0].change == max(one.change for one in changed)
    assert all(one.change < 0 for one in changed[4:])
    assert changed[0].other is not None
    assert most_changed(good, good, CONVENTION) == []


def test_perfect_answers_are_none_of_the_worst(runs):
    spoken = runs["bad"][0][:6]
    right = [row._replace(prediction=row.reference) for row in spoken[:5]]
    heard = [row._replace(tgt_lang="deu") for row in right]
    silent = spoken[5]._replace(prediction="", reference="")  # right, though it has no score
    assert worst(count([*right, silent, *heard]), CONVENTION) == []
    wrong = spoken[5]._replace(prediction="no")
    (found,) = worst(count([*right, wrong, *heard]), CONVENTION)
    assert found.row == wrong


def test_a_mean_of_the_same_languages_is_told_once():
    groups = {"trained": ["deu", "fra"], "zero_shot": ["nld"], "all": ["fra", "deu"]}
    assert tables.mean_titles(groups) == {"trained": "mean of 2 trained languages"}
    assert tables.mean_titles(groups | {"all": ["deu", "fra", "nld"]}) == {
        "trained": "mean of 2 trained languages",
        "all": "mean of all 3 languages",
    }


def test_a_gap_between_the_same_languages_is_told_once():
    groups = {"trained": ["deu"], "zero_shot": ["amh"], "high_resource": ["deu"],
              "low_resource": ["amh"]}  # fmt: skip
    gaps = ["trained-zero_shot", "high_resource-low_resource"]
    assert tables.gap_titles(gaps, groups) == {"trained-zero_shot": "trained minus zero-shot"}
    assert set(tables.gap_titles(gaps, groups | {"low_resource": ["amh", "orm"]})) == set(gaps)


@pytest.fixture(scope="module")
def metrics(systems):
    parts = systems[0].runs[0]
    return summarize(parts, CONVENTION, groups_of(parts, ["deu"], ["fra"]), 20)


def test_tables(metrics, systems):
    rows = tables.rows_of(metrics)
    assert rows[0] == ["", "BLEU", "chrF++", "strict BLEU", "failed", "recordings", "sentences"]
    assert rows[1][0] == "German → English"
    assert rows[-1][0] == "trained minus zero-shot"
    assert len({len(row) for row in rows}) == 1
    text = tables.plain(rows)
    assert len(text.splitlines()) == len(rows)
    latex = tables.latex(rows, tables.signatures(metrics))
    assert r"German $\rightarrow$ English &" in latex
    assert latex.startswith("% texts: NFC, single spaces\n% BLEU: nrefs:1|case:mixed")
    assert latex.count(r"\\") == len(rows)
    told = compare_systems(systems, {"all": ["deu", "fra"]}, draws=20)
    compared = comparison_rows("bad", told, {"all": ["deu", "fra"]})
    assert compared[1][0] == "good, 2 runs: German → English"
    assert "±" in compared[1][2]
    assert len({len(row) for row in compared}) == 1
    assert len(compared) == 1 + 2 * 2 + 2


def test_what_latex_would_take_for_its_own_is_escaped():
    assert tables.escaped("50 % of a_b & c|d") == r"50 \% of a\_b \& c\textbar{}d"
    assert tables.escaped("< {x}~\\") == (r"\textless{} \{x\}\textasciitilde{}\textbackslash{}")


def test_the_matrix_is_csv(metrics):
    rows = list(csv.reader(io.StringIO(tables.matrix(metrics, "bleu"))))
    assert rows[0] == ["source \\ target (BLEU)", "eng"]
    assert [row[0] for row in rows[1:]] == ["deu", "fra"]
    assert float(rows[1][1]) == pytest.approx(
        metrics["pairs"]["deu-eng"]["scores"]["bleu"]["value"], abs=1e-4
    )


@pytest.mark.parametrize(
    ("p", "told"), [(0.0004, "< 0.001"), (0.001, "0.001"), (1.0, "1.000"), (None, "")]
)
def test_probabilities(p, told):
    assert probability(p) == told
