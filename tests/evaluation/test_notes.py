"""Notes beside tables: corpora, decoding and versions."""

from speechalign.evaluation.notes import corpora, decoding, versions


def test_each_corpus_is_told_once():
    one = {"corpus": "fleurs", "split": "test", "revision": "70bb"}
    assert corpora([one, {}, one, one | {"revision": None}]) == [
        "corpus: fleurs, split test, revision 70bb",
        "corpus: fleurs, split test, revision unknown",
    ]


def test_decoding_is_told_of_a_model_of_ours():
    assert decoding({"predictions": "theirs.jsonl"}) == []
    ours = {"task": "st", "decoding": {"beams": 4, "temperature": 0.0}, "dtype": None}
    assert decoding(ours) == ["decoding: task st, beams 4, temperature 0.0"]
    assert decoding(ours | {"llm_bits": 8})[0].endswith("temperature 0.0, llm_bits 8")


def test_versions():
    assert versions({"a": "1.0", "b": "2"}) == "versions: a 1.0, b 2"
