"""The page of `speechalign serve`, driven in a Chromium as a reader drives it; skipped without."""

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import srt

from speechalign.assets import resolve
from speechalign.audio.io import SAMPLE_RATE, load_audio

CLIPS = Path(resolve("assets:micro/clips"))
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "micro_clips.json").read_text())
NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((found for found in map(shutil.which, NAMES) if found), None)
HEARD = ("deu.ogg", "fra.ogg")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to drive the page in")


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """Two clips with pauses around, longer than the model hears at once."""
    quiet = np.zeros(5 * SAMPLE_RATE, dtype=np.float32)
    one, other = (load_audio(CLIPS / name).numpy() for name in HEARD)
    file = tmp_path_factory.mktemp("page") / "long.wav"
    soundfile.write(file, np.concatenate([quiet, one, quiet, other, quiet]), SAMPLE_RATE)
    return file


@pytest.fixture(scope="module")
def served():
    """Give the address of a server in a process of its own; its stop is looked at too."""
    command = [sys.executable, "-m", "speechalign", "serve", "--page", "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = process.stdout.readline()
        yield re.search(r"http://[\d.:]+", told)[0]  # pyright: ignore[reportOptionalSubscript]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


@pytest.fixture(params=[1200, 390])
def tab(request, served):
    """Open the page, wide and narrow; note what it asks for."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": request.param, "height": 900})
        asked: list[str] = []
        tab.on("request", lambda one: asked.append(one.url))
        tab.goto(f"{served}/page/")
        yield tab
        assert tab.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        browser.close()
    hosts = {url.split("/")[2] for url in asked if url.startswith("http")}
    assert hosts == {served.split("/")[2]}  # nothing is asked of others


def test_a_reader_uploads_reads_plays_and_takes_subtitles(tab, long, tmp_path):
    tab.set_input_files("#recording input[type=file]", str(long))
    tab.wait_for_selector("#recording button[aria-label='Clear']")
    tab.click("#start")
    tab.wait_for_selector("#take-srt:not([disabled])")
    with tab.expect_download() as download:
        tab.click("#take-srt")
    assert download.value.suggested_filename == "long.srt"
    download.value.save_as(tmp_path / "long.srt")
    cues = list(srt.parse((tmp_path / "long.srt").read_text(encoding="utf-8")))
    assert [cue.content for cue in cues] == [GOLDEN[clip]["translation"] for clip in HEARD]
    tab.click("#segments tr:nth-child(2) button")
    tab.wait_for_selector("#segments tr.playing:nth-child(2)")
    assert tab.evaluate("document.querySelector('#player audio').currentTime") > 10


def test_a_reader_sees_how_two_recordings_are_aligned(tab):
    tab.get_by_role("tab", name="See the alignment").last.click()
    for side, clip in zip("AB", HEARD, strict=True):
        tab.set_input_files(f"#recording-{side} input[type=file]", str(CLIPS / clip))
        tab.wait_for_selector(f"#recording-{side} button[aria-label='Clear']")
    tab.click("#align")
    frame = tab.frame_locator("iframe.alignment")
    frame.get_by_role("button", name="Layer 3").click()
    assert GOLDEN["fra.ogg"]["translation"] in frame.locator("#sides").inner_text()


def test_a_fault_is_told_to_the_reader(tab, tmp_path):
    (tmp_path / "text.wav").write_text("this is no audio")
    tab.click("#start")
    tab.get_by_text("Record or upload something first.").wait_for()
    tab.set_input_files("#recording input[type=file]", str(tmp_path / "text.wav"))
    tab.wait_for_selector("#recording button[aria-label='Clear']")
    tab.click("#start")
    tab.get_by_text("The uploaded file").first.wait_for()
