"""What the READMEs tell people to type works: Python is run, commands too, links lead somewhere.

Commands run in the order of the page, in one folder, so that a later one finds what an earlier one
wrote. Training is cut to a step; what needs data that nobody ships is parsed.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from speechalign.assets import resolve
from speechalign.cli import main
from speechalign.data.datamodule import SpeechDataModule

ROOT = Path(__file__).parents[1]
PAGES = (
    ROOT / "README.md",
    ROOT / "recipes/fleurs/README.md",
    ROOT / "recipes/covost2/README.md",
)
SEEN_FROM_THERE = ("configs", "recipes", "speechalign")
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]+)\)")

SHORT = {
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


def blocks(page: Path, kind: str) -> list[str]:
    """Fenced blocks of one language."""
    return [text for language, text in FENCE.findall(page.read_text()) if language == kind]


def commands(page: Path) -> list[list[str]]:
    """Words of every command of a page, without comments, in its order."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def expand(word: str) -> list[str]:
    """Do what a shell does with a pattern of file names that exist."""
    return sorted(map(str, Path().glob(word))) or [word]


def shipped() -> list[tuple[str, ...]]:
    """Commands that can be run with what travels with the package."""
    return [tuple(words) for words in commands(PAGES[0]) if words[0] == "speechalign"]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A folder that looks like a checkout and takes what the commands write."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in SEEN_FROM_THERE:
        (folder / name).symlink_to(ROOT / name)
    return folder


@pytest.fixture(autouse=True)
def there(checkout, monkeypatch):
    monkeypatch.chdir(checkout)
    few = (4,)  # recordings that a language's bias is estimated from: 500 take too long here
    monkeypatch.setattr(SpeechDataModule.estimation_utterances, "__defaults__", few)


def needs_more(words: tuple[str, ...] | list[str]) -> bool:
    """Whether a command wants FLEURS, or several processes."""
    return any("fleurs/" in word and word.endswith(".yaml") for word in words) or (
        "--trainer.devices" in words
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_nothing_is_left_to_be_filled_in_and_links_lead_somewhere(page):
    text = page.read_text()
    assert "<<" not in text
    for link in LINK.findall(text):
        assert "://" in link or (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_is_of_a_kind_that_is_checked_here(page):
    assert {words[0] for words in commands(page)} <= {"make", "speechalign", "hf"}
    assert {kind for kind, _ in FENCE.findall(page.read_text())} <= {
        "sh",
        "python",
        "text",
        "bibtex",
    }
    for words in commands(page):
        for word in words:
            if word.endswith(".yaml"):
                assert Path(word).is_file(), word


@pytest.mark.parametrize("code", blocks(PAGES[0], "python"))
def test_python_runs(code, capsys):
    exec(code, {})
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("words", [w for w in commands(PAGES[0]) if w[0] == "make"], ids=" ".join)
def test_make_knows_the_target(words):
    subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize("words", [w for w in shipped() if not needs_more(w)], ids=" ".join)
def test_a_command_runs(words, capsys):
    verb, *rest = words[1:]
    arguments = [part for word in rest for part in expand(word)]
    if verb == "fit" and "--help" not in rest:
        arguments += [f"--trainer.max_steps={2 if '--ckpt_path' in rest else 1}"]
    if "--help" in rest:
        with pytest.raises(SystemExit) as stopped:
            main([verb, *arguments])
        assert not stopped.value.code
    else:
        assert main([verb, *arguments, *SHORT.get(verb, ())]) == 0
    if verb in {"translate", "transcribe", "info"}:
        assert capsys.readouterr().out.strip()


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


def test_downloads_use_options_that_exist():
    options = {
        w for words in commands(PAGES[1]) if words[0] == "hf" for w in words if w[:2] == "--"
    }
    program = Path(sys.executable).with_name("hf")  # comes with huggingface_hub
    told = subprocess.run(
        [program, "download", "--help"], capture_output=True, text=True, check=True
    )
    assert all(option in told.stdout for option in options)


def test_the_demo_of_the_package_is_the_run_of_the_readme():
    assert (
        Path(resolve("assets:micro/config.yaml")).read_text()
        == Path("configs/micro.yaml").read_text()
    )
