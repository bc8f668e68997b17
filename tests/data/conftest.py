"""Small FLEURS folders of sine tones."""

import tarfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile
from transformers import PreTrainedTokenizerFast

from speechalign.data.datamodule import SpeechDataModule
from speechalign.data.fleurs import Fleurs


class Clip(NamedTuple):
    """One recording to write."""

    sentence: int
    text: str
    seconds: float = 0.02
    gender: str = "FEMALE"


def write_fleurs(root: Path, locale: str, split: str, clips: list[Clip], kind: str = "dir") -> Path:
    """Write one split; `kind` is dir, tar, tar.gz or none (no audio)."""
    folder = root / locale
    audio = folder / "audio" / split
    audio.mkdir(parents=True)
    lines = []
    for number, clip in enumerate(clips):
        samples = round(clip.seconds * 16_000)
        pitch = 100 + 10 * number
        tone = 0.1 * np.sin(2 * np.pi * pitch * np.arange(samples) / 16_000)
        soundfile.write(audio / f"{number}.wav", tone, 16_000)
        plain = clip.text.lower().strip(".")
        spelled = " ".join(plain.replace(" ", "|")) + " |"
        fields = (clip.sentence, f"{number}.wav", clip.text, plain, spelled, samples, clip.gender)
        lines.append("\t".join(map(str, fields)))
    (folder / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if kind != "dir":
        if kind.startswith("tar"):
            mode = "w:gz" if kind == "tar.gz" else "w"
            with tarfile.open(folder / "audio" / f"{split}.{kind}", mode) as archive:
                archive.add(audio, split)
        for path in audio.iterdir():
            path.unlink()
        audio.rmdir()
    return root


@pytest.fixture
def fleurs(tmp_path) -> Path:
    """German, French and Italian speech, Dutch for zero-shot, English text without audio.

    train: sentences 0-9 in German (two recordings of 0), 0-8 in French, 0-6 and 20 in Italian.
    dev and test: sentences 100-103 and 200-203 in all; test sentence 203 of German is long.
    """
    root = tmp_path / "fleurs"
    de = [Clip(n, f"Satz {n}.") for n in range(10)] + [Clip(0, "Satz 0.", gender="MALE")]
    write_fleurs(root, "de_de", "train", de, "tar.gz")
    write_fleurs(root, "fr_fr", "train", [Clip(n, f"Phrase {n}.") for n in range(9)])
    it = [Clip(n, f"Frase {n}.") for n in [*range(7), 20]]
    write_fleurs(root, "it_it", "train", it)
    for split, first in (("dev", 100), ("test", 200)):
        for locale in ("de_de", "fr_fr", "it_it", "nl_nl"):
            long = locale == "de_de" and split == "test"
            clips = [
                Clip(first + n, f"{locale} {split} {n}.", 0.2 if long and n == 3 else 0.02)
                for n in range(4)
            ]
            write_fleurs(root, locale, split, clips)
    for split, sentences in (
        ("train", range(10)),
        ("dev", range(100, 104)),
        ("test", range(200, 204)),
    ):
        english = [Clip(n, f"Sentence {n}.") for n in sentences]
        write_fleurs(root, "en_us", split, english, "none")
    return root


@pytest.fixture(scope="session")
def tokenizer(llm_folder) -> PreTrainedTokenizerFast:
    """One token a byte."""
    return PreTrainedTokenizerFast.from_pretrained(llm_folder)


@pytest.fixture
def make_data(fleurs, tmp_path, tokenizer):
    """Make a data module over `fleurs`, fitted to a window of 0.1 s."""

    def make(**settings) -> SpeechDataModule:
        source = Fleurs(str(fleurs), cache_dir=str(tmp_path / "cache"))
        settings = {"languages": ["deu", "fra", "ita"], "zero_shot": ["nld"]} | settings
        data = SpeechDataModule(source, **settings)
        data.configure(tokenizer, window_samples=1600)
        return data

    return make
