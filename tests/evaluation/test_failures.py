"""What is taken for a failure, on real text of 18 languages and on the failures themselves."""

import pytest

from speechalign.evaluation.failures import KINDS, find_failures, kinds_of, loops
from speechalign.evaluation.identify import known_labels, off_target
from speechalign.evaluation.predictions import Prediction
from speechalign.languages import LANGUAGES

LANGUAGES_AT_HAND = [
    "arb",
    "cym",
    "deu",
    "eng",
    "fra",
    "hin",
    "ita",
    "jpn",
    "kor",
    "nld",
    "por",
    "rus",
    "spa",
    "swh",
    "tha",
    "tur",
    "vie",
    "zho_Hans",
]
FLORES = "arb cym deu eng fra hin ita jpn kor nld por rus spa swh tha tur vie zho_Hans"
GOOD = Prediction("a", "1", "deu", "eng", "", 1.0, "The king sings in the kitchen.", None,
                  "A king sings in the kitchen.", "Ein König singt in der Küche.")  # fmt: skip


@pytest.fixture(scope="session")
def flores(shared):
    folder = shared / "text/flores_dev_300"
    return {
        name: next(folder.glob(f"{name}*.txt")).read_text(encoding="utf-8").splitlines()
        for name in FLORES.split()
    }


def test_real_text_is_in_its_language_and_does_not_loop(flores):
    for name, lines in flores.items():
        assert not [line for line in lines if off_target(line, name)], name
        assert not [line for line in lines if loops(line)], name


@pytest.mark.parametrize("text", [
    "No, no, no, no!",
    "and so on and so on and so on, and so on",
    " ".join(["The king of the old country goes to the market every day of the week, and there he "
              "buys bread, cheese and a red house."] * 5),
    "你好。" * 5,
])  # fmt: skip
def test_what_stands_four_times_in_a_row_loops(text):
    assert loops(text)


@pytest.mark.parametrize("text", ["", "no no no", "1, 1, 1, 1, 1", "Ha! " * 3, "a b c d e f g h"])
def test_what_does_not_is_no_loop(text):
    assert not loops(text)


def test_text_of_other_languages_is_off_target(flores):
    missed = {
        (name, other): [line for line in lines if not off_target(line, name)]
        for name in flores
        for other, lines in flores.items()
        if other != name
    }
    assert sum(map(len, missed.values())) <= 10  # of 91,800; measured: 4


@pytest.mark.parametrize(
    ("text", "code", "other"),
    [
        ("", "eng", False),
        ("3.5 %!", "eng", False),
        ("Lehrer", "eng", False),  # too short to be judged by more than its script
        ("учитель", "eng", True),
        ("我们今天要去学校看一看我的老师", "jpn", True),
        ("我们去学校", "jpn", False),  # five letters, all of which Japanese has
        ("学校", "cmn", False),
        ("Das Haus ist sehr groß und alt.", "umb", False),  # nobody knows Umbundu
        ("Дом очень большой и старый.", "umb", True),
        ("En lærer kjøper en rød bil i dag.", "nob", False),
        ("A teacher buys a red car today.", "nob", True),
    ],
)
def test_short_odd_and_unknown_texts(text, code, other):
    assert off_target(text, code) == other


def test_few_languages_are_judged_by_their_script_alone():
    assert sum(not known_labels(entry.code) for entry in LANGUAGES) == 10
    assert all(known_labels(entry.code) for entry in LANGUAGES if entry.iso639_1 in ("de", "no"))


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        ({}, ()),
        ({"prediction": ""}, ("empty",)),
        ({"prediction": " \n"}, ("empty",)),
        ({"prediction": "", "failure": "too long"}, ("too long",)),
        ({"prediction": "the dog the dog the dog the dog"}, ("looping",)),
        ({"prediction": "The king sings and sings and sings and sings and sings."}, ("looping",)),
        ({"prediction": "1000000000000 and 99999999"}, ()),  # no letter is repeated
        ({"prediction": "ha ha ha ha", "reference": "ha ha ha ha"}, ()),
        ({"prediction": "Ein König singt in der Küche"}, ("copied",)),
        ({"prediction": "Der König tanzt heute mit der Königin."}, ("off-target",)),
        ({"prediction": "Der König tanzt heute mit der Königin.",
          "reference": "Der König tanzt mit der Königin."}, ()),  # what else could be expected
        ({"prediction": "Ein König singt in der Küche.", "tgt_lang": "deu",
          "reference": "Ein König singt in der Küche."}, ()),
        ({"prediction": "London", "src_text": "London", "reference": "London"}, ()),
        ({"failure": "truncated"}, ("truncated",)),
        ({"failure": "truncated, no tag"}, ("truncated", "no tag")),
        ({"failure": "no tag", "prediction": "da da da da da da "},
         ("no tag", "looping", "off-target")),
    ],
)  # fmt: skip
def test_kinds(change, kinds):
    assert kinds_of(GOOD._replace(**change)) == kinds
    assert set(kinds) <= KINDS.keys()


def test_failures_are_listed_by_row():
    rows = [GOOD, GOOD._replace(prediction=""), GOOD]
    assert [(f.row, f.kinds) for f in find_failures(rows)] == [(1, ("empty",))]
