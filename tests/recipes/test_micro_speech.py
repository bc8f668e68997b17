"""The micro world's speech and its corpus in FLEURS' layout."""

import csv
import hashlib
import io
import shutil
import tarfile
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
import soundfile

from recipes.micro import speech
from recipes.micro.codec import fix_serial, opus
from recipes.micro.corpus import (
    LOCALES,
    TEXT_ONLY,
    Counts,
    cast,
    to_int16,
    write_archive,
    write_corpus,
    write_pretraining,
)
from recipes.micro.speech import EXTRA_SPEAKERS, SAMPLE_RATE, SPEAKERS, Line, gender, speak
from recipes.micro.text import LANGUAGES, TRAINED, ZERO_SHOT, sentences
from speechalign.errors import UserError

needs_espeak = pytest.mark.skipif(
    shutil.which("espeak-ng") is None, reason="the program espeak-ng is not installed"
)
TINY = Counts(train=10, zero_shot_train=2, dev=1, test=1)
HELLO = Line("Der Hund schläft im Garten.", "deu", "f1", "0")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    if shutil.which("espeak-ng") is None:
        pytest.skip("the program espeak-ng is not installed")
    folder = tmp_path_factory.mktemp("fleurs")
    write_corpus(folder, TINY)
    return folder


def rows(folder, language, split):
    text = (folder / LOCALES[language] / f"{split}.tsv").read_text(encoding="utf-8")
    return list(csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))


def test_without_espeak_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="apt-get install espeak-ng"):
        speak(HELLO)


def test_speakers_are_disjoint():
    people = [name for names in SPEAKERS.values() for name in names] + list(EXTRA_SPEAKERS)
    assert len(set(people)) == len(people)
    for names in SPEAKERS.values():
        assert {gender(name) for name in names} == {"FEMALE", "MALE"}


@needs_espeak
def test_the_same_line_gives_the_same_samples():
    assert np.array_equal(speak(HELLO), speak(HELLO))
    assert not np.array_equal(speak(HELLO)[:8000], speak(HELLO._replace(seed="1"))[:8000])


@needs_espeak
@pytest.mark.parametrize("language", LANGUAGES)
def test_speech_has_a_sane_length_level_and_edges(language):
    text = sentences(1, seed=0, split="dev")[0].texts[language]
    wave = speak(Line(text, language, "m3", "0"))
    assert wave.dtype == np.float32
    assert 9 < len(text) / (len(wave) / SAMPLE_RATE) < 28  # characters a second
    assert 0.3 <= np.abs(wave).max() <= 0.9
    lead, middle = wave[: int(0.05 * SAMPLE_RATE)], wave[len(wave) // 4 : -len(wave) // 4]
    assert np.std(lead) < 0.3 * np.std(middle)


@needs_espeak
def test_languages_sound_different():
    """A voice that is missing would fall back to English without a word."""
    waves = {code: speech.synthesize("sol", v, 170, 50) for code, v in speech.ESPEAK_VOICES.items()}
    assert len({hashlib.sha256(wave.tobytes()).digest() for wave in waves.values()}) == len(waves)


def test_noise_has_the_level_it_was_given():
    """Noise is what differs between two draws of the same band and gain."""
    tone = np.sin(np.arange(32_000) * 2 * np.pi * 1000 / SAMPLE_RATE).astype(np.float32)
    for seed in range(20):
        noisy = speech.degrade(tone, np.random.default_rng(seed)).astype(np.float64)
        basis = np.stack([
            np.sin(np.arange(32_000) * np.pi / 8),
            np.cos(np.arange(32_000) * np.pi / 8),
        ])
        kept = np.linalg.lstsq(basis.T, noisy, rcond=None)[0] @ basis
        ratio = 10 * np.log10(np.mean(kept**2) / np.mean((noisy - kept) ** 2))
        assert 24.5 < ratio < 40.5


def test_opus_keeps_the_speech_and_its_length():
    generator = np.random.default_rng(0)
    time = np.arange(16_000) / SAMPLE_RATE
    wave = (0.3 * np.sin(2 * np.pi * (300 + 400 * time) * time)).astype(np.float32)
    wave += generator.normal(0, 0.003, len(wave)).astype(np.float32)
    decoded, rate = soundfile.read(io.BytesIO(opus(wave)), dtype="float32")
    assert rate == SAMPLE_RATE
    assert decoded.shape == wave.shape
    assert np.corrcoef(decoded, wave)[0, 1] > 0.97


def test_opus_gives_the_same_bytes():
    wave = np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)
    first = opus(wave)
    assert first == opus(wave)
    assert fix_serial(first) == first  # and the checksums are those that libogg would write


