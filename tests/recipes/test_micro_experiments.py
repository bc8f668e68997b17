"""The bookkeeping of experiments: what is run, gone on with, kept, and put into the table."""

import json
import shutil
from pathlib import Path

import pytest

from recipes.micro.experiments import __main__ as experiments
from recipes.micro.experiments import running
from recipes.micro.experiments.grid import ROOT, Setting, read_grid
from recipes.micro.experiments.running import Run, read_rows, run, write_rows
from recipes.micro.experiments.table import table
from speechalign.commands.training import command_line
from speechalign.errors import UserError
from speechalign.evaluation.predictions import Prediction, write_predictions

FOLDER = ROOT / "recipes" / "micro" / "experiments"
GRIDS = sorted(FOLDER.glob("*.yaml"))
PAPER = {one.name: one for one in read_grid(FOLDER / "paper.yaml").settings}
FOUR = """
baseline: baseline
settings:
  baseline: {configs: [ablation/no_bias, ablation/no_ot]}
  + bias: {configs: [ablation/no_ot]}
  + OT: {configs: [ablation/no_bias]}
  + bias + OT: {}
"""
SPOKEN = ["the", "king", "sees", "a", "small", "red", "house", "near", "the", "big", "dog"]


def answers(right: int) -> list[Prediction]:
    """Ten sentences in two languages, of which so many are answered rightly."""
    rows = []
    for code in ("deu", "nld"):
        for n in range(10):
            reference = " ".join(SPOKEN[n:] + SPOKEN[:n])
            said = reference if n < right else "no " + " ".join(sorted(SPOKEN))
            place = (f"{code}{n}", str(n), code, "eng", "", 1.0)
            rows.append(Prediction(*place, said, None, reference))
    return rows


