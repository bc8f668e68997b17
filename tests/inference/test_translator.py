"""The Python interface: the packaged model's golden answers, and answers alone and in batches."""

import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import soundfile
import torch
from torch.testing import assert_close

from speechalign import Translator
from speechalign.assets import resolve
from speechalign.audio.io import load_audio
from speechalign.data.fleurs import Fleurs
from speechalign.errors import Caution, UserError
from speechalign.inference.manner import Manner
from speechalign.languages import language
from speechalign.models.bias_pack import empty_pack, lay_over, save_pack
from speechalign.models.moments import moments_of
from speechalign.training.encoding import encode

CLIPS = Path(resolve("assets:micro/clips"))
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "micro_clips.json").read_text())


@pytest.fixture(scope="module")
def translator() -> Translator:
    return Translator.from_pretrained()


@pytest.fixture(scope="module")
def clips() -> list[dict[str, str]]:
    return json.loads((CLIPS / "clips.json").read_text(encoding="utf-8"))


def test_the_packaged_model_answers_as_recorded(translator, clips):
    """Made by `python -m recipes.micro.adapter`."""
    for clip in clips:
        file, golden = CLIPS / clip["file"], GOLDEN[clip["file"]]
        assert translator.translate(file, from_=clip["language"]).text == golden["translation"]
        assert translator.transcribe(file, from_=clip["language"]).text == golden["transcript"]
        assert translator.translate(file).language == golden["language"]


@pytest.mark.parametrize("beams", [1, 3])
def test_the_batch_does_not_matter(clips, beams):
    translator = Translator.from_pretrained(beams=beams)
    files = [CLIPS / clip["file"] for clip in clips]
    alone = [translator.translate(file) for file in files]
    for size in (1, 3, 16):
        together = translator.translate(files, batch_size=size)
        assert [a.text for a in together] == [a.text for a in alone]
        assert [a.language for a in together] == [a.language for a in alone]
    backwards = translator.translate(files[::-1], batch_size=5)
    assert [a.text for a in backwards[::-1]] == [a.text for a in alone]


def test_path_bytes_and_samples_are_one(translator):
    file = CLIPS / "deu.ogg"
    answers = [
        translator.translate(source, from_="deu")
        for source in (file, str(file), file.read_bytes(), load_audio(file))
    ]
    assert len({answer.text for answer in answers}) == 1
    assert answers[0].duration == pytest.approx(soundfile.info(file).duration, abs=0.01)
    assert str(answers[0]) == answers[0].text
    assert answers[0].certainty is None


def test_any_code_names_a_language(translator):
    file = CLIPS / "deu.ogg"
    answers = {translator.translate(file, to="en", from_=code).text for code in ("de", "German")}
    assert len(answers) == 1


def test_languages_are_mostly_told_apart(translator, clips):
    answers = translator.translate([CLIPS / clip["file"] for clip in clips])
    right = [a.language == c["language"] for a, c in zip(answers, clips, strict=True)]
    assert sum(right) >= 5
    assert all(0 < a.certainty <= 1 for a in answers)


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda t: t.hear(torch.zeros(208_000)), "lasts 13.0 s, but .* at most 12.0 s"),
        (lambda t: t.translate(CLIPS / "deu.ogg", to="xx"), "Unknown language 'xx'"),
        (lambda t: t.translate("nowhere.wav"), "nowhere.wav"),
        (lambda t: t.translate(None), "cannot be of type NoneType: give a path, bytes"),
        (lambda t: t.transcribe([CLIPS / "deu.ogg", 3]), "cannot be of type int: give a path"),
        (lambda t: t.translate(CLIPS / "deu.ogg", batch_size=0), "must be 1 or more"),
        (lambda t: Translator.from_pretrained("/nowhere"), "There is no checkpoint '/nowhere'"),
        (lambda t: Translator.from_pretrained(beams=0), "With beams 0 a model cannot decode"),
        (lambda t: Translator.from_pretrained(device="gpu"), "device 'gpu'"),
        (lambda t: Translator.from_pretrained(device="cuda:99"), "device 'cuda:99'"),
    ],
)  # fmt: skip
def test_faults_are_told(translator, ask, told):
    with pytest.raises(UserError, match=told):
        ask(translator)


@pytest.mark.parametrize(
    ("fact", "value"), [("prompts", {"asr_v2": "…"}), ("decoding", {"beems": 3})]
)
def test_a_model_of_another_version_is_told(tmp_path, fact, value):
    shutil.copytree(resolve("assets:micro/adapter"), tmp_path / "adapter")
    config = tmp_path / "adapter" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {fact: value}))
    with pytest.raises(UserError, match="does not fit this version"):
        Translator.from_pretrained(tmp_path / "adapter")


