"""Each benchmark in its smallest setting. Times are not asserted: they depend on the machine."""

import sys

import pytest
import torch

from recipes.benchmarks import epoch, loader
from recipes.benchmarks.corpus import CODE, LONGEST, SHORTEST, SPLIT, write_corpus
from speechalign.audio.io import load_audio
from speechalign.data.fleurs import Fleurs


def run(monkeypatch, capsys, benchmark, *options: str) -> list[str]:
    threads = str(torch.get_num_threads())
    monkeypatch.setattr(sys, "argv", [benchmark.__name__, "--threads", threads, *options])
    benchmark.main()
    return capsys.readouterr().out.splitlines()


def test_all_loaders_have_their_line(monkeypatch, capsys):
    sizes = ["--utterances", "5", "--batch", "2", "--repeats", "1", "--workers", "0", "1"]
    lines = run(monkeypatch, capsys, loader, *sizes)
    for name, times in (("speechalign", 5), ("datasets", 4), ("lhotse", 2)):
        rows = [line for line in lines if line.startswith(name)]
        assert len(rows) == times
        assert all(float(row.split()[-1]) > 0 for row in rows)


def test_unlike_features_are_not_compared(tmp_path):
    utterances = Fleurs(str(write_corpus(tmp_path, 2))).utterances(CODE, SPLIT)
    alike = [torch.zeros(2, 80, 3000)]
    loader.check({loader.OURS: alike, "peer": alike}, utterances)
    with pytest.raises(SystemExit, match="peer: features differ"):
        loader.check({loader.OURS: alike, "peer": [alike[0] + 0.01]}, utterances)


def test_the_corpus_holds_what_its_table_says(tmp_path):
    utterances = Fleurs(str(write_corpus(tmp_path, 8))).utterances(CODE, SPLIT)
    assert len(utterances) == 8
    for utterance in utterances:
        assert SHORTEST <= utterance.duration <= LONGEST
        assert len(load_audio(utterance.audio)) == round(utterance.duration * 16_000)


def test_steps_are_timed_with_and_without_kept_frames(monkeypatch, capsys):
    sizes = ["--steps", "9", "--block", "4", "--batch", "4", "--sentences", "8"]
    smaller = ["--data.languages=[deu]", "--model.bias=null", "--model.alignment=null"]
    smaller += ["--model.schedule=null", "--trainer.log_every_n_steps=1"]
    lines = run(monkeypatch, capsys, epoch, *sizes, *smaller)
    kept, plain = (line.split() for line in lines[-2:])
    assert kept[:2] == ["kept", "frames"]
    assert plain[:2] == ["from", "audio"]
    assert float(plain[-1]) > 0
