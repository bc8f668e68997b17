"""Artifacts: save and load give the same model; damaged or foreign ones are refused."""

import json
import pickle

import pytest
import torch
from torch.testing import assert_close

from speechalign.errors import UserError
from speechalign.models import artifact
from tests.models.test_speech_llm import ask

LANGUAGES = {"trained": ["deu"], "zero_shot": [], "target": "eng"}
ABOUT = {"prompts": {}, "decoding": {}, "tasks": ["st"], "languages": LANGUAGES}


def test_save_and_load_give_the_same_model(model, tmp_path):
    expected, _ = ask(model, 0.7)
    artifact.save(tmp_path / "export", model, ABOUT)
    loaded, about = artifact.load(tmp_path / "export")
    assert_close(ask(loaded, 0.7)[0].logits, expected.logits)
    assert about == ABOUT
    assert not loaded.training
    assert sorted(f.name for f in (tmp_path / "export").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]


def test_no_frozen_weight_is_stored(model, tmp_path):
    artifact.save(tmp_path, model, ABOUT)
    assert {k.split(".")[0] for k in artifact.read(tmp_path).weights} == {
        "bias",
        "qformer",
        "projector",
    }


def test_missing_folder_and_damaged_files_are_told(model, tmp_path):
    with pytest.raises(UserError, match="There is no checkpoint"):
        artifact.load(tmp_path / "none")
    with pytest.raises(UserError, match="no exported model"):
        artifact.load(tmp_path)
    artifact.save(tmp_path, model, ABOUT)
    (tmp_path / "model.safetensors").write_bytes(b"\x10" * 99)
    with pytest.raises(UserError, match="no exported model"):
        artifact.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("decoding", None, "says nothing of: decoding"),
        ("languages", {"target": "eng"}, "says nothing of: trained, zero_shot"),
        ("languages", [], "says nothing of: trained, zero_shot, target"),
        ("parts", [], "says nothing of: encoder, bias"),
        ("parts", {"encoder": None, "bias": None}, "says nothing of: encoder, qformer"),
        ("format", 2, "of format 2, this version reads 1"),
        ("format", None, "no exported model"),
    ],
)
def test_an_incomplete_or_later_folder_is_told(model, tmp_path, name, value, told):
    artifact.save(tmp_path, model, ABOUT)
    config = json.loads((tmp_path / "config.json").read_text())
    config[name] = value
    kept = {key: value for key, value in config.items() if value is not None}
    (tmp_path / "config.json").write_text(json.dumps(kept))
    with pytest.raises(UserError, match=told):
        artifact.load(tmp_path)


def test_only_known_parts_are_built(model, tmp_path):
    artifact.save(tmp_path, model, ABOUT)
    config = json.loads((tmp_path / "config.json").read_text())
    config["parts"]["qformer"] = {"class": "subprocess.Popen", "args": "true"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"is a 'subprocess\.Popen'; this version knows"):
        artifact.load(tmp_path)


def test_unknown_settings_are_told(model, tmp_path):
    artifact.save(tmp_path, model, ABOUT)
    config = json.loads((tmp_path / "config.json").read_text())
    config["parts"]["qformer"]["widht"] = 3
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="widht"):
        artifact.load(tmp_path)


def test_a_pickled_object_is_never_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (exec, ("raise SystemExit('run')",))

    (tmp_path / "evil.ckpt").write_bytes(pickle.dumps(Evil(), protocol=2))
    torch.save({"speech_llm": Evil()}, tmp_path / "evil2.ckpt")
    for name in ("evil.ckpt", "evil2.ckpt"):
        with pytest.raises(UserError, match="no checkpoint that `speechalign fit` wrote"):
            artifact.load(tmp_path / name)