def test_a_task_that_was_not_trained_is_refused(translator):
    model, prompts, decoding = translator.model, translator.prompts, translator.decoding
    one = Translator(model, prompts, decoding, ["st"], ["deu"], [], "eng")
    with pytest.raises(UserError, match="trained for st: no transcript of it"):
        one.transcribe(CLIPS / "deu.ogg")
    with pytest.raises(UserError, match="trained for st: no transcript of it"):
        one.tell([], "translation", "eng", "deu", Manner(transcripts=True))


def test_what_was_not_trained_is_answered_with_a_caution(translator):
    with pytest.warns(Caution, match="trained on German .*what it makes of Japanese is a guess"):
        translator.translate(CLIPS / "deu.ogg", from_="jpn")
    with pytest.warns(Caution, match="trained to translate into English.*not be in Japanese"):
        translator.translate(CLIPS / "deu.ogg", to="jpn", from_="deu")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        translator.translate(CLIPS / "nld.ogg", from_="nld")
        translator.transcribe(CLIPS / "deu.ogg", from_="deu")


@pytest.mark.filterwarnings("ignore::speechalign.errors.Caution")
def test_the_target_is_the_models_unless_told(translator):
    model, prompts, decoding = translator.model, translator.prompts, translator.decoding
    german = Translator(model, prompts, decoding, ["st"], ["swe"], [], "deu")
    said = german.translate(CLIPS / "swe.ogg", from_="swe").text
    assert said == translator.translate(CLIPS / "swe.ogg", to="deu", from_="swe").text
    assert said != translator.translate(CLIPS / "swe.ogg", from_="swe").text


def test_real_recordings_translate(translator, shared):
    """Nonsense words are expected of a model of 120 words; a crash is not."""
    files = sorted((shared / "real" / "clips").iterdir())
    assert len(files) == 3
    for answer in translator.translate(files):
        assert isinstance(answer.text, str)
    german = shared / "real" / "fleurs" / "de_de" / "audio" / "test" / "01852_fleurs-de-009.wav"
    assert len(translator.translate(german).segments) > 1  # it lasts 43 s, the model hears 12


def test_languages_of_the_micro_test_split_are_told_apart():
    translator = Translator.from_pretrained(device="cpu")
    corpus, right, told = Fleurs("assets:micro/fleurs"), 0, 0
    for code in (*translator.languages, *translator.zero_shot):
        found = list(corpus.utterances(code, "test"))[::4]
        for frames in encode(translator.model.encoder, found, 32, torch.device("cpu")):
            rows, _ = translator.model.bias.nearest(frames)
            right += int((rows == language(code).row).sum())
            told += len(rows)
    assert told > 250
    assert right / told >= 0.95


def test_a_bias_pack_makes_a_language_known(tmp_path):
    plain = Translator.from_pretrained(device="cpu")
    pack = empty_pack(plain.model.encoder, "valid")
    told = moments_of(torch.ones(3, plain.model.encoder.width)), [f"{n:032x}" for n in range(3)]
    pack = pack.add("fin", *told)
    save_pack(pack, tmp_path)
    translator = Translator.from_pretrained(device="cpu", bias=tmp_path)
    assert translator.zero_shot == [*plain.zero_shot, "fin"]
    row = language("fin").row
    assert_close(translator.model.bias.of(torch.tensor([row]))[0], torch.ones(144))
    plain.model.bias.unknown = "mean"
    with pytest.warns(Caution, match="subtracts `mean`"):
        lay_over(tmp_path, plain.model.bias, plain.model.encoder)
    with pytest.raises(UserError, match="trained without a bias"):
        lay_over(tmp_path, None, plain.model.encoder)
    save_pack(pack._replace(encoder="other"), tmp_path)
    with pytest.raises(UserError, match="another encoder"):
        Translator.from_pretrained(device="cpu", bias=tmp_path)


@pytest.mark.parametrize(
    "numbers", [{"dtype": "bfloat16"}, {"dtype": "float16"}, {"llm_bits": 8}, {"llm_bits": 4}]
)
def test_coarser_numbers_give_the_same_plain_sentence(numbers):
    translator = Translator.from_pretrained(**numbers)
    assert translator.translate(CLIPS / "deu.ogg").text == GOLDEN["deu.ogg"]["translation"]


def test_another_number_format_is_refused():
    """The second in a process of its own, where no types are checked."""
    with pytest.raises(UserError, match="to 4 or 8 bits, not to 3"):
        Translator.from_pretrained(llm_bits=3)
    script = "from speechalign import Translator; Translator.from_pretrained(dtype='bf16')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "dtype is 'bf16': choose one of float32, bfloat16, float16." in done.stderr
