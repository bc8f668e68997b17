"""What an evaluation asks: pairs of languages, and what a corpus has of them."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speechalign.assets import resolve
from speechalign.errors import UserError
from speechalign.languages import language

if TYPE_CHECKING:  # they load torch, for which no --help waits
    from speechalign.data.fleurs import Fleurs
    from speechalign.data.manifest import Manifest
    from speechalign.data.prompts import PromptTemplates, Task
    from speechalign.evaluation.predictions import Pair
    from speechalign.training.answering import Sheet

    Corpus = Fleurs | Manifest

ARROW = re.compile(r"\s*(?:->|→|>)\s*")
ALL = "*"


def corpus_at(place: str, split: str, option: str = "--data") -> "Corpus":
    """Open a manifest or a FLEURS folder.

    Raises:
        UserError: If it is not there or empty; names the option that tells where it is.
    """
    from speechalign.data.fleurs import Fleurs
    from speechalign.data.manifest import Manifest

    there = Path(resolve(place))
    if place.endswith(".jsonl"):
        if not there.is_file():
            raise UserError(f"There is no manifest at {place}: check {option}.")
        return Manifest({split: [place]})
    if not there.is_dir():
        raise UserError(
            f"There is no folder at {place}: give a FLEURS folder or a manifest (.jsonl) by "
            f"{option}."
        )
    corpus = Fleurs(place)
    if not corpus.languages():
        raise UserError(
            f"{place} has no folder of a FLEURS language, as de_de or data/de_de: check {option}."
        )
    return corpus


def about_corpus(place: str, split: str) -> dict[str, Any]:
    """Tell where a corpus is from: its place, its split and, if it is known, its revision.

    Raises:
        UserError: If what tells the revision cannot be read.
    """
    record = Path(resolve(place)) / "source.json"
    try:
        told = dict(json.loads(record.read_text(encoding="utf-8"))) if record.is_file() else {}
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{record} cannot be read ({error}): mend it, or remove it.") from error
    return {"corpus": place, "split": split, "revision": told.get("commit")}


def read_pairs(told: str, sources: Sequence[str], targets: Sequence[str]) -> "list[Pair]":
    """Read pairs of languages, as `*->eng` or `deu->fra,deu->eng`.

    Args:
        told: Pairs, separated by commas; `*` is any language of the corpus.
        sources: Languages that the corpus has recordings of, for `*` on the left.
        targets: Languages that it has texts of, for `*` on the right.

    Raises:
        UserError: If it is not written so, or `*` stands for none.
    """
    pairs: dict[Pair, None] = {}
    for one in filter(None, (part.strip() for part in told.split(","))):
        sides = ARROW.split(one)
        if len(sides) != 2 or not all(sides):
            raise UserError(
                f"--pairs {told!r}: {one!r} is no pair; write 'deu->eng', with * for all languages,"
                " and several separated by commas."
            )
        left, right = (
            list(known) if side == ALL else [language(side).code]
            for side, known in zip(sides, (sources, targets), strict=True)
        )
        pairs |= {(a, b): None for a in left for b in right if a != b or ALL not in sides}
    if not pairs and not (sources or targets):
        raise UserError(f"--pairs {told!r}: * needs a corpus; name the languages.")
    if not pairs:
        raise UserError(f"--pairs {told!r}: the corpus has no such languages.")
    return sorted(pairs)


def spoken(corpus: "Corpus", split: str) -> list[str]:
    """Name the languages that a split has recordings of.

    Raises:
        UserError: If there are none.
    """
    codes = [code for code in corpus.languages() if corpus.has_audio(code, split)]
    if not codes:
        raise UserError(
            f"No language has audio in the split {split!r}: give --split train, dev or test."
        )
    return codes


def written(corpus: "Corpus", split: str) -> list[str]:
    """Name the languages that a split has texts of."""
    return [code for code in corpus.languages() if split in corpus.splits(code)]


def check_pairs(corpus: "Corpus", split: str, pairs: "Sequence[Pair]") -> None:
    """See, before a model is loaded, that a split has recordings and texts of languages.

    Raises:
        UserError: If not.
    """
    heard, told = spoken(corpus, split), written(corpus, split)
    for source, target in pairs:
        for code, known, what in ((source, heard, "recordings"), (target, told, "texts")):
            if code not in known:
                raise UserError(
                    f"--pairs has {source}->{target}: the split {split!r} has no {what} of {code}, "
                    f"but of {', '.join(known)}."
                )


def sheets(
    corpus: "Corpus",
    split: str,
    pairs: "Sequence[Pair]",
    task: "Task",
    prompts: "PromptTemplates",
    window: float,
) -> "list[Sheet]":
    """Join the recordings of each pair of languages with what is expected.

    Args:
        corpus: The corpus.
        split: Of it.
        pairs: Of languages; where both are one, transcripts are asked for.
        task: What is asked otherwise: st or srt.
        prompts: In which words.
        window: Seconds that the model hears.

    Raises:
        UserError: If nothing can be asked about one of the pairs.
    """
    from speechalign.data.items import Asking
    from speechalign.data.selection import items_to_ask, part_too_long
    from speechalign.training.answering import Sheet

    found = []
    for source, target in pairs:
        asking = Asking(("asr" if source == target else task,), target, prompts)
        items = items_to_ask(corpus, [source], split, asking)
        where = f"{source}-{target}/{split}"
        left_out = len(corpus.utterances(source, split)) - len(items)
        found.append(Sheet((source, target), *part_too_long(where, items, window), left_out))
    return found