def test_a_wrong_checksum_would_be_noticed():
    content = bytearray(opus(np.zeros(8000, dtype=np.float32)))
    content[22] ^= 1
    with pytest.raises(soundfile.LibsndfileError):
        soundfile.read(io.BytesIO(bytes(content)))


def test_archives_depend_on_their_files_alone(tmp_path):
    files = {"dev/b.ogg": b"2", "dev/a.ogg": b"1"}
    write_archive(tmp_path / "one.tar.gz", files)
    write_archive(tmp_path / "two.tar.gz", dict(reversed(files.items())))
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()
    with tarfile.open(tmp_path / "one.tar.gz") as archive:
        assert archive.getnames() == ["dev/a.ogg", "dev/b.ogg"]


def test_every_train_sentence_is_a_pair_of_languages_and_every_pair_has_its_share():
    text = sentences(200, seed=0, split="train")
    said = {code: {take.sentence_id for take in cast(text, code, "train")} for code in TRAINED}
    speakers = Counter(one for ids in said.values() for one in ids)
    assert set(speakers.values()) == {2}
    assert len(speakers) == 200
    for one, other in combinations(TRAINED, 2):
        assert len(said[one] & said[other]) == 20
    assert {take.sentence_id for take in cast(text, "eng", "train")} == set(speakers)


def test_some_train_sentences_are_said_twice_and_all_others_once():
    text = sentences(200, seed=0, split="train")
    takes = cast(text, "swe", "train")
    assert 80 < len(takes) < 95
    assert len({take.file for take in takes}) == len(takes)
    assert len(cast(text, "swe", "test")) == len(cast(text, "eng", "test")) == 200


def test_the_layout_is_that_of_fleurs(corpus):
    assert {path.name for path in corpus.iterdir()} == set(LOCALES.values())
    for language in LANGUAGES:
        for split in SPEAKERS:
            table = rows(corpus, language, split)
            assert table
            assert {len(row) for row in table} == {7}
            if (language, split) == TEXT_ONLY:
                continue
            with tarfile.open(corpus / LOCALES[language] / "audio" / f"{split}.tar.gz") as archive:
                assert archive.getnames() == sorted(f"{split}/{row[1]}" for row in table)
                member = archive.extractfile(f"{split}/{table[0][1]}")
                assert member is not None
                decoded, rate = soundfile.read(io.BytesIO(member.read()))
            assert rate == SAMPLE_RATE
            assert len(decoded) == int(table[0][5])


def test_rows_hold_what_fleurs_rows_hold(corpus):
    for _, _, raw, normalized, characters, samples, sex in rows(corpus, "fra", "train"):
        assert normalized == normalized.lower()
        assert not set(normalized) & set(".,?")
        assert raw[0].isupper()
        assert characters.replace(" ", "").replace("|", " ").strip() == normalized
        assert characters.endswith(" |")
        assert int(samples) > SAMPLE_RATE // 2
        assert sex in {"MALE", "FEMALE"}


def test_english_has_every_sentence(corpus):
    for split in SPEAKERS:
        english = {row[0] for row in rows(corpus, "eng", split)}
        for language in LANGUAGES:
            assert {row[0] for row in rows(corpus, language, split)} <= english
    assert len({row[0] for row in rows(corpus, ZERO_SHOT[0], "train")}) <= TINY.zero_shot_train


def test_rebuilding_gives_the_same_bytes(corpus, tmp_path):
    write_corpus(tmp_path, TINY)
    for path in sorted(corpus.rglob("*.*")):
        assert path.read_bytes() == (tmp_path / path.relative_to(corpus)).read_bytes()


@needs_espeak
def test_pretraining_speech_reads_back(tmp_path):
    write_pretraining(tmp_path, count=2)
    held_out = {one.key for split in ("dev", "test") for one in sentences(200, 0, split)}
    for language in LANGUAGES:
        samples = np.load(tmp_path / f"{language}.npy", mmap_mode="r")
        lines = (tmp_path / f"{language}.tsv").read_text(encoding="utf-8").splitlines()
        table = [
            dict(zip(lines[0].split("\t"), line.split("\t"), strict=True)) for line in lines[1:]
        ]
        assert samples.dtype == np.int16
        assert sum(int(row["samples"]) for row in table) == len(samples)
        assert int(table[1]["start"]) == int(table[0]["samples"])
        assert not {row["key"] for row in table} & held_out
        assert not {row["speaker"] for row in table} & set(SPEAKERS["test"])


def test_what_overshoots_does_not_wrap_around():
    wave = np.array([-1.5, -1.0, 0.0, 1.0, 1.01])
    assert to_int16(wave).tolist() == [-32767, -32767, 0, 32767, 32767]
