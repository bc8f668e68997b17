"""Examples that are made when they are asked for are those of a list."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechalign.data.items import Asking, Items, can_ask, join
from speechalign.data.prompts import PromptTemplates, Task
from speechalign.data.records import Utterance, columns

PROMPTS = PromptTemplates()
TASKS = get_args(Task)
RECORDINGS = st.lists(
    st.tuples(st.integers(0, 9).map(str), st.sampled_from(["", "Haus."]), st.floats(1, 30)),
    max_size=20,
)


def recordings(told, language) -> list[Utterance]:
    return [
        Utterance(f"{language}/{n}", sentence, language, Path(), 0.0, seconds, text, "", "other")
        for n, (sentence, text, seconds) in enumerate(told)
    ]


@given(
    st.lists(st.tuples(RECORDINGS, st.sampled_from(["deu", "fra"])), max_size=4),
    st.sets(st.integers(0, 9).map(str)),
    st.sets(st.sampled_from(TASKS), min_size=1),
)
def test_items_are_a_list_of_what_can_be_asked(parts, translated, tasks):
    references = {sentence: f"House {sentence}." for sentence in translated}
    items, expected = Items(), []
    for told, language in parts:
        found = recordings(told, language)
        items += join(found, references, Asking(tuple(sorted(tasks)), "eng", PROMPTS))
        for utterance in found:
            asked = [
                task
                for task in sorted(tasks)
                if (utterance.text or task == "st")
                and (utterance.sentence_id in translated or task == "asr")
            ]
            if asked:
                expected.append((utterance, asked))
    assert [(item[0].utterance, [e.task for e in item]) for item in items] == expected
    assert len(items) == len(expected)
    assert [items[n] for n in range(len(items))] == list(items) == items[:]
    assert items.sentences == [utterance.sentence_id for utterance, _ in expected]
    assert items.languages == [utterance.language for utterance, _ in expected]
    assert items.durations.tolist() == [utterance.duration for utterance, _ in expected]
    odd = np.arange(len(items)) % 2 == 1
    assert list(items.where(odd)) == list(items)[1::2]


def test_what_is_not_there_is_refused():
    found = recordings([("1", "Haus.", 1.0)], "deu")
    items = join(found, {}, Asking(("asr",), "eng", PROMPTS))
    assert items[-1] == items[0]
    with pytest.raises(IndexError):
        items[1]
    with pytest.raises(IndexError):
        Items()[0]


def test_kept_recordings_only():
    found = recordings([("1", "a", 1.0), ("2", "b", 2.0), ("3", "", 3.0)], "deu")
    kept = columns(found).durations > 1
    items = join(found, {}, Asking(("asr",), "eng", PROMPTS), kept)
    assert items.sentences == ["2"]
    assert not can_ask("asr", written=False, translated=True)
