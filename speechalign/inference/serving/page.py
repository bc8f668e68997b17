"""The page of the server: record or upload, read segments as they come, take subtitles away.

It fetches nothing from other hosts: its fonts are those of the reader's machine.
"""

import asyncio
import html
import tempfile
from collections.abc import AsyncIterator
from functools import partial
from hmac import compare_digest
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr
from fastapi import FastAPI
from gradio import themes
from starlette.responses import RedirectResponse

from speechalign.alignment.divergence import SinkhornDivergence
from speechalign.assets import FOLDER, resolve
from speechalign.assets.templates import filled
from speechalign.data.prompts import Task
from speechalign.errors import UserError
from speechalign.inference.alignment_view import SWEEPS, view_pair
from speechalign.inference.answers import Segment, put_together
from speechalign.inference.asking import Question, Wanted
from speechalign.inference.interpreter import YIELDING
from speechalign.inference.long_audio import joint_of
from speechalign.inference.manner import Manner
from speechalign.inference.serving.batching import Asked
from speechalign.inference.serving.desk import Desk
from speechalign.inference.subtitles import WIDTH
from speechalign.inference.written_text import FORMATS, rendered
from speechalign.languages import language

PLACE = "/page"
GUESSED = "guess it"
TRANSLATION, BOTH, TRANSCRIPT = "Translation", "Translation and transcript", "Transcript"

STYLE = """
.gradio-container { max-width: min(1080px, 100vw) !important; margin: 0 auto; }
.gradio-container .app { max-width: 100vw !important; padding: 8px !important; }
.gradio-container main { min-width: 0; padding: 8px !important; }
#player audio { width: 100%; }
#segments table { width: 100%; border-collapse: collapse; border: 0 !important; }
#segments td { padding: 6px 10px 6px 0; border: solid #d9e0e7; border-width: 0 0 1px; }
#segments tr { border: 0 !important; }
#segments td { vertical-align: top; overflow-wrap: anywhere; }
#segments tr.playing td { background: #e8f1fa; }
#segments button { padding: 0 4px; border: 0; background: none; color: #1f6fb2; cursor: pointer; }
#segments button { font: inherit; font-variant-numeric: tabular-nums; white-space: nowrap; }
#segments .soft { display: block; color: #5b6b7b; font-size: 12px; }
iframe.alignment { width: 100%; border: 0; }
"""

# a click on a segment plays it; the one that is playing is marked
FOLLOW = """
const player = () => document.querySelector('#player audio');
element.addEventListener('click', event => {
  const row = event.target.closest('[data-start]'), audio = player();
  if (row && audio) { audio.currentTime = Number(row.dataset.start); audio.play(); }
});
document.addEventListener('timeupdate', () => {
  const now = player() ? player().currentTime : -1;
  for (const row of element.querySelectorAll('[data-start]')) {
    const { start, end } = row.dataset;
    row.classList.toggle('playing', Number(start) <= now && now < Number(end));
  }
}, true);
"""

# a frame is as high as what is in it
FIT = "this.style.height = this.contentDocument.documentElement.scrollHeight + 'px'"


def mount(app: FastAPI, desk: Desk) -> None:
    """Put the page on a server, at `/page`; the key is its password, whatever the user's name.

    Who asks for no path is sent there.

    Args:
        app: The server.
        desk: What answers its requests.
    """
    key = desk.key
    theme = themes.Default(
        primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["monospace"]
    )
    gr.mount_gradio_app(
        app,
        build(desk),
        PLACE,
        auth=None if key is None else lambda _, told: compare_digest(told.encode(), key.encode()),
        max_file_size=desk.limits.upload,
        ssr_mode=False,
        footer_links=[],
        theme=theme,
        css=STYLE,
        head='<link rel="icon" href="data:,">',
    )

    @app.get("/", include_in_schema=False)
    async def home() -> RedirectResponse:
        """Send a reader to the page."""
        return RedirectResponse(PLACE)


