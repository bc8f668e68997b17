"""Each benchmark in its smallest setting. Times are not asserted: they depend on the machine."""

import logging
import re
import sys

import pytest
import torch

from recipes.benchmarks import (
    epoch,
    hours,
    index,
    loader,
    opening,
    order,
    requests,
    scoring,
    serving,
    translating,
)
from recipes.benchmarks.corpus import CODE, LONGEST, SHORTEST, SPLIT, write_corpus
from recipes.benchmarks.tables import SPLITS, write_tables
from speechalign.audio.io import load_audio
from speechalign.data.fleurs import Fleurs
from speechalign.languages import LANGUAGES


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
    assert logging.getLogger("lightning.pytorch").level == logging.INFO  # speaks again afterwards


def test_the_tables_are_of_fleurs_size(tmp_path):
    share, source = 0.002, Fleurs(str(tmp_path / "root"), cache_dir=str(tmp_path / "cache"))
    assert sum(sum(one.recordings) for one in LANGUAGES) == 384_060
    written = write_tables(tmp_path / "root", share)
    assert source.languages() == [one.code for one in LANGUAGES]
    found = {
        (one, split): source.utterances(one.code, split) for one in LANGUAGES for split in SPLITS
    }
    assert sum(map(len, found.values())) == written
    for (one, split), utterances in found.items():
        total = getattr(one.recordings, split)
        assert share * total <= len(utterances) < share * total + 1
        assert {int(u.sentence_id) for u in utterances} <= set(range(*SPLITS[split]))
        assert all(3 < u.duration < 30 for u in utterances)


def test_a_corpus_of_full_size_is_opened_and_put_in_order(monkeypatch, capsys):
    steps = {"opening": opening.open_tables} | {f"order {n}": s for n, s in order.STEPS.items()}

    def measure(step: str, *places: str) -> opening.Told:  # in this process, which has its imports
        return opening.take(steps[step], *places)

    monkeypatch.setattr(index, "measure", measure)
    monkeypatch.setattr(sys, "argv", ["index", "--rows", "0.002"])
    index.main()
    lines = capsys.readouterr().out.splitlines()
    opened = [line.split()[-4:] for line in lines if line.startswith("all tables")]
    assert opened[0][0] == opened[1][0] == lines[0].split()[0]
    assert any(line.startswith("train_items") for line in lines)
    for name in index.ORDERS:
        rows, batches, *seconds = next(x for x in lines if x.startswith(name)).split()[1:]
        assert 0 < int(batches) < int(rows.replace(",", ""))
        assert len(seconds) == 3


def test_each_step_has_a_process_of_its_own(tmp_path):
    rows = write_tables(tmp_path / "root", 0.001)
    told = index.measure("opening", str(tmp_path / "root"), str(tmp_path / "cache"))
    assert told["rows"] == rows
    assert 0 < told["imports"] <= told["peak"]


def test_scores_of_many_recordings_are_timed(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["scoring", "--recordings", "303"])
    scoring.main()
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.startswith("303 recordings, 101 languages, mean BLEU")
    assert second.startswith("counted in ")
    assert third.endswith(" GB")
    assert len({(row.id, *row.pair) for row in scoring.make(303)}) == 303


def test_batches_and_a_plain_loop_write_the_same(monkeypatch, capsys):
    lines = run(monkeypatch, capsys, translating, "--recordings=6", "--rounds=1")
    assert [line.split(":")[0] for line in lines] == [
        "plain loop", *(f"batches of {size}" for size in (1, 8, 16, 32))
    ]  # fmt: skip
    assert all(line.endswith(", 6 of 6 texts as one by one") for line in lines)


def test_speech_is_found_and_what_is_none_has_no_text(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["hours", "--speech=70", "--other=10"])
    hours.main()
    speech, times, memory, speed, bleu, *others = capsys.readouterr().out.splitlines()
    assert speech.startswith("0.019 h of speech, ")
    assert all(float(part.split()[0]) < 0.3 for part in re.findall(r"[\d.]+ s", times))
    assert memory.startswith("memory: ")
    assert speed.endswith(" x real time")
    long, alone = map(float, re.findall(r"\d+\.\d", bleu))
    assert abs(long - alone) < 5
    assert [line.split(" of ")[1].split(":")[0] for line in others] == ["silence", "noise", "notes"]


def test_a_server_is_loaded_by_clients_of_all_kinds(monkeypatch, capsys):
    sizes = ["--requests=24", "--clients=6", "--recordings=4", "--leak=1000", "--device=cpu"]
    monkeypatch.setattr(requests, "TOGETHER", 2)
    monkeypatch.setattr(sys, "argv", ["serving", *sizes])
    serving.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("24 requests of 6 clients in ")
    ends = {end: int(count) for count, end in (one.split(" ", 1) for one in lines[2].split(", "))}
    assert sum(ends.values()) == 24
    assert ends["right 200"] > 10
    assert ends["gone"] >= 1
