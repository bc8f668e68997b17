"""Joining utterances with references, reading them, and drawing tasks."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch.testing import assert_close

from speechalign.audio.augment import Augmentation
from speechalign.audio.io import load_audio
from speechalign.data.archive import open_archive
from speechalign.data.batch import Collate
from speechalign.data.examples import SpeechDataset, read_audio
from speechalign.data.items import Asking, join
from speechalign.data.pairs import BatchRows
from speechalign.data.prompts import PromptTemplates
from speechalign.data.records import Utterance
from speechalign.errors import UserError
from tests.data.test_archive import pack

PROMPTS = PromptTemplates()


def utterance(sentence: str = "1", audio: Path = Path("no.wav"), **fields) -> Utterance:
    made = Utterance("id", sentence, "deu", audio, 0.0, 0.05, "Haus.", "haus", "other")
    return made._replace(**fields)


def test_every_task_asks_and_answers_its_way():
    (item,) = join([utterance()], {"1": "House."}, Asking(("asr", "st", "srt"), "eng", PROMPTS))
    assert [(e.task, e.target, e.prompt, e.answer) for e in item] == [
        ("asr", "deu", "<|deu|><|asr|>", "Haus."),
        ("st", "eng", "<|deu|><|st|><|eng|>", "House."),
        ("srt", "eng", "<|deu|><|srt|><|eng|>", "Haus.<|st|>House."),
    ]


def test_without_a_reference_only_asr_is_left():
    found = [utterance("1"), utterance("2")]
    assert [
        len(i) for i in join(found, {"1": "House."}, Asking(("st", "asr"), "eng", PROMPTS))
    ] == [2, 1]
    assert [len(i) for i in join(found, {"1": "House."}, Asking(("st",), "eng", PROMPTS))] == [1]
    assert not join(found, {}, Asking(("srt",), "eng", PROMPTS))


@pytest.fixture
def recording(tmp_path) -> Path:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 1600), 16_000)
    return path


def test_audio_is_read_from_files_and_archives(recording, tmp_path):
    whole = load_audio(recording)
    assert_close(read_audio(utterance(audio=recording, duration=0.1)), whole)
    part = utterance(audio=recording, start=0.02, duration=0.05)
    assert_close(read_audio(part), whole[320:1120])
    (tmp_path / "pack").mkdir()
    archive = pack(tmp_path / "pack" / "a.tar", content={"train/a.wav": recording.read_bytes()})
    member = open_archive(archive)["train/a.wav"]
    assert_close(read_audio(part._replace(audio=member)), whole[320:1120])


def test_unreadable_audio_names_the_utterance(tmp_path):
    with pytest.raises(UserError, match=r"^de_de/train/x\.wav: .*does not exist"):
        read_audio(utterance(audio=tmp_path / "x.wav", id="de_de/train/x.wav"))
    member = open_archive(pack(tmp_path / "a.tar"))["train/1.wav"]
    with pytest.raises(UserError, match=r"^id: "):
        read_audio(utterance(audio=member))


def test_the_dataset_gives_batches(recording, tokenizer):
    found = [utterance("1", recording), utterance("2", recording, start=0.02)]
    items = join(found, {"1": "One.", "2": "Two."}, Asking(("st",), "eng", PROMPTS))
    dataset = SpeechDataset(items, Collate(tokenizer, 1600))
    batch = dataset[BatchRows((1, 0), ((0, 1),), 0)]
    assert len(dataset) == 2
    assert [example.answer for example in batch.examples] == ["Two.", "One."]
    assert batch.pairs.tolist() == [[0, 1]]
    assert_close(batch.waveform[0, :800], read_audio(found[1]))


def test_tasks_are_drawn_by_weight_and_epoch(tokenizer):
    found = [utterance("1", id=f"{n}") for n in range(2000)]
    items = join(found, {"1": "One."}, Asking(("asr", "st", "srt"), "eng", PROMPTS))
    weights = {"asr": 1.0, "st": 2.0, "srt": 1.0}
    dataset = SpeechDataset(items, Collate(tokenizer, 1600), weights, seed=3)
    drawn = [dataset.draw(row, epoch=0).task for row in range(2000)]
    assert drawn == [dataset.draw(row, epoch=0).task for row in range(2000)]
    assert drawn != [dataset.draw(row, epoch=1).task for row in range(2000)]
    count = Counter(drawn)
    assert abs(count["st"] - 1000) < 100  # 4.5 standard deviations
    assert abs(count["asr"] - 500) < 90


def test_takes_hide_speech_and_never_padding(recording, tokenizer):
    found = [utterance("1", recording, duration=0.1), utterance("2", recording)]
    items = join(found, {"1": "One.", "2": "Two."}, Asking(("st",), "eng", PROMPTS))
    augment = Augmentation(speed=(1.0,), frequency_masks=5, time_masks=3, time_width=9.0)
    dataset = SpeechDataset(items, Collate(tokenizer, 1600, mels=16), augment=augment)
    drawn = [dataset[BatchRows((0, 1), (), epoch)] for epoch in range(20)]
    assert {batch.hidden.shape for batch in drawn} == {(2, 16, 10)}
    hidden = torch.stack([batch.hidden for batch in drawn]).any(dim=0)
    assert hidden[0].all()
    assert hidden[1, :, :5].all()
    assert not hidden[1, :, 5:].any()


def test_without_augmentation_batches_are_as_ever(recording, tokenizer):
    items = join([utterance("1", recording)], {"1": "One."}, Asking(("st",), "eng", PROMPTS))
    collate = Collate(tokenizer, 1600)
    clean = SpeechDataset(items, collate)[BatchRows((0,), (), 0)]
    nothing = Augmentation((1.0,), noise_probability=0.0, frequency_masks=0, time_masks=0)
    same = SpeechDataset(items, collate, augment=nothing)[BatchRows((0,), (), 0)]
    assert clean.hidden is None
    assert not same.hidden.any()
    assert torch.equal(clean.waveform, same.waveform)
    assert torch.equal(clean.waveform[0, :800], read_audio(utterance("1", recording)))
