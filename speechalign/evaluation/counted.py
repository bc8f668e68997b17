"""Predictions counted: what each of them adds to each metric, and which of them failed."""

import multiprocessing
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import numpy as np

from speechalign.errors import Caution, UserError
from speechalign.evaluation.failures import Failure, find_failures
from speechalign.evaluation.metrics import CorpusScore, Counts
from speechalign.evaluation.normalize import clean
from speechalign.evaluation.predictions import Pair, Prediction, by_pair
from speechalign.evaluation.presets import TRANSCRIPTS, Convention, metric_of, names_for
from speechalign.interrupts import unheard_by_children

MANY = 4000  # rows that are worth further processes, which take seconds to start


class Counted(NamedTuple):
    """The answers of one run in one pair of languages; N rows each."""

    pair: Pair
    rows: list[Prediction]
    failures: list[Failure]
    counts: dict[str, Counts]  # by name of the metric: N x width
    strict: dict[str, Counts]  # the same with failed answers empty; not of transcripts beside them
    metrics: dict[str, CorpusScore]  # what makes scores of these counts

    @property
    def sentences(self) -> list[str]:
        """What each row says, by id."""
        return [row.sentence_id for row in self.rows]

    def saying(self, sentences: Mapping[str, str]) -> "Counted":
        """The same with other sentence ids, given by the recording's id."""
        rows = [row._replace(sentence_id=sentences[row.id]) for row in self.rows]
        return self._replace(rows=rows)

    def once(self) -> np.ndarray:
        """Weight 1 for the first recording, by id, of each sentence, and 0 for others."""
        weights = np.zeros(len(self.rows))
        _, first = np.unique(self.sentences, return_index=True)
        weights[first] = 1  # rows are in the order of their ids
        return weights


class Counting(NamedTuple):
    """What a process finds out about the answers in one pair of languages; see `Counted`."""

    failures: list[Failure]
    counts: dict[str, Counts]
    strict: dict[str, Counts]
    caution: str | None = None  # what could not be counted, and why


def count_pair(pair: Pair, rows: list[Prediction], convention: Convention) -> Counting:
    """Count the answers of one pair of languages by all its metrics.

    Recognised transcripts are counted where all rows tell what is said and some what was heard.
    """
    failures = find_failures(rows)
    said, references = (
        [clean(text) for text in texts]
        for texts in ((row.prediction for row in rows), (row.reference for row in rows))
    )
    failed = [failure.row for failure in failures if said[failure.row]]
    counts, strict, caution = {}, {}, None
    for name in names_for(pair, convention):
        metric = metric_of(name, pair, convention)
        counts[name] = metric.count(said, references)
        strict[name] = counts[name].copy()
        if failed:
            empty = metric.count([""] * len(failed), [references[row] for row in failed])
            strict[name][failed] = empty
    if pair[0] != pair[1] and heard(rows):
        spoken = [clean(row.src_text or "") for row in rows]
        recognised = [clean(row.transcript or "") for row in rows]
        for name in (f"{TRANSCRIPTS}wer", f"{TRANSCRIPTS}cer"):
            try:
                metric = metric_of(name, pair, convention)
            except UserError as error:  # translations are what was asked for
                caution = f"Transcripts are not scored. {error}"
                break
            counts[name] = metric.count(recognised, spoken)
    return Counting(failures, counts, strict, caution)


def heard(rows: Sequence[Prediction]) -> bool:
    """Whether what was recognised can be compared with what was said."""
    known = all(row.src_text for row in rows)
    return known and any(row.transcript is not None for row in rows)


def check_metrics(pairs: Iterable[Pair], convention: Convention) -> None:
    """See that all metrics of some pairs of languages can be had.

    Raises:
        UserError: If a tokenizer or normaliser is not installed.
    """
    for pair in pairs:
        for name in names_for(pair, convention):
            metric_of(name, pair, convention)


def count(
    predictions: Sequence[Prediction],
    convention: Convention | None = None,
    processes: int | None = 1,
) -> list[Counted]:
    """Count all answers of a run, pair by pair.

    Args:
        predictions: All of them.
        convention: What is counted; by default the metrics of the languages.
        processes: How many count side by side, where there is much to count; None: one a core.

    Raises:
        UserError: If there are none, or a metric cannot be had.
    """
    if not predictions:
        raise UserError("There is nothing to score: give at least one prediction.")
    chosen = convention or Convention()
    parts = by_pair(predictions)
    check_metrics(parts, chosen)
    work = parts, parts.values(), [chosen] * len(parts)
    most = min(processes or os.cpu_count() or 1, len(parts))
    if most == 1 or len(predictions) < MANY:
        counted = list(map(count_pair, *work))
    else:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(most, mp_context=context) as pool:
            with unheard_by_children():
                counting = pool.map(count_pair, *work, chunksize=1)
            counted = list(counting)
    for caution in dict.fromkeys(one.caution for one in counted if one.caution):
        warnings.warn(caution, Caution, stacklevel=2)
    return [
        Counted(pair, rows, *one[:3], {name: metric_of(name, pair, chosen) for name in one.counts})
        for (pair, rows), one in zip(parts.items(), counted, strict=True)
    ]
