"""BLEU and chrF++ against the `sacrebleu` command line, and what they refuse to score."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU

from speechalign.errors import UserError
from speechalign.evaluation.bleu import Score, bleu, chrf, mean_score
from speechalign.languages import LANGUAGES, language

WESTERN = ("cym", "deu", "eng", "fra", "ita", "nld", "por", "rus", "spa", "swh", "tur", "vie")
EASTERN = ("arb", "hin", "jpn", "kor", "tha", "zho_Hans")
HYPOTHESES = ["The cat sat on a mat today .", "", "It rains, again!", "Ünïcode 3.5%"]
REFERENCES = ["The cat sat on the mat today.", "Nothing here", "It rains again.", "Unicode 3.5 %"]


def perturb(lines: list[str]) -> list[str]:
    """Drop a fifth of the characters, swap some lines, empty one: a plausible bad system."""
    changed = [line[: len(line) * 4 // 5] if i % 3 else line for i, line in enumerate(lines)]
    changed = ["".join(c for j, c in enumerate(x) if (j + i) % 17) for i, x in enumerate(changed)]
    changed[7], changed[11], changed[13] = changed[11], changed[7], ""
    return changed


def sacrebleu_says(folder: Path, hypotheses: list[str], references: list[str], *options: str):
    """Run the command line; give the score (all its digits) and the signature."""
    for name, lines in (("hyp", hypotheses), ("ref", references)):
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    arguments = [folder / "ref", "-i", folder / "hyp", "-w", "10", *options]
    run = subprocess.run(
        [sys.executable, "-m", "sacrebleu", *arguments], capture_output=True, check=True, text=True
    )
    answer = json.loads(run.stdout)
    return answer["score"], answer["signature"]


@pytest.mark.parametrize("target", ["deu", "jpn", "kor", "tha", "zho_Hans"])
def test_bleu_equals_the_command_line(target, shared, tmp_path):
    (path,) = (shared / "text/flores_dev_300").glob(f"{target}*.txt")
    references = path.read_text(encoding="utf-8").splitlines()
    hypotheses = perturb(references)
    ours = bleu(hypotheses, references, target)
    tokenizer = language(target).bleu_tokenizer
    value, signature = sacrebleu_says(
        tmp_path, hypotheses, references, "-m", "bleu", "-tok", tokenizer
    )
    assert f"{ours.value:.10f}" == f"{value:.10f}"
    assert ours.signature == signature
    assert ours.count == 300
    assert 5 < ours.value < 95


@pytest.mark.parametrize("target", WESTERN + EASTERN)
def test_bleu_equals_sacrebleus_own_choice_of_tokenizer(target, shared):
    (path,) = (shared / "text/flores_dev_300").glob(f"{target}*.txt")
    references = path.read_text(encoding="utf-8").splitlines()
    hypotheses = perturb(references)
    own_choice = BLEU(trg_lang=language(target).iso639_1 or "")  # knows zh, ja and ko
    theirs = BLEU(tokenize="char") if target == "tha" else own_choice
    score = bleu(hypotheses, references, target)
    assert score.value == theirs.corpus_score(hypotheses, [references]).score
    assert score.signature == str(theirs.get_signature())


def test_chrf_equals_the_command_line(tmp_path):
    ours = chrf(HYPOTHESES, REFERENCES)
    value, signature = sacrebleu_says(
        tmp_path, HYPOTHESES, REFERENCES, "-m", "chrf", "--chrf-word-order", "2"
    )
    assert f"{ours.value:.10f}" == f"{value:.10f}"
    assert ours.signature == signature
    assert "nw:2" in signature


def test_scores_without_files_equal_the_command_line(tmp_path):
    ours = bleu(HYPOTHESES, REFERENCES, "eng")
    assert (ours.value, ours.signature) == (
        pytest.approx(sacrebleu_says(tmp_path, HYPOTHESES, REFERENCES, "-m", "bleu")[0], abs=1e-9),
        sacrebleu_says(tmp_path, HYPOTHESES, REFERENCES, "-m", "bleu")[1],
    )


@pytest.mark.parametrize("entry", LANGUAGES, ids=lambda entry: entry.code)
def test_each_language_scores_its_own_text_in_full(entry):
    text = ["one two three four five 五 六 七 八 九 ten"]
    score = bleu(text, text, entry.fleurs)
    assert score.value == pytest.approx(100.0)
    assert f"tok:{entry.bleu_tokenizer}" in score.signature
    assert score.count == 1


def test_an_empty_hypothesis_counts():
    references = ["one two three four five", "six seven eight nine ten"]
    whole = bleu(references, references, "eng")
    half = bleu([references[0], ""], references, "eng")
    assert half.value < 0.5 * whole.value
    assert half.count == 2
    assert bleu(["", ""], references, "eng").value == 0.0
    assert chrf(["", ""], references).value == 0.0


@given(st.lists(st.tuples(st.text(), st.text()), min_size=1, max_size=5))
def test_any_text_has_scores_between_0_and_100(pairs):
    hypotheses, references = ([pair[side] for pair in pairs] for side in (0, 1))
    for score in (bleu(hypotheses, references, "eng"), chrf(hypotheses, references)):
        assert -1e-9 <= score.value <= 100 + 1e-9
        assert score.count == len(pairs)


@pytest.mark.parametrize("score", [lambda h, r: bleu(h, r, "eng"), chrf])
@pytest.mark.parametrize(
    ("hypotheses", "references", "message"),
    [
        (["a b c d", "wrong"], ["a b c d"], "2 hypotheses for 1 references"),  # sacrebleu: 100
        (["a"], ["a", "b"], "1 hypotheses for 2 references"),
        ([], [], "nothing to score"),
        (["a", None], ["a", "b"], "Hypothesis 1 is None"),
        (["a"], [None], "Reference 0 is None"),  # sacrebleu: no reference for this segment
        (["a"], [["a"]], "Reference 0 is"),
        ("ab", ["a", "b"], "single text"),
        (["a", "b"], "ab", "single text"),
    ],
)
def test_lists_that_do_not_belong_together_are_refused(score, hypotheses, references, message):
    with pytest.raises(UserError, match=message):
        score(hypotheses, references)


def test_an_unknown_target_is_refused():
    with pytest.raises(UserError, match="Unknown language"):
        bleu(["a"], ["a"], "tlh")


@pytest.mark.parametrize(("target", "module"), [("jpn", "ja"), ("kor", "ko")])
def test_a_missing_tokenizer_says_what_to_install(target, module, monkeypatch):
    name = f"sacrebleu.tokenizers.tokenizer_{module}_mecab.MeCab"
    bleu(["a"], ["a"], target)
    monkeypatch.setattr(name, None)
    with pytest.raises(UserError, match=r"pip install 'sacrebleu\[ja,ko\]'"):
        bleu(["a"], ["a"], target)


def test_scores_of_one_signature_are_averaged():
    scores = [Score(20.0, "tok:13a", 5), Score(40.0, "tok:13a", 500)]
    assert mean_score(scores) == pytest.approx(30.0)
    assert mean_score(scores[:1]) == 20.0


def test_bleu_over_different_tokenizers_is_not_averaged():
    text = ["one two three four five"]
    with pytest.raises(UserError, match=r"different signatures.*tok:13a.*tok:zh"):
        mean_score([bleu(text, text, "eng"), bleu(text, text, "cmn")])
    with pytest.raises(UserError, match="different signatures"):
        mean_score([bleu(text, text, "eng"), chrf(text, text)])
    assert mean_score([bleu(text, text, "eng"), bleu(text, text, "deu")]) == pytest.approx(100.0)


def test_no_scores_have_no_average():
    with pytest.raises(UserError, match="no scores"):
        mean_score([])
