"""A trained model as a folder to share: weights, settings, model card; all of it or nothing."""

import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from speechalign.audio.io import SAMPLE_RATE
from speechalign.data.prompts import PromptTemplates, Task
from speechalign.errors import Caution, UserError
from speechalign.files import replacing_folder, write_text
from speechalign.inference.card import Told, card, corpus_name
from speechalign.models import artifact
from speechalign.models.decode import Decoding
from speechalign.models.hub import CARD, CONFIG, FILES, check_id, push
from speechalign.models.speech_llm import SpeechLLM


class Shareable:
    """What a `Translator` is made of, and how it is shared.

    Attributes:
        model: In eval mode.
        prompts: The templates it was trained with.
        decoding: How it searches for an answer.
        tasks: What it was trained to do.
        languages: Codes of the languages it was trained to understand.
        zero_shot: Codes of those that it knows without having been trained to understand them.
        target: Code of the language it was trained to translate into.
    """

    model: SpeechLLM
    prompts: PromptTemplates
    decoding: Decoding
    tasks: list[Task]
    languages: list[str]
    zero_shot: list[str]
    target: str

    def save_pretrained(
        self,
        folder: str | Path,
        results: Mapping[str, Any] | None = None,
        licence: str | None = None,
        name: str | None = None,
    ) -> None:
        """Export the model to a folder: weights, settings and model card.

        Args:
            folder: Made, or replaced if it is an earlier export.
            results: What `metrics.json` of `speechalign evaluate` holds, for the card.
            licence: Of the weights, as the Hub calls it (apache-2.0).
            name: That the card calls the model by; by default the folder's.

        Raises:
            UserError: If the folder is something else than an export, or cannot be written.
        """
        export(self, Path(folder), name or Path(folder).resolve().name, results, licence)

    def push_to_hub(
        self,
        repository: str,
        results: Mapping[str, Any] | None = None,
        licence: str | None = None,
        private: bool = False,
    ) -> str:
        """Export the model to the Hugging Face Hub; arguments as for `save_pretrained`.

        Args:
            repository: Hub id, `user/model`; made if absent.
            results: For the card.
            licence: Of the weights.
            private: Whether it is hidden from others when it is made.

        Returns:
            Address of the commit.

        Raises:
            UserError: If it cannot be put there, with what to do about it.
        """
        check_id(repository)
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "export"
            self.save_pretrained(folder, results, licence, repository)
            return push(folder, repository, private)


def export(
    translator: Shareable,
    folder: Path,
    name: str,
    results: Mapping[str, Any] | None = None,
    licence: str | None = None,
) -> None:
    """Write a model with its card; the folder appears whole or not at all.

    Args:
        translator: With the model.
        folder: Made, or replaced if it is an earlier export.
        name: That the card calls the model by: its Hub id, or the folder's name.
        results: What `metrics.json` of an evaluation of this model holds.
        licence: Of the weights, as the Hub calls it (apache-2.0).

    Raises:
        UserError: If the folder is something else than an export, or cannot be written.
    """
    folder = folder.expanduser().resolve()
    check_folder(folder)
    told = facts(translator, name, results, licence)
    if told.local():
        warnings.warn(
            f"The {' and '.join(told.local())} of this model is a folder of this machine: others "
            "cannot load what is exported. Train with a Hub id to share it.",
            Caution,
            stacklevel=3,
        )
    measured = {} if results is None else {"results": shared(results)}
    try:
        with replacing_folder(folder) as scratch:
            kept = about(translator) | {"local": told.local()} | measured
            artifact.save(scratch, translator.model, kept)
            write_text(scratch / CARD, card(told))
    except (OSError, SafetensorError) as error:
        raise UserError(f"{folder} cannot be written ({error}): give another folder.") from error


def check_folder(folder: Path) -> None:
    """See that nothing but an earlier export is replaced.

    Raises:
        UserError: If something else is there.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UserError(f"{folder} is a file: give a folder to export to.")
    there = {file.name for file in folder.iterdir()}
    foreign = sorted(there - set(FILES))
    if foreign or (there and CONFIG not in there):
        raise UserError(
            f"{folder} is there and is no export of a model (it has {', '.join(sorted(there)[:3])})"
            ": give a new folder."
        )
    if there:
        artifact.read(folder)  # a config.json alone may be of any model


def facts(
    translator: Shareable,
    name: str,
    results: Mapping[str, Any] | None,
    licence: str | None,
) -> Told:
    """Collect what the card tells."""
    model = translator.model
    return Told(
        name=name,
        bases={part: getattr(model, part).base for part in artifact.BASES},
        tasks=translator.tasks,
        trained=translator.languages,
        zero_shot=translator.zero_shot,
        target=translator.target,
        weights=sum(weight.numel() for weight in model.trained_state().values()),
        window=model.encoder.window_samples / SAMPLE_RATE,
        results=results,
        licence=licence,
    )


def shared(results: Mapping[str, Any]) -> dict[str, Any]:
    """Take of results what is of use elsewhere: no recordings one by one, no paths of a machine."""
    pairs = {
        pair: {name: told[name] for name in ("recordings", "sentences", "scores")}
        for pair, told in results["pairs"].items()
    }
    data = dict(results["data"]) | {"corpus": corpus_name(results["data"])}
    kept = {name: results[name] for name in ("preset", "texts", "versions") if name in results}
    return {"data": data, **kept, "pairs": pairs}


def about(translator: Shareable) -> dict[str, Any]:
    """Plain facts that inference needs beside the weights."""
    return {
        "prompts": asdict(translator.prompts),
        "decoding": asdict(translator.decoding),
        "tasks": list(translator.tasks),
        "languages": {
            "trained": list(translator.languages),
            "zero_shot": list(translator.zero_shot),
            "target": translator.target,
        },
    }
