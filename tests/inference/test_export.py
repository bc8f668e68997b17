"""Cards tell what a model is, and where its parts are; exports know what they were given."""

import json

import pytest
import torch
from huggingface_hub import ModelCard

from speechalign.assets import PACKAGED, resolve
from speechalign.errors import Caution
from speechalign.inference.card import Told, card
from speechalign.inference.translator import Translator
from speechalign.models.base import Base
from speechalign.models.bias_pack import empty_pack, save_pack
from speechalign.models.moments import moments_of

WHISPER = Base("openai/whisper-large-v3", "c0ffee" + 34 * "0", "ab" * 32, 1280, 32)
QWEN = Base("Qwen/Qwen2.5-7B-Instruct", "decade" + 34 * "0", "cd" * 32, 3584, 28)
SIGNATURE = "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0"


def told(**changes) -> Told:
    given = {
        "name": "anna/potsa",
        "bases": {"encoder": WHISPER, "llm": QWEN},
        "tasks": ["srt"],
        "trained": ["deu", "cmn"],
        "zero_shot": [],
        "target": "eng",
        "weights": 1234567,
        "window": 30.0,
        "results": None,
        "licence": None,
    }
    return Told(**given | changes)


def results() -> dict:
    bleu = {"value": 31.25, "low": 30.5, "high": 32.0, "strict": 31.0, "signature": SIGNATURE}
    pair = {"recordings": 862, "sentences": 350, "failed": 2, "scores": {"bleu": bleu}}
    data = {"corpus": "/home/anna/fleurs", "split": "test", "revision": "70bb2e"}
    return {"texts": "NFC", "data": data, "pairs": {"deu-eng": pair}, "averages": {}, "gaps": {}}


def test_bases_on_the_hub_are_linked_and_named_to_it():
    written = ModelCard(card(told()))
    assert written.data.base_model == [WHISPER.path, QWEN.path]
    assert written.data["base_model_relation"] == "adapter"
    assert written.data.language == ["de", "zh", "en"]
    for base in (WHISPER, QWEN):
        assert f"| `{base.path}` | {base.revision} | `{base.sha256}` |" in written.text
        assert f"(https://huggingface.co/{base.path})" in written.text
    assert "1,234,567 weights" in written.text
    assert "transcribe it and translate it into English at once" in written.text
    assert "arxiv.org/abs/2511.09232" in written.text
    assert "Others cannot load it" not in written.text


def test_a_local_base_is_called_so():
    written = ModelCard(
        card(told(bases={"encoder": WHISPER, "llm": QWEN._replace(path="/my/llm")}))
    )
    assert written.data.base_model == [WHISPER.path]
    assert "Others cannot load it as it is: its llm is local." in written.text


def test_results_come_with_interval_signature_and_corpus_but_no_path():
    written = ModelCard(card(told(results=results())))
    (row,) = [line for line in written.text.splitlines() if line.startswith("| German")]
    assert row == "| German → English | 31.2 [30.5, 32.0] | 31.0 | 2 | 862 | 350 |"
    assert f"- `BLEU: {SIGNATURE}`" in written.text
    assert "On `fleurs`, split test, revision 70bb2e;" in written.text
    assert "anna/fleurs" not in written.content
    (found,) = written.data.eval_results
    assert (found.metric_value, found.metric_args["interval_95"]) == (31.25, [30.5, 32.0])
    assert (found.dataset_name, found.dataset_split) == ("fleurs", "test")
    assert found.dataset_revision == "70bb2e"


def test_a_model_with_a_local_base_is_exported_with_a_caution(tmp_path):
    translator = Translator.from_pretrained(device="cpu")
    encoder = translator.model.encoder
    encoder.path = resolve("assets:micro/encoder")
    encoder.base = encoder.base._replace(path=encoder.path)
    with pytest.warns(Caution, match="The encoder of this model is a folder of this machine"):
        translator.save_pretrained(tmp_path / "out")
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert config["local"] == ["encoder"]
    assert config["parts"]["encoder"]["path"] == encoder.path
    Translator.from_pretrained(tmp_path / "out")


def test_languages_of_a_pack_travel_with_the_export(tmp_path):
    encoder = Translator.from_pretrained(PACKAGED, device="cpu").model.encoder
    names = [f"{number:032x}" for number in range(5)]
    moments = moments_of(torch.ones(5, encoder.width, dtype=torch.float64))
    save_pack(empty_pack(encoder, "valid").add("dan", moments, names), tmp_path / "pack")
    given = Translator.from_pretrained(PACKAGED, device="cpu", bias=tmp_path / "pack")
    given.save_pretrained(tmp_path / "out")
    loaded = Translator.from_pretrained(tmp_path / "out", device="cpu")
    assert loaded.zero_shot == given.zero_shot
    assert "dan" in loaded.zero_shot
    assert loaded.model.bias.centroid.equal(given.model.bias.centroid)
    assert "Danish (dan)" in (tmp_path / "out/README.md").read_text()
