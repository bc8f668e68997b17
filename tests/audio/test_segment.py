"""Pieces hold all speech once, whatever the recording and wherever it is sliced."""

import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from speechalign.audio import segment
from speechalign.audio.io import SAMPLE_RATE, AudioError, load_audio
from speechalign.audio.recording import Recording
from speechalign.audio.segment import LEAD, MARGIN, Segmenter
from speechalign.audio.speech import Everything, Span
from speechalign.errors import UserError

UNIT = SAMPLE_RATE // 10


def loud(waveform):
    """Take for speech what is not 0."""
    active = torch.nn.functional.pad((waveform != 0).int(), (1, 1)).diff()
    starts, ends = ((active == sign).nonzero().flatten().tolist() for sign in (1, -1))
    return [Span(start, end) for start, end in zip(starts, ends, strict=True)]


def recording_of(parts):
    """Stretches of speech and silence by turns, in tenths of seconds; samples count up from 1."""
    samples = torch.cat([
        torch.full((tenths * UNIT,), float(turn % 2)) for turn, tenths in enumerate(parts)
    ])
    return samples * torch.arange(1, len(samples) + 1)


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=12),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.sampled_from([1.0, 3.0]),
    st.sampled_from([1.5, 4.0, 60.0]),
)
def test_nothing_is_lost_or_doubled(parts, pause, longest, sliced):
    samples = recording_of(parts)
    segmenter = Segmenter(loud, round(longest * SAMPLE_RATE), pause)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segment, "SLICE", sliced)
        pieces = list(segmenter.pieces(Recording.open(samples)))
    spoken = samples[samples != 0]
    heard = torch.cat([torch.zeros(0), *(one.waveform[one.waveform != 0] for one in pieces)])
    assert torch.equal(heard, spoken)
    for one in pieces:
        assert len(one.waveform) <= segmenter.longest
        inside = samples[round(one.start * SAMPLE_RATE) : round(one.end * SAMPLE_RATE)]
        assert torch.equal(inside[inside != 0], one.waveform[one.waveform != 0])
    times = [time for one in pieces for time in (one.start, one.end)]
    assert times == sorted(times)


def test_a_piece_ends_at_a_long_pause_and_has_a_margin():
    samples = recording_of([20, 10, 5, 10, 30, 10, 20])
    pieces = list(Segmenter(loud, 6 * SAMPLE_RATE, 1.0).pieces(Recording.open(samples)))
    assert [(one.start, one.end) for one in pieces] == [(2.0, 4.5), (7.5, 8.5)]
    assert [len(one.waveform) for one in pieces] == [
        round(2.5 * SAMPLE_RATE) + LEAD + MARGIN, SAMPLE_RATE + LEAD + MARGIN
    ]  # fmt: skip


def test_speech_without_a_pause_is_cut_where_it_is_faintest():
    samples = torch.ones(9 * SAMPLE_RATE)
    samples[4 * SAMPLE_RATE : 4 * SAMPLE_RATE + 2000] = 0.01
    pieces = list(Segmenter(Everything(), 6 * SAMPLE_RATE).pieces(Recording.open(samples)))
    assert len(pieces) == 2
    assert pieces[0].end == pytest.approx(4.06, abs=0.03)
    assert pieces[1].start == pieces[0].end
    assert len(pieces[0].waveform) + len(pieces[1].waveform) == len(samples)


def test_what_is_heard_at_once_is_kept_as_it_is():
    samples = recording_of([20, 10, 9, 10, 9])
    (one,) = Segmenter(loud, 6 * SAMPLE_RATE, 1.0).pieces(Recording.open(samples))
    assert torch.equal(one.waveform, samples)
    assert (one.start, one.end) == (2.0, 4.9)
    assert list(Segmenter(loud, 6 * SAMPLE_RATE).pieces(Recording.open(torch.zeros(9)))) == []


@pytest.mark.parametrize("silence", [10, 30])
def test_a_long_pause_ends_a_piece_of_a_short_recording_too(silence):
    recording = Recording.open(recording_of([5, 10, silence, 10]))
    pieces = list(Segmenter(loud, 6 * SAMPLE_RATE, 1.0).pieces(recording))
    second = (15 + silence) / 10
    assert [(one.start, one.end) for one in pieces] == [(0.5, 1.5), (second, second + 1.0)]
    (whole,) = Segmenter(loud, 6 * SAMPLE_RATE, 3.5).pieces(recording)
    assert (whole.start, whole.end, whole.offset) == (0.5, second + 1.0, 0.0)


@pytest.mark.parametrize("rate", [16_000, 44_100, 8_000])
def test_a_file_is_as_its_samples(tmp_path, rate):
    time = torch.arange(rate * 7) / rate
    spoken = (time % 3 > 1.5).float() * torch.sin(2 * torch.pi * 300 * time)
    file = tmp_path / "a.wav"
    soundfile.write(file, spoken.numpy(), rate)
    segmenter = Segmenter(lambda w: loud(w.abs().round(decimals=1)), 3 * SAMPLE_RATE, 0.5)
    recording = Recording.open(file)
    assert recording.duration == 7
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segment, "SLICE", 2.0)
        sliced = list(Segmenter(Everything(), 3 * SAMPLE_RATE).pieces(recording))
    whole = load_audio(file)
    assert_close(torch.cat([one.waveform for one in sliced]), whole, atol=1e-4, rtol=0)
    found, expected = (list(segmenter.pieces(one)) for one in (recording, Recording.open(whole)))
    assert [one._replace(waveform=None) for one in found] == [
        one._replace(waveform=None) for one in expected
    ]
    assert len(found) > 1
    for one, other in zip(found, expected, strict=True):
        assert_close(one.waveform, other.waveform, atol=1e-4, rtol=0)


@pytest.mark.parametrize("ending", ["mp3", "flac", "ogg"])
def test_a_file_is_opened_once_and_all_of_it_read(tmp_path, ending, monkeypatch):
    time = torch.arange(SAMPLE_RATE * 11) / SAMPLE_RATE
    file = tmp_path / f"a.{ending}"
    soundfile.write(file, (0.3 * torch.sin(600 * time * (1 + time / 10))).numpy(), SAMPLE_RATE)
    recording, opened = Recording.open(file), []
    make = soundfile.SoundFile
    monkeypatch.setattr(soundfile, "SoundFile", lambda handle: opened.append(1) or make(handle))
    slices = list(recording.slices(2.0))
    assert len(opened) == 1
    assert [ended for _, ended in slices] == [False] * 5 + [True]
    whole = load_audio(file)
    assert_close(torch.cat([one for one, _ in slices]), whole, atol=1e-4, rtol=0)


def test_faults_are_told(tmp_path):
    with pytest.raises(UserError, match="A pause of -1"):
        Segmenter(loud, SAMPLE_RATE, -1.0)
    with pytest.raises(UserError, match=r"Pieces of 0\.10 s"):
        Segmenter(loud, UNIT)
    with pytest.raises(AudioError, match="cannot be of type NoneType"):
        Recording.open(None)
    with pytest.raises(AudioError, match="does not exist"):
        Recording.open(tmp_path / "none.wav")
