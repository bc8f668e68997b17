"""Files of unlabelled speech, cut to an encoder's window."""

import tarfile

import numpy as np
import pytest
import soundfile
from torch.testing import assert_close

from speechalign.audio.io import load_audio
from speechalign.data.archive import open_archive
from speechalign.data.examples import read_audio
from speechalign.data.folder import pieces, recordings, whole
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


def test_a_part_of_a_file_is_cut_where_it_lies(tmp_path):
    long = sound(tmp_path / "long.flac", 1.0)
    part = whole(long, "deu")._replace(start=0.25, duration=0.5, text="Ein Satz.")
    one, other = pieces(part, window=0.3)
    assert (one.text, other.text) == ("", "")
    assert_close(
        np.concatenate([read_audio(one), read_audio(other)]),
        load_audio(long, start=0.25, duration=0.5).numpy(),
    )
    assert list(pieces(part, window=0.5)) == [part]  # with its text


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("start", [0.0, 0.4])
def test_what_is_told_too_long_ends_with_its_file(tmp_path, packed, start):
    file = sound(tmp_path / "a.wav", 1.0)
    told = whole(file, "deu")._replace(start=start, duration=61.0)
    if packed:
        with tarfile.open(tmp_path / "a.tar", "w") as archive:
            archive.add(file, "a.wav")
        told = told._replace(audio=open_archive(tmp_path / "a.tar")["a.wav"])
    heard = np.concatenate([read_audio(piece) for piece in pieces(told, window=0.5)])
    assert_close(heard, load_audio(file, start=start).numpy())
    assert sum(1 for _ in pieces(told, window=2.0)) == 1


def test_what_begins_behind_the_end_of_its_file_is_told_when_it_is_read(tmp_path):
    told = whole(sound(tmp_path / "a.wav", 1.0), "deu")._replace(start=2.0, duration=61.0)
    with pytest.raises(UserError, match=r"lasts 1\.00 s: it cannot start at 2\.0"):
        read_audio(next(pieces(told, window=0.5)))


def test_what_is_no_audio_is_told(tmp_path):
    with pytest.raises(UserError, match="no such file or folder"):
        recordings(tmp_path / "none", "deu", 1)
    with pytest.raises(UserError, match="no audio in it"):
        recordings(tmp_path, "deu", 1)
    (tmp_path / "a.wav").write_text("no audio")
    with pytest.raises(UserError, match=r"a\.wav: no audio that can be read"):
        recordings(tmp_path, "deu", 1)
    gone = whole(sound(tmp_path / "b.wav", 0.1), "deu")._replace(duration=2.0)
    (tmp_path / "b.wav").unlink()
    with pytest.raises(UserError, match=r"b\.wav: no audio that can be read"):
        list(pieces(gone, 1))
