"""The pretraining of the micro encoder, with a model so small that a step takes milliseconds."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close
from transformers import WhisperFeatureExtractor, WhisperModel

from recipes.micro import pretrain_encoder
from recipes.micro.lessons import Lessons
from recipes.micro.listener import Listener, Shape, whisper_config
from recipes.micro.loop import Plan
from recipes.micro.recordings import Spoken, read_recordings
from recipes.micro.text import LANGUAGES
from recipes.micro.tokenizer import END
from speechalign.data.batch import IGNORE, pad_waveforms
from speechalign.models.encoder import Frames, WhisperEncoder

TINY = Shape(width=16, layers=2, heads=2)


@pytest.fixture(scope="module")
def recordings(texts):
    """Noise of 0.3-0.8 s, four recordings a language."""
    rng = np.random.default_rng(0)
    return [
        Spoken(
            code,
            (rng.standard_normal(rng.integers(5000, 13000)) * 3000).astype(np.int16),
            texts[code][row],
            texts["eng"][row],
        )
        for code in LANGUAGES
        for row in range(4)
    ]


@pytest.fixture(scope="module")
def lessons(recordings, tokenizer):
    return Lessons(recordings, tokenizer, "abcdefghijklmnopqrstuvwxyz ", seed=0, batch=6)


@pytest.fixture
def listener(tokenizer):
    torch.manual_seed(0)
    return Listener(whisper_config(TINY, len(tokenizer)), letters=27).eval()


def test_what_is_heard_and_said_does_not_depend_on_the_neighbours(listener, lessons, recordings):
    short, long = sorted(range(4), key=lambda row: len(recordings[row].waveform))[::3]
    alone, together = lessons.make([short]), lessons.make([short, long])
    heard = listener.hear(alone.features, alone.lengths)
    beside = listener.hear(together.features, together.lengths)
    length = int(heard.lengths)
    assert length == -(-len(recordings[short].waveform) // 320)
    assert_close(beside.hidden[0, :length], heard.hidden[0, :length])
    said = listener.say(heard, alone.tokens[0])
    assert_close(listener.say(beside, together.tokens[0])[:1, : said.shape[1]], said)


def test_the_decoder_says_what_whisper_says(listener, lessons):
    lesson = lessons.make([0])
    valid = torch.tensor([lesson.features.shape[2] // 2])  # all frames, as transformers has it
    frames = listener.hear(lesson.features, valid)
    theirs = listener.whisper.decoder(
        lesson.tokens[0], encoder_hidden_states=frames.hidden, use_cache=False
    ).last_hidden_state
    table = listener.whisper.decoder.embed_tokens.weight
    assert_close(listener.say(frames, lesson.tokens[0]), theirs @ table.T)


def test_labels_are_what_follows_the_prompt(lessons, recordings, tokenizer):
    lesson = lessons.make([4, 5])
    for row, spoken in enumerate(recordings[4:6]):
        for wanted, labels in zip((spoken.text, spoken.translation), lesson.labels, strict=True):
            assert tokenizer.decode(labels[row][labels[row] != IGNORE]) == wanted + END
        assert tokenizer.decode(lesson.tokens[1, row]).startswith(
            f"<|{spoken.language}|><|st|><|eng|>{spoken.translation}"
        )


def test_an_epoch_hears_everything_once(lessons, recordings):
    rows = [row for batch in lessons.order(0) for row in batch]
    assert sorted(rows) == list(range(len(recordings)))
    assert lessons.order(0) != lessons.order(1)
    assert_close(lessons(7), lessons(7))


def test_the_encoder_folder_hears_as_the_model_that_was_trained(recordings, tokenizer, tmp_path):
    plan = Plan(steps=8, rate=1e-3, warmup=1, log_every=4, bfloat16=False)
    folder = tmp_path / "encoder"
    scores = pretrain_encoder.pretrain(
        recordings * 3, recordings[:8], tokenizer, folder, tmp_path / "work", plan, TINY
    )
    assert set(scores) == {"asr_cer/eng", "asr_cer/deu", "st_bleu/deu"}
    WhisperModel.from_pretrained(folder)
    assert WhisperFeatureExtractor.from_pretrained(folder).nb_max_frames == 1200
    state = torch.load(tmp_path / "work" / "checkpoint.pt", weights_only=True)["model"]
    trained = Listener(whisper_config(TINY, len(tokenizer)), len(state["spell.bias"]) - 1).eval()
    trained.load_state_dict({name: w.half().float() for name, w in state.items()})
    lesson = Lessons(recordings, tokenizer, "", seed=0).make([0, 1, 2])
    waves = [torch.from_numpy(spoken.waveform) / 32768 for spoken in recordings[:3]]
    theirs = WhisperEncoder(str(folder), attend="speech")(*pad_waveforms(waves, 192_000, False))
    with torch.no_grad():
        ours = trained.hear(lesson.features, lesson.lengths)
    # lessons keep their features in float16
    assert_close(ours.hidden[ours.mask], theirs.hidden[theirs.mask], rtol=0, atol=5e-3)


def test_an_encoder_that_only_spells_learns_no_other_thing(recordings, tokenizer, tmp_path):
    plan = Plan(steps=2, rate=1e-3, warmup=1, bfloat16=False)
    work, course = tmp_path / "work", pretrain_encoder.Course(spelling_alone=1.0)
    scores = pretrain_encoder.pretrain(
        recordings, recordings[:8], tokenizer, tmp_path / "spells", work, plan, TINY, course
    )
    assert set(scores) == {"spelling_cer/eng", "spelling_cer/deu"}
    weights = torch.load(work / "checkpoint.pt", weights_only=True)["model"]
    torch.manual_seed(plan.seed)
    letters = len(weights["spell.bias"]) - 1
    fresh = Listener(whisper_config(TINY, len(tokenizer)), letters).state_dict()
    same = {name for name, weight in weights.items() if torch.equal(weight, fresh[name])}
    assert same >= {name for name in weights if ".decoder.layers." in name}
    assert not same & {"spell.weight", "whisper.encoder.layers.0.fc1.weight"}


def test_letters_are_read_off_frames(recordings, tokenizer, monkeypatch):
    """Frames that say `abb` as a, a, blank, b, blank, b: repeated letters need a blank."""
    alphabet = "ab"
    spoken = [recordings[0]._replace(text="Abb")]
    lessons = Lessons(spoken, tokenizer, alphabet, seed=0)
    model = Listener(whisper_config(TINY, len(tokenizer)), len(alphabet))
    told = torch.tensor([[1, 1, 0, 2, 0, 2, 1, 1]])  # the last two are padding
    frames = Frames(torch.nn.functional.one_hot(told, 3).float(), torch.tensor([6]))
    monkeypatch.setattr(model, "hear", lambda *_: frames)
    model.spell = nn.Identity()
    (rate,) = pretrain_encoder.evaluate_spelling(model, lessons).values()
    assert rate == 0


def test_an_encoder_that_goes_on_writes_and_no_longer_spells(recordings, tokenizer, tmp_path):
    hears = tmp_path / "hears"

    def pretrain(name, start, seed):
        work = tmp_path / f"{name}.work"
        plan = Plan(steps=1, rate=1e-12, seed=seed, warmup=1, bfloat16=False)
        pretrain_encoder.pretrain(
            recordings,
            recordings[:2],
            tokenizer,
            tmp_path / name,
            work,
            plan,
            TINY,
            pretrain_encoder.Course(start),
        )
        state = torch.load(work / "checkpoint.pt", weights_only=True)
        folder = WhisperModel.from_pretrained(tmp_path / name, dtype=torch.float32)
        return folder.encoder.state_dict(), len(state["optimizer"]["state"]), state["model"].keys()

    before, spelling, names = pretrain("hears", None, seed=0)
    after, writing, _ = pretrain("understands", hears, seed=1)
    assert_close(after, before, rtol=0, atol=1e-3)  # it began where the other ended
    decoder = {name for name in names if ".decoder." in name}
    encoder = {name for name in names if ".encoder." in name}
    assert 0 < spelling <= len(encoder) + 2  # one step: spelling alone
    assert len(encoder) < writing <= len(encoder | decoder)  # all but the head that spells


def test_recordings_are_cut_where_the_table_says(tmp_path):
    for code in LANGUAGES:
        np.save(tmp_path / f"{code}.npy", np.arange(10, dtype=np.int16))
        header = "\t".join(("key", "start", "samples", "speaker", *LANGUAGES))
        rows = [
            "\t".join((key, start, length, "f1", *(f'{c} "{key}".' for c in LANGUAGES)))
            for key, start, length in (("a", "0", "4"), ("b", "4", "6"))
        ]
        (tmp_path / f"{code}.tsv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    read = read_recordings(tmp_path)
    assert len(read) == 2 * len(LANGUAGES)
    assert read[3].waveform.tolist() == [4, 5, 6, 7, 8, 9]
    assert (read[3].language, read[3].text, read[3].translation) == ("deu", 'deu "b".', 'eng "b".')
    assert read[3].spelling == 'deu "b"'


def test_error_rates_are_edits_per_character():
    assert pretrain_encoder.error_rate(["kitten", "abc"], ["sitting", "abc"]) == 30.0
