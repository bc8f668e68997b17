"""The ablation's bookkeeping: what is run, gone on with, kept, and put into the table."""

import json
from pathlib import Path

import pytest

from recipes.micro import ablation
from recipes.micro.ablation import Run, run, table
from speechalign.commands.training import command_line


@pytest.fixture
def calls(monkeypatch):
    """Stand in for the command line: note each call, and write what it would write."""
    seen: list[tuple[str, list[str]]] = []

    def speechalign(verb: str, folder: Path, options: list[str]) -> None:
        seen.append((verb, options))
        if verb == "fit":
            (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
            for name in ("last", "best"):
                (folder / "checkpoints" / f"{name}.ckpt").touch()
            if len(seen) == 1:
                raise KeyboardInterrupt
        else:
            log = folder / "logs" / f"version_{len(seen)}"
            log.mkdir(parents=True)
            zero_shot = 40.0 if ablation.WITHOUT_AUDIO in options else 50.0
            metrics = {"trained": 90.0, "zero_shot": zero_shot, "pairs": {"deu-eng": {"bleu": 90}}}
            (log / "metrics.json").write_text(json.dumps(metrics))

    monkeypatch.setattr(ablation, "speechalign", speechalign)
    return seen


def test_a_stopped_run_goes_on_and_a_finished_one_is_kept(calls, tmp_path):
    one = Run("+ bias", 1, 20, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run(one)
    assert not one.result.exists()
    result = run(one)
    assert [verb for verb, _ in calls] == ["fit", "fit", "test", "test"]
    assert "--ckpt_path=last" not in calls[0][1]
    assert "--ckpt_path=last" in calls[1][1]
    assert (result["zero_shot"], result["zero_shot_without_audio"]) == (50.0, 40.0)
    assert run(one) == result
    assert len(calls) == 4


def test_every_configuration_has_a_folder_of_its_own(tmp_path):
    runs = [
        Run(setting, seed, steps, tmp_path)
        for setting in ablation.SETTINGS
        for seed in (0, 1)
        for steps in (None, 20)
    ]
    assert len({one.place for one in runs}) == len(runs)


def test_another_world_is_another_run(tmp_path, monkeypatch):
    before = Run("+ OT", 0, 20, tmp_path / "runs").place
    for part in ("encoder", "llm", "fleurs"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "a.bin").write_text("other weights")
    monkeypatch.setattr(ablation, "MICRO", tmp_path)
    ablation.world.cache_clear()
    assert Run("+ OT", 0, 20, tmp_path / "runs").place != before
    ablation.world.cache_clear()


@pytest.mark.parametrize("setting", ablation.SETTINGS)
def test_each_setting_is_what_it_is_called(setting, tmp_path, capsys):
    with pytest.raises(SystemExit):
        command_line("fit", [*Run(setting, 0, 20, tmp_path).options, "--print_config"])
    told = capsys.readouterr().out
    assert ("LanguageBias" in told) == ("bias" in setting)
    assert ("SinkhornDivergence" in told) == ("OT" in setting)
    assert "max_steps: 20" in told


def test_every_run_writes_into_its_own_folder(tmp_path, monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(ablation.subprocess, "run", lambda command, **_: seen.append(command))
    one = Run("baseline", 0, 20, tmp_path)
    ablation.speechalign("fit", one.place, one.options)
    verb, *told = seen[0][seen[0].index("speechalign") + 1 :]
    with pytest.raises(SystemExit):
        command_line(verb, [*told, "--print_config"])
    assert f"default_root_dir: {one.place}" in capsys.readouterr().out


def test_the_table_has_means_and_spreads():
    rows = [
        {"setting": "+ OT", "trained": 80.0, "zero_shot": 40.0},
        {"setting": "+ OT", "trained": 82.0, "zero_shot": 44.0},
        {"setting": "+ bias", "trained": 7.0, "zero_shot": 3.0, "zero_shot_without_audio": 2.0},
    ]
    assert table(rows).splitlines()[2:] == [
        "| + bias | 1 | 7.0 | 3.0 | 2.0 |",
        "| + OT | 2 | 81.0 ± 1.4 | 42.0 ± 2.8 |  |",
    ]
