"""The data module: what is trained on, what is evaluated, what is left out."""

import pytest
import torch
from jsonargparse import ArgumentParser
from lightning.pytorch import LightningModule, Trainer
from transformers import PreTrainedTokenizerFast

from speechalign.audio.augment import Augmentation
from speechalign.data.datamodule import SpeechDataModule
from speechalign.data.fleurs import Fleurs
from speechalign.data.prompts import PromptTemplates
from speechalign.data.records import Source
from speechalign.errors import UserError
from tests.data.conftest import Clip, write_fleurs

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*"),
]


def spoken(items) -> list[str]:
    return [item[0].utterance.id for item in items]


def test_training_joins_speech_with_the_target_text(make_data):
    items = make_data().train_items()
    # 11 German recordings, 9 French, 7 Italian (sentence 20 is not in English)
    assert len(items) == 27
    for (example,) in items:
        assert example.task == "st"
        assert example.target == "eng"
        assert example.answer == f"Sentence {example.utterance.sentence_id}."
        assert example.prompt == f"<|{example.utterance.language}|><|st|><|eng|>"


def test_what_is_left_out_is_logged(make_data, fleurs, caplog):
    tsv = fleurs / "fr_fr" / "dev.tsv"  # a dev sentence with the text of train's sentence 3
    tsv.write_text(tsv.read_text().replace("fr_fr dev 0.", "phrase 3!"))
    with caplog.at_level("INFO"):
        items = make_data(max_seconds=0.01).train_items()
    assert not items
    messages = [record.getMessage() for record in caplog.records]
    for told in ("deu/train: left out of 11", "fra/train: left out of 9"):
        (message,) = [message for message in messages if message.startswith(told)]
        assert ": 1 whose sentence is held out, " in message
        assert message.endswith(" too long.")
    caplog.clear()
    with caplog.at_level("INFO"):
        sentences = {i[0].utterance.sentence_id for i in make_data().train_items()}
    assert "3" not in sentences  # in no language: its translation would be known
    assert (
        "ita/train: left out of 8 recordings: 1 whose sentence is held out, "
        "1 without a text in the target language."
    ) in [record.getMessage() for record in caplog.records]


def test_items_are_listed_and_told_once(make_data, caplog):
    data = make_data()
    with caplog.at_level("INFO"):
        assert data.train_items() is data.train_items()
        assert data.exams("dev") is data.exams("dev")
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == len(set(told))
    assert told


def test_asr_needs_no_target_text(make_data):
    items = make_data(tasks={"asr": 1.0}, languages=["deu", "ita"], target="por").train_items()
    assert len(items) == 11 + 8
    assert {example.answer for (example,) in items} >= {"Satz 0.", "Frase 20."}


def test_a_mixture_has_one_example_a_task(make_data):
    items = make_data(tasks={"asr": 1.0, "st": 3.0, "srt": 1.0}).train_items()
    assert [len(item) for item in items].count(3) == 27
    assert [len(item) for item in items].count(1) == 1  # Italian sentence 20: asr only


def test_training_batches_have_parallel_pairs(make_data):
    data = make_data(batch_size=4)
    batches = list(data.train_dataloader())
    pairs = 0
    for batch in batches:
        assert isinstance(batch.examples, tuple)
        assert batch.waveform.shape[0] == 4
        for one, other in batch.pairs.tolist():
            first, second = batch.examples[one].utterance, batch.examples[other].utterance
            assert first.sentence_id == second.sentence_id
            assert first.language != second.language
            pairs += 1
    assert pairs >= 9  # one for each sentence that two languages have
    assert not any(
        len(batch.pairs) for batch in make_data(batch_size=4, pairing="none").train_dataloader()
    )


def test_few_sentences_are_the_same_in_all_languages(make_data):
    items = make_data(max_train_sentences=4).train_items()
    assert len({example.utterance.sentence_id for (example,) in items}) == 4
    assert {example.utterance.language for (example,) in items} == {"deu", "fra", "ita"}


