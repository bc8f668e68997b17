"""The page: what it shows of a recording, of faults, and of two recordings side by side."""

import asyncio
import json
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import soundfile

from speechalign import Translator
from speechalign.assets import resolve
from speechalign.audio.io import SAMPLE_RATE, load_audio
from speechalign.inference.answers import Segment
from speechalign.inference.serving import page
from speechalign.inference.serving.desk import Desk
from speechalign.inference.serving.limits import Limits

CLIPS = Path(resolve("assets:micro/clips"))
GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "micro_clips.json").read_text())


@pytest.fixture(scope="module")
def translator():
    return Translator.from_pretrained()


@pytest.fixture
def told(translator):
    """Give what the page shows of a recording, step by step."""

    def steps(file, what, limits=None):
        async def ask():
            desk = Desk(translator, "micro", limits or Limits(), 4, None)
            desk.batcher.start()
            try:
                shown = page.understood(desk, file and str(file), what, "auto", "eng")
                return [step async for step in shown]
            finally:
                await desk.stop()

        return asyncio.run(ask())

    return steps


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """Two clips with pauses around, longer than the model hears at once."""
    quiet = np.zeros(5 * SAMPLE_RATE, dtype=np.float32)
    clips = [load_audio(CLIPS / f"{code}.ogg").numpy() for code in ("deu", "fra")]
    file = tmp_path_factory.mktemp("page") / "long.wav"
    soundfile.write(file, np.concatenate([quiet, clips[0], quiet, clips[1], quiet]), SAMPLE_RATE)
    return file


def test_segments_come_one_by_one_and_files_at_the_end(told, long):
    steps = told(long, page.BOTH)
    rows = [step[2].count("<tr") if isinstance(step[2], str) else 0 for step in steps]
    assert rows == [0, 1, 2, 2]
    assert str(long) in steps[0][1]
    assert GOLDEN["deu.ogg"]["translation"] in steps[1][2]
    for clip in ("deu.ogg", "fra.ogg"):
        assert GOLDEN[clip]["translation"] in steps[-1][2]
        assert GOLDEN[clip]["transcript"].replace("'", "&#x27;") in steps[-1][2]
    assert all(not button.interactive for step in steps[:-1] for button in step[3:])
    assert all(button.interactive for button in steps[-1][3:])


@pytest.mark.parametrize("seconds", [0.5, 20])
def test_silence_is_told(told, tmp_path, seconds):
    soundfile.write(tmp_path / "quiet.wav", np.zeros(int(seconds * SAMPLE_RATE)), SAMPLE_RATE)
    steps = told(tmp_path / "quiet.wav", page.TRANSCRIPT)
    assert steps[-1][0].endswith("nobody speaks")


def test_faults_are_told_without_the_place_on_the_disk(told, tmp_path):
    (tmp_path / "text.wav").write_text("this is no audio")
    with pytest.raises(gr.Error, match="The uploaded file") as caught:
        told(tmp_path / "text.wav", page.TRANSLATION)
    assert str(tmp_path) not in str(caught.value)
    with pytest.raises(gr.Error, match="Record or upload something"):
        told(None, page.TRANSLATION)
    with pytest.raises(gr.Error, match=r"lasts 1\.6 s"):
        told(CLIPS / "deu.ogg", page.TRANSLATION, Limits(seconds=1))


def test_only_what_a_model_can_do_is_offered():
    assert page.offered(["st"]) == [page.TRANSLATION]
    assert page.offered(["asr"]) == [page.TRANSCRIPT]
    assert page.offered(["srt"]) == [page.TRANSLATION, page.BOTH, page.TRANSCRIPT]


def test_what_is_said_is_no_markup():
    row = page.row_of(Segment(1, 2, "<script>x</script>", "deu", None, 0.5, source_text="a & b"))
    assert "<script>" not in row
    assert "a &amp; b" in row


def test_two_recordings_are_aligned_in_a_frame(translator, long):
    def aligned(*sides, limits=None):
        desk = Desk(translator, "micro", limits or Limits(), 4, None)
        return asyncio.run(page.aligned(desk, *sides))

    clips = str(CLIPS / "deu.ogg"), str(CLIPS / "fra.ogg")
    shown = aligned(clips[0], "auto", clips[1], "fra")
    assert shown.startswith("<iframe")
    assert shown.count("<iframe") == shown.count("</iframe>") == 1
    assert "deu.ogg" in shown
    assert str(CLIPS) not in shown
    with pytest.raises(gr.Error, match="two recordings"):
        aligned(clips[0], "auto", None, "auto")
    with pytest.raises(gr.Error, match="at most"):
        aligned(clips[0], "auto", str(long), "auto")
    with pytest.raises(gr.Error, match=r"lasts .* but 1 s are the most"):
        aligned(*clips[:1], "auto", clips[1], "auto", limits=Limits(seconds=1))
