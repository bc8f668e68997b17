"""Centroids of languages as a thing of their own: estimated once, shared, merged, applied.

    bias.json             languages with counts, pooling, encoder, and the name of the other file
    bias-<sum>.safetensors    the mean frame of each language, digests of the recordings it is from,
                              and the scatter within languages

A pack fits the encoder it was made with and no other: centroids are points among its frames.
"""

import hashlib
import json
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, UInt8
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from speechalign.assets import resolve
from speechalign.errors import Caution, UserError
from speechalign.files import write_bytes, write_text
from speechalign.languages import LANGUAGES
from speechalign.models.bias import LanguageBias
from speechalign.models.encoder import WhisperEncoder
from speechalign.models.moments import Moments, join

FORMAT = 2  # 1 did not tell the recordings one by one
SCATTER, RECORDINGS = "scatter", "recordings"
DIGEST = 16  # bytes of a recording's
KNOWN = {entry.code for entry in LANGUAGES}


class Centroid(NamedTuple):
    """Of one language."""

    mean: Float[Tensor, " D"]  # fp64
    utterances: int
    recordings: frozenset[str]  # digests of their audio: the same is not heard again nor added up


class BiasPack(NamedTuple):
    """Centroids of some languages, by canonical code."""

    encoder: str  # its fingerprint
    pooling: str
    centroids: dict[str, Centroid]
    scatter: Float[Tensor, "D D"]  # fp64; of all utterances around the centroid of their language

    def add(self, code: str, moments: Moments, recordings: Iterable[str]) -> "BiasPack":
        """Know one language more, from recordings with these digests (32 hexadecimal digits)."""
        told = Centroid(moments.mean, moments.number, frozenset(recordings))
        return self._replace(
            centroids=self.centroids | {code: told}, scatter=self.scatter + moments.scatter
        )

    def merge(self, other: "BiasPack") -> "BiasPack":
        """Put two packs together; a language of both becomes that of all its utterances.

        Raises:
            UserError: If they are of different encoders, pooled differently, or some recording
                would count twice.
        """
        differ = [
            name for name in ("encoder", "pooling") if getattr(self, name) != getattr(other, name)
        ]
        if differ:
            told = "; ".join(f"{n} {getattr(self, n)} and {getattr(other, n)}" for n in differ)
            raise UserError(f"These packs do not go together, they were made with {told}.")
        merged, scatter = dict(self.centroids), self.scatter + other.scatter
        for code, theirs in other.centroids.items():
            own = self.centroids.get(code)
            if own is None:
                merged[code] = theirs
                continue
            shared = len(own.recordings & theirs.recordings)
            if shared:
                raise UserError(
                    f"Both packs know {code} from the same recordings, {shared} of them, which"
                    " would count twice: estimate it anew from all its recordings."
                )
            nothing = torch.zeros_like(scatter)
            moments = [Moments(one.utterances, one.mean, nothing) for one in (own, theirs)]
            both = join(moments, len(own.mean))
            merged[code] = Centroid(both.mean, both.number, own.recordings | theirs.recordings)
            scatter = scatter + both.scatter
        return self._replace(centroids=merged, scatter=scatter)

    def check(self, encoder: WhisperEncoder, pooling: str) -> None:
        """See that the pack is of an encoder and pooled as a model pools.

        Raises:
            UserError: If it is not.
        """
        if self.encoder != encoder.fingerprint():
            raise UserError(
                f"This bias pack was made for another encoder (or another dtype or `attend` of it):"
                f" {self.encoder[:12]}…, the model's is {encoder.fingerprint()[:12]}…; estimate it"
                " anew with `speechalign estimate-bias --checkpoint`."
            )
        if self.pooling != pooling:
            raise UserError(
                f"This bias pack pools {self.pooling} frames, the model {pooling}; estimate it anew"
                f" with --pooling {pooling}."
            )

    def apply(self, bias: LanguageBias, encoder: WhisperEncoder) -> list[str]:
        """Let a model know the pack's languages; those it was trained on stay as they were.

        Returns:
            Codes of the languages that are known now or otherwise than before.

        Raises:
            UserError: If the pack is of another encoder, or pooled differently.
        """
        self.check(encoder, bias.pooling)
        taken = []
        for code, told in self.centroids.items():
            row = next(entry.row for entry in LANGUAGES if entry.code == code)
            if not bias.trained[row]:
                bias.centroid.data[row] = told.mean.to(bias.centroid)
                bias.utterances[row] = told.utterances
                taken.append(code)
        if not bias.freedom:  # one scatter holds for all languages
            bias.scatter += self.scatter.to(bias.scatter)
            bias.freedom += sum(told.utterances - 1 for told in self.centroids.values())
        return taken