def test_dev_can_be_trained_on_and_is_then_no_leak(make_data):
    items = make_data(train_splits=["train", "dev"]).train_items()
    assert len(items) == 27 + 12


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"languages": []}, "`languages` is empty"),
        ({"languages": ["deu", "de_de"]}, "Named twice .*: deu"),
        ({"zero_shot": ["fra"]}, "Named twice .*: fra"),
        ({"languages": ["deu", "eng"]}, "eng is both a source language and the target"),
        ({"languages": ["deo"]}, "Unknown language 'deo'"),
        ({"tasks": {"mt": 1.0}}, "Unknown task 'mt'"),
        ({"tasks": {"st": 0.0}}, "weight 0"),
        ({"tasks": {"st": float("nan")}}, "weight nan"),
        ({"max_seconds": 0.0}, "max_seconds is 0.0; expected seconds, more than 0"),
        ({"max_seconds": float("nan")}, "max_seconds is nan"),
        ({"batch_seconds": -1.0}, "batch_seconds is -1.0"),
        ({"max_train_sentences": 0}, "max_train_sentences is 0; expected 1 or more"),
        ({"max_train_sentences": -1}, "max_train_sentences is -1"),
        ({"eval_batch_size": 0}, "eval_batch_size is 0"),
        ({"workers": -1}, "workers is -1; expected 0 or more"),
    ],
)
def test_contradictions_are_told_at_once(make_data, settings, fault):
    with pytest.raises(UserError, match=fault):
        make_data(**settings)


def test_what_the_corpus_lacks_is_told(make_data):
    with pytest.raises(UserError, match="'spa' is missing"):
        make_data(languages=["spa"]).train_dataloader()
    with pytest.raises(UserError, match="splits of nld on disk: dev, test"):
        make_data(languages=["nld"], zero_shot=[]).train_dataloader()
    with pytest.raises(UserError, match="nothing to train on"):
        make_data(max_seconds=0.001).train_dataloader()


def test_english_may_be_a_source_of_asr(make_data, fleurs):
    data = make_data(languages=["eng"], tasks={"asr": 1.0}, zero_shot=[])
    with pytest.raises(UserError, match="fetch the audio"):
        data.train_items()


class Model(torch.nn.Module):
    """What the data ask of a model."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast):
        super().__init__()
        self.tokenizer = tokenizer
        self.encoder = torch.nn.Module()
        self.encoder.window_samples, self.encoder.pads_to_window, self.encoder.mels = 1600, True, 8


class Listener(LightningModule):
    """Counts what it is given."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast | None):
        super().__init__()
        if tokenizer is not None:
            self.speech_llm = Model(tokenizer)
        self.heard: list[tuple[str, int]] = []

    def test_step(self, batch, batch_idx, dataloader_idx=0):
        assert not batch.unread
        assert batch.batch.waveform.shape[1] == 1600
        self.heard += [(e.utterance.id, dataloader_idx) for e in batch.batch.examples]
        return len(batch.batch.examples)

    predict_step = test_step


@pytest.fixture
def trainer() -> Trainer:
    return Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


@pytest.mark.parametrize("verb", ["test", "predict"])
def test_lightning_hands_over_the_model_and_every_utterance(fleurs, tokenizer, trainer, verb):
    data = SpeechDataModule(Fleurs(str(fleurs)), ["deu", "fra"], zero_shot=["nld"])
    module = Listener(tokenizer)
    getattr(trainer, verb)(module, datamodule=data)
    expected = [
        (f"{locale}/test/{n}.wav", group)
        for locale, group in (("de_de", 0), ("fr_fr", 0), ("nl_nl", 1))
        for n in range(4)
        if (locale, n) != ("de_de", 3)
    ]
    assert sorted(module.heard) == expected


