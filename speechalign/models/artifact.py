"""What is saved and shared of a trained model: a folder with its trained weights and settings.

    config.json         the parts by class name and settings, prompts, decoding, languages, results
    model.safetensors   trained weights; encoder and LLM are named, by path, revision and hash, and
                        not copied
    README.md           the model card, if it was exported to be shared

Lightning checkpoints carry the same description, so one loader serves both. Only the classes named
in `PARTS` are ever built, whatever a file says, and nothing is unpickled beyond plain tensors.
"""

import json
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple
from zipfile import is_zipfile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from speechalign.errors import UserError
from speechalign.files import write_text
from speechalign.models.base import check_base, place_of
from speechalign.models.bias import LanguageBias
from speechalign.models.encoder import WhisperEncoder
from speechalign.models.hub import CONFIG, WEIGHTS, located
from speechalign.models.llm import CausalLLM
from speechalign.models.loading import DType, torch_dtype
from speechalign.models.projector import LinearProjector, MLPProjector
from speechalign.models.qformer import FrameStack, QFormer
from speechalign.models.speech_llm import SpeechLLM

FORMAT = 1
PART_NAMES = ("encoder", "bias", "qformer", "projector", "llm")
BASES = ("encoder", "llm")  # of which no weights are stored
FACTS = ("prompts", "decoding", "tasks", "languages")  # of `about`, which inference needs
KNOWN = ("trained", "zero_shot", "target")  # languages, by what the model knows of them
# settings that may differ from those of the training: where the frozen models lie (`check_bases`
# compares what they are), in which numbers they compute, what only training or only a new language
# meets
FREE = {"base", "path", "revision", "dtype", "bits", "dropout", "scale", "trainable", "unknown"}
PARTS: dict[str, type[nn.Module]] = {
    part.__name__: part
    for part in (
        WhisperEncoder,
        LanguageBias,
        QFormer,
        FrameStack,
        LinearProjector,
        MLPProjector,
        CausalLLM,
    )
}


class Artifact(NamedTuple):
    """A trained model at rest."""

    parts: dict[str, Any]  # `describe` of the model
    about: dict[str, Any]  # plain settings and facts that travel with it
    weights: dict[str, Tensor]


def describe(model: SpeechLLM) -> dict[str, Any]:
    """Name the parts of a model and their settings, in plain types."""
    parts = {name: getattr(model, name) for name in PART_NAMES}
    told = {
        name: part and {"class": type(part).__name__, **part.settings()}
        for name, part in parts.items()
    }
    for name in BASES:
        told[name]["base"] = parts[name].base._asdict()
    return told


def differences(
    now: dict[str, Any], then: dict[str, Any], names: tuple[str, ...] = PART_NAMES
) -> list[str]:
    """Tell which settings of two descriptions make the same weights answer otherwise."""
    told = []
    for name in names:
        one, other = now[name] or {}, then[name] or {}
        told += [
            f"{name}'s {key} is {one.get(key)}, was {other.get(key)}"
            for key in sorted((one.keys() | other.keys()) - FREE)
            if one.get(key) != other.get(key)
        ]
    return told


def check_bases(model: SpeechLLM, parts: dict[str, Any]) -> None:
    """See that a model's encoder and LLM are those that a description names.

    Raises:
        UserError: If one is another.
    """
    for name in BASES:
        check_base(name, getattr(model, name).base, parts[name].get("base"))


def known_by_hash(part: dict[str, Any]) -> bool:
    """Tell whether a frozen part is known by its weights, and not by its path alone."""
    return bool((part.get("base") or {}).get("sha256"))


def build(parts: dict[str, Any]) -> SpeechLLM:
    """Compose the model that `describe` described, with fresh trained weights.

    Raises:
        UserError: If a part is of an unknown class or has unknown settings, or a frozen one is
            another than was described.
    """
    encoder = make(parts, "encoder")
    llm = make(parts, "llm")
    qformer = make(parts, "qformer", encoder.width)
    return SpeechLLM(
        encoder,
        make(parts, "bias", encoder.width) if parts["bias"] else None,
        qformer,
        make(parts, "projector", qformer.width, llm.width),
        llm,
    )


def make(parts: dict[str, Any], name: str, *widths: int) -> Any:
    """Build one part."""
    settings = dict(parts[name])
    kind, base = settings.pop("class", None), settings.pop("base", None)
    if kind not in PARTS:
        raise UserError(f"The {name} is a {kind!r}; this version knows {', '.join(PARTS)}.")
    try:
        part = PARTS[kind](*widths, **settings)
    except TypeError as error:
        raise UserError(f"The settings of {name} do not fit this version: {error}.") from error
    if isinstance(part, WhisperEncoder | CausalLLM):
        check_base(name, part.base, base)
    return part


