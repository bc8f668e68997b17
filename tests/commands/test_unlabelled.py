"""Speech to estimate biases from: each recording once, drawn by a seed, faults told."""

import json
import shutil

import pytest
import soundfile

from speechalign.cli import main
from speechalign.commands.unlabelled import drawn
from speechalign.data.folder import recordings
from speechalign.errors import UserError
from speechalign.models.bias_pack import load_pack
from tests.data.conftest import Clip, write_fleurs

SECONDS = [0.2 + 0.05 * n for n in range(6)]
AUDIO = "de_de/audio/train"


@pytest.fixture
def corpus(tmp_path):
    clips = [Clip(n, f"Satz {n}.", seconds) for n, seconds in enumerate(SECONDS)]
    return write_fleurs(tmp_path / "fleurs", "de_de", "train", clips)


@pytest.fixture
def heard(tmp_path, capsys):
    """Estimate from some places: how many utterances of German, and what was told."""

    def call(*arguments) -> tuple[int, str]:
        shutil.rmtree(tmp_path / "pack", ignore_errors=True)
        given = [*map(str, arguments), "--output", str(tmp_path / "pack")]
        assert main(["estimate-bias", *given]) == 0
        told = capsys.readouterr().err
        return load_pack(tmp_path / "pack").centroids["deu"].utterances, told

    return call


def test_the_same_audio_counts_once_whatever_it_is_called(corpus, heard, tmp_path):
    shutil.copytree(corpus / AUDIO, tmp_path / "copy")
    number, told = heard(f"deu={corpus / AUDIO}", f"de={tmp_path / 'copy'}")
    assert number == 6
    assert "deu: 6 of its recordings are there a second time" in told
    assert heard(corpus, f"deu={corpus / AUDIO}")[0] == 6
    clips = [Clip(n, f"Satz {n}.", seconds) for n, seconds in enumerate(SECONDS)]
    packed = write_fleurs(tmp_path / "packed", "de_de", "train", clips, "tar.gz")
    assert heard(corpus, packed)[0] == 6
    number, told = heard(corpus)
    assert number == 6
    assert "second time" not in told


def chosen(found, limit, seed) -> set[str]:
    ((code, kept),) = drawn({"deu": found}, limit, seed)
    assert code == "deu"
    return {utterance.id for utterance in kept.values()}


def test_the_seed_draws(corpus):
    found = recordings(corpus / AUDIO, "deu", 10)
    draws = [frozenset(chosen(found, 3, seed)) for seed in range(20)]
    assert {len(draw) for draw in draws} == {3}
    assert draws == [chosen(found, 3, seed) for seed in range(20)]
    assert len(set(draws)) > 5  # of 20 sets of three recordings, all equally likely
    assert chosen(found, None, 0) == chosen(found, 9, 0) == {u.id for u in found}


def test_a_seed_of_the_command_draws(corpus, heard, tmp_path):
    packs = set()
    for seed in range(5):
        heard(corpus, "--limit=3", f"--seed={seed}")
        packs.add(load_pack(tmp_path / "pack").centroids["deu"].recordings)
    assert len(packs) > 1  # all five alike: once in 160,000


def test_a_limit_is_of_different_recordings(corpus, tmp_path):
    shutil.copytree(corpus / AUDIO, tmp_path / "copy")
    found = [u for f in (corpus / AUDIO, tmp_path / "copy") for u in recordings(f, "deu", 10)]
    for seed in range(10):
        names = {name.rpartition("/")[2] for name in chosen(found, 5, seed)}
        assert len(names) == 5


def test_languages_without_audio_in_the_split_are_told(corpus, heard):
    write_fleurs(corpus, "fr_fr", "dev", [Clip(1, "Un.")])
    write_fleurs(corpus, "en_us", "train", [Clip(1, "One.")], "none")
    number, told = heard(corpus)
    assert number == 6
    assert f"{corpus}: no audio of eng, fra in train; passed over" in told
    assert "passed over" not in heard(corpus, "--languages=deu")[1]