def empty_pack(encoder: WhisperEncoder, pooling: str) -> BiasPack:
    """Begin a pack for an encoder."""
    zeros = torch.zeros(encoder.width, encoder.width, dtype=torch.float64)
    return BiasPack(encoder.fingerprint(), pooling, {}, zeros)


def save_pack(pack: BiasPack, folder: Path) -> None:
    """Write a pack; a reader finds the old one or the new one, and never a mixture.

    Raises:
        OSError: If it cannot be written.
    """
    tensors = {SCATTER: pack.scatter.contiguous()}
    for code, one in pack.centroids.items():
        tensors[code] = one.mean.contiguous()
        tensors[f"{code}.{RECORDINGS}"] = as_bytes(one.recordings)
    content = save(tensors)
    told: dict[str, Any] = {
        "format": FORMAT,
        "encoder": pack.encoder,
        "pooling": pack.pooling,
        "width": len(pack.scatter),
        "languages": {
            code: {"utterances": one.utterances} for code, one in sorted(pack.centroids.items())
        },
        "checksum": hashlib.sha256(content).hexdigest(),
    }
    file = folder / f"bias-{told['checksum'][:16]}.safetensors"
    write_bytes(file, content)
    write_text(folder / "bias.json", json.dumps(told, indent=2) + "\n")  # from here on it counts
    for old in folder.glob("bias-*.safetensors"):
        if old != file:
            old.unlink()


def load_pack(folder: Path) -> BiasPack:
    """Read a pack.

    Raises:
        UserError: If there is none, or it is damaged.
    """
    try:
        told, content = read_files(folder)
        if told["format"] != FORMAT:
            raise UserError(f"{folder}: a bias pack of format {told['format']}; this is {FORMAT}.")
        if told["checksum"] != hashlib.sha256(content).hexdigest():
            raise UserError(f"{folder}: the bias pack is damaged, its files do not fit together.")
        tensors = load(content)
        centroids = {
            code: centroid_in(tensors, code, int(one["utterances"]))
            for code, one in told["languages"].items()
            if code in KNOWN
        }
        return BiasPack(str(told["encoder"]), told["pooling"], centroids, tensors[SCATTER])
    except UserError:
        raise
    except (OSError, KeyError, TypeError, ValueError, AttributeError, SafetensorError) as error:
        raise UserError(f"{folder}: the bias pack is damaged ({error}); estimate anew.") from error


def centroid_in(tensors: dict[str, Tensor], code: str, utterances: int) -> Centroid:
    """Take one language out of what was read.

    Raises:
        KeyError: If it is not there.
        ValueError: If it is not of so many recordings.
    """
    rows = tensors[f"{code}.{RECORDINGS}"]
    recordings = frozenset(bytes(row).hex() for row in rows.tolist())
    if not 0 < utterances == len(recordings):
        raise ValueError(f"{code}: {utterances} utterances, {len(recordings)} recordings")
    return Centroid(tensors[code], utterances, recordings)


def as_bytes(recordings: Iterable[str]) -> UInt8[Tensor, "N bytes"]:
    """Pack digests, in order, so that equal packs are equal files."""
    rows = [list(bytes.fromhex(one)) for one in sorted(recordings)]
    return torch.tensor(rows, dtype=torch.uint8).reshape(-1, DIGEST)


def lay_over(folder: str | Path, bias: LanguageBias | None, encoder: WhisperEncoder) -> list[str]:
    """Let a trained model know the languages of a pack; result as of `BiasPack.apply`.

    Raises:
        UserError: If there is none, or it does not fit the model.
    """
    if bias is None:
        raise UserError(f"{folder}: this model was trained without a bias, a pack is of no use.")
    taken = load_pack(Path(resolve(folder))).apply(bias, encoder)
    if bias.unknown != "unlabelled":
        warnings.warn(
            f"For a language it was not trained on this model subtracts `{bias.unknown}`: the pack"
            " only helps to tell which language is spoken.",
            Caution,
            stacklevel=3,
        )
    return taken


def read_files(folder: Path, tries: int = 3) -> tuple[dict[str, Any], bytes]:
    """Read the two files of a pack, again if somebody writes a new one in between.

    Raises:
        UserError: If there is no `bias.json`.
        OSError: If it names a file that is not there.
        KeyError: If it names none.
    """
    try:
        told = json.loads((folder / "bias.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}: no bias pack, bias.json cannot be read ({error}).") from error
    try:
        return told, (folder / f"bias-{told['checksum'][:16]}.safetensors").read_bytes()
    except OSError:
        if tries == 1:
            raise
        return read_files(folder, tries - 1)
