"""Speech is found, and noise, tones and silence are not taken for it."""

import sys

import numpy as np
import pytest
import torch

from speechalign.audio.io import SAMPLE_RATE, load_audio
from speechalign.audio.speech import EnergyDetector, Everything, Silero, Span, runs
from speechalign.data.examples import read_audio
from speechalign.data.fleurs import Fleurs
from speechalign.errors import UserError

CORPUS = "assets:micro/fleurs"
SECONDS = 20
TIME = np.arange(SECONDS * SAMPLE_RATE) / SAMPLE_RATE
DETECT = EnergyDetector()


def noise(seed=0):
    return np.random.default_rng(seed).standard_normal(len(TIME))


def notes(length, vibrato=0.0, decay=3.0, seed=0, attack=0.01):
    """A melody of notes with six harmonics, each fading away."""
    draw, samples = np.random.default_rng(seed), round(length * SAMPLE_RATE)
    time = np.arange(samples) / SAMPLE_RATE
    sway = vibrato * np.sin(2 * np.pi * 5.5 * time) / (2 * np.pi * 5.5)
    envelope = np.exp(-decay * time) * np.minimum(1, time / attack)
    tones = []
    for _ in range(len(TIME) // samples + 1):
        pitch = 220 * 2 ** (draw.integers(0, 25) / 12)
        phase = 2 * np.pi * pitch * (time + sway)
        tones.append(envelope * sum(np.sin(h * phase) / h for h in range(1, 7)))
    return 0.2 * np.concatenate(tones)[: len(TIME)]


SOUNDS = {
    "silence": np.zeros(len(TIME)),
    "white noise": 0.1 * noise(),
    "faint noise": 1e-4 * noise(),
    "rumble": np.cumsum(noise() - noise().mean()) / 1000,
    "bursts of noise": 0.1 * noise() * (np.sin(2 * np.pi * 2 * TIME) > 0),
    "surf": 0.1 * noise() * (1 + np.sin(2 * np.pi * 0.3 * TIME)),
    "sine": 0.3 * np.sin(2 * np.pi * 440 * TIME),
    "hum": sum(np.sin(2 * np.pi * 50 * k * TIME) / k for k in range(1, 20)) / 10,
    "melody": notes(0.5),
    "plucked melody": notes(0.25, decay=20),
    "melody without pauses": notes(0.25, decay=6, attack=1e-9),
    "melody that is loud throughout": notes(0.25, decay=0, attack=1e-9),
    "fast melody": notes(0.12, decay=40),
    "vibrato": notes(0.5, vibrato=0.005, decay=10),
    "chords": notes(0.5, decay=8, seed=1) + notes(0.5, decay=8, seed=2) + notes(0.5, decay=8),
    "melody over chords": notes(0.25, decay=8) + notes(1.0, decay=8, seed=1),
}


def sound(samples):
    return torch.from_numpy(np.asarray(samples, dtype=np.float32))


@pytest.mark.parametrize("name", SOUNDS)
def test_what_is_no_speech_is_not_taken_for_it(name):
    assert DETECT(sound(SOUNDS[name])) == []


@pytest.mark.parametrize("language", ["deu", "fra", "swe", "nob"])
def test_spoken_sentences_are_found_nearly_whole(language):
    corpus = Fleurs(CORPUS)
    for utterance in list(corpus.utterances(language, "test"))[:40]:
        waveform = read_audio(utterance)
        spans = DETECT(waveform)
        assert 1 <= len(spans) <= 2, utterance.id
        assert sum(end - start for start, end in spans) > 0.6 * len(waveform), utterance.id


@pytest.mark.parametrize("gain", [1.0, 0.02])
def test_speech_is_found_where_it_is_whatever_its_level(gain):
    corpus = Fleurs(CORPUS)
    said = [read_audio(u) for u in list(corpus.utterances("deu", "test"))[:3]]
    quiet = 1e-5 * sound(noise())
    places, parts, place = [], [], 0
    for one in said:
        parts += [quiet[: 2 * SAMPLE_RATE], gain * one]
        places.append(Span(place + 2 * SAMPLE_RATE, place + 2 * SAMPLE_RATE + len(one)))
        place = places[-1].end
    found = DETECT(torch.cat([*parts, quiet[: 2 * SAMPLE_RATE]]))
    assert len(found) == 3
    for span, expected in zip(found, places, strict=True):
        assert abs(span.start - expected.start) < 0.3 * SAMPLE_RATE
        assert abs(span.end - expected.end) < 0.3 * SAMPLE_RATE


def test_who_speaks_low_is_heard_beside_who_speaks_loud():
    low, loud = (read_audio(u) for u in list(Fleurs(CORPUS).utterances("deu", "test"))[:2])
    quiet = 1e-5 * sound(noise())[: 2 * SAMPLE_RATE]
    found = DETECT(torch.cat([quiet, loud, quiet, 0.05 * low, quiet]))
    assert len(found) == 2
    assert found[1].end - found[1].start > 0.6 * len(low)


def test_real_recordings_are_speech(shared):
    for file in sorted((shared / "real").rglob("*.wav")) + sorted(
        (shared / "real/clips").iterdir()
    ):
        waveform = load_audio(file)
        assert sum(end - start for start, end in DETECT(waveform)) > 0.4 * len(waveform), file


def test_silero_finds_what_the_other_detector_finds(shared):
    for file in sorted((shared / "real/clips").iterdir()):
        waveform = load_audio(file)
        ours, theirs = (detect(waveform) for detect in (DETECT, Silero()))
        common = coverage(ours, waveform) & coverage(theirs, waveform)
        assert common.sum() > 0.7 * coverage(theirs, waveform).sum()
    assert Silero()(sound(SOUNDS["white noise"])) == []


def coverage(spans, waveform):
    inside = torch.zeros(len(waveform), dtype=torch.bool)
    for start, end in spans:
        inside[start:end] = True
    return inside


def test_a_detector_that_is_not_installed_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "silero_vad", None)
    with pytest.raises(UserError, match=r"pip install 'speechalign\[vad\]'"):
        Silero()


def test_too_little_is_nothing():
    assert DETECT(torch.zeros(0)) == DETECT(torch.zeros(1000)) == []
    assert Everything()(torch.zeros(0)) == []
    assert Everything()(torch.zeros(7)) == [Span(0, 7)]


def test_near_runs_are_one():
    active = np.array([0, 1, 1, 0, 1, 0, 0, 0, 1], dtype=bool)
    assert runs(active, 2) == [(1, 5), (8, 9)]
    assert runs(active, 1) == [(1, 3), (4, 5), (8, 9)]
    assert runs(active, 4) == [(1, 9)]
    assert runs(np.zeros(3, dtype=bool), 1) == []
