"""Scores of a run: their three forms, averages where there are any, failures, size."""

import json
import signal
import warnings
from concurrent.futures import ProcessPoolExecutor
from unicodedata import normalize

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from speechalign.errors import UserError
from speechalign.evaluation.counted import count
from speechalign.evaluation.predictions import Prediction
from speechalign.evaluation.presets import TRANSCRIPTS, Convention, metric_of
from speechalign.evaluation.scoring import groups_of, software, summarize, told_of_failures
from tests.evaluation.test_bleu import sacrebleu_says

TEXTS = {
    "1": "The king sings in the kitchen.",
    "2": "Every day two neighbors buy the cheese.",
    "3": "A young woman draws three windows.",
}
CONVENTION = Convention()


def answered(source, said, target="eng", **fields):
    """Predictions of sentences 1, 2, 3; of some of them more than one recording."""
    rows = []
    for sentence, texts in said.items():
        for take, text in enumerate(texts):
            place = f"{source}/{sentence}/{take}", sentence, source, target
            rows.append(Prediction(*place, "", 1.0, text, None, TEXTS[sentence], **fields))
    return rows


def scored(rows, draws=50, **groups):
    parts = count(rows, CONVENTION)
    return summarize(parts, CONVENTION, groups_of(parts, **groups), draws)


GERMAN = {"1": ["A king sings in the kitchen.", "A cow sings."], "2": [TEXTS["2"]], "3": [""]}


def test_three_forms_of_a_score_are_sacrebleus_of_three_lists():
    loop = "a cow a cow a cow a cow a cow"
    rows = answered("deu", {**GERMAN, "3": [loop]})
    told = scored(rows)["pairs"]["deu-eng"]
    references = [row.reference for row in rows]
    said = [row.prediction for row in rows]
    for name, metric in (("bleu", BLEU()), ("chrf", CHRF(word_order=2))):
        score = told["scores"][name]
        assert score["value"] == pytest.approx(metric.corpus_score(said, [references]).score)
        once = [said[0], *said[2:]], [[references[0], *references[2:]]]
        assert score["by_sentence"] == pytest.approx(metric.corpus_score(*once).score)
        strict = metric.corpus_score([*said[:3], ""], [references])
        assert score["strict"] == pytest.approx(strict.score)
        assert score["signature"] == str(metric.get_signature())
        assert score["low"] <= score["value"] <= score["high"]
    assert (told["recordings"], told["sentences"], told["failed"]) == (4, 3, 1)
    assert told["failures"] == {"looping": 1}
    assert told["failed_rows"] == {"deu/3/0": ["looping"]}
    assert told["length_ratio"] == pytest.approx(sum(map(len, said)) / sum(map(len, references)))


def test_lengths_are_of_what_is_scored():
    apart = [normalize(form, " 한국어로  말합니다 ") for form in ("NFD", "NFC")]
    rows = [Prediction("a", "1", "deu", "kor", "", 1.0, apart[0], None, apart[1])]
    rows.append(rows[0]._replace(id="b", sentence_id="2", prediction="", reference="\u00a0"))
    told = told_of_failures(count(rows)[0])
    assert told["length_ratio"] == 1
    assert told["empty_references"] == 1


def test_the_average_of_one_language_has_its_interval():
    rows = answered("deu", GERMAN) + answered("nld", {"2": ["Two cows."], "3": [TEXTS["3"]]})
    told = scored(rows, 200, trained=["deu"], zero_shot=["nld"])
    for pair, group in (("deu-eng", "trained"), ("nld-eng", "zero_shot")):
        for end in ("value", "low", "high"):
            of_group = told["averages"][group]["chrf"][end]
            assert of_group == pytest.approx(told["pairs"][pair]["scores"]["chrf"][end])


