"""Models of the Hub where there is no network: told in seconds, with what to do."""

import pytest
from huggingface_hub import constants

from speechalign.errors import UserError
from speechalign.models import loading
from speechalign.models.encoder import WhisperEncoder


def test_a_hub_that_does_not_answer_is_asked_once(monkeypatch, tmp_path):
    asked = []

    def silent(*arguments, **_):
        asked.append(arguments)
        raise ConnectionError("no route to host")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(loading, "file_exists", silent)
    with pytest.raises(UserError, match=r"no route to host.*hf download nobody/whisper.*folder"):
        WhisperEncoder("nobody/whisper")
    assert asked == [("nobody/whisper", "config.json")]


def test_without_the_hub_the_advice_is_the_same(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"No model could be .*hf download nobody/whisper"):
        WhisperEncoder("nobody/whisper")


def test_a_folder_is_not_asked_of_the_hub(monkeypatch, whisper_folder):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(loading, "file_exists", None)
    assert WhisperEncoder(whisper_folder).width == 16
