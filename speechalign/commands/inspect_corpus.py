"""`speechalign inspect --manifest`: how a model aligns the languages of a corpus, by stage."""

import json
import random
from collections import Counter
from collections.abc import Iterable
from itertools import combinations
from math import isfinite, nan
from statistics import fmean
from typing import TYPE_CHECKING, Any

from speechalign.assets import FOLDER, PACKAGED
from speechalign.commands.asked import corpus_at, spoken
from speechalign.commands.page import write_page, write_told
from speechalign.commands.quality import tell
from speechalign.commands.translate import load
from speechalign.errors import UserError
from speechalign.languages import language

if TYPE_CHECKING:  # they load torch, for which no --help waits
    import torch

    from speechalign.alignment.divergence import SinkhornDivergence
    from speechalign.commands.asked import Corpus
    from speechalign.data.records import Utterance
    from speechalign.inference.translator import Translator
    from speechalign.training.collection import Heard

TEMPLATE = FOLDER / "inspect_corpus.html"
SEARCHED = 12  # sentences of two languages that are searched by transport, each for each
ByLanguage = dict[str, list["Heard"]]


def inspect_corpus(
    manifest: str,
    split: str = "dev",
    languages: str = "",
    sentences: int = 40,
    output: str = "inspect.html",
    checkpoint: str = PACKAGED,
    probe_layers: str | None = None,
    numbers: str | None = None,
    device: str = "auto",
    seed: int = 0,
) -> None:
    """Show how a model aligns the languages of a corpus, stage by stage, on a page.

    Args:
        manifest: A manifest (.jsonl), or a FLEURS folder.
        split: Of a FLEURS folder.
        languages: Which to compare, by any code, separated by commas; by default all.
        sentences: How many, drawn from those that most of the languages have.
        output: The page.
        checkpoint: A checkpoint of `speechalign fit`, an exported folder, or its Hub id.
        probe_layers: File for a configuration that aligns the Q-Former's layers that tell
            sentences apart best, to be given to `fit` as a further --config.
        numbers: JSON file for all numbers of the page.
        device: `cpu`, `cuda`, …; `auto` is a GPU where there is one.
        seed: Of the drawn sentences.
    """
    if sentences < 2:
        raise UserError(f"--sentences is {sentences}: give 2 or more.")
    from speechalign.alignment.divergence import SinkhornDivergence

    wanted = [language(code.strip()).code for code in languages.split(",") if code.strip()]
    if len(wanted) == 1:
        raise UserError(f"--languages is {wanted[0]} alone: name two or more to compare.")
    source = corpus_at(manifest, split, "--manifest")
    translator = load(checkpoint, device)
    chosen = choose(source, split, wanted, sentences, seed, translator)
    view: dict[str, Any] = {"checkpoint": checkpoint, "corpus": manifest}
    view |= examine(translator, chosen, SinkhornDivergence())
    write_page(TEMPLATE, view, output)
    print(table(view["stages"]))
    if numbers is not None:
        told = json.dumps(view, ensure_ascii=False, indent=1, allow_nan=False)
        write_told(numbers, f"{told}\n", "--numbers")
        print(f"Written: {numbers}")
    if probe_layers is not None:
        write_schedule(probe_layers, ranked(view["stages"]))
        print(f"Written: {probe_layers}")
    print(f"Written: {output}")


def choose(
    source: "Corpus", split: str, wanted: list[str], most: int, seed: int, translator: "Translator"
) -> dict[str, list["Utterance"]]:
    """Draw sentences that several languages have, with all their recordings that can be heard.

    Raises:
        UserError: If no two languages have two sentences in common.
    """
    from speechalign.audio.io import SAMPLE_RATE

    window = translator.model.encoder.window_samples / SAMPLE_RATE
    codes = wanted or spoken(source, split)
    recordings = {code: list(source.utterances(code, split)) for code in codes}
    heard = {code: [u for u in said if u.duration <= window] for code, said in recordings.items()}
    left = sum(map(len, recordings.values())) - sum(map(len, heard.values()))
    if left:
        tell(f"{left} recordings are longer than the {window:g} s that the model hears: left out")
    having = Counter(s for said in heard.values() for s in {u.sentence_id for u in said})
    shared = sorted(sentence for sentence, count in having.items() if count > 1)
    random.Random(f"inspect/{seed}").shuffle(shared)
    drawn = set(sorted(shared, key=lambda sentence: -having[sentence])[:most])
    if len(drawn) < 2:
        raise UserError(
            f"{split} has fewer than two sentences in two of {', '.join(codes)}:"
            " name other languages, another --split, or a corpus whose languages have sentence_ids"
            " in common."
        )
    return {code: [u for u in said if u.sentence_id in drawn] for code, said in heard.items()}


def examine(
    translator: "Translator",
    chosen: dict[str, list["Utterance"]],
    divergence: "SinkhornDivergence",
) -> dict[str, Any]:
    """Follow the recordings through the model and compare the languages at each stage."""
    from speechalign.models.representations import stages
    from speechalign.training.collection import collect

    model = translator.model
    everything = [utterance for said in chosen.values() for utterance in said]
    names = stages(model)
    with_tokens = [name for name in names if name.startswith("qformer.")]
    by_language: ByLanguage = {code: [] for code, said in chosen.items() if said}
    for one in collect(model, everything, tokens=with_tokens):
        by_language[one.utterance.language].append(one)
    roles = dict.fromkeys(translator.languages, "trained")
    roles |= dict.fromkeys(translator.zero_shot, "zero-shot")
    device = next(model.projector.parameters()).device
    compared = {name: compare(by_language, name, divergence, device) for name in names}
    return {
        "languages": [
            {
                "code": code,
                "name": language(code).name,
                "role": roles.get(code, ""),
                "recordings": len(said),
                "sentences": len({one.utterance.sentence_id for one in said}),
            }
            for code, said in by_language.items()
        ],
        "stages": [summary(name, pairs) for name, pairs in compared.items()],
        "recall": {name: matrix(list(by_language), pairs) for name, pairs in compared.items()},
    }