def test_averages_and_gaps_weigh_languages_alike():
    said = {"deu": GERMAN, "nld": {"1": ["A cow."], "2": [""], "3": [TEXTS["3"]]},
            "amh": {"1": [TEXTS["1"]], "2": [TEXTS["2"]], "3": [TEXTS["3"]]}}  # fmt: skip
    rows = [row for source, texts in said.items() for row in answered(source, texts)]
    told = scored(rows, trained=["deu", "fra"], zero_shot=["nld", "amh"])
    value = {pair: one["scores"]["chrf"]["value"] for pair, one in told["pairs"].items()}
    mean = told["averages"]
    assert mean["trained"]["languages"] == ["deu"]
    assert mean["trained"]["chrf"]["value"] == pytest.approx(value["deu-eng"])
    assert mean["zero_shot"]["chrf"]["value"] == pytest.approx(
        (value["nld-eng"] + value["amh-eng"]) / 2
    )
    assert mean["low_resource"]["languages"] == ["amh"]
    assert mean["high_resource"]["languages"] == ["deu", "nld"]
    gap = told["gaps"]["trained-zero_shot"]["chrf"]
    assert gap["value"] == pytest.approx(
        mean["trained"]["chrf"]["value"] - mean["zero_shot"]["chrf"]["value"]
    )
    assert gap["low"] <= gap["value"] <= gap["high"]
    assert set(told["gaps"]) == {"trained-zero_shot", "high_resource-low_resource"}
    json.dumps(told, allow_nan=False)


def test_a_language_with_many_targets_weighs_no_more_than_others():
    right = {"1": [TEXTS["1"]], "2": [TEXTS["2"]]}
    rows = [row for target in ("eng", "fra", "spa") for row in answered("deu", right, target)]
    rows += answered("nld", {"1": ["x"], "2": ["x"]})
    mean = scored(rows)["averages"]["all"]["bleu"]["value"]
    assert mean == pytest.approx(50)


def test_texts_are_counted_as_sacrebleu_counts_them_in_the_form_that_is_told(tmp_path):
    said = ["Zoë  drückt\tdie Tür zu und geht", "é e\u0301 a b c d", "\u1e9b\u0323 x y z w"]
    right = ["Zoë drückt die Tür auf und geht", "é é a b c d", "\u1e9b\u0323 x y z w"]
    rows = [
        Prediction(str(n), str(n), "eng", "deu", "", 1.0, one, None, other)
        for n, (one, other) in enumerate(zip(said, right, strict=True))
    ]
    told = scored([row._replace(prediction=normalize("NFD", row.prediction)) for row in rows])
    assert told["texts"] == "NFC, single spaces"
    texts = ([" ".join(normalize("NFC", text).split()) for text in side] for side in (said, right))
    value, signature = sacrebleu_says(tmp_path, *texts, "-m", "bleu")
    score = told["pairs"]["eng-deu"]["scores"]["bleu"]
    assert f"{score['value']:.10f}" == f"{value:.10f}"
    assert score["signature"] == signature


def test_bleu_over_different_tokenizers_is_not_averaged():
    rows = answered("deu", GERMAN) + answered("deu", GERMAN, target="jpn")
    told = scored(rows, trained=["deu"])
    assert "bleu" not in told["averages"]["trained"]
    assert told["averages"]["trained"]["chrf"]["value"] > 0
    assert set(told["pairs"]) == {"deu-eng", "deu-jpn"}


def test_transcripts_are_scored_by_error_rates_and_those_on_the_way_too():
    heard = answered("deu", {"1": ["A king sings."]}, src_text="Ein König singt.")
    heard = [row._replace(transcript="Ein König, singt laut.") for row in heard]
    told = scored(heard + answered("deu", {"1": ["The king sings here."]}, target="deu"))
    assert set(told["pairs"]["deu-deu"]["scores"]) == {"wer", "cer"}
    assert told["pairs"]["deu-eng"]["scores"]["transcript_wer"]["value"] == pytest.approx(100 / 3)
    assert set(told["averages"]["all"]) - {"languages"} == {
        "bleu", "chrf", "transcript_wer", "transcript_cer", "wer", "cer"
    }  # fmt: skip


