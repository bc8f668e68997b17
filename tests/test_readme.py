"""What the READMEs tell people to type works: Python is run, commands too, links lead somewhere.

The commands of a block run one after another, so that a later one finds what an earlier one wrote.
Training is cut to a step, a server stops when it has begun, FLEURS comes from a small copy, and the
packaged adapter stands in for a checkpoint that takes a day to train. What needs whole models is
parsed.
"""

import json
import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechalign import Translator
from speechalign.assets import resolve
from speechalign.audio.io import load_audio
from speechalign.cli import main
from speechalign.commands.serve import MICRO
from speechalign.data.datamodule import SpeechDataModule
from speechalign.inference.serving.process import Server
from tests.data.conftest import Clip, write_fleurs
from tests.inference.serving.clients import serving

ROOT = Path(__file__).parents[1]
PAGES = (
    ROOT / "README.md",
    ROOT / "recipes/fleurs/README.md",
    ROOT / "recipes/covost2/README.md",
)
LINKED = (
    *PAGES,
    *(ROOT / "recipes").glob("micro/*.md"),
    *(ROOT / "recipes").glob("benchmarks/*.md"),
)
SEEN_FROM_THERE = ("configs", "recipes", "speechalign")
PORT = ":8000"  # of the server that code asks
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]+)\)")

SHORT = {
    "compare": ("--draws=20",),
    "evaluate": ("--draws=20", "--pairs=deu->eng"),
    "serve": ("--port=0",),
    "check-ot": ("--pairs=1", "--tokens=8", "--width=16", "--epsilon=0.05"),
    "fit": (
        "--trainer.accelerator=cpu",
        "--trainer.val_check_interval=1",
        "--trainer.limit_val_batches=1",
        "--trainer.log_every_n_steps=1",
        "--trainer.enable_progress_bar=false",
        "--data.eval_batch_size=2",
    ),
    "test": ("--trainer.accelerator=cpu", "--trainer.limit_test_batches=1"),
}
STAND_INS = {"runs/fleurs/3_potsa/checkpoints/best.ckpt": "assets:micro/adapter", "cuda": "cpu"}
LOCALES = "cmn_hans_cn en_us ja_jp es_419 ko_kr ru_ru de_de fr_fr it_it pt_br th_th vi_vn tr_tr"
SPEAK = {
    "translate",
    "transcribe",
    "serve",
    "info",
    "prepare",
    "estimate-bias",
}  # what prints its result


def blocks(page: Path, kind: str) -> list[str]:
    """Fenced blocks of one language."""
    return [text for language, text in FENCE.findall(page.read_text()) if language == kind]


def lines(block: str) -> list[list[str]]:
    """Words of every command of a block, without comments."""
    return [words for line in block.splitlines() if (words := shlex.split(line, comments=True))]


def commands(page: Path) -> list[list[str]]:
    """Words of every command of a page, in its order."""
    return [words for block in blocks(page, "sh") for words in lines(block)]


def expand(word: str) -> list[str]:
    """Do what a shell does with a pattern of file names that exist."""
    return sorted(map(str, Path().glob(word))) or [word]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A folder that looks like a checkout and takes what the commands write."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in SEEN_FROM_THERE:
        (folder / name).symlink_to(ROOT / name)
    for split, start in (("train", 0), ("dev", 10), ("test", 20)):
        for locale in LOCALES.split():
            clips = [Clip(start + n, f"{locale} {start + n}.", 0.6) for n in range(3)]
            write_fleurs(folder / "copy", locale, split, clips)
    write_own(folder / "own")
    return folder


