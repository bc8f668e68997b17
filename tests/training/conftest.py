"""A tiny run: random models, and noise in four languages that says what English text says."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

LOCALES = {"de_de": "Satz", "fr_fr": "Phrase", "it_it": "Frase", "nl_nl": "Zin", "en_us": "Line"}


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Path:
    """FLEURS' layout: train with 12 sentences, dev and test with 5, of noise of 0.2 to 0.6 s."""
    root = tmp_path_factory.mktemp("fleurs")
    generator = np.random.default_rng(0)
    for locale, word in LOCALES.items():
        for split, sentences in (
            ("train", range(12)),
            ("dev", range(20, 25)),
            ("test", range(30, 35)),
        ):
            audio = root / locale / "audio" / split
            audio.mkdir(parents=True)
            rows = []
            for number in sentences:
                samples = int(generator.integers(3200, 9600))
                noise = 0.1 * generator.standard_normal(samples)
                soundfile.write(audio / f"{number}.wav", noise, 16_000)
                text = f"{word} {number}."
                row = (number, f"{number}.wav", text, text.lower(), "x", samples, "FEMALE")
                rows.append("\t".join(map(str, row)))
            (root / locale / f"{split}.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return root


@pytest.fixture
def config(corpus, whisper_folder, llm_folder, tmp_path) -> Path:
    """A run's configuration: everything on, tiny, dropout too."""
    path = "speechalign."
    settings = {
        "seed_everything": 0,
        "trainer": {
            "accelerator": "cpu",
            "devices": 1,
            "max_steps": 6,
            "log_every_n_steps": 1,
            "val_check_interval": 3,
            "check_val_every_n_epoch": None,
            "num_sanity_val_steps": 0,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "default_root_dir": str(tmp_path / "run"),
            "callbacks": [
                part(
                    path + "training.checkpoint.Checkpoints",
                    every_n_train_steps=1,
                    save_top_k=-1,
                    filename="{step}",
                    save_last=True,
                )
            ],
        },
        "model": {
            "encoder": part(
                path + "models.encoder.WhisperEncoder", path=whisper_folder, attend="speech"
            ),
            "llm": part(path + "models.llm.CausalLLM", path=llm_folder, dtype="float32"),
            "qformer": part(
                path + "models.qformer.QFormer",
                blocks=4,
                queries=6,
                width=24,
                heads=4,
                feed_forward=48,
                dropout=0.1,
            ),
            "projector": part(path + "models.projector.LinearProjector"),
            "bias": part(path + "models.bias.LanguageBias", trainable=True),
            "alignment": part(path + "alignment.divergence.SinkhornDivergence"),
            "schedule": part(path + "alignment.schedule.UCB", layers=[1, 2, 3]),
            "optimizer": part("torch.optim.AdamW", lr=0.01),
            "lr_scheduler": part(path + "training.optim.WarmupConstant", warmup_steps=3),
            "decoding": {"beams": 1, "max_new_tokens": 6, "no_repeat_ngram": 0},
        },
        "data": {
            "source": part(
                path + "data.fleurs.Fleurs", root=str(corpus), cache_dir=str(tmp_path / "cache")
            ),
            "languages": ["deu", "fra", "ita"],
            "zero_shot": ["nld"],
            "batch_size": 12,
        },
    }
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(settings))
    return file


def part(class_path: str, **init_args: object) -> dict[str, object]:
    return {"class_path": class_path, "init_args": init_args}
