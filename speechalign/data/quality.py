"""Recordings that teach nothing: silent, clipped, cut, of another length or text than is told.

FLEURS has such, and quite many: 490 of 2,796 Spanish training clips hold no speech. What is found
is written down with its reason and the number that gave it away; see `report` for where.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from speechalign.data.records import Utterance
from speechalign.data.report import Finding
from speechalign.data.selection import fold
from speechalign.errors import UserError

ENOUGH = 20  # recordings of a language, from which its rate of speech is known
LEAST_SPREAD = 0.1  # of the logarithm: nobody speaks more evenly, though clips may be cut so
MP3_ERROR = (
    0.15  # seconds: an mp3 that does not note its padding is that much longer than its sound
)
UNREADABLE = "unreadable"
WRONG_LENGTH = "wrong length"
HELD_OUT_NOTE = "its id, or its text under another id, is in a held-out split"


class Measures(NamedTuple):
    """One recording in numbers; nan where it could not be read."""

    seconds: float  # found in the file, from where the recording begins
    peak: float  # dB under full scale of the loudest sample
    level: float  # dB of the tenth loudest of a hundred windows: that of speech
    swing: float  # dB between the tenth loudest and the tenth quietest of a hundred windows
    clipped: float  # share of samples at full scale
    fault: str  # why it could not be read, or nothing


@dataclass(frozen=True)
class Limits:
    """From where on a recording is bad; the defaults leave out what nobody would call speech.

    They are low on purpose: good recordings of FLEURS in English have their loudest sample at -44
    dB and a level of -59 dB.

    Attributes:
        min_seconds: Shorter ones hold no sentence.
        min_peak: dB under full scale; where no sample is louder there is silence.
        min_level: dB; where the loud parts are softer there is next to silence.
        min_swing: dB between loud and quiet parts; an even sound is noise, not speech.
        max_clipped: Share of samples at full scale.
        max_length_error: Seconds between the length told and that found; of an mp3 up to 0.15 are
            let pass.
        max_rate_deviation: Of the logarithm of letters a second from its median in the language,
            in robust standard deviations (1.4826 times the median of deviations).
    """

    min_seconds: float = 0.5
    min_peak: float = -66.0
    min_level: float = -75.0
    min_swing: float = 6.0
    max_clipped: float = 0.02
    max_length_error: float = 0.05
    max_rate_deviation: float = 6.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if math.isnan(getattr(self, field.name)):
                raise UserError(f"{field.name} is no number; leave it out for the default.")


def faults(utterance: Utterance, measures: Measures, limits: Limits) -> Finding | None:
    """Judge one recording by itself; the first reason that applies."""
    if measures.fault:
        return Finding(utterance, UNREADABLE, math.nan, math.nan, measures.fault)
    error = abs(measures.seconds - utterance.duration)
    mp3 = utterance.place.lower().endswith(".mp3")
    at_least = (
        ("too short", measures.seconds, limits.min_seconds),
        ("silent", measures.peak, limits.min_peak),
        ("near-silent", measures.level, limits.min_level),
        ("no speech", measures.swing, limits.min_swing),
    )
    at_most = (
        ("clipped", measures.clipped, limits.max_clipped),
        (WRONG_LENGTH, error, max(limits.max_length_error, MP3_ERROR if mp3 else 0.0)),
    )
    bad = [test for test in at_least if test[1] < test[2]]
    bad += [test for test in at_most if test[1] > test[2]]
    if not bad:
        return None
    reason, value, limit = bad[0]
    lengths = f"{measures.seconds:.3f} s, told to be {utterance.duration:.3f} s"
    return Finding(utterance, reason, value, limit, lengths if reason == WRONG_LENGTH else "")


def rate_outliers(
    utterances: Sequence[Utterance], measures: Sequence[Measures], limits: Limits
) -> list[Finding]:
    """Find recordings of one language that have too much or too little text for their length.

    Each is compared with the others, so those found to be bad already are to be left out before,
    and those without any text: they are translated all the same.
    """
    rates = np.array([
        len(fold(utterance.text)) / one.seconds
        for utterance, one in zip(utterances, measures, strict=True)
    ])
    deviations = deviation(np.log(np.maximum(rates, 1e-3)))
    return [
        Finding(
            utterances[row],
            "letters a second",
            float(deviations[row]),
            limits.max_rate_deviation,
            f"{rates[row]:.1f} letters a second",
        )
        for row in np.flatnonzero(abs(deviations) > limits.max_rate_deviation).tolist()
    ]


def deviation(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Tell how many robust standard deviations values are from their median; 0 for a few."""
    if len(values) < ENOUGH:
        return np.zeros(len(values))
    away = values - np.median(values)
    spread = 1.4826 * np.median(abs(away))
    return away / max(float(spread), LEAST_SPREAD)


def judge(
    utterances: Sequence[Utterance],
    measures: Iterable[Measures],
    limits: Limits,
    leaked: set[str],
) -> list[Finding]:
    """Judge the recordings of one language in one split.

    Args:
        utterances: The recordings.
        measures: Of each.
        limits: From where on they are bad.
        leaked: Sentences that a held-out split has too.
    """
    found: list[Finding] = []
    good: list[tuple[Utterance, Measures]] = []
    for utterance, measure in zip(utterances, measures, strict=True):
        finding = faults(utterance, measure, limits)
        if finding is None and utterance.sentence_id in leaked:
            finding = Finding(utterance, "held-out sentence", math.nan, math.nan, HELD_OUT_NOTE)
        if finding is not None:
            found.append(finding)
        elif utterance.text:
            good.append((utterance, measure))
    return found + rate_outliers([u for u, _ in good], [m for _, m in good], limits)
