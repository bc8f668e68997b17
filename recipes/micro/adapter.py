"""Train the packaged adapter, score it, and put it with its clips into the package.

    python -m recipes.micro.adapter --corpus build/large --steps 4000

The adapter is what `configs/micro.yaml` trains, on a larger corpus of the same kind (the packaged
one is its beginning) and for longer. Beside it go one clip of each source language from the test
split, with transcript and translation, and what the adapter answers to them as a golden file of the
tests. The scores are of the packaged corpus' test split.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from recipes.micro.text import TRAINED, ZERO_SHOT
from speechalign.assets import FOLDER, resolve
from speechalign.commands.demo import CONFIG, metrics_of, settings
from speechalign.commands.training import command_line
from speechalign.data.archive import ArchiveMember
from speechalign.data.fleurs import Fleurs
from speechalign.data.records import Utterance
from speechalign.files import write_text
from speechalign.inference.translator import Translator
from speechalign.models import artifact

MICRO = FOLDER / "micro"
GOLDEN = Path(__file__).parents[2] / "tests" / "golden" / "micro_clips.json"


def main() -> None:
    """Run the recipe."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--corpus", default="assets:micro/fleurs", help="to train on")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("runs/micro_adapter"))
    options = parser.parse_args()
    last = options.output / "checkpoints" / "last.ckpt"
    chosen = settings(options.output, options.steps, options.seed)
    chosen.append(f"--data.source.init_args.root={options.corpus}")
    command_line("fit", [*chosen, *(["--ckpt_path=last"] if last.exists() else [])])
    print(json.dumps(package(options.output), indent=2))
    write_golden(write_clips([*TRAINED, *ZERO_SHOT]))


def package(output: Path) -> dict[str, Any]:
    """Store the weights that were best on dev, rounded, with the scores of what is stored."""
    model, about = artifact.load(output / "checkpoints" / "best.ckpt")
    artifact.save(output / "export", model, about, dtype="float16")
    options = [f"--config={resolve(CONFIG)}", f"--trainer.default_root_dir={output}"]
    test = command_line("test", [*options, f"--model.init_from={output / 'export'}"])
    pairs = metrics_of(test)["pairs"]
    results = {
        "bleu": {pair: told["scores"]["bleu"]["value"] for pair, told in pairs.items()},
        "signature": next(iter(pairs.values()))["scores"]["bleu"]["signature"],
    }
    artifact.save(MICRO / "adapter", model, about | {"results": results}, dtype="float16")
    return results


def write_clips(languages: list[str]) -> list[dict[str, str]]:
    """Copy a test recording of each language out of the corpus, each of another sentence."""
    corpus = Fleurs(resolve("assets:micro/fleurs"))
    english = corpus.texts("eng", "test")
    clips = []
    for place, code in enumerate(languages):
        utterance = corpus.utterances(code, "test")[7 * place]
        file = f"{code}.ogg"
        (MICRO / "clips").mkdir(exist_ok=True)
        (MICRO / "clips" / file).write_bytes(audio_of(utterance))
        translation = english[utterance.sentence_id]
        clips.append({
            "file": file,
            "language": code,
            "transcript": utterance.text,
            "translation": translation,
        })
    write_json(MICRO / "clips" / "clips.json", clips)
    return clips


def audio_of(utterance: Utterance) -> bytes:
    """Read the encoded recording."""
    audio = utterance.audio
    return audio.read() if isinstance(audio, ArchiveMember) else audio.read_bytes()


def write_golden(clips: list[dict[str, str]]) -> None:
    """Write what the packaged adapter answers to the clips."""
    translator = Translator.from_pretrained()
    golden: dict[str, dict[str, str]] = {}
    for clip in clips:
        file, spoken = MICRO / "clips" / clip["file"], clip["language"]
        golden[clip["file"]] = {
            "translation": translator.translate(file, from_=spoken).text,
            "transcript": translator.transcribe(file, from_=spoken).text,
            "language": translator.translate(file).language,
        }
    write_json(GOLDEN, golden)


def write_json(file: Path, value: Any) -> None:
    """Write JSON for people to read."""
    write_text(file, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
