"""What an epoch hears of a data module: batches by seconds, weighted languages, other takes."""

import os

import torch

from speechalign.audio.augment import Augmentation
from speechalign.data.datamodule import SpeechDataModule
from tests.data.test_datamodule import spoken


def test_batches_by_seconds_and_weighted_languages(make_data):
    data = make_data(batch_seconds=0.25, recordings="all", temperature=4.0)
    loader = data.train_dataloader()
    durations = [item[0].utterance.duration for item in data.train_items()]
    batches = list(loader)
    assert len(batches) == len(loader)
    for batch in batches:
        examples = batch.examples
        assert len(examples) * max(e.utterance.duration for e in examples) <= 0.25
    heard = [e.utterance.language for batch in batches for e in batch.examples]
    counts = {code: heard.count(code) for code in ("deu", "fra", "ita")}
    assert max(counts.values()) - min(counts.values()) <= 3  # of 11, 9 and 8
    assert max(durations) <= 0.1


Take = tuple[torch.Tensor, torch.Tensor]


def takes(data: SpeechDataModule, epoch: int = 0) -> dict[str, Take]:
    """What each recording of an epoch gets: its waveform and what is hidden, without padding."""
    loader = data.train_dataloader()
    loader.load_state_dict({"epoch": epoch, "batch": 0, "batches": len(loader)})
    heard = {}
    for batch in loader:
        for row, example in enumerate(batch.examples):
            samples = int(batch.samples[row])
            hidden = batch.hidden[row, :, : -(-samples // 160)]
            heard[example.utterance.id] = (batch.waveform[row, :samples], hidden)
    return heard


def same(one: dict[str, Take], other: dict[str, Take]) -> list[bool]:
    """Whether recordings that both have are bit-equal."""
    return [
        all(torch.equal(*both) for both in zip(one[id_], other[id_], strict=True))
        if one[id_][0].shape == other[id_][0].shape
        else False
        for id_ in one.keys() & other.keys()
    ]


def test_what_a_recording_gets_depends_on_seed_epoch_and_itself_alone(make_data, monkeypatch):
    def data(**settings) -> SpeechDataModule:
        return make_data(**{"augment": Augmentation(), "batch_size": 4} | settings)

    first = takes(data())
    assert len(first) == 27 - 1  # two recordings of one sentence: one an epoch
    for settings in ({"workers": 2}, {"batch_size": 12}, {"pairing": "none"}):
        others = same(first, takes(data(**settings)))
        assert len(others) > 20
        assert all(others)
    assert sum(same(first, takes(data(), epoch=1))) < 5
    assert sum(same(first, takes(data(seed=1)))) < 5
    for rank in range(2):
        monkeypatch.setattr(
            SpeechDataModule, "_place", lambda _, rank=rank: {"rank": rank, "world_size": 2}
        )
        assert all(same(first, takes(data())))


def test_drawing_takes_leaves_the_global_random_numbers_alone(make_data):
    for workers in (0, 2):
        loader = make_data(batch_size=4, workers=workers, augment=Augmentation())
        torch.manual_seed(5)
        expected = torch.rand(3)
        torch.manual_seed(5)
        list(loader.train_dataloader())
        assert torch.equal(torch.rand(3), expected)


def test_evaluation_and_bias_hear_the_recordings_themselves(make_data):
    clean, varied = make_data(), make_data(augment=Augmentation())

    def dev(data):
        return [list(loader) for loader in data.val_dataloader()]

    def test(data):
        return [[read.batch for read in loader] for loader in data.test_dataloader()]

    for get in (dev, test):
        for one, other in zip(get(clean), get(varied), strict=True):
            for a, b in zip(one, other, strict=True):
                assert torch.equal(a.waveform, b.waveform)
                assert b.hidden is None
    assert clean.estimation_utterances("deu") == varied.estimation_utterances("deu")


def test_what_the_report_drops_is_logged(make_data, fleurs, caplog):
    line = "de_de/train/0.wav\t0\tdropped\tsilent\t-90\t-66\t\n"
    header = "id\tsentence_id\taction\treason\tvalue\tlimit\tnote\n"
    (fleurs / "quality.tsv").write_text(header + line)
    data = make_data(cache=False)
    with caplog.at_level("INFO"):
        items = data.train_items()
    assert "deu/train: left out of 11 recordings: 1 that quality.tsv drops." in caplog.text
    assert "de_de/train/0.wav" not in spoken(items)
    (fleurs / "quality.tsv").write_text(header + line.replace("dropped", "kept"))
    os.utime(fleurs / "quality.tsv", (1, 1))
    data.configure(data._fitted().tokenizer, 1600)
    assert "de_de/train/0.wav" in spoken(data.train_items())
