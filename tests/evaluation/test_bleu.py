"""BLEU, chrF++ and spBLEU against the `sacrebleu` command line, and what is refused."""

import json
import subprocess
import sys
from pathlib import Path
from urllib.error import URLError

import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from speechalign.errors import UserError
from speechalign.evaluation.metrics import Bleu, Chrf, Metric
from speechalign.evaluation.presets import (
    PRESETS,
    SPM_FILE,
    Convention,
    bleu_in,
    check_preset,
    has_spbleu,
    metric_of,
    spbleu,
)
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


def bleu(target: str) -> Metric:
    return bleu_in(target, PRESETS["speechalign"])


@pytest.mark.parametrize("target", WESTERN + EASTERN)
def test_bleu_equals_the_command_line(target, shared, tmp_path):
    (path,) = (shared / "text/flores_dev_300").glob(f"{target}*.txt")
    references = path.read_text(encoding="utf-8").splitlines()
    hypotheses = perturb(references)
    ours = bleu(target)
    tokenizer = language(target).bleu_tokenizer
    value, signature = sacrebleu_says(
        tmp_path, hypotheses, references, "-m", "bleu", "-tok", tokenizer
    )
    assert f"{ours.of(hypotheses, references):.10f}" == f"{value:.10f}"
    assert ours.signature == signature
    assert 5 < value < 95


@pytest.mark.parametrize("target", WESTERN + EASTERN)
def test_bleu_equals_sacrebleus_own_choice_of_tokenizer(target, shared):
    (path,) = (shared / "text/flores_dev_300").glob(f"{target}*.txt")
    references = path.read_text(encoding="utf-8").splitlines()
    hypotheses = perturb(references)
    own_choice = BLEU(trg_lang=language(target).iso639_1 or "")  # knows zh, ja and ko
    theirs = BLEU(tokenize="char") if target == "tha" else own_choice
    ours = bleu(target)
    expected = theirs.corpus_score(hypotheses, [references]).score
    assert ours.of(hypotheses, references) == pytest.approx(expected, abs=1e-10)
    assert ours.signature == str(theirs.get_signature())


@pytest.mark.parametrize("target", WESTERN + EASTERN)
def test_chrf_equals_the_command_line(target, shared, tmp_path):
    (path,) = (shared / "text/flores_dev_300").glob(f"{target}*.txt")
    references = path.read_text(encoding="utf-8").splitlines()
    hypotheses = perturb(references)
    value, signature = sacrebleu_says(
        tmp_path, hypotheses, references, "-m", "chrf", "--chrf-word-order", "2"
    )
    assert f"{Chrf().of(hypotheses, references):.10f}" == f"{value:.10f}"
    assert Chrf().signature == signature
    assert "nw:2" in signature


@pytest.mark.parametrize("options", [(), ("-lc",)])
def test_few_odd_segments_equal_the_command_line(options, tmp_path):
    ours = Bleu("13a", lowercase=bool(options))
    told = sacrebleu_says(tmp_path, HYPOTHESES, REFERENCES, "-m", "bleu", *options)
    assert (pytest.approx(ours.of(HYPOTHESES, REFERENCES), abs=1e-9), ours.signature) == told


@pytest.fixture(scope="module")
def pieces(tmp_path_factory):
    """A SentencePiece model where sacrebleu keeps that of FLORES-200, as `$SACREBLEU`."""
    folder = tmp_path_factory.mktemp("sacrebleu")
    text = folder / "text.txt"
    words = sorted({*" ".join(REFERENCES).lower().split(), "a", "cat", "sat", "again", "nothing"})
    text.write_text("\n".join(" ".join(words[i:] + words[:i]) for i in range(len(words))))
    (folder / "models").mkdir()
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(folder / "pieces"), vocab_size=30, minloglevel=2
    )
    (folder / "pieces.model").rename(folder / "models" / SPM_FILE)
    return folder


def test_spbleu_equals_the_command_line(pieces, tmp_path, monkeypatch):
    monkeypatch.setattr("sacrebleu.tokenizers.tokenizer_spm.SACREBLEU_DIR", str(pieces))
    monkeypatch.setattr("speechalign.evaluation.presets.SACREBLEU_DIR", str(pieces))
    monkeypatch.setenv("SACREBLEU", str(pieces))
    told = sacrebleu_says(tmp_path, HYPOTHESES, REFERENCES, "-m", "bleu", "-tok", "flores200")
    assert has_spbleu()
    assert (pytest.approx(spbleu().of(HYPOTHESES, REFERENCES), abs=1e-9), spbleu().signature) == (
        told
    )
    assert told[0] > 0