def write_own(folder: Path) -> None:
    """Write recordings and manifests that somebody may have."""
    syllables = abs(np.sin(np.arange(12_800) / 2000))
    sound = 0.1 * syllables * np.random.default_rng(0).standard_normal(12_800)
    speech = load_audio(resolve("assets:micro/clips/swe.ogg"))
    for name in ("deu", "fra", "danish/a", "danish/b", "turkish/a"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / f"{name}.wav", speech if "/" in name else sound, 16_000)
    nemo, ours = [], []
    for code in ("deu", "fra"):
        told = {"duration": 0.8, "text": "Rain.", "source_lang": code, "target_lang": "en"}
        nemo.append({"audio_filepath": f"{code}.wav", **told})
        told = {"duration": 0.8, "src_lang": code, "tgt_lang": "eng", "tgt_text": "Wind."}
        ours.append({"id": code, "audio": f"{code}.wav", "sentence_id": "1", **told})
    for name, rows in (("nemo", nemo), ("dev", ours)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(autouse=True)
def there(checkout, monkeypatch):
    monkeypatch.chdir(checkout)
    few = (4,)  # recordings that a language's bias is estimated from: 500 take too long here
    monkeypatch.setattr(SpeechDataModule.estimation_utterances, "__defaults__", few)
    monkeypatch.setattr(Server, "startup", begin_and_stop(Server.startup))


def begin_and_stop(begin):
    """Make a server that stops when it has begun to answer."""

    async def startup(server, sockets=None):
        await begin(server, sockets)
        server.desk.draining = True

    return startup


def needs_more(words: tuple[str, ...] | list[str]) -> bool:
    """Whether a command wants FLEURS, or several processes."""
    return any("fleurs/" in word and word.endswith(".yaml") for word in words) or (
        "--trainer.devices" in words
    )


@pytest.mark.parametrize("page", LINKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_nothing_is_left_to_be_filled_in_and_links_lead_somewhere(page):
    text = page.read_text()
    assert "<<" not in text
    assert not re.search(r"@[A-Z]+@", text)
    for link in LINK.findall(text):
        assert "://" in link or (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_is_of_a_kind_that_is_checked_here(page):
    assert {words[0] for words in commands(page)} <= {"make", "speechalign"}
    assert {kind for kind, _ in FENCE.findall(page.read_text())} <= {
        "sh",
        "python",
        "text",
        "bibtex",
    }
    for words in commands(page):
        for word in words:
            if word.endswith(".yaml") and not word.startswith("runs/"):  # which commands write
                assert Path(word).is_file(), word


@pytest.mark.parametrize("code", [c for c in blocks(PAGES[0], "python") if PORT not in c])
def test_python_runs(code, capsys):
    exec(code, {})
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("code", [c for c in blocks(PAGES[0], "python") if PORT in c])
@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # openai's of translations
def test_python_that_asks_a_server_runs(code, capsys, monkeypatch):
    monkeypatch.undo()  # it is not to stop before it is asked
    with serving(Translator.from_pretrained(), name=MICRO) as served:
        exec(code.replace(PORT, f":{served.port}"), {})
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("words", [w for w in commands(PAGES[0]) if w[0] == "make"], ids=" ".join)
def test_make_knows_the_target(words):
    subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize(
    "block",
    [
        block
        for page in PAGES[:2]
        for block in blocks(page, "sh")
        if any(words[0] == "speechalign" and not needs_more(words) for words in lines(block))
    ],
    ids=lambda block: " ".join(lines(block)[0]),
)
@pytest.mark.filterwarnings("ignore:.* recordings where FLEURS has")  # the copy is small
def test_commands_run(block, capsys):
    for words in lines(block):
        if words[0] == "speechalign" and not needs_more(words):
            run(words[1], [part for word in words[2:] for part in expand(word)])
            assert capsys.readouterr().out.strip() or words[1] not in SPEAK


def run(verb: str, arguments: list[str]) -> None:
    """Run a command, made short and offline."""
    arguments = [STAND_INS.get(argument, argument) for argument in arguments]
    if "--help" in arguments:
        with pytest.raises(SystemExit) as stopped:
            main([verb, *arguments])
        assert not stopped.value.code
        return
    if verb == "fit":
        arguments += [f"--trainer.max_steps={2 if '--ckpt_path' in arguments else 1}"]
    if arguments[:1] == ["fleurs"]:
        arguments += ["--from", "copy"]
    assert main([verb, *arguments, *SHORT.get(verb, ())]) == 0


@pytest.mark.parametrize(
    "words",
    [w for page in PAGES for w in commands(page) if w[0] == "speechalign" and needs_more(w)],
    ids=" ".join,
)
def test_a_command_that_needs_more_parses(words, capsys):
    verb, *rest = words[1:]
    if "--ckpt_path" in rest:  # it will be there by then
        rest = rest[: rest.index("--ckpt_path")] + rest[rest.index("--ckpt_path") + 2 :]
    with pytest.raises(SystemExit) as stopped:
        main([verb, *rest, "--print_config"])
    assert not stopped.value.code, capsys.readouterr().err


def test_the_demo_of_the_package_is_the_run_of_the_readme():
    assert (
        Path(resolve("assets:micro/config.yaml")).read_text()
        == Path("configs/micro.yaml").read_text()
    )
