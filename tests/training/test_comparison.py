"""Languages of states that are chosen, so that what is found is known."""

import math
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity
from torch.testing import assert_close

from speechalign.alignment.divergence import SinkhornDivergence
from speechalign.data.records import Utterance
from speechalign.training.collection import Heard, parallel, token_states
from speechalign.training.comparison import (
    dali_score,
    diagnose,
    diagnose_stage,
    recall_by_transport,
    search,
    similarities,
)


def utterance(name: str, code: str, sentence: str) -> Utterance:
    return Utterance(name, sentence, code, Path(), 0.0, 1.0, "", "", "other")


def heard(name: str, code: str, sentence: str, state: list[float]) -> Heard:
    pooled = torch.tensor(state)
    tokens = torch.stack([pooled, 2 * pooled.roll(1)])
    return Heard(utterance(name, code, sentence), {"s": pooled}, {"s": tokens})


def test_recall_by_transport_is_of_shared_sentences():
    draw = torch.Generator().manual_seed(0)
    states = torch.randn(6, 9, generator=draw).tolist()
    german = [heard(f"d{k}", "deu", str(k), state) for k, state in enumerate(states)]
    french = [heard(f"f{k}", "fra", str(k), state) for k, state in enumerate(states[:4])]
    turned = [heard(f"f{k}", "fra", str(k), states[k ^ 1]) for k in range(4)]
    divergence = SinkhornDivergence()
    assert recall_by_transport(german, french, "s", divergence, sentences=6) == 1
    assert recall_by_transport(german, turned, "s", divergence, sentences=6) == 0
    assert math.isnan(recall_by_transport(german[4:], french, "s", divergence, sentences=6))


def test_languages_that_agree_and_languages_that_do_not():
    states = torch.randn(5, 9, generator=torch.Generator().manual_seed(0))
    german = [heard(f"d{k}", "deu", str(k), state.tolist()) for k, state in enumerate(states)]
    french = [heard(f"f{k}", "fra", str(k), state.tolist()) for k, state in enumerate(states)]
    alike = diagnose(german, french, "s", SinkhornDivergence())
    assert alike.recall_at_1 == 1
    assert alike.cka == pytest.approx(1)
    assert alike.transport.cost == pytest.approx(0, abs=1e-6)
    assert alike.transport.margin > 0
    wrong = [h._replace(pooled=french[k - 1].pooled) for k, h in enumerate(french)]
    assert diagnose(german, wrong, "s", SinkhornDivergence()).recall_at_1 == 0
    both = diagnose_stage(german + french, "s", SinkhornDivergence())
    assert both["recall"] == 1
    cosines = [cosine_similarity(a, b, dim=0).item() for a, b in permutations(states, 2)]
    assert both["collapse"] == pytest.approx(np.mean(cosines), abs=1e-6)
    assert both["margin"] == pytest.approx(alike.transport.margin)


def test_too_little_to_compare_is_not_a_number():
    one, other = heard("d", "deu", "1", [1.0, 0.0]), heard("f", "fra", "2", [1.0, 0.0])
    told = diagnose([one], [other], "s", SinkhornDivergence())
    assert all(map(math.isnan, (told.recall_at_1, told.cka, *told.transport)))
    assert math.isnan(diagnose_stage([one, other], "s", SinkhornDivergence())["margin"])


def test_sequences_of_unequal_lengths_are_padded_out_of_sight():
    first = heard("a", "deu", "1", [1.0, 2.0])
    second = heard("b", "deu", "2", [1.0, 2.0])
    second = second._replace(tokens={"s": second.tokens["s"][:1]})
    padded, mask = token_states([first, second], "s", length=3)
    assert padded.shape == (2, 3, 2)
    assert mask.tolist() == [[True, True, False], [True, False, False]]
    french = [
        heard("c", "fra", "1", [1.0, 2.0]),
        heard("d", "fra", "2", [1.0, 2.0])._replace(tokens=second.tokens),
    ]
    told = diagnose([first, second], french, "s", SinkhornDivergence(center=True))
    assert told.transport.cost == pytest.approx(0, abs=1e-5)


def test_the_first_recording_of_a_sentence_is_paired():
    german = [heard(name, "deu", name[0], [1.0]) for name in ("b2", "a1", "a0", "c")]
    french = [heard(name, "fra", name[0], [1.0]) for name in ("a9", "b1", "b0")]
    x, y = parallel(german, french)
    assert [h.utterance.id for h in x] == ["a0", "b2"]
    assert [h.utterance.id for h in y] == ["a9", "b0"]


def test_search_counts_both_directions():
    """German has two recordings of sentence 0, the second of which was mistaken for sentence 1."""
    axes = torch.eye(4) + 0.1
    german = [heard(f"d{k}", "deu", s, axes[at].tolist())
              for k, (s, at) in enumerate([("0", 0), ("0", 1), ("1", 1), ("2", 2)])]  # fmt: skip
    french = [heard(f"f{k}", "fra", str(k), axes[k].tolist()) for k in range(4)]
    found = search(german, french, similarities(german, french, "s"))
    assert found.there[:2] == (pytest.approx(3 / 4), 1)
    assert found.there.queries == 4
    assert found.back.recall_at_1 == pytest.approx(
        2 / 3
    )  # f1 finds d1 as near as d2: a tie is lost
    assert found.back.queries == 3  # nobody says f3
    assert found.xsim_there == pytest.approx(1 / 4)
    assert found.mexa == pytest.approx(2 / 4)


def test_similarity_by_transport_is_the_divergence_of_each_pair():
    states = torch.randn(5, 6, generator=torch.Generator().manual_seed(0)).tolist()
    x = [heard(f"d{k}", "deu", str(k), state) for k, state in enumerate(states[:3])]
    y = [heard(f"f{k}", "fra", str(k), state) for k, state in enumerate(states[3:])]
    x[1] = x[1]._replace(tokens={"s": x[1].tokens["s"][:1]})
    divergence = SinkhornDivergence(iterations=50)
    similarity = similarities(x, y, "s", divergence, at_once=4)
    assert similarity.shape == (3, 2)
    for i in (0, 2):
        for j in range(2):
            cost = divergence(x[i].tokens["s"][None], y[j].tokens["s"][None])[0]
            assert_close(similarity[i, j], -cost, atol=1e-5, rtol=1e-4)
    found = search(x, y, similarity, margin="distance")
    assert found.there.queries == found.back.queries == 2


def test_dali_counts_whole_groups():
    axes = torch.eye(5).tolist()
    german = [heard(f"d{k}", "deu", str(k), axes[k]) for k in range(5)]
    swapped = [axes[k] for k in (0, 1, 3, 2, 4)]
    french = [heard(f"f{k}", "fra", str(k), state) for k, state in enumerate(swapped)]
    assert dali_score(german, french, "s", options=2) == 0.5  # 0, 1 are told apart, 2, 3 are not
    assert dali_score(german, german, "s", options=5, strict=True) == 1
    assert math.isnan(dali_score(german, french, "s", options=6))
