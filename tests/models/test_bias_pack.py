"""Packs are what was estimated, add up, and fit one encoder."""

import json
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from speechalign.errors import UserError
from speechalign.files import digest
from speechalign.languages import language
from speechalign.models.bias import LanguageBias
from speechalign.models.bias_pack import BiasPack, empty_pack, load_pack, save_pack
from speechalign.models.encoder import Frames, WhisperEncoder
from speechalign.models.moments import Moments, moments_of


@pytest.fixture(scope="module")
def encoder(whisper_folder) -> WhisperEncoder:
    return WhisperEncoder(whisper_folder, attend="speech")


def vectors(encoder: WhisperEncoder, count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, encoder.width, generator=generator, dtype=torch.float64) + seed


def named(count: int, first: int = 0) -> list[str]:
    """Digests of so many recordings."""
    return [digest(f"recording {n}") for n in range(first, first + count)]


def pack_of(encoder: WhisperEncoder, first: int = 0, **moments: Moments) -> BiasPack:
    """A pack, each language from as many recordings as it has vectors, numbered from `first`."""
    pack = empty_pack(encoder, "valid")
    for code, one in moments.items():
        pack = pack.add(code, one, named(one.number, first))
    return pack


def test_a_pack_comes_back_as_it_was_saved(encoder, tmp_path):
    pack = pack_of(encoder, deu=moments_of(vectors(encoder, 5, 1)))
    save_pack(pack, tmp_path)
    again = load_pack(tmp_path)
    assert again.encoder == encoder.fingerprint()
    assert again.centroids["deu"].utterances == 5
    assert again.centroids["deu"].recordings == set(named(5))
    assert torch.equal(again.centroids["deu"].mean, pack.centroids["deu"].mean)
    assert torch.equal(again.scatter, pack.scatter)
    save_pack(pack.add("fra", moments_of(vectors(encoder, 3, 2)), named(3)), tmp_path)
    assert list(load_pack(tmp_path).centroids) == ["deu", "fra"]
    assert len(list(tmp_path.iterdir())) == 2  # nothing of the old one is left


def test_merging_is_estimating_from_everything(encoder):
    german, french = vectors(encoder, 7, 1), vectors(encoder, 4, 2)
    one = pack_of(encoder, deu=moments_of(german[:3]), fra=moments_of(french))
    other = pack_of(encoder, first=3, deu=moments_of(german[3:]))
    merged = one.merge(other)
    whole = pack_of(encoder, deu=moments_of(german), fra=moments_of(french))
    assert merged.centroids["deu"].utterances == 7
    assert merged.centroids["deu"].recordings == whole.centroids["deu"].recordings
    for code in ("deu", "fra"):
        assert_close(merged.centroids[code].mean, whole.centroids[code].mean)
    assert_close(merged.scatter, whole.scatter)


def test_what_would_count_twice_is_refused(encoder):
    pack = pack_of(encoder, deu=moments_of(vectors(encoder, 3, 1)))
    with pytest.raises(UserError, match="same recordings, 3 of them"):
        pack.merge(pack)
    one = pack_of(encoder, first=2, deu=moments_of(vectors(encoder, 1, 2)))  # a recording of it
    with pytest.raises(UserError, match="same recordings, 1 of them"):
        pack.merge(one)
    other = pack_of(encoder, first=9, deu=moments_of(vectors(encoder, 2, 3)))
    with pytest.raises(UserError, match="same recordings, 1 of them"):
        pack.merge(other).merge(one)


def test_equal_packs_are_equal_files(encoder, tmp_path):
    moments = moments_of(vectors(encoder, 5, 1))
    for folder, names in (("one", named(5)), ("other", named(5)[::-1])):
        save_pack(empty_pack(encoder, "valid").add("deu", moments, names), tmp_path / folder)
    one, other = (
        {f.name: f.read_bytes() for f in (tmp_path / n).iterdir()} for n in ("one", "other")
    )
    assert one == other


def test_packs_of_different_encoders_do_not_go_together(encoder):
    pack = pack_of(encoder, deu=moments_of(vectors(encoder, 3, 1)))
    with pytest.raises(UserError, match=r"made with encoder .* and other; pooling valid and all"):
        pack.merge(pack._replace(encoder="other", pooling="all"))