def test_transcripts_whose_source_is_unknown_are_not_scored():
    rows = [row._replace(transcript="x") for row in answered("deu", {"1": ["A king."]})]
    assert set(scored(rows)["pairs"]["deu-eng"]["scores"]) == {"bleu", "chrf"}


@given(st.permutations(range(4)))
def test_the_order_of_rows_does_not_matter(order):
    rows = answered("deu", GERMAN)
    assert scored([rows[at] for at in order]) == scored(rows)


def test_processes_count_alike(monkeypatch):
    rows = answered("deu", GERMAN) + answered("fra", GERMAN)
    monkeypatch.setattr("speechalign.evaluation.counted.MANY", 1)
    alone, shared = count(rows, CONVENTION, 1), count(rows, CONVENTION, 2)
    for one, other in zip(alone, shared, strict=True):
        assert one.rows == other.rows
        for name in one.counts:
            np.testing.assert_array_equal(one.counts[name], other.counts[name])


def test_more_processes_than_pairs_or_wanted_are_not_started(monkeypatch):
    started = []

    class Counted(ProcessPoolExecutor):
        def __init__(self, processes, **options):
            started.append(processes)
            super().__init__(processes, **options)

    monkeypatch.setattr("speechalign.evaluation.counted.MANY", 1)
    monkeypatch.setattr("speechalign.evaluation.counted.ProcessPoolExecutor", Counted)
    rows = answered("deu", GERMAN) + answered("fra", GERMAN)
    for processes in (1, 9):
        count(rows, CONVENTION, processes)
    assert started == [2]


def test_what_transcripts_lack_is_told_once(monkeypatch):
    def lacking(name, *told):
        if name.startswith(TRANSCRIPTS):
            raise UserError("It needs a package.")
        return metric_of(name, *told)

    monkeypatch.setattr("speechalign.evaluation.counted.metric_of", lacking)
    heard = {"transcript": "x", "src_text": "x"}
    rows = [
        row._replace(**heard)
        for code in ("deu", "fra")
        for row in answered(code, {"1": ["A king."]})
    ]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        count(rows, CONVENTION)
    assert [str(one.message) for one in told] == ["Transcripts are not scored. It needs a package."]


def test_processes_that_count_do_not_hear_ctrl_c(monkeypatch):
    blocked = []

    class Watched(ProcessPoolExecutor):
        def map(self, *work, **options):
            blocked.append(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))
            return super().map(*work, **options)

    monkeypatch.setattr("speechalign.evaluation.counted.MANY", 1)
    monkeypatch.setattr("speechalign.evaluation.counted.ProcessPoolExecutor", Watched)
    count(answered("deu", GERMAN) + answered("fra", GERMAN), CONVENTION, 2)
    assert blocked == [True]


def test_nothing_is_no_score():
    with pytest.raises(UserError, match="nothing to score"):
        count([], CONVENTION)
    with pytest.raises(UserError, match="draws is 0"):
        scored(answered("deu", GERMAN), draws=0)


@pytest.mark.parametrize("target", ["arb", "jpn", "tha", "cmn"])
def test_odd_text_is_scored(target):
    texts = ["سلام\tعليكم", "学校\nへ行く", "สวัสดี", "\u202bمرحبا\u202c", "", "é", "e\u0301"]  # noqa: RUF001
    rows = [
        Prediction(str(n), str(n), "deu", target, "", 1.0, text, None, texts[n - 1])
        for n, text in enumerate(texts)
    ]
    told = scored(rows)["pairs"][f"deu-{target}"]
    assert told["empty_references"] == 1
    assert told["failures"]["empty"] == 1  # the other is what was expected
    for score in told["scores"].values():
        assert 0 <= score["value"] <= 100


def test_versions_are_told():
    assert set(software()) >= {"sacrebleu", "jiwer", "speechalign"}