@pytest.fixture
def calls(monkeypatch):
    """Stand in for the command line: note each call, and write what it would write."""
    seen: list[tuple[str, list[str]]] = []

    def speechalign(verb: str, folder: Path, options: list[str]) -> None:
        seen.append((verb, options))
        if verb == "inspect":
            (numbers,) = [o.split("=")[1] for o in options if o.startswith("--numbers=")]
            recall = {"encoder": 0.1, "qformer.1": 0.2, "qformer.2": 0.7, "llm.1": 0.8}
            stages = [{"stage": name, "recall_at_1": v} for name, v in recall.items()]
            Path(numbers).write_text(json.dumps({"stages": stages}))
        elif verb == "fit":
            (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
            for name in ("last", "best"):
                (folder / "checkpoints" / f"{name}.ckpt").touch()
            if len(seen) == 1:
                raise KeyboardInterrupt
        else:
            log = folder / "logs" / f"version_{len(seen)}"
            log.mkdir(parents=True)
            groups = {"trained": ("deu", 90.0), "zero_shot": ("nld", 50.0)}
            averages = {
                group: {"languages": [code], "bleu": {"value": value}}
                for group, (code, value) in groups.items()
            }
            pairs = {"deu-eng": {"scores": {"bleu": {"value": 90.0}}}}
            scores = {"averages": averages, "pairs": pairs}
            (log / "metrics.json").write_text(json.dumps(scores))
            write_predictions(log / "predictions.jsonl", answers(6 if "OT" in folder.name else 4))

    monkeypatch.setattr(running, "speechalign", speechalign)
    return seen


def test_a_stopped_run_goes_on_and_a_finished_one_is_kept(calls, tmp_path):
    one = Run(PAPER["+ bias"], 1, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run(one)
    assert not one.result.exists()
    result = run(one)
    assert [verb for verb, _ in calls] == ["fit", "fit", "test", "inspect"]
    assert "--ckpt_path=last" not in calls[0][1]
    assert "--ckpt_path=last" in calls[1][1]
    assert (result["trained"], result["zero_shot"]) == (90.0, 50.0)
    assert run(one) == result
    assert len(calls) == 4


def test_every_configuration_has_a_folder_of_its_own(tmp_path):
    runs = [
        Run(setting._replace(steps=steps), seed, tmp_path)
        for setting in (*PAPER.values(), Setting("+ OT", PAPER["+ OT"].configs, ("--a=1",)))
        for seed in (0, 1)
        for steps in (None, 20)
    ]
    runs += [Run(PAPER["+ OT"], 0, tmp_path, start=one) for one in runs]
    assert len({one.place for one in runs}) == len(runs)
    elsewhere = Run(PAPER["+ OT"], 0, tmp_path / "else", start=runs[0]._replace(folder=tmp_path))
    assert elsewhere.name in {one.name for one in runs}  # it is the same wherever it runs


def test_what_others_go_on_from_is_trained_first(calls, tmp_path):
    grid = tmp_path / "grid.yaml"
    grid.write_text(
        "{baseline: a, after: a, steps: 9, options: [--b=1], settings: {b: {steps: 5}, a: , c: }}"
    )
    calls.append(("fit", []))  # only the first call is stopped
    experiments.main([str(grid), f"--output={tmp_path / 'runs'}", "--seeds=2", "--jobs=1"])
    told = [
        (
            verb,
            [o for o in options if any(part in o for part in ("init_from", "max_steps", "--b="))],
        )
        for verb, options in calls
    ]
    (first, second, *others) = [options for verb, options in told[1:] if verb == "fit"]
    assert first == second == ["--trainer.max_steps=9"]
    bests = sorted(str(file) for file in tmp_path.glob("runs/a_*/checkpoints/best.ckpt"))
    expected = [
        [f"--trainer.max_steps={n}", "--b=1", f"--model.init_from={b}"]
        for b in bests
        for n in (5, 9)
    ]
    assert sorted(others) == sorted(expected)


def test_a_grid_may_begin_with_another_seed(calls, four, tmp_path, capsys):
    four.write_text(four.read_text(encoding="utf-8") + "first_seed: 3\n", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt):
        experiments.main([str(four), f"--output={tmp_path}", "--seeds=2", "--jobs=1"])
    experiments.main([str(four), f"--output={tmp_path}", "--seeds=2", "--jobs=1"])
    rows = read_rows(four.with_suffix(".jsonl.xz"))
    assert sorted(row["seed"] for row in rows.values()) == [3, 3, 3, 3, 4, 4, 4, 4]


def test_another_world_is_another_run(tmp_path, monkeypatch):
    before = Run(PAPER["+ OT"], 0, tmp_path / "runs").place
    for part in ("encoder", "llm", "fleurs"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "a.bin").write_text("other weights")
    monkeypatch.setattr(running, "MICRO", tmp_path)
    running.world.cache_clear()
    assert Run(PAPER["+ OT"], 0, tmp_path / "runs").place != before
    running.world.cache_clear()


@pytest.mark.parametrize("name", PAPER)
def test_each_setting_of_the_paper_is_what_it_is_called(name, tmp_path, capsys):
    with pytest.raises(SystemExit):
        command_line(
            "fit", [*Run(PAPER[name]._replace(steps=20), 0, tmp_path).options, "--print_config"]
        )
    told = capsys.readouterr().out
    assert ("LanguageBias" in told) == ("bias" in name)
    assert ("SinkhornDivergence" in told) == ("OT" in name)
    assert "max_steps: 20" in told


@pytest.mark.parametrize("file", GRIDS, ids=lambda file: file.stem)
def test_every_setting_can_be_configured(file, tmp_path, capsys):
    for setting in read_grid(file).settings:
        with pytest.raises(SystemExit) as stop:
            command_line(
                "fit", [*Run(setting._replace(steps=20), 0, tmp_path).options, "--print_config"]
            )
        assert stop.value.code == 0, capsys.readouterr().err


def test_every_run_writes_into_its_own_folder(calls, tmp_path, capsys):
    one = Run(PAPER["baseline"], 0, tmp_path)
    calls.append(("fit", []))  # only the first call is stopped
    run(one)
    for verb, told in calls[1:3]:
        with pytest.raises(SystemExit):
            command_line(verb, [*told, "--print_config"])
        assert f"default_root_dir: {one.place}" in capsys.readouterr().out


def test_a_command_that_fails_tells_its_log(tmp_path):
    running.speechalign("--version", tmp_path / "run", [])
    with pytest.raises(
        UserError, match=r"failed, as .*log\.txt tells: speechalign: Unknown command"
    ):
        running.speechalign("sing", tmp_path / "run", [])
    assert len((tmp_path / "run" / "log.txt").read_text().splitlines()) == 2


@pytest.fixture
def four(tmp_path) -> Path:
    """A grid of the paper's four settings, each from nothing."""
    grid = tmp_path / "four.yaml"
    grid.write_text(FOUR, encoding="utf-8")
    return grid


def test_one_command_runs_a_grid_and_prints_its_table(calls, four, tmp_path, capsys):
    kept = four.with_suffix(".jsonl.xz")
    arguments = [str(four), f"--output={tmp_path}", "--seeds=2", "--jobs=1"]
    experiments.main([*arguments, "--table"])
    assert "Nothing of this grid is finished" in capsys.readouterr().out
    with pytest.raises(KeyboardInterrupt):
        experiments.main(arguments)
    experiments.main(arguments)
    told = capsys.readouterr().out
    assert "+ bias + OT, seed 1: 90.0 / 50.0" in told
    lines = [line.split("|")[1:-1] for line in told.splitlines()[-4:]]
    assert [line[0].strip() for line in lines] == [one.name for one in read_grid(four).settings]
    assert [line[1:3] for line in lines] == [[" 2 ", " 90.0 ± 0.0 "]] * 4
    assert [line[3].strip()[:4] for line in lines[:2]] == ["", "+0.0"]
    assert all(float(line[3].split("[")[0]) > 10 for line in lines[2:])
    assert all(line[6] == " 0.700 ± 0.000 " for line in lines)
    assert len(read_rows(kept)) == 8
    done = len(calls)
    for folder in tmp_path.iterdir():  # finished runs need no folder
        if folder.is_dir():
            shutil.rmtree(folder)
    experiments.main(arguments)
    assert capsys.readouterr().out.splitlines()[-4:] == told.splitlines()[-4:]
    experiments.main([*arguments[:-2], "--seeds=1", "--table"])
    assert "| 1 | 90.0 |" in capsys.readouterr().out
    assert len(calls) == done


def test_what_is_finished_when_a_run_fails_is_kept(calls, four, tmp_path, monkeypatch, capsys):
    kept = tmp_path / "kept.jsonl.xz"
    arguments = [str(four), f"--output={tmp_path}", f"--results={kept}"]
    calls.append(("fit", []))  # only the first call is stopped
    whole = running.speechalign

    def fails(verb, folder, options):
        if "OT" in folder.name:
            raise UserError("the disk is full")
        whole(verb, folder, options)

    monkeypatch.setattr(running, "speechalign", fails)
    with pytest.raises(SystemExit) as stop:
        experiments.main([*arguments, "--seeds=1", "--jobs=1"])
    assert stop.value.code == 1
    assert capsys.readouterr().err == "the disk is full\n"
    assert [row["setting"] for row in read_rows(kept).values()] == ["baseline", "+ bias"]


def test_a_world_without_zero_shot_languages_has_a_table(tmp_path):
    grid = read_grid(FOLDER / "paper.yaml")
    rows = [
        {
            "setting": name,
            "seed": 0,
            "trained": 90.0,
            "zero_shot": None,
            "languages": {"trained": ["deu"], "zero_shot": []},
            "recall_at_1": {"encoder": 0.2, "qformer.1": None},
            "predictions": [row._asdict() for row in answers(4)],
        }
        for name in ("baseline", "+ OT")
    ]
    assert "| + OT | 1 | 90.0 | +0.0 [+0.0, +0.0] |  |  |  |" in table(grid, rows)
    rows[1]["languages"] = {"trained": ["deu", "nld"], "zero_shot": []}
    assert "| + OT | 1 | 90.0 |  |  |  |  |" in table(grid, rows)  # of others: not compared


def test_what_is_no_file_of_runs_is_named(tmp_path, capsys):
    file = tmp_path / "runs.jsonl.xz"
    assert read_rows(file) == {}
    write_rows(file, [{"run": "a", "said": "one\u2028two\x85"}, {"run": "b"}])
    assert list(read_rows(file)) == ["a", "b"]
    file.write_text("[]")
    with pytest.raises(UserError, match="does not hold finished runs"):
        read_rows(file)
    with pytest.raises(SystemExit):
        experiments.main([str(FOLDER / "paper.yaml"), f"--results={file}"])
    assert "does not hold finished runs" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        experiments.main([str(FOLDER / "paper.yaml"), "--steps=0"])
    assert "--steps of 1 or more" in capsys.readouterr().err


def test_a_result_without_zero_shot_languages_is_told():
    result = {"setting": "+ OT", "seed": 3, "trained": 41.25, "zero_shot": None}
    assert experiments.told(result) == "+ OT, seed 3: 41.2 / -"


def test_a_table_of_nothing_has_no_lines(tmp_path):
    assert len(table(read_grid(FOLDER / "paper.yaml"), []).splitlines()) == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("settings: [", "not a readable YAML"),
        ("settings: {}", "must name one of the settings"),
        ("{baseline: a, settings: {a: }, more: 1}", "`steps`, not more"),
        ("{baseline: a, settings: [a]}", "expected `settings`"),
        ("{baseline: a, after: c, settings: {a: }}", "`after` must name one of the settings"),
        ("{baseline: a, settings: {a: x}}", "a may have `configs`, `options` and `steps`"),
        ("{baseline: a, options: --x=1, settings: {a: }}", "expected a list of texts"),
        ("{baseline: a, settings: {a: {configs: no_ot}}}", "expected a list of texts"),
        ("{baseline: b, settings: {a: }}", "must name one of the settings"),
        ("{baseline: a, steps: few, settings: {a: }}", "`steps` is 'few'"),
        ("{baseline: a, steps: 0, settings: {a: }}", "`steps` is 0"),
        ("{baseline: a, first_seed: -1, settings: {a: }}", "`first_seed` is -1"),
        (
            "{baseline: a, settings: {a: {config: []}}}",
            "a may have `configs`, `options` and `steps`",
        ),
        ("{baseline: a, settings: {a: {configs: [none]}}}", "a needs .*none.yaml"),
    ],
)
def test_a_faulty_grid_is_named(tmp_path, text, told):
    file = tmp_path / "grid.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=told):
        read_grid(file)
