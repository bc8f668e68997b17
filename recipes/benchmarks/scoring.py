"""Score as many predictions as FLEURS' test split has recordings, in 101 languages into English.

    python -m recipes.benchmarks.scoring

Answers are made of random words, a fifth of them wrong. Everything that `speechalign evaluate`
counts is counted: BLEU, chrF++, failures, intervals of 1,000 draws, averages and gaps.
"""

import argparse
import resource
import time

import numpy as np

from speechalign.evaluation.counted import count
from speechalign.evaluation.predictions import Prediction
from speechalign.evaluation.presets import Convention
from speechalign.evaluation.scoring import groups_of, summarize
from speechalign.languages import LANGUAGES

SENTENCES = 350
WORDS = 22  # of a sentence; FLEURS' English ones have as many
VOCABULARY = (
    "the a of and to in is was for on with as by that from at which it had were are this "
    "have their has also been other some when more only into most two may over time could"
)


def make(recordings: int, seed: int = 0) -> list[Prediction]:
    """Make so many predictions, spread over all languages but English."""
    draw = np.random.default_rng(seed)
    words = np.array(VOCABULARY.split())
    references = [words[draw.integers(0, len(words), WORDS)] for _ in range(SENTENCES)]
    sources = [entry.code for entry in LANGUAGES if entry.code != "eng"]
    rows = []
    for number in range(recordings):
        source, sentence = sources[number % len(sources)], number // len(sources) % SENTENCES
        right = references[sentence]
        wrong = words[draw.integers(0, len(words), WORDS)]
        said = " ".join(np.where(draw.random(WORDS) < 0.2, wrong, right).tolist())
        place = f"{source}/{number}", str(sentence), source, "eng"
        rows.append(Prediction(*place, "", 10.0, said, None, " ".join(right.tolist())))
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--recordings", type=int, default=78_000)
    recordings = parser.parse_args().recordings
    rows = make(recordings)
    start = time.perf_counter()
    parts = count(rows)
    counted = time.perf_counter()
    told = summarize(parts, Convention(), groups_of(parts))
    done = time.perf_counter()
    peak = max(
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    mean = told["averages"]["all"]["bleu"]["value"]
    print(f"{recordings} recordings, {len(parts)} languages, mean BLEU {mean:.1f}")
    print(f"counted in {counted - start:.1f} s, intervals in {done - counted:.1f} s")
    print(f"largest process {peak / 2**20:.2f} GB")


if __name__ == "__main__":
    main()
