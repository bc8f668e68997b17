"""What is left out of training: leaks, long recordings, and sentences beyond a limit."""

from pathlib import Path

import pytest

from speechalign.data.items import Asking, join
from speechalign.data.prompts import PromptTemplates
from speechalign.data.records import Source, Utterance
from speechalign.data.selection import (
    estimation_split,
    fold,
    leaked_sentences,
    limit_sentences,
)
from speechalign.errors import UserError


class Listed(Source):
    """A corpus of texts: language → split → [(sentence, text)]."""

    def __init__(self, texts: dict[str, dict[str, list[tuple[str, str]]]]):
        self.listed = texts

    def splits(self, language: str) -> list[str]:
        return list(self.listed[language])

    def utterances(self, language: str, split: str) -> list[Utterance]:
        return [
            Utterance(
                f"{language}/{split}/{n}", sentence, language, Path("a.wav"), 0.0, n, text, "", ""
            )
            for n, (sentence, text) in enumerate(self.listed[language][split])
        ]


CORPUS = Listed({
    "deu": {
        "train": [("1", "Ein Haus."), ("2", "Zwei."), ("3", "Drei"), ("4", "vier"), ("5", "हिन्दी")],
        "dev": [("1", "Ganz anders."), ("8", "„ZWEI“ !"), ("7", "हनद")],
        "test": [("9", "Dreï"), ("10", "\N{FULLWIDTH LATIN SMALL LETTER V}ier")],
    },
    "fra": {"train": [("8", "Zwei."), ("3", "Trois"), ("6", "Six")], "test": [("9", "SIX!")]},
    "eng": {"train": [("5", "Five"), ("6", "Six")]},
})  # fmt: skip


def kept(languages: list[str], *train_splits: str) -> str:
    leaked = leaked_sentences(CORPUS, languages, train_splits)
    return "".join(n for n in "123456" if n not in leaked)


def test_held_out_sentences_are_found_by_id_and_by_text():
    assert kept(["deu"], "train") == "356"


def test_a_split_that_is_trained_on_is_not_held_out():
    assert kept(["deu"], "train", "dev") == "12356"
    assert kept(["deu"], "train", "dev", "test") == "123456"


def test_what_one_language_holds_out_no_other_learns():
    assert kept(["fra"], "train") == "12345"
    assert kept(["eng"], "train") == "123456"
    assert kept(["eng", "deu", "fra"], "train") == "35"


def test_texts_without_a_letter_are_no_leaks():
    corpus = Listed({"deu": {"train": [("1", "..."), ("2", "")], "dev": [("9", "!?"), ("8", "")]}})
    assert leaked_sentences(corpus, ["deu"], ["train"]) == {"8", "9"}


def test_a_bias_is_estimated_from_the_first_split_that_is_heard(monkeypatch):
    heard = {"train": True, "more": True, "dev": True, "test": True}
    corpus = Listed({"deu": {split: [("1", "Eins.")] for split in heard}})
    monkeypatch.setattr(corpus, "has_audio", lambda _, split: heard[split])
    for split in ("train", "more", "dev"):
        assert estimation_split(corpus, "deu", ["train", "more"]) == split
        heard[split] = False
    with pytest.raises(UserError, match="deu: no audio of train or more or dev"):
        estimation_split(corpus, "deu", ["train", "more"])
    assert estimation_split(corpus, "deu", ["test"]) == "test"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Ein Haus.", " ein  haus!", True),
        ("Straße", "STRASSE", True),
        ("\N{FULLWIDTH LATIN CAPITAL LETTER A}1", "a1", True),
        ("Jahr 2019", "Jahr 2018", False),
        ("हिन्दी", "हनद", False),  # vowel signs are marks, not letters
    ],
)
def test_sentences_are_compared_by_letters_and_digits(one, other, same):
    assert (fold(one) == fold(other)) is same


def test_limited_sentences_are_nested_and_equal_in_all_languages():
    corpus = Listed({
        language: {"train": [(str(n % 30), "text") for n in range(40)]} for language in "ab"
    })
    found = [*corpus.utterances("a", "train"), *corpus.utterances("b", "train")]
    items = join(found, {}, Asking(("asr",), "eng", PromptTemplates()))
    previous: set[str] = set()
    for limit in (0, 5, 20, 100):
        left = limit_sentences(items, limit, seed=1)
        sentences = {item[0].utterance.sentence_id for item in left}
        assert len(sentences) == min(limit, 30)
        assert previous <= sentences
        assert list(left) == [item for item in items if item[0].utterance.sentence_id in sentences]
        previous = sentences
    other = limit_sentences(items, 5, seed=2)
    assert list(other) != list(limit_sentences(items, 5, seed=1))


def test_texts_of_a_corpus_are_those_of_the_first_recordings():
    corpus = Listed({"deu": {"train": [("1", "eins"), ("2", "zwei"), ("1", "Eins!")]}})
    assert corpus.texts("deu", "train") == {"1": "eins", "2": "zwei"}
