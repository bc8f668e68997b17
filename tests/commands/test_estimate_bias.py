"""The command that estimates biases: from folders, FLEURS, manifests and kept frames."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from speechalign.assets import PACKAGED, resolve
from speechalign.cli import main
from speechalign.commands.bias_estimation import kept_where
from speechalign.data.fleurs import Fleurs
from speechalign.data.frames import FrameCache, FrameForm
from speechalign.data.manifest import entries, write_manifest
from speechalign.models import artifact
from speechalign.models.bias import LanguageBias
from speechalign.models.bias_pack import BiasPack, load_pack
from speechalign.models.encoder import WhisperEncoder
from speechalign.training.encoding import cache_folder, encode, stored
from tests.data.conftest import Clip, write_fleurs

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("bias") / "fleurs"
    for locale in ("de_de", "fr_fr"):
        clips = [Clip(n, f"{locale} {n}.", 0.2 + 0.05 * n) for n in range(6)]
        write_fleurs(root, locale, "train", clips)
    write_fleurs(root, "de_de", "dev", [Clip(9, "Lang.", 20.0)])  # longer than the window
    return root


def estimate(*arguments) -> BiasPack:
    assert main(["estimate-bias", *map(str, arguments)]) == 0
    return load_pack(arguments[arguments.index("--output") + 1])


def same(one: BiasPack, other: BiasPack, tolerance: float = 1e-5) -> None:
    assert {c: t.utterances for c, t in one.centroids.items()} == {
        c: t.utterances for c, t in other.centroids.items()
    }
    for code, told in one.centroids.items():
        assert_close(told.mean, other.centroids[code].mean, atol=tolerance, rtol=tolerance)
    assert_close(one.scatter, other.scatter, atol=tolerance, rtol=tolerance)


@pytest.fixture(scope="module")
def whole(corpus, tmp_path_factory) -> BiasPack:
    return estimate(corpus, "--output", tmp_path_factory.mktemp("pack"))


def test_a_pack_holds_the_means_of_pooled_frames(corpus, whole):
    encoder = artifact.make(artifact.read("assets:micro/adapter").parts, "encoder")
    bias = LanguageBias(encoder.width)
    for code in ("deu", "fra"):
        found = list(Fleurs(str(corpus)).utterances(code, "train"))
        pooled = torch.cat([bias.pool(one) for one in encode(encoder, found, 1, CPU)])
        assert_close(whole.centroids[code].mean, pooled.double().mean(dim=0), atol=1e-5, rtol=1e-5)
    assert whole.encoder == encoder.fingerprint()


def test_folders_manifests_and_processes_tell_the_same(corpus, whole, tmp_path):
    folders = [
        f"{code}={corpus}/{loc}/audio/train" for code, loc in (("de", "de_de"), ("fra", "fr_fr"))
    ]
    same(estimate(*folders, "--output", tmp_path / "folders"), whole)
    lines = [e for code in ("deu", "fra") for e in entries(Fleurs(str(corpus)), code, "train")]
    write_manifest(tmp_path / "all.jsonl", lines)
    same(estimate(tmp_path / "all.jsonl", "--output", tmp_path / "manifest"), whole)
    several = estimate(corpus, "--output", tmp_path / "several", "--processes=2")
    same(several, whole)


def test_kept_frames_are_used(corpus, whole, tmp_path, monkeypatch):
    encoder = artifact.make(artifact.read("assets:micro/adapter").parts, "encoder")
    cache = FrameCache(cache_folder(tmp_path / "cache", FrameForm(), encoder))
    for code in ("deu", "fra"):
        found = list(Fleurs(str(corpus)).utterances(code, "train"))
        assert cache.missing(found) == found
        cache.write(found, *stored(encode(encoder, found, 4, CPU), FrameForm()))
    monkeypatch.setattr("speechalign.training.encoding.read_audio", None)  # nothing is read
    kept = estimate(corpus, "--output", tmp_path / "pack", f"--cache={tmp_path / 'cache'}")
    same(kept, whole)


def test_kept_frames_of_speech_alone_cannot_be_pooled_with_padding(
    whisper_folder, tmp_path, capsys
):
    encoder = WhisperEncoder(whisper_folder)
    valid, padded = (cache_folder(tmp_path, FrameForm(form), encoder) for form in ("valid", "all"))
    valid.mkdir(parents=True)
    assert kept_where(tmp_path, encoder, "valid") == valid
    assert kept_where(tmp_path, encoder, "all") is None
    assert f"none of this encoder in {tmp_path}" in capsys.readouterr().err
    padded.mkdir()
    assert kept_where(tmp_path, encoder, "all") == padded
    assert kept_where(tmp_path, encoder, "valid") == padded


@pytest.mark.parametrize(
    ("stored", "asked"),
    [("all", None), ("valid", None), (None, None), ("all", "valid"), ("valid", "all")],
)
def test_frames_are_pooled_as_the_checkpoint_pools_unless_said_otherwise(
    corpus, whisper_folder, tmp_path, stored, asked
):
    config = json.loads(Path(resolve(PACKAGED), "config.json").read_text())
    foreign = {"path": whisper_folder, "attend": "window", "base": None}  # as if trained on it
    config["parts"]["encoder"] |= foreign
    config["parts"]["bias"] = stored and config["parts"]["bias"] | {"pooling": stored}
    shutil.copytree(resolve(PACKAGED), tmp_path / "model")
    (tmp_path / "model/config.json").write_text(json.dumps(config))
    option = [f"--pooling={asked}"] * bool(asked)
    given = ["--languages=deu", "--limit=1", "--output", tmp_path / "pack", *option]
    pack = estimate(corpus, f"--checkpoint={tmp_path / 'model'}", *given)
    assert pack.pooling == (asked or stored or "valid")
    encoder = WhisperEncoder(whisper_folder)
    found = list(Fleurs(str(corpus)).utterances("deu", "train"))
    frames = torch.cat([one.hidden for one in encode(encoder, found, 1, CPU)])
    lengths = [round(u.duration * 50) for u in found]
    means = [
        row.mean(dim=0) if pack.pooling == "all" else row[:length].mean(dim=0)
        for row, length in zip(frames, lengths, strict=True)
    ]
    apart = [(mean.double() - pack.centroids["deu"].mean).abs().max() for mean in means]
    assert min(apart) < 1e-5


def test_a_stopped_call_goes_on(corpus, whole, tmp_path, monkeypatch, capsys):
    estimate(corpus, "--languages=fra", "--output", tmp_path)
    capsys.readouterr()
    again = estimate(corpus, "--output", tmp_path)
    same(again, whole)
    told = capsys.readouterr().err.splitlines()
    assert sorted(told) == ["deu: 6 utterances", "fra: 6 utterances, as before"]


def test_what_is_longer_than_the_window_is_cut(corpus, tmp_path):
    pack = estimate(corpus, "--split=dev", "--output", tmp_path)
    assert pack.centroids["deu"].utterances == 2  # 20 s in a window of 10 s


def test_the_same_recordings_count_once(corpus, whole, tmp_path):
    same(estimate(corpus, corpus, "--output", tmp_path / "=pack"), whole)
    shutil.copytree(corpus, tmp_path / "a=b")  # a copy: the same speech, of another time
    again = estimate(tmp_path / "a=b", "--output", tmp_path / "copy")
    for code, told in again.centroids.items():
        assert told.recordings == whole.centroids[code].recordings


def test_languages_with_texts_alone_are_passed_over(corpus, whole, tmp_path):
    shutil.copytree(corpus, tmp_path / "corpus")
    write_fleurs(tmp_path / "corpus", "en_us", "train", [Clip(1, "One.")], "none")
    pack = estimate(tmp_path / "corpus", "--output", tmp_path / "pack")
    assert set(pack.centroids) == set(whole.centroids)


def test_a_limit_draws(corpus, tmp_path):
    pack = estimate(corpus, "--limit=2", "--output", tmp_path)
    assert {told.utterances for told in pack.centroids.values()} == {2}


def test_packs_are_listed_and_merged(corpus, whole, tmp_path, capsys):
    for code in ("deu", "fra"):
        estimate(corpus, f"--languages={code}", "--output", tmp_path / code)
    capsys.readouterr()
    parts = [str(tmp_path / code) for code in ("deu", "fra")]
    assert main(["estimate-bias", "merge", *parts, "--output", str(tmp_path / "both")]) == 0
    same(load_pack(tmp_path / "both"), whole)
    assert main(["estimate-bias", "list", str(tmp_path / "both")]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[-2].split()[:4] == ["deu", "German", "6", "utterances,"]
    assert told[-1].split()[:2] == ["fra", "French"]


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["nowhere"], "is no place of speech"),
        (["deu=nowhere"], "no such file or folder"),
        (["xx=nowhere"], "Unknown language"),
        (["CORPUS", "--languages=nld"], "'nld' is missing"),
        (["CORPUS", "--split=test"], "No audio of any language"),
        (["CORPUS", "--checkpoint=nowhere"], "There is no checkpoint"),
        (["CORPUS", "--limit=0"], "limit is 0; expected 1 or more"),
        (["CORPUS", "--processes=0"], "processes is 0"),
        (["CORPUS", "--batch_size=-1"], "batch_size is -1"),
        (["CORPUS", "--device=cuba"], "cannot work on the device 'cuba'"),
        (["CORPUS", "--device=cuda:99"], "cannot work on the device 'cuda:99'"),
        (["CORPUS", "--pooling=all"], "an encoder that attends to its whole window"),
        (
            ["CORPUS", "--encoder=WHISPER", "--attend=speech", "--pooling=all"],
            "an encoder that attends to its whole window",
        ),
        (["list", "nowhere"], "no bias pack"),
    ],
)
def test_faults_are_one_line(corpus, whisper_folder, tmp_path, capsys, arguments, fault):
    places = {"CORPUS": str(corpus), "--encoder=WHISPER": f"--encoder={whisper_folder}"}
    given = [places.get(argument, argument) for argument in arguments]
    output = [] if given[0] == "list" else ["--output", str(tmp_path / "pack")]
    assert main(["estimate-bias", *given, *output]) == 2
    (line,) = [row for row in capsys.readouterr().err.splitlines() if row.startswith("speechalign")]
    assert fault in line
    assert not (tmp_path / "pack").exists()


def test_other_recordings_and_other_encoders_need_another_pack(
    corpus, whisper_folder, tmp_path, capsys
):
    estimate(corpus, "--languages=deu", "--limit=2", "--output", tmp_path)
    before = (tmp_path / "bias.json").read_text()
    assert main(["estimate-bias", str(corpus), "--output", str(tmp_path)]) == 2
    assert "from other recordings" in capsys.readouterr().err
    given = [str(corpus), "--encoder", str(whisper_folder), "--output", str(tmp_path)]
    assert main(["estimate-bias", *given]) == 2
    assert "made for another encoder" in capsys.readouterr().err
    assert (tmp_path / "bias.json").read_text() == before


def test_a_kill_between_the_two_files_leaves_the_old_pack(corpus, tmp_path, monkeypatch):
    pack = estimate(corpus, "--languages=deu", "--output", tmp_path / "pack")
    shutil.copytree(tmp_path / "pack", tmp_path / "copy")

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("speechalign.models.bias_pack.write_text", killed)
    assert main(["estimate-bias", str(corpus), "--output", str(tmp_path / "pack")]) == 130
    same(load_pack(tmp_path / "pack"), pack)
    assert json.loads((tmp_path / "pack/bias.json").read_text()) == json.loads(
        (tmp_path / "copy/bias.json").read_text()
    )


def test_no_help_waits_for_torch():
    program = (
        "import sys; import speechalign.commands.estimate_bias\n"
        "sys.exit(bool({'torch', 'transformers', 'lightning'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
