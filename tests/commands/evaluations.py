"""`speechalign evaluate` called, and what it leaves behind looked at."""

import json
from pathlib import Path

from speechalign.cli import main
from speechalign.commands.training import command_line
from speechalign.evaluation.predictions import read_predictions


def evaluate(folder, *options):
    return main(["evaluate", f"--output-dir={folder}", "--draws=20", *options])


def metrics(folder):
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


def contents(folder):
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def lightning_run(corpus, folder) -> Path:
    """Ask Lightning's `test` about German and Dutch: where it left what it found."""
    run = command_line("test", [
        "--config=configs/micro.yaml", "--model.init_from=assets:micro/adapter",
        f"--data.source.init_args.root={corpus}", "--data.languages=[deu]",
        "--data.zero_shot=[nld]", f"--trainer.default_root_dir={folder}",
        "--trainer.enable_progress_bar=false", "--data.cache=false",
    ])  # fmt: skip
    return Path(run.trainer.log_dir)


def assert_the_same(evaluated, tested) -> None:
    """Compare rows and scores of `evaluate` with those of Lightning's `test`."""
    ours, theirs = (read_predictions(run / "predictions.jsonl") for run in (evaluated, tested))
    assert sorted(theirs) == sorted(ours)
    ours, theirs = metrics(evaluated)["pairs"], metrics(tested)["pairs"]
    assert theirs.keys() == ours.keys()
    for pair, told in ours.items():
        for key in ("failures", "failed_rows", "recordings"):
            assert theirs[pair][key] == told[key]
        for name, score in told["scores"].items():
            for key in ("value", "by_sentence", "strict", "signature"):  # draws were fewer here
                assert theirs[pair]["scores"][name][key] == score[key]