def build(desk: Desk) -> gr.Blocks:
    """Lay the page out."""
    translator = desk.translator
    heard = [*translator.languages, *translator.zero_shot]
    sources = [(GUESSED, "auto"), *((language(code).name, code) for code in heard)]
    targets = dict.fromkeys([translator.target, *heard])
    into = [(language(code).name, code) for code in targets]
    with gr.Blocks(title="speechalign", analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gr.Markdown("# speechalign\nSpeech becomes text: in its own language, or in another.")
        with gr.Tab("Translate"):
            translate_tab(desk, sources, into)
        with gr.Tab("See the alignment"):
            alignment_tab(desk, sources)
    return page


def translate_tab(desk: Desk, sources: list[tuple[str, str]], into: list[tuple[str, str]]) -> None:
    """Lay out what turns one recording into text."""
    audio = recording("Record or upload speech", "recording")
    with gr.Row():
        whats = offered(desk.translator.tasks)
        wanted = gr.Radio(whats, value=whats[0], label="What")
        from_ = gr.Dropdown(sources, value="auto", label="Spoken language")
        to = gr.Dropdown(into, value=desk.translator.target, label="Into")
    with gr.Row():
        start = gr.Button("Start", variant="primary", elem_id="start")
        stop = gr.Button("Stop")
    status = gr.Markdown(elem_id="status")
    player = gr.HTML(elem_id="player")
    table = gr.HTML(elem_id="segments", js_on_load=FOLLOW)
    with gr.Row():
        files = [
            gr.DownloadButton(ending, interactive=False, size="sm", elem_id=f"take-{ending}")
            for ending in FORMATS
        ]
    running = start.click(
        partial(understood, desk),
        [audio, wanted, from_, to],
        [status, player, table, *files],
        show_progress="hidden",
        concurrency_limit=None,  # the server has limits of its own
    )
    stop.click(None, cancels=[running])


def offered(tasks: list[Task]) -> list[str]:
    """List what a model that was trained for some tasks can be asked."""
    translates, transcribes = (
        any(task in tasks for task in YIELDING[wanted]) for wanted in ("translation", "transcript")
    )
    known = {TRANSLATION: translates, BOTH: translates and transcribes, TRANSCRIPT: transcribes}
    return [what for what, is_known in known.items() if is_known]


def alignment_tab(desk: Desk, sources: list[tuple[str, str]]) -> None:
    """Lay out what shows how two recordings are aligned."""
    gr.Markdown("Two recordings of one sentence, in two languages or by two voices.")
    with gr.Row():
        sides = []
        for name in ("A", "B"):
            with gr.Column():
                sides.append(recording(f"Recording {name}", f"recording-{name}"))
                sides.append(gr.Dropdown(sources, value="auto", label=f"Spoken language of {name}"))
    button = gr.Button("Align", variant="primary", elem_id="align")
    button.click(partial(aligned, desk), sides, gr.HTML(elem_id="alignment"))


def recording(label: str, name: str) -> gr.Audio:
    """Give what takes a recording, with two of the package to try."""
    audio = gr.Audio(sources=["upload", "microphone"], type="filepath", label=label, elem_id=name)
    clips = Path(resolve("assets:micro/clips"))
    gr.Examples([[str(clips / "deu.ogg")], [str(clips / "fra.ogg")]], audio, label="Try")
    return audio


async def understood(
    desk: Desk, file: str | None, what: str, from_: str, to: str
) -> AsyncIterator[tuple[Any, ...]]:
    """Understand one recording: status, player, table, and, at the end, files to take away."""
    if file is None:
        raise gr.Error("Record or upload something first.")
    wanted: Wanted = "transcript" if what == TRANSCRIPT else "translation"
    source, target = None if from_ == "auto" else language(from_), language(to)
    waiting = [gr.DownloadButton(interactive=False)] * len(FORMATS)
    segments: list[Segment] = []
    yield "Listening …", player_of(file), "", *waiting
    try:
        question = Question(desk.translator.task_for(wanted), wanted, target.code)
        asked = Asked(question, source, Manner(transcripts=what == BOTH, words=True))
        deadline = asyncio.get_running_loop().time() + desk.limits.timeout
        with desk.lane() as lane:
            recording = await desk.recording(Path(file), deadline)
            async for segment in desk.segments(recording, lane, asked, deadline):
                segments.append(segment)
                yield f"{clock(segment.end)} heard", gr.skip(), table_of(segments), *waiting
    except UserError as error:
        raise gr.Error(str(error)) from error
    joint = joint_of(segments, wanted, target.joint)
    answer = put_together(tuple(segments), recording.duration, joint)
    shown_in = target.code if wanted == "translation" else None
    with tempfile.TemporaryDirectory(prefix="speechalign-") as folder:
        places = [Path(folder) / f"{Path(file).stem}.{ending}" for ending in FORMATS]
        for place, ending in zip(places, FORMATS, strict=True):
            place.write_text(rendered(answer, ending, shown_in, WIDTH), encoding="utf-8")
        status = f"{clock(recording.duration)}, {count(len(segments))}"
        ready = [gr.DownloadButton(value=str(one), interactive=True) for one in places]
        yield status, gr.skip(), table_of(segments), *ready


async def aligned(
    desk: Desk, one: str | None, from_: str, other: str | None, from_other: str
) -> str:
    """Show how two recordings are aligned, in a frame of its own."""
    if one is None or other is None:
        raise gr.Error("Record or upload two recordings first.")
    left, right = (None if code == "auto" else language(code) for code in (from_, from_other))
    deadline = asyncio.get_running_loop().time() + desk.limits.timeout

    def viewed() -> dict[str, Any]:
        heard = desk.translator.hear(one), desk.translator.hear(other)
        names = Path(one).name, Path(other).name
        divergence = SinkhornDivergence(iterations=SWEEPS)
        return view_pair(desk.translator, heard, names, (left, right), divergence)

    try:
        with desk.lane():
            for file in (one, other):
                await desk.recording(Path(file), deadline)
            view = await desk.in_time(asyncio.to_thread(viewed), deadline)
    except UserError as error:
        told = str(error).replace(one, Path(one).name).replace(other, Path(other).name)
        raise gr.Error(told) from error
    page = filled(FOLDER / "inspect.html", view | {"checkpoint": "of this server"})
    return (
        f'<iframe class="alignment" title="Alignment" srcdoc="{html.escape(page)}" onload="{FIT}">'
        "</iframe>"
    )


def player_of(file: str) -> str:
    """Play the recording that was uploaded."""
    return f'<audio controls src="{PLACE}/gradio_api/file={quote(file)}"></audio>'


def table_of(segments: list[Segment]) -> str:
    """Show segments as rows: time, language, transcript, text."""
    return f'<table class="segments">{"".join(row_of(one) for one in segments)}</table>'


def row_of(one: Segment) -> str:
    """Show one segment, in whatever direction its text is written."""
    beside = (
        "" if one.source_text is None else f'<td dir="auto">{html.escape(one.source_text)}</td>'
    )
    doubt = ' <span class="soft">doubtful</span>' if one.doubtful else ""
    return (
        f'<tr data-start="{one.start:.3f}" data-end="{one.end:.3f}">'
        f"<td><button>{clock(one.start)}</button>"
        f'<span class="soft">{html.escape(language(one.language).name)}</span></td>{beside}'
        f'<td dir="auto">{html.escape(one.text)}{doubt}</td></tr>'
    )


def clock(seconds: float) -> str:
    """Write a time as a reader says it."""
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{int(minutes)}:{rest:04.1f}"


def count(segments: int) -> str:
    """Say how many segments there are."""
    return {0: "nobody speaks", 1: "1 segment"}.get(segments, f"{segments} segments")
