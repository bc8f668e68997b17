"""Notes beside tables: corpora and versions."""

from speechalign.evaluation.notes import corpora, versions


def test_each_corpus_is_told_once():
    one = {"corpus": "fleurs", "split": "test", "revision": "70bb"}
    assert corpora([one, {}, one, one | {"revision": None}]) == [
        "corpus: fleurs, split test, revision 70bb",
        "corpus: fleurs, split test, revision unknown",
    ]


def test_versions():
    assert versions({"a": "1.0", "b": "2"}) == "versions: a 1.0, b 2"
