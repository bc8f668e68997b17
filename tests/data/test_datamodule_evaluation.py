"""What a data module gives to be evaluated on, and what languages' centroids are estimated from."""

import pytest

from speechalign.data.datamodule import SpeechDataModule
from speechalign.data.fleurs import Fleurs
from speechalign.errors import UserError
from tests.data.test_datamodule import spoken


def test_an_evaluation_of_nothing_is_refused(make_data, fleurs):
    tsv = fleurs / "en_us" / "test.tsv"
    tsv.write_text("999" + tsv.read_text().splitlines()[0].lstrip("0123456789") + "\n")
    with pytest.raises(UserError, match="deu/test: no recording has a text in eng"):
        make_data().exams("test")


def test_evaluation_is_trained_then_zero_shot(make_data):
    trained, zero_shot = make_data(eval_batch_size=5).val_dataloader()
    assert [len(batch.examples) for batch in trained] == [5, 5, 2]
    assert {e.utterance.language for batch in trained for e in batch.examples} == {
        "deu",
        "fra",
        "ita",
    }
    (batch,) = zero_shot
    assert sorted(e.utterance.id for e in batch.examples) == [
        f"nl_nl/dev/{n}.wav" for n in range(4)
    ]
    assert len(make_data(zero_shot=[]).val_dataloader()) == 1


def test_too_long_to_evaluate_is_kept_apart(make_data):
    data = make_data()
    trained, _ = data.test_dataloader()
    (long,) = data.too_long["test"]
    assert long.utterance.id == "de_de/test/3.wav"
    assert long.answer == "Sentence 203."
    ids = [e.utterance.id for read in trained for e in read.batch.examples]
    assert len(ids) == 11
    assert "de_de/test/3.wav" not in ids
    data.val_dataloader()
    assert data.too_long == {"test": [long], "dev": []}


def test_evaluation_asks_for_the_heaviest_task(make_data):
    data = make_data(tasks={"asr": 1.0, "srt": 2.0}, zero_shot=[])
    (loader,) = data.test_dataloader()
    assert {e.task for read in loader for e in read.batch.examples} == {"srt"}


def test_bias_is_estimated_from_train_else_dev(make_data):
    data = make_data()
    assert len(data.estimation_utterances("German")) == 11
    few = data.estimation_utterances("deu", limit=3)
    assert len({u.id for u in few}) == 3
    assert few == make_data().estimation_utterances("deu", limit=3)
    assert {u.id.split("/")[1] for u in data.estimation_utterances("nld")} == {"dev"}


def test_no_bias_from_a_test_split(make_data, fleurs):
    (fleurs / "nl_nl" / "dev.tsv").unlink()
    with pytest.raises(UserError, match="nld: no audio of train or dev"):
        make_data().estimation_utterances("nld")


def test_fewer_recordings_than_processes_are_refused(fleurs, tokenizer, monkeypatch):
    """A process without a batch would be waited for, for ever."""
    data = SpeechDataModule(Fleurs(str(fleurs)), ["deu"])
    data.configure(tokenizer, 4 * 16_000)
    recordings = sum(item[0].utterance.language == "deu" for item in data.exams("test")[0][0])
    monkeypatch.setattr(data, "_place", lambda: {"rank": 0, "world_size": recordings})
    data.test_dataloader()
    monkeypatch.setattr(data, "_place", lambda: {"rank": 0, "world_size": recordings + 1})
    with pytest.raises(UserError, match=f"--trainer.devices {recordings}"):
        data.test_dataloader()


def test_a_language_with_a_test_split_alone_is_no_obstacle(fleurs):
    (fleurs / "nl_nl" / "train.tsv").unlink(missing_ok=True)
    (fleurs / "nl_nl" / "dev.tsv").unlink(missing_ok=True)
    SpeechDataModule(Fleurs(str(fleurs)), ["deu", "fra"], zero_shot=["nld"]).prepare_data()


def test_what_an_evaluation_lacks_is_logged(make_data, fleurs, caplog):
    """A recording of test that could not be read when the corpus was prepared."""
    header = "id\tsentence_id\taction\treason\tvalue\tlimit\tnote\n"
    (fleurs / "quality.tsv").write_text(
        header + "fr_fr/test/0.wav\t200\tdropped\tunreadable\t\t\tcut off\n"
    )
    with caplog.at_level("INFO"):
        (items, _), _ = make_data().exams("test")
    assert "fra/test: left out of 4 recordings: 1 that quality.tsv drops." in caplog.text
    assert "fr_fr/test/0.wav" not in spoken(items)


def test_what_is_not_there_or_no_sound_is_set_apart_in_test(make_data, fleurs):
    folder = fleurs / "nl_nl" / "audio" / "test"
    (folder / "0.wav").unlink()
    (folder / "2.wav").write_bytes(b"no sound")
    data = make_data(eval_batch_size=3)
    data.prepare_data()
    _, zero_shot = data.test_dataloader()
    read = list(zero_shot)
    assert {e.utterance.id for one in read for e in one.unread} == {
        "nl_nl/test/0.wav",
        "nl_nl/test/2.wav",
    }
    heard = [e.utterance.id for one in read if one.batch for e in one.batch.examples]
    assert sorted(heard) == ["nl_nl/test/1.wav", "nl_nl/test/3.wav"]


def test_what_is_not_there_stops_in_dev(make_data, fleurs):
    (fleurs / "nl_nl" / "audio" / "dev" / "0.wav").unlink()
    with pytest.raises(UserError, match=r"'0\.wav' is not among the 3 recordings"):
        make_data().val_dataloader()


def test_a_language_without_any_recording_is_refused(make_data, fleurs):
    for file in (fleurs / "nl_nl" / "audio" / "test").iterdir():
        file.unlink()
    with pytest.raises(UserError, match=r"nld/test: none of 4 recordings is there.*test/0\.wav"):
        make_data().test_dataloader()
