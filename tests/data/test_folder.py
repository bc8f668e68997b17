"""Files of unlabelled speech, cut to an encoder's window."""

import numpy as np
import pytest
import soundfile
from torch.testing import assert_close

from speechalign.audio.io import load_audio
from speechalign.data.examples import read_audio
from speechalign.data.folder import recordings
from speechalign.errors import UserError


def sound(path, seconds):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(
        path, np.random.default_rng(0).uniform(-0.5, 0.5, round(seconds * 16_000)), 16_000
    )
    return path


def test_files_are_found_in_subfolders_and_long_ones_cut(tmp_path):
    sound(tmp_path / "b.wav", 0.3)
    long = sound(tmp_path / "a/long.flac", 1.0)
    (tmp_path / "licence.txt").write_text("free")
    found = recordings(tmp_path, "German", window=0.4)
    assert [u.language for u in found] == ["deu"] * 4
    assert [u.id for u in found] == [*(f"{long}#{n}" for n in range(3)), str(tmp_path / "b.wav")]
    assert [u.duration for u in found] == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0.3])
    whole = load_audio(long)
    parts = [read_audio(u) for u in found[:3]]
    assert sum(map(len, parts)) == pytest.approx(len(whole), abs=2)
    assert_close(parts[1][:5000], whole[5333:10333], atol=1e-4, rtol=0)


def test_one_file_is_enough(tmp_path):
    (one,) = recordings(sound(tmp_path / "x.wav", 0.1), "fra", window=1)
    assert (one.start, one.duration, one.text) == (0.0, 0.1, "")


def test_what_is_no_audio_is_told(tmp_path):
    with pytest.raises(UserError, match="no such file or folder"):
        recordings(tmp_path / "none", "deu", 1)
    with pytest.raises(UserError, match="no audio in it"):
        recordings(tmp_path, "deu", 1)
    (tmp_path / "a.wav").write_text("no audio")
    with pytest.raises(UserError, match=r"a\.wav: no audio that can be read"):
        recordings(tmp_path, "deu", 1)
