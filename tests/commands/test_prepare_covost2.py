"""`speechalign prepare covost2` writes manifests that train, as its recipe says."""

import shlex
from pathlib import Path

import pytest

from speechalign.cli import main
from speechalign.commands.training import command_line
from speechalign.data.manifest import Manifest
from tests.data.test_covost2 import RELEASED, by_the_script, clip, table
from tests.test_configs import CONFIGS, TWO_STEPS
from tests.test_readme import ROOT, commands

README = ROOT / "recipes/covost2/README.md"
SPLIT = {"train": "abcdef", "dev": "gh", "test": "ij"}


def common_voice(folder: Path, suffix: str = "mp3") -> list[tuple[str, str]]:
    """Write ten clips and what they say; give (path, split) of each."""
    (folder / "clips").mkdir(parents=True)
    rows = [(f"{name}.{suffix}", split) for split, names in SPLIT.items() for name in names]
    for path, _ in rows:
        clip(folder / "clips", path, 0.2, 16_000)
    said = [(path, f"Line {path[0]}.") for path, _ in rows]
    table(folder / "validated.tsv", ("path", "sentence"), *said)
    return rows


def release(file: Path, rows: list[tuple[str, str]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    translated = [(path, f"“{path[0]}”", split) for path, split in rows]
    table(file, RELEASED[0], *translated)


@pytest.fixture
def layout(tmp_path, monkeypatch) -> Path:
    """The folders of the recipe, in the working folder."""
    monkeypatch.chdir(tmp_path)
    english, german = (common_voice(Path("data/cv4") / code) for code in ("en", "de"))
    for direction, rows in (("en_zh-CN", english), ("en_de", english), ("de_en", german)):
        release(Path("data/covost2") / f"covost_v2.{direction}.tsv", rows)
    return tmp_path


def test_the_recipe_runs_from_the_translations_to_two_stages(
    layout, long_whisper_folder, llm_folder, capsys
):
    (layout / "recipes").symlink_to(ROOT / "recipes")
    (layout / "configs").symlink_to(CONFIGS)
    for words in commands(README):
        if words[1] == "prepare":
            assert main(words[1:]) == 0
    written = sorted(file.name for file in Path("data/covost2").glob("*.jsonl"))
    assert written == [
        f"{direction}.{split}.jsonl"
        for direction in ("de_en", "en_de", "en_zh-CN")
        for split in ("dev", "test", "train")
    ]
    told = capsys.readouterr().out
    assert "Written: data/covost2/en_zh-CN.train.jsonl, 6 lines, 0.00 h." in told
    assert "Left out" not in told
    models = (
        f"--model.encoder.init_args.path={long_whisper_folder}",
        f"--model.llm.init_args.path={llm_folder}",
    )
    for words in commands(README):
        if words[1] == "fit" and "recipes/covost2/en_zh.yaml" in words:
            run = command_line("fit", [*words[2:], *models, *TWO_STEPS])
            assert run.trainer.global_step == 2
            assert len(run.datamodule.train_items()) == 6


def test_what_is_left_out_is_told_and_counted(layout, capsys):
    for name in "abcdef":
        Path(f"data/cv4/de/clips/{name}.mp3").unlink()
    file = "data/covost2/covost_v2.de_en.tsv"
    arguments = ["prepare", "covost2", file, "--clips=data/cv4/de/clips", "--output=out"]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"speechalign: {file}:2: ")
    assert "a.mp3 cannot be read (No such file or directory). Say --on-error skip to" in error
    assert error.count("\n") == 1
    assert not Path("out").exists()
    for option in (["--on-error", "skip"], ["--on_error=skip"]):
        assert main([*arguments, *option]) == 0
        told = capsys.readouterr()
        assert f"Left out of {file}: 6 rows." in told.out
        assert told.err.count("cannot be read") == 5
        assert told.err.endswith("...\n")
    corpus = Manifest({"dev": ["out/de_en.dev.jsonl"]})
    assert [u.sentence_id for u in corpus.utterances("deu", "dev")] == ["g", "h"]


def test_a_split_that_two_files_have_is_written_once(layout, capsys):
    both = ["data/covost2/covost_v2.de_en.tsv", "data/covost2/covost_v2.de_en.dev.tsv"]
    by_the_script(Path(both[1]), ("g.mp3", "Zeile.", "Line.", "x"))
    assert main(["prepare", "covost2", *both, "--clips=data/cv4/de/clips", "--output=out"]) == 2
    assert "dev.tsv: dev of it was in an earlier file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("covost_v2.de_en.tsv --output o --clips nowhere", "nowhere: no folder"),
        ("covost_v2.de_en.tsv --output o --clips .", "covost_v2.de_en.tsv: cannot be read"),
        ("covost_v2.de_en.tsv --output o --clips . --on-error go", "on_error"),
        ("covost_v2.de_en.tsv --clips .", "output"),
        ("de_en.tsv --output o --clips .", "expected the name that CoVoST 2 gives"),
    ],
)
def test_faults_are_told_in_a_line(tmp_path, monkeypatch, capsys, line, told):
    monkeypatch.chdir(tmp_path)
    assert main(["prepare", "covost2", *shlex.split(line)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert told in error


def test_the_help_tells_the_options(capsys):
    with pytest.raises(SystemExit):
        main(["prepare", "covost2", "--help"])
    told = capsys.readouterr().out
    assert "Write the manifests of CoVoST 2" in told
    assert "stop" in told