def test_a_pack_of_another_encoder_is_refused(encoder, whisper_folder):
    pack = pack_of(encoder, deu=moments_of(vectors(encoder, 3, 1)))
    other = WhisperEncoder(whisper_folder, attend="window")
    with pytest.raises(UserError, match="made for another encoder"):
        pack.apply(LanguageBias(encoder.width), other)
    with pytest.raises(UserError, match="pools valid frames, the model all"):
        pack.apply(LanguageBias(encoder.width, pooling="all"), encoder)


def test_an_applied_pack_is_known_and_what_was_trained_stays(encoder):
    bias = LanguageBias(encoder.width)
    bias.learn("deu", moments_of(vectors(encoder, 3, 9)), trained=True)
    before, scatter = bias.centroid.clone(), bias.scatter.clone()
    german, french = (moments_of(vectors(encoder, 4, seed)) for seed in (1, 2))
    assert pack_of(encoder, deu=german, fra=french).apply(bias, encoder) == ["fra"]
    rows = {code: language(code).row for code in ("deu", "fra")}
    assert torch.equal(bias.centroid[rows["deu"]], before[rows["deu"]])
    assert_close(bias.centroid[rows["fra"]].double(), french.mean, atol=1e-6, rtol=1e-6)
    assert bias.utterances[rows["fra"]] == 4
    assert not bias.trained[rows["fra"]]
    assert torch.equal(bias.scatter, scatter)
    assert bias.freedom == 2  # the pack's utterances are not in the scatter


def test_a_pack_does_not_make_a_model_surer_than_it_is(encoder):
    """However many utterances of a pack: how they scatter is known from the model's own."""
    one, other = vectors(encoder, 300, 0), vectors(encoder, 300, 0) + 0.05
    certainties = []
    for number in (300, 100_000):
        bias = LanguageBias(encoder.width)
        bias.learn("deu", moments_of(one), trained=True)
        far = moments_of(other)._replace(number=number)
        pack_of(encoder, fra=far).apply(bias, encoder)
        heard = Frames(one[:50, None].float(), torch.ones(50, dtype=torch.long))
        certainties.append(bias.nearest(heard)[1])
    assert torch.equal(*certainties)


def test_a_pack_that_is_written_anew_while_it_is_read_is_read_again(encoder, tmp_path, monkeypatch):
    old, new = (pack_of(encoder, deu=moments_of(vectors(encoder, 3, seed))) for seed in (1, 2))
    save_pack(old, tmp_path)
    read, written = Path.read_bytes, []

    def late(path):
        if not written:
            written.append(path)
            save_pack(new, tmp_path)
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", late)
    assert torch.equal(load_pack(tmp_path).centroids["deu"].mean, new.centroids["deu"].mean)


@pytest.mark.parametrize("name", ["bias.json", "bias-*.safetensors"])
def test_a_damaged_pack_is_told(encoder, tmp_path, name):
    with pytest.raises(UserError, match="no bias pack"):
        load_pack(tmp_path)
    save_pack(pack_of(encoder, deu=moments_of(vectors(encoder, 3, 1))), tmp_path)
    (file,) = tmp_path.glob(name)
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(UserError, match="bias pack"):
        load_pack(tmp_path)
    file.unlink()
    with pytest.raises(UserError, match="bias pack"):
        load_pack(tmp_path)


@pytest.mark.parametrize("number", ["many", 0, -3, 4, None, [3]])
def test_a_number_of_utterances_that_cannot_be_is_told(encoder, tmp_path, number):
    save_pack(pack_of(encoder, deu=moments_of(vectors(encoder, 3, 1))), tmp_path)
    told = json.loads((tmp_path / "bias.json").read_text())
    told["languages"]["deu"]["utterances"] = number
    (tmp_path / "bias.json").write_text(json.dumps(told))
    with pytest.raises(UserError, match="the bias pack is damaged"):
        load_pack(tmp_path)


def test_a_pack_of_another_format_is_told(encoder, tmp_path):
    save_pack(pack_of(encoder, deu=moments_of(vectors(encoder, 3, 1))), tmp_path)
    told = json.loads((tmp_path / "bias.json").read_text())
    (tmp_path / "bias.json").write_text(json.dumps(told | {"format": 9}))
    with pytest.raises(UserError, match="of format 9"):
        load_pack(tmp_path)