def test_a_module_without_a_model_is_told(fleurs, trainer):
    data = SpeechDataModule(Fleurs(str(fleurs)), ["deu"])
    with pytest.raises(UserError, match="has a `speech_llm`"):
        trainer.test(Listener(None), datamodule=data)
    with pytest.raises(UserError, match="call `configure` first"):
        data.train_dataloader()


def test_archives_are_opened_beforehand(fleurs, tmp_path):
    source = Fleurs(str(fleurs), cache_dir=str(tmp_path / "cache"))
    SpeechDataModule(source, ["deu", "fra"]).prepare_data()
    assert len(list((tmp_path / "cache").rglob("*.tar"))) == 1  # German train


def test_a_zero_shot_language_may_have_texts_alone_of_train(fleurs, make_data):
    write_fleurs(fleurs, "nl_nl", "train", [Clip(1, "Zin 1.")], "none")
    data = make_data()
    data.prepare_data()
    assert {u.id.split("/")[1] for u in data.estimation_utterances("nld")} == {"dev"}


def test_yaml_builds_it(fleurs):
    parser = ArgumentParser()
    parser.add_subclass_arguments(SpeechDataModule, "data")
    parsed = parser.parse_object({
        "data": {
            "class_path": "speechalign.data.datamodule.SpeechDataModule",
            "init_args": {
                "source": {
                    "class_path": "speechalign.data.fleurs.Fleurs",
                    "init_args": {"root": str(fleurs)},
                },
                "languages": ["deu", "fra"],
                "tasks": {"st": 3, "asr": 1},
                "prompts": {"tag": " => "},
                "train_splits": ["train", "dev"],
            },
        }
    })
    data = parser.instantiate_classes(parsed).data
    assert isinstance(data.source, Source)
    assert data.languages == ["deu", "fra"]
    assert data.tasks == {"st": 3.0, "asr": 1.0}
    assert data.prompts == PromptTemplates(tag=" => ")
    assert data.train_splits == ["train", "dev"]


def test_the_real_recordings_make_three_pairs(shared, tokenizer):
    source = Fleurs(str(shared / "real" / "fleurs"))
    settings = {"tasks": {"asr": 1.0}, "train_splits": ["test"], "batch_size": 2}
    data = SpeechDataModule(source, source.languages(), **settings)
    data.configure(tokenizer, window_samples=480_000)
    batches = list(data.train_dataloader())
    paired = {b.examples[0].utterance.sentence_id for b in batches if len(b.pairs)}
    assert paired == {"1853", "1987"}  # the German 1852 lasts 43 s and is not trained on
    assert len(batches) == 4  # 7 utterances: two pairs, three singles and a repeated one
    assert max(batch.waveform.shape[1] for batch in batches) == 342_720
    (loader,) = data.test_dataloader()
    assert sum(len(read.batch.examples) for read in loader) == 7
    assert [e.utterance.id for e in data.too_long["test"]] == ["de_de/test/01852_fleurs-de-009.wav"]
    data.configure(tokenizer, window_samples=800_000)
    paired = [b.examples[0].utterance.sentence_id for b in data.train_dataloader() if len(b.pairs)]
    assert sorted(paired) == ["1852", "1853", "1987"]


def test_seconds_count_what_the_encoder_hears(make_data, tokenizer):
    data = make_data(batch_seconds=0.25, augment=Augmentation(speed=(0.5,)))
    for batch in data.train_dataloader():
        assert batch.samples.numel() * int(batch.samples.max()) <= 0.25 * 16_000
    data.configure(tokenizer, 1600, pad_to_window=True)
    with pytest.raises(UserError, match="no use with attend: window"):
        data.train_dataloader()


def test_training_without_pairs_is_told(make_data, caplog):
    with caplog.at_level("INFO"):
        make_data().train_dataloader()
    assert "no parallel pairs" not in caplog.text
    with caplog.at_level("INFO"):
        make_data(languages=["deu"]).train_dataloader()
    assert "there are no parallel pairs" in caplog.text
