"""The speech that biases are estimated from: found in many places, cut, drawn, counted once."""

import random
from collections.abc import Iterable, Iterator
from pathlib import Path

from speechalign.assets import resolve
from speechalign.audio.io import SAMPLE_RATE
from speechalign.commands import prepare_manifest
from speechalign.commands.quality import tell
from speechalign.data.examples import read_audio
from speechalign.data.fleurs import Fleurs
from speechalign.data.folder import cut, recordings
from speechalign.data.frames import content
from speechalign.data.manifest_lines import check_recordings, read_manifest
from speechalign.data.records import Utterance
from speechalign.errors import UserError, noted
from speechalign.languages import language

Speech = dict[str, list[Utterance]]  # by language
Recordings = dict[str, Utterance]  # by the digest of their audio


def gather_speech(
    files: list[str], languages: str, split: str, window_samples: int, skip: bool = False
) -> Speech:
    """List the speech of each language, in pieces that fit into the encoder's window.

    Args:
        files: Where it is: `CODE=FOLDER`, FLEURS folders, manifests.
        languages: Those wanted of the latter two, parted by commas; all if empty.
        split: Of FLEURS folders.
        window_samples: Longer recordings are cut.
        skip: Whether malformed lines and what is no audio are passed over, and told.

    Raises:
        UserError: If there is no place of that kind, or a language has none.
    """
    wanted = [language(code.strip()).code for code in languages.split(",") if code.strip()]
    speech: Speech = {}
    window = window_samples / SAMPLE_RATE
    faults: list[UserError] | None = [] if skip else None
    for file in files:
        found = speech_in(file, wanted, split, window, faults)
        for name, utterances in found.items():
            known = {utterance.id for utterance in speech.setdefault(name, [])}
            speech[name] += [utterance for utterance in utterances if utterance.id not in known]
    tell_skipped(faults)
    silent = [code for code, found in speech.items() if not found]
    if silent or not speech:
        raise UserError(
            f"No audio of {', '.join(silent) or 'any language'} in {', '.join(files)} (split"
            f" {split}): name another --split, or a folder of audio as CODE=FOLDER."
        )
    return speech


def speech_in(
    file: str, wanted: list[str], split: str, window: float, faults: list[UserError] | None
) -> Speech:
    """List the speech of one place; arguments and errors as for `gather_speech`."""
    code, equals, path = file.partition("=")
    if equals and not Path(file).exists():
        name = language(code).code
        return {name: recordings(Path(path), name, window, faults)}
    if file.endswith(".jsonl"):
        return manifest_speech(file, wanted, window, faults)
    if Path(file).is_dir() or file.startswith("assets:"):
        corpus = Fleurs(file, on_error="stop" if faults is None else "skip")
        return corpus_speech(corpus, wanted, split, window, faults)
    raise UserError(
        f"{file!r} is no place of speech: give CODE=FOLDER, a FLEURS folder or a manifest."
    )


def manifest_speech(
    file: str, wanted: list[str], window: float, faults: list[UserError] | None
) -> Speech:
    """List the speech of a manifest; what is longer than the window is cut.

    Raises:
        UserError: If it is malformed, and no faults are taken, or lacks a language.
    """
    lines = check_recordings(read_manifest(Path(resolve(file)), faults), faults)
    speech: Speech = {}
    for _, utterance in prepare_manifest.recordings(lines, faults)[1]:
        speech.setdefault(utterance.language, []).append(utterance)
    missing = [code for code in wanted if code not in speech]
    if missing:
        raise UserError(
            f"{file}: no recording in {', '.join(map(repr, missing))}; there is"
            f" {', '.join(speech) or 'none at all'}."
        )
    return {code: cut(speech[code], window, faults) for code in wanted or sorted(speech)}


def corpus_speech(
    corpus: Fleurs, wanted: list[str], split: str, window: float, faults: list[UserError] | None
) -> Speech:
    """List the speech of a corpus, and tell which of its languages have none.

    Raises:
        UserError: If it is malformed, or lacks a language.
    """
    codes = wanted or [code for code in corpus.languages() if corpus.has_audio(code, split)]
    silent = [] if wanted else [code for code in corpus.languages() if code not in codes]
    if silent:
        tell(f"{corpus.root}: no audio of {', '.join(silent)} in {split}; passed over")
    return {code: cut(corpus.utterances(code, split), window, faults) for code in codes}


def drawn(
    speech: Speech, limit: int | None, seed: int, skip: bool = False
) -> Iterator[tuple[str, Recordings]]:
    """Give the recordings of one language after the other, so many of each, drawn at random.

    Audio that is there twice counts once, whatever it is called.

    Args:
        speech: To draw from.
        limit: How many recordings a language; all if None.
        seed: Of the draw.
        skip: Whether what cannot be read is passed over, and told; each recording is then read
            here once.

    Raises:
        UserError: If a recording cannot be read, or none of a language.
    """
    for code, found in speech.items():
        faults: list[UserError] | None = [] if skip else None
        order = found if limit is None else random.Random(f"bias/{seed}").sample(found, len(found))
        kept, again = distinct(order, limit, faults)
        tell_skipped(faults)
        if not kept:
            raise UserError(f"No audio of {code} can be read: give other recordings.")
        if again:
            tell(f"{code}: {again} of its recordings are there a second time; each counts once")
        yield code, kept


def distinct(
    utterances: Iterable[Utterance], limit: int | None, faults: list[UserError] | None
) -> tuple[Recordings, int]:
    """Take the first recordings, and pass over those whose audio is there already.

    Returns:
        The recordings, and how many were passed over.

    Raises:
        UserError: If one cannot be read, and no faults are taken.
    """
    kept: Recordings = {}
    again = 0
    for utterance in utterances:
        if len(kept) == limit:
            break
        with noted(faults):
            if faults is not None:
                read_audio(utterance)  # or it would stop the work of hours
            name = content(utterance)
            again += name in kept
            kept.setdefault(name, utterance)
    return kept, again


def tell_skipped(faults: list[UserError] | None) -> None:
    """Tell what was passed over, if anything."""
    if faults:
        tell(f"{len(faults)} lines or recordings are skipped; the first: {faults[0]}")