def test_spbleu_without_its_model_is_one_line(tmp_path, monkeypatch):
    def unreachable(*_):
        raise URLError("no network")

    for module in ("sacrebleu.tokenizers.tokenizer_spm", "speechalign.evaluation.presets"):
        monkeypatch.setattr(f"{module}.SACREBLEU_DIR", str(tmp_path))
    monkeypatch.setattr("sacrebleu.tokenizers.tokenizer_spm.download_file", unreachable)
    assert not has_spbleu()
    with pytest.raises(UserError, match="spBLEU needs the SentencePiece model"):
        spbleu()
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / SPM_FILE).write_bytes(b"half of it")
    assert not has_spbleu()


PRESET_SIGNATURES = {  # of Chinese, Japanese, Cantonese, Burmese, German
    "speechalign": ("mixed zh", "mixed ja-mecab", "mixed zh", "mixed char", "mixed 13a"),
    "potsa": ("lc zh", "lc ja-mecab", "lc zh", "lc char", "lc 13a"),
    "llm-srt": ("mixed char", "mixed char", "mixed char", "mixed char", "mixed 13a"),
    "seamless": ("mixed char", "mixed char", "mixed 13a", "mixed char", "mixed 13a"),
    "whisper": ("mixed 13a",) * 5,
}


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_count_as_their_systems_do(preset):
    for target, told in zip(
        ("cmn", "jpn", "yue", "mya", "deu"), PRESET_SIGNATURES[preset], strict=True
    ):
        signature = metric_of("bleu", ("eng", target), Convention(preset)).signature
        case, tokenizer = told.split()
        assert f"case:{case}|" in signature
        assert f"tok:{tokenizer}" in signature


def test_an_unknown_preset_is_told():
    with pytest.raises(UserError, match="no preset 'moses'"):
        check_preset("moses")


@pytest.mark.parametrize("entry", LANGUAGES, ids=lambda entry: entry.code)
def test_each_language_scores_its_own_text_in_full(entry):
    text = ["one two three four five 五 六 七 八 九 ten"]
    assert bleu(entry.fleurs).of(text, text) == pytest.approx(100.0)
    assert f"tok:{entry.bleu_tokenizer}" in bleu(entry.fleurs).signature


def test_an_empty_hypothesis_counts():
    references = ["one two three four five", "six seven eight nine ten"]
    metric = bleu("eng")
    whole = metric.of(references, references)
    assert metric.of([references[0], ""], references) < 0.5 * whole
    assert metric.of(["", ""], references) == 0.0
    assert Chrf().of(["", ""], references) == 0.0


@given(st.lists(st.tuples(st.text(), st.text()), min_size=1, max_size=5))
def test_any_text_has_scores_between_0_and_100(pairs):
    hypotheses, references = ([pair[side] for pair in pairs] for side in (0, 1))
    for metric, theirs in ((bleu("eng"), BLEU()), (Chrf(), CHRF(word_order=2))):
        value = metric.of(hypotheses, references)
        assert -1e-9 <= value <= 100 + 1e-9
        expected = theirs.corpus_score(hypotheses, [references]).score
        assert value == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("metric", [Bleu("13a"), Chrf()])
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
def test_lists_that_do_not_belong_together_are_refused(metric, hypotheses, references, message):
    with pytest.raises(UserError, match=message):
        metric.of(hypotheses, references)


def test_an_unknown_target_is_refused():
    with pytest.raises(UserError, match="Unknown language"):
        bleu("tlh")


@pytest.mark.parametrize(("target", "module"), [("jpn", "ja"), ("kor", "ko")])
def test_a_missing_tokenizer_says_what_to_install(target, module, monkeypatch):
    name = f"sacrebleu.tokenizers.tokenizer_{module}_mecab.MeCab"
    bleu(target)
    monkeypatch.setattr(name, None)
    with pytest.raises(UserError, match=r"pip install 'sacrebleu\[ja,ko\]'"):
        bleu(target)