def compare(
    by_language: ByLanguage, stage: str, divergence: "SinkhornDivergence", device: "torch.device"
) -> dict[tuple[str, str], dict[str, float]]:
    """Compare each two languages at one stage."""
    from speechalign.training.comparison import (
        dali_score,
        diagnose_transport,
        recall_by_transport,
        search,
        similarities,
        similarity_of_spaces,
    )

    found = {}
    for one, other in combinations(by_language, 2):
        x, y = by_language[one], by_language[other]
        looked = search(x, y, similarities(x, y, stage), margin="distance")
        moved = diagnose_transport(x, y, stage, divergence, device)
        has_tokens = all(stage in side[0].tokens for side in (x, y))
        by_transport = (x, y, stage, divergence, SEARCHED, device)
        found[one, other] = {
            "there": looked.there.recall_at_1,
            "back": looked.back.recall_at_1,
            "recall_at_1": fmean([looked.there.recall_at_1, looked.back.recall_at_1]),
            "recall_at_5": fmean([looked.there.recall_at_5, looked.back.recall_at_5]),
            "mrr": fmean([looked.there.mrr, looked.back.mrr]),
            "xsim_error": fmean([looked.xsim_there, looked.xsim_back]),
            "recall_by_transport": recall_by_transport(*by_transport) if has_tokens else nan,
            "mexa": looked.mexa,
            "dali": dali_score(x, y, stage),
            "cka": similarity_of_spaces(x, y, stage),
            "cost": moved.cost,
            "margin": moved.margin,
            "plan_entropy": moved.plan_entropy,
            "diagonal_mass": moved.diagonal_mass,
        }
    return found


def summary(stage: str, pairs: dict[tuple[str, str], dict[str, float]]) -> dict[str, Any]:
    """Average over the pairs of languages that can be compared; None where none can."""
    names = [name for name in next(iter(pairs.values())) if name not in ("there", "back")]
    return {"stage": stage} | {name: mean(told[name] for told in pairs.values()) for name in names}


def mean(values: Iterable[float]) -> float | None:
    """Average what is a number."""
    known = [value for value in values if isfinite(value)]
    return fmean(known) if known else None


def matrix(
    codes: list[str], pairs: dict[tuple[str, str], dict[str, float]]
) -> list[list[float | None]]:
    """Recall@1 of each language (row) that looks for each other (column)."""
    both = {
        **{(one, other): told["there"] for (one, other), told in pairs.items()},
        **{(other, one): told["back"] for (one, other), told in pairs.items()},
    }
    return [[mean([both[a, b]]) if a != b else None for b in codes] for a in codes]


COLUMNS = {  # of the table: a score, its heading, its digits
    "recall_at_1": ("Recall@1", 2),
    "recall_by_transport": (f"by OT/{SEARCHED}", 2),
    "mrr": ("MRR", 2),
    "xsim_error": ("xSIM", 2),
    "mexa": ("MEXA", 2),
    "dali": ("DALI", 2),
    "cka": ("CKA", 2),
    "margin": ("margin", 4),
    "cost": ("cost", 4),
}


def table(stages: list[dict[str, Any]]) -> str:
    """Write the means in columns; what a stage cannot have stays empty."""
    widths = {name: max(7, len(head) + 2) for name, (head, _) in COLUMNS.items()}
    heads = "".join(f"{head:>{widths[name]}}" for name, (head, _) in COLUMNS.items())
    lines = [f"{'stage':<12}{heads}"]
    for one in stages:
        cells = [
            f"{'' if one[name] is None else format(one[name], f'.{digits}f'):>{widths[name]}}"
            for name, (_, digits) in COLUMNS.items()
        ]
        lines.append(f"{one['stage']:<12}{''.join(cells)}")
    return "\n".join(lines)


def ranked(stages: list[dict[str, Any]]) -> list[tuple[int, float]]:
    """Order the Q-Former's layers by how well transport tells true pairs from shuffled ones.

    Returns:
        Layers with their contrast, the share of a shuffled pair's cost that a true one lacks; the
        best first.

    Raises:
        UserError: If the model has no Q-Former, or no two languages share two sentences.
    """
    found = [
        (int(one["stage"].removeprefix("qformer.")), contrast(one["margin"], one["cost"]))
        for one in stages
        if one["stage"].startswith("qformer.") and one["margin"] is not None
    ]
    if not found:
        raise UserError("There is no layer to rank: the model needs a Q-Former, and pairs.")
    return sorted(found, key=lambda one: -one[1])


def contrast(margin: float, cost: float) -> float:
    """Share of a shuffled pair's cost that a true one lacks; 0 where nothing costs anything."""
    return margin / (margin + cost) if margin + cost > 0 else 0.0


def write_schedule(file: str, ranking: list[tuple[int, float]]) -> None:
    """Write a configuration that aligns the better half of the layers."""
    told = "\n".join(f"#   layer {layer}: {contrast:.3f}" for layer, contrast in ranking)
    layers = sorted(layer for layer, _ in ranking[: -(-len(ranking) // 2)])
    write_told(
        file,
        "# Layers by the share of a shuffled pair's transport cost that a true pair lacks:\n"
        f"{told}\n"
        "model:\n  schedule:\n    class_path: speechalign.alignment.schedule.UCB\n"
        f"    init_args: {{layers: {layers}}}\n",
        "--probe-layers",
    )