def test_what_is_told_longer_than_it_is_is_heard_to_its_end(corpus, heard):
    tsv = corpus / "de_de/train.tsv"
    samples = str(round(SECONDS[5] * 16_000))
    tsv.write_text(tsv.read_text().replace(f"\t{samples}\t", f"\t{61 * 16_000}\t"))
    assert heard(corpus)[0] == 6
    assert heard(corpus, f"deu={corpus / AUDIO}")[0] == 6


def manifest(corpus, *extra: str):
    """A manifest of the corpus, with other lines at its end."""
    lines = [
        {"id": n, "audio": f"{AUDIO}/{n}.wav", "duration": seconds, "src_lang": "deu"}
        for n, seconds in enumerate(SECONDS)
    ]
    file = corpus / "all.jsonl"
    file.write_text("\n".join([*map(json.dumps, lines), *extra]))
    return file


def faulty_tsv(corpus):
    with (corpus / "de_de/train.tsv").open("a") as tsv:
        tsv.write("one column\n")
    return corpus


def lost_audio(corpus):
    (corpus / AUDIO / "5.wav").rename(corpus / "kept.wav")
    return corpus


def faulty_manifest(corpus):
    return manifest(corpus, "no JSON")


def manifest_without_audio(corpus):
    line = {"id": "x", "audio": "lost.wav", "duration": 1, "src_lang": "deu"}
    return manifest(corpus, json.dumps(line))


def no_audio(corpus):
    (corpus / AUDIO / "x.wav").write_text("no audio")
    return f"deu={corpus / AUDIO}"


def cut_short(corpus):
    whole = corpus / AUDIO / "5.wav"
    (corpus / AUDIO / "x.wav").write_bytes(whole.read_bytes()[:3000])
    return f"deu={corpus / AUDIO}"


def long_and_lost(corpus):
    line = {"id": "x", "audio": "lost.wav", "duration": 61, "src_lang": "deu"}
    return manifest(corpus, json.dumps(line))


@pytest.mark.parametrize(
    ("damage", "left", "fault"),
    [
        (faulty_tsv, 6, "train.tsv:7"),
        (lost_audio, 5, "'5.wav' is not among the 5 recordings"),
        (faulty_manifest, 6, "all.jsonl:7: no JSON"),
        (manifest_without_audio, 6, "lost.wav"),
        (long_and_lost, 6, "lost.wav: no audio that can be read"),
        (no_audio, 6, "x.wav: no audio that can be read"),
        (cut_short, 6, "x.wav' is truncated"),
    ],
)
@pytest.mark.filterwarnings("ignore::speechalign.errors.Caution")
def test_faults_stop_or_are_skipped(corpus, heard, tmp_path, capsys, damage, left, fault):
    place = damage(corpus)
    assert main(["estimate-bias", str(place), "--output", str(tmp_path / "pack")]) == 2
    (line,) = [row for row in capsys.readouterr().err.splitlines() if row.startswith("speechalign")]
    assert fault in line
    number, told = heard(place, "--on-error", "skip")
    assert number == left
    if damage not in (faulty_tsv, lost_audio):  # of which the corpus itself warns
        assert "1 lines or recordings are skipped" in told
        assert fault in told


def test_a_language_of_which_nothing_can_be_read_is_told(tmp_path):
    file = tmp_path / "a.wav"
    soundfile.write(file, [0.1] * 800, 16_000)
    found = recordings(tmp_path, "deu", 10)
    file.write_text("no audio")
    with pytest.raises(UserError, match="No audio of deu can be read"):
        list(drawn({"deu": found}, None, 0, skip=True))


def test_a_language_that_a_manifest_lacks_is_told(corpus, tmp_path, capsys):
    given = [str(manifest(corpus)), "--languages=nld", "--output", str(tmp_path / "pack")]
    assert main(["estimate-bias", *given]) == 2
    assert "no recording in 'nld'; there is deu" in capsys.readouterr().err