def save(
    folder: str | Path, model: SpeechLLM, about: dict[str, Any], dtype: DType = "float32"
) -> None:
    """Write an artifact; each file appears whole or not at all.

    Args:
        folder: Made if absent.
        model: Its trained weights are stored.
        about: Plain facts to keep beside it: prompts, decoding, languages, results.
        dtype: Number format of the stored weights, which are loaded into fp32; what was counted
            and estimated keeps its own.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    stored = torch_dtype(dtype)
    learnt = dict(model.named_parameters())
    weights = {
        k: (v.to(stored) if k in learnt else v).contiguous().cpu()
        for k, v in model.trained_state().items()
    }
    config = {"format": FORMAT, "parts": from_anywhere(describe(model)), **about}
    scratch = folder / ".model.safetensors.part"
    save_file(weights, scratch)
    scratch.chmod(0o644)
    scratch.replace(folder / WEIGHTS)
    write_text(folder / CONFIG, json.dumps(config, indent=2, ensure_ascii=False) + "\n")


def from_anywhere(parts: dict[str, Any]) -> dict[str, Any]:
    """Name local folders of frozen models so that they are found from any working folder."""
    for name in BASES:
        if place_of(parts[name]["path"]) == "folder":
            parts[name]["path"] = str(Path(parts[name]["path"]).expanduser().absolute())
    return parts


def read(path: str | Path, revision: str | None = None) -> Artifact:
    """Read an artifact's folder or a Lightning checkpoint of this project.

    Args:
        path: Of it; or the id of an artifact on the Hub.
        revision: Of that id.

    Raises:
        UserError: If there is none, or it is damaged.
    """
    found = located(path, revision)
    artifact = read_folder(found) if found.is_dir() else read_checkpoint(found)
    lacking = gaps(artifact)
    if lacking:
        raise UserError(f"{str(path)!r} is damaged, it says nothing of: {', '.join(lacking)}.")
    return artifact


def gaps(artifact: Artifact) -> list[str]:
    """Name what inference needs and the artifact does not tell."""
    parts, about = artifact.parts, artifact.about
    lacking = [
        name
        for name in PART_NAMES
        if not isinstance(parts.get(name), dict) and (name, parts.get(name, "")) != ("bias", None)
    ]
    lacking += [name for name in FACTS if name not in about]
    languages = about.get("languages")
    told = languages if isinstance(languages, dict) else {}
    return lacking + [name for name in KNOWN if name not in told]


def read_folder(folder: Path) -> Artifact:
    """Read what `save` wrote."""
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        weights = load_file(folder / WEIGHTS)
        parts, version = dict(config.pop("parts")), config.pop("format")
    except (OSError, ValueError, TypeError, SafetensorError, KeyError) as error:
        raise UserError(
            f"{str(folder)!r} is no exported model (config.json and model.safetensors): {error}"
        ) from error
    if version != FORMAT:
        raise UserError(
            f"{str(folder)!r} is of format {version}, this version reads {FORMAT}: use the "
            "speechalign that wrote it."
        )
    return Artifact(parts, config, weights)


def read_checkpoint(file: Path) -> Artifact:
    """Read the trained part of a Lightning checkpoint."""
    try:
        checkpoint = torch.load(file, map_location="cpu", weights_only=True, mmap=is_zipfile(file))
        parts, about = (checkpoint["speech_llm"][name] for name in ("parts", "about"))
        weights = checkpoint["state_dict"]
    except (OSError, EOFError, RuntimeError, KeyError, TypeError, UnpicklingError) as error:
        raise UserError(
            f"{str(file)!r} is no checkpoint that `speechalign fit` wrote "
            f"({type(error).__name__}): give one, or an exported folder."
        ) from error
    plain = {k.removeprefix("speech_llm."): v for k, v in weights.items()}
    return Artifact(parts, about, plain)


def load(
    path: str | Path,
    revision: str | None = None,
    dtype: DType | None = None,
    llm_bits: int | None = None,
) -> tuple[SpeechLLM, dict[str, Any]]:
    """Rebuild a trained model from its folder, checkpoint or Hub id, in eval mode, with its facts.

    Args:
        path: Of it, or its id.
        revision: Of that id.
        dtype: Number format of encoder and LLM; by default that of the training.
        llm_bits: To quantise the LLM to; by default as in the training.

    Raises:
        UserError: If it cannot be read, its weights do not fit its description, or the encoder or
            the LLM is another than it was trained on.
    """
    artifact = read(path, revision)
    numbers = {"encoder": {"dtype": dtype}, "llm": {"dtype": dtype, "bits": llm_bits}}
    parts = artifact.parts | {
        name: artifact.parts[name] | {key: value for key, value in asked.items() if value}
        for name, asked in numbers.items()
    }
    model = build(parts)
    model.load_trained_state(artifact.weights)
    return model.eval(), artifact.about
