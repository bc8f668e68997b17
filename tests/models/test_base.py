"""Frozen models are known by their weights: others are refused, the same elsewhere are not."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close
from transformers import WhisperForConditionalGeneration

from speechalign.errors import UserError
from speechalign.models import artifact
from speechalign.models.base import Base, check_base, hash_of_files, place_of, weight_files
from speechalign.models.encoder import WhisperEncoder
from tests.models.test_artifact import ABOUT
from tests.models.test_speech_llm import ask


def point(folder: Path, part: str, path: str) -> None:
    """Let an artifact name another frozen model."""
    config = json.loads((folder / "config.json").read_text())
    config["parts"][part]["path"] = path
    (folder / "config.json").write_text(json.dumps(config))


def test_an_artifact_tells_which_models_it_was_trained_on(model, whisper_folder, tmp_path):
    artifact.save(tmp_path, model, ABOUT)
    base = json.loads((tmp_path / "config.json").read_text())["parts"]["encoder"]["base"]
    weights = (Path(whisper_folder) / "model.safetensors").read_bytes()
    assert base == {
        "path": whisper_folder,
        "revision": None,
        "sha256": hashlib.sha256(weights).hexdigest(),
        "width": 16,
        "layers": 2,
    }


def test_the_same_model_elsewhere_is_welcome(model, whisper_folder, tmp_path):
    artifact.save(tmp_path / "export", model, ABOUT)
    shutil.copytree(whisper_folder, tmp_path / "copy")
    point(tmp_path / "export", "encoder", str(tmp_path / "copy"))
    loaded, _ = artifact.load(tmp_path / "export")
    assert_close(ask(loaded, 0.7)[0].logits, ask(model, 0.7)[0].logits)


def test_other_weights_of_the_same_shape_are_refused_with_both_named(
    model, whisper_folder, tmp_path
):
    artifact.save(tmp_path / "export", model, ABOUT)
    other = WhisperForConditionalGeneration.from_pretrained(whisper_folder)
    with torch.no_grad():
        other.model.encoder.layer_norm.bias += 1e-3
    other.save_pretrained(tmp_path / "other")
    point(tmp_path / "export", "encoder", str(tmp_path / "other"))
    with pytest.raises(UserError, match="their weights differ") as told:
        artifact.load(tmp_path / "export")
    for named in (whisper_folder, str(tmp_path / "other"), model.encoder.base.sha256[:12]):
        assert named in str(told.value)


def test_another_shape_is_refused_with_both_named(model, long_whisper_folder):
    found = Base(long_whisper_folder, None, None, 32, 4)
    told = r"4 layers of width 32\).* 2 layers of width 16\): their shapes differ"
    with pytest.raises(UserError, match=told):
        check_base("encoder", found, model.encoder.base._asdict())


def test_an_older_artifact_is_not_checked(model, whisper_folder, tmp_path):
    artifact.save(tmp_path, model, ABOUT)
    config = json.loads((tmp_path / "config.json").read_text())
    for part in artifact.BASES:
        del config["parts"][part]["base"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    artifact.load(tmp_path)


def test_what_is_stored_of_a_base_is_read_with_care(model):
    with pytest.raises(UserError, match="of the encoder does not fit this version"):
        check_base("encoder", model.encoder.base, {"path": "x", "colour": "red"})


def test_several_files_have_one_hash(whisper_folder, tmp_path):
    whisper = WhisperForConditionalGeneration.from_pretrained(whisper_folder)
    whisper.save_pretrained(tmp_path, max_shard_size="20KB")
    files = weight_files(str(tmp_path), None)
    assert len(files) > 1
    assert hash_of_files(files) == WhisperEncoder(str(tmp_path)).base.sha256
    assert hash_of_files(files) != hash_of_files(files[1:])


def test_files_of_the_hubs_cache_are_named_by_their_hash(tmp_path):
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / ("ab" * 32)).write_bytes(b"not read")
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "blobs" / ("ab" * 32))
    assert hash_of_files([tmp_path / "model.safetensors"]) == "ab" * 32


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("assets:micro/llm", "package"),
        ("openai/whisper-large-v3", "hub"),
        ("/models/whisper", "folder"),
        ("./whisper", "folder"),
        ("a/b/c", "folder"),
    ],
)
def test_where_others_find_a_model(path, place):
    assert place_of(path) == place
