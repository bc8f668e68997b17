"""A corpus with one of each fault is prepared: what the report drops is left out, and no more."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from transformers import PreTrainedTokenizerFast

from speechalign.cli import main
from speechalign.commands import quality as module
from speechalign.commands.quality import Part, Rules, check_and_report
from speechalign.data import measure as measuring
from speechalign.data.datamodule import SpeechDataModule
from speechalign.data.examples import read_audio
from speechalign.data.fleurs import Fleurs
from speechalign.data.quality import Limits
from speechalign.data.report import dropped, read_report
from speechalign.errors import UserError

RATE = 16_000
SECONDS = 1.0
pytestmark = pytest.mark.filterwarnings("ignore::speechalign.errors.Caution")

# the recordings of German after 22 good ones: what is heard, and of what length it is told to be
FAULTY = {
    "silent": (lambda sound: 0 * sound, SECONDS),
    "near-silent": (lambda sound: np.where(np.arange(RATE) == 99, 0.5, 1e-5 * sound), SECONDS),
    "no speech": (lambda sound: np.full(RATE, 0.1), SECONDS),
    "clipped": (lambda sound: (50 * sound).clip(-1, 1), SECONDS),
    "too short": (lambda sound: sound[-4000:], 0.25),
    "wrong length": (lambda sound: sound, 1.5),
    "wrong length, longer": (lambda sound: sound, 0.7),
    "letters a second": (lambda sound: sound, SECONDS),
    "held-out sentence": (lambda sound: sound, SECONDS),
    "held-out text": (lambda sound: sound, SECONDS),
    "unreadable": (None, SECONDS),
}
GOOD = 22
NAMES = {GOOD + n: reason for n, reason in enumerate(FAULTY)}


def speech(seed: int) -> np.ndarray:
    """A noise that swells as syllables do."""
    time = np.arange(RATE) / RATE
    noise = np.random.default_rng(seed).uniform(-1, 1, RATE)
    return 0.3 * noise * np.sin(2 * np.pi * 2 * time) ** 4


def row(number: int, sentence: str, text: str, seconds: float = SECONDS) -> str:
    plain = text.lower()
    spelled = " ".join(plain.replace(" ", "|")) + " |"
    samples = round(seconds * RATE)
    return "\t".join([sentence, f"{number}.wav", text, plain, spelled, f"{samples}", "FEMALE"])


def write(folder: Path, split: str, sounds: list[np.ndarray | None], rows: list[str]) -> None:
    audio = folder / "audio" / split
    audio.mkdir(parents=True)
    for number, sound in enumerate(sounds):
        if sound is None:
            (audio / f"{number}.wav").write_bytes(b"RIFF, and no more")
        else:
            soundfile.write(audio / f"{number}.wav", sound, RATE)
    (folder / f"{split}.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")


@pytest.fixture
def copy(tmp_path, monkeypatch) -> Path:
    """German with each fault in train and silence in dev and test; French and English without."""
    monkeypatch.setenv("SPEECHALIGN_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "copy"
    sounds: list[np.ndarray | None] = [speech(n) for n in range(GOOD)]
    rows = [row(n, str(n), f"Satz der Nummer {n}") for n in range(GOOD)]
    for number, reason in NAMES.items():
        change, seconds = FAULTY[reason]
        sounds.append(change(speech(number)) if change else None)
        text = {"letters a second": "Satz " * 99, "held-out text": "Prüfung: dev 1."}
        sentence = "100" if reason == "held-out sentence" else str(number)
        rows.append(row(number, sentence, text.get(reason, f"Satz der Nummer {number}"), seconds))
    rows += ["99\tno columns", row(98, "98", "Satz ohne Ton")]
    write(root / "de_de", "train", sounds, rows)
    for split, first in (("dev", 100), ("test", 200)):
        held_out = [row(n, str(first + n), f"Prüfung {split} {n}") for n in range(2)]
        write(root / "de_de", split, [np.zeros(RATE), speech(1)], held_out)
    french = [row(n, str(n), f"Phrase numéro {n}") for n in range(2)]
    write(root / "fr_fr", "train", [speech(0), 0 * speech(1)], french)
    for split in ("dev", "test"):
        write(root / "fr_fr", split, [speech(0)], [row(0, split, f"Examen {split}")])
        write(root / "en_us", split, [], [row(0, split, f"Exam {split}")])
    english = [row(n, str(n), f"Sentence number {n}") for n in range(GOOD + len(FAULTY))]
    write(root / "en_us", "train", [], english)
    return root


@pytest.fixture
def prepare(copy, tmp_path, capsys):
    """Prepare German into a folder; tell the status and what was printed."""

    def run(*more: str, languages: str = "de", on_error: str = "skip"):
        status = main([
            *("prepare", "fleurs", "--from", str(copy), "--output", str(tmp_path / "out")),
            *("--languages", languages, "--splits", "train,dev,test", "--on-error", on_error),
            *more,
        ])
        return status, capsys.readouterr()

    return run


def numbers(root: Path, split: str = "train", keep_all: bool = False) -> list[int]:
    corpus = Fleurs(str(root), on_error="skip", keep_all=keep_all)
    return [int(Path(u.id).stem) for u in corpus.utterances("deu", split)]


def test_each_fault_is_found_and_left_out(prepare, tmp_path, llm_folder):
    status, told = prepare("--texts=eng")
    assert status == 0, told.err
    lines = read_report(tmp_path / "out" / "quality.tsv")
    found = {one.id.removeprefix("de_de/train/"): one for one in lines if "/train/" in one.id}
    reasons = {f"{n}.wav": r.split(",")[0].replace(" text", " sentence") for n, r in NAMES.items()}
    assert {name: one.reason for name, one in found.items()} == {
        **reasons,
        f"train.tsv:{GOOD + len(FAULTY) + 1}": "faulty line",
        f"train.tsv:{GOOD + len(FAULTY) + 2}": "faulty line",
    }
    assert {one.action for one in found.values()} == {"dropped"}
    unreadable = found[f"{GOOD + len(FAULTY) - 1}.wav"]
    assert f"train.tsv:{GOOD + len(FAULTY)}: " in unreadable.note
    assert numbers(tmp_path / "out") == list(range(GOOD))
    source = Fleurs(str(tmp_path / "out"), on_error="skip")
    data = SpeechDataModule(source, languages=["deu"], target="eng")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(llm_folder)
    data.configure(tokenizer, window_samples=2 * RATE)
    items = data.train_items()
    assert sorted(int(Path(item[0].utterance.id).stem) for item in items) == list(range(GOOD))


def test_held_out_splits_lose_nothing_and_are_told_of(prepare, tmp_path):
    _, told = prepare()
    lines = read_report(tmp_path / "out" / "quality.tsv")
    held_out = [one[:1] + one[2:4] for one in lines if "/train/" not in one.id]
    assert held_out == [(f"de_de/{split}/0.wav", "kept", "silent") for split in ("dev", "test")]
    assert [numbers(tmp_path / "out", split) for split in ("dev", "test")] == [[0, 1], [0, 1]]
    total = GOOD + len(FAULTY) + 2
    summary = [
        line.split(maxsplit=3) for line in told.out.splitlines() if line.startswith("de_de/")
    ]
    assert summary[0][:3] == ["de_de/train", str(total), str(total - GOOD)]
    for count in ("1 clipped", "2 faulty line", "2 held-out sentence", "2 wrong length"):
        assert count in summary[0][3]
    assert summary[1:] == [
        ["de_de/dev", "2", "0", "1 silent"],
        ["de_de/test", "2", "0", "1 silent"],
    ]


def test_all_is_kept_that_can_be_read(prepare, tmp_path):
    assert prepare("--keep-all")[0] == 0
    assert numbers(tmp_path / "out") == list(range(GOOD + len(FAULTY) - 1))
    lines = read_report(tmp_path / "out" / "quality.tsv")
    assert {one.reason for one in lines if one.action == "dropped"} == {
        "faulty line",
        "unreadable",
    }
    prepare()
    everything = list(range(GOOD + len(FAULTY)))
    assert numbers(tmp_path / "out", keep_all=True) == everything


def test_a_silence_that_is_wanted_is_marked_so(prepare, tmp_path):
    prepare()
    report = tmp_path / "out" / "quality.tsv"
    name = f"de_de/train/{GOOD}.wav"
    rows = report.read_text(encoding="utf-8").split("\n")
    edited = [r.replace("dropped", "kept") if r.startswith(name) else r for r in rows]
    report.write_text("\n".join(edited), encoding="utf-8")
    assert numbers(tmp_path / "out") == list(range(GOOD + 1))
    report.write_text("id\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"quality\.tsv:1: expected the header"):
        numbers(tmp_path / "out")


def test_a_malformed_report_is_told_before_anything_is_heard(prepare, tmp_path, heard):
    prepare()
    (tmp_path / "out" / "quality.tsv").write_text("mine\n")
    heard.clear()
    status, told = prepare()
    assert status == 2
    assert told.err.count("\n") == 1
    assert "quality.tsv:1: expected the header" in told.err
    assert heard == []


def test_the_lines_of_other_languages_stay(prepare, tmp_path):
    prepare()
    german = read_report(tmp_path / "out" / "quality.tsv")
    prepare(languages="fr")
    both = read_report(tmp_path / "out" / "quality.tsv")
    french = [one for one in both if one.id.startswith("fr_fr/")]
    assert [(one.id, one.reason) for one in french] == [("fr_fr/train/1.wav", "silent")]
    assert [one for one in both if one not in french] == german


@pytest.fixture
def heard(monkeypatch) -> list[str]:
    """The ids of the recordings that were read."""
    ids: list[str] = []

    def read(utterance, to_end=False):
        ids.append(utterance.id)
        return read_audio(utterance, to_end)

    monkeypatch.setattr(measuring, "read_audio", read)
    return ids


UNREADABLE = f"de_de/train/{GOOD + len(FAULTY) - 1}.wav"


def test_other_limits_cost_no_reading(prepare, tmp_path, heard):
    prepare()
    assert len(set(heard)) == GOOD + len(FAULTY) + 4
    heard.clear()
    prepare("--limits.min_peak=0", "--limits.max-rate-deviation", "1e9")
    assert heard == [UNREADABLE]
    reasons = {one.id: one.reason for one in read_report(tmp_path / "out" / "quality.tsv")}
    assert reasons["de_de/train/0.wav"] == "silent"
    assert "letters a second" not in reasons.values()


def test_an_interrupted_check_goes_on_with_the_next_part(prepare, tmp_path, heard, monkeypatch):
    honest = module.judge
    calls = []

    def killed(*arguments):
        calls.append(arguments)
        if len(calls) == 2:  # in dev, whose recordings were heard
            raise KeyboardInterrupt
        return honest(*arguments)

    monkeypatch.setattr(module, "judge", killed)
    assert prepare()[0] == 130
    assert not (tmp_path / "out" / "quality.tsv").exists()
    assert len(set(heard)) == GOOD + len(FAULTY) + 2
    heard.clear()
    assert prepare()[0] == 0
    assert heard == [UNREADABLE, "de_de/test/0.wav", "de_de/test/1.wav"]


def test_stop_names_the_line_of_what_cannot_be_read(prepare, copy, tmp_path, heard):
    tsv = copy / "de_de" / "train.tsv"
    status, told = prepare(on_error="stop")
    assert status == 2
    assert f"train.tsv:{GOOD + len(FAULTY) + 1}: 2 tab-separated columns" in told.err
    tsv.write_text("\n".join(tsv.read_text(encoding="utf-8").split("\n")[:-3]) + "\n")
    status, told = prepare(on_error="stop")
    assert status == 2
    assert f"train.tsv:{GOOD + len(FAULTY)}: {UNREADABLE}: " in told.err.splitlines()[-1]
    assert told.err.endswith("Or leave such out: --on-error skip.\n")
    heard.clear()
    assert prepare()[0] == 0  # all but the faulty one was heard before
    assert [name for name in heard if "/train/" in name] == [UNREADABLE]


def test_a_caution_is_told_once(copy, tmp_path, capsys):
    """By the command as it is typed, without the filters of the tests."""
    told = subprocess.run(
        [
            *(sys.executable, "-m", "speechalign", "prepare", "fleurs", "--from", str(copy)),
            *("--output", str(tmp_path / "out"), "--languages=de", "--on-error=skip"),
            "--splits=train,dev,test",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    cautions = [line for line in told.stderr.splitlines() if "are skipped" in line]
    assert len(cautions) == len(set(cautions)) == 2  # of lines, and of recordings


def test_of_no_parts_an_empty_report_is_written(tmp_path, capsys):
    rules = Rules(Limits(), skip=False, keep_all=False)
    assert check_and_report([], tmp_path / "q.tsv", rules) == {}
    assert capsys.readouterr().out == ""
    assert dropped(tmp_path / "q.tsv") == set()
    empty = Part("none", "none/", [], [], [], True, set(), True)
    assert check_and_report([empty], tmp_path / "q.tsv", rules) == {"none": []}
