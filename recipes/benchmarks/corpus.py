"""A corpus to time loaders on: FLEURS' layout, one language, as many recordings as asked for."""

from pathlib import Path

import numpy as np
import soundfile

from speechalign.audio.io import SAMPLE_RATE

LOCALE, CODE, SPLIT = "de_de", "deu", "train"
WORDS = ["nacht", "hafen", "leise", "brücke", "sieben", "wind", "alte", "karte", "finden", "morgen"]
SHORTEST, LONGEST = 3.0, 28.0  # seconds
MEAN, SPREAD = 11.0, 0.4  # seconds; of the logarithm: about those of FLEURS


def write_corpus(root: Path, utterances: int, seed: int = 0) -> Path:
    """Write so many recordings of 16 kHz mono, 16 bits, and their TSV; give the corpus' folder."""
    draw = np.random.default_rng(seed)
    folder = root / LOCALE / "audio" / SPLIT
    folder.mkdir(parents=True)
    seconds = np.clip(
        draw.lognormal(np.log(MEAN) - SPREAD**2 / 2, SPREAD, utterances), SHORTEST, LONGEST
    )
    rows = []
    for number, samples in enumerate((seconds * SAMPLE_RATE).astype(int)):
        sound = tones(draw, samples)
        soundfile.write(folder / f"{number}.wav", sound, SAMPLE_RATE, subtype="PCM_16")
        text = " ".join(draw.choice(WORDS, size=max(3, samples // 8000)))
        row = (number, f"{number}.wav", text.capitalize(), text, "x", samples, "FEMALE")
        rows.append("\t".join(map(str, row)))
    (root / LOCALE / f"{SPLIT}.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return root


def tones(draw: np.random.Generator, samples: int) -> np.ndarray:
    """Two tones that rise and fall like syllables, in noise."""
    time = np.arange(samples) / SAMPLE_RATE
    pitch, formant = draw.uniform(90, 250), draw.uniform(500, 3000)
    syllables = np.abs(np.sin(2 * np.pi * 2 * time))
    voice = np.sin(2 * np.pi * pitch * time) + 0.3 * np.sin(2 * np.pi * formant * time)
    return 0.2 * syllables * voice + 0.01 * draw.standard_normal(samples)
