"""Training through the command line: what it logs, learns, stores, and leaves alone."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from torch.testing import assert_close

from speechalign.commands.training import CommandLine, command_line
from speechalign.data.fleurs import Fleurs
from speechalign.data.manifest import entries, write_manifest
from speechalign.errors import UserError
from speechalign.languages import LANGUAGES, language
from speechalign.models import artifact
from speechalign.models.bias_pack import empty_pack, save_pack
from speechalign.models.encoder import WhisperEncoder
from speechalign.models.moments import moments_of


def fit(config: Path, *options: str) -> CommandLine:
    return command_line("fit", [f"--config={config}", *options])


def log_of(run: CommandLine) -> list[dict[str, str]]:
    with (Path(run.trainer.log_dir) / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def column(run: CommandLine, name: str) -> list[float]:
    return [float(row[name]) for row in log_of(run) if row.get(name)]


def test_every_term_is_logged(config):
    run = fit(config)
    for name in ("train/loss", "train/ce", "train/ot", "train/layer", "train/collapse_layer_4"):
        assert len(column(run, name)) == 6, name
    loss, ce, ot = (column(run, f"train/{term}") for term in ("loss", "ce", "ot"))
    assert_close(loss, [c + 10 * o for c, o in zip(ce, ot, strict=True)], atol=1e-4, rtol=1e-4)
    assert min(ot) > 0
    assert len(column(run, "val/ce")) == len(column(run, "val/ce_zero_shot")) == 2
    assert set(column(run, "train/layer")) <= {1.0, 2.0, 3.0}


def test_a_checkpoint_holds_what_was_trained_and_nothing_frozen(config, tmp_path):
    run = fit(config, "--trainer.max_steps=2")
    file = next((tmp_path / "run").rglob("step=2.ckpt"))
    checkpoint = torch.load(file, weights_only=True)
    parts = {key.split(".")[1] for key in checkpoint["state_dict"]}
    assert parts == {"bias", "qformer", "projector"}
    trained = {n for n, p in run.model.named_parameters() if p.requires_grad}
    assert trained <= checkpoint["state_dict"].keys()
    assert len(checkpoint["optimizer_states"][0]["state"]) == len(trained)
    assert checkpoint["layer_schedule"]["step"] == 2
    assert len(checkpoint["random_states"]) == 1
    loaded, about = artifact.load(file)
    assert about["languages"]["zero_shot"] == ["nld"]
    for key, value in run.model.speech_llm.trained_state().items():
        assert_close(loaded.trained_state()[key], value)


def test_frozen_weights_do_not_move(config, whisper_folder):
    run = fit(config, "--trainer.max_steps=2")
    fresh = type(run.model.speech_llm.encoder)(whisper_folder, attend="speech").state_dict()
    for key, value in run.model.speech_llm.encoder.state_dict().items():
        assert torch.equal(value, fresh[key])


def test_centroids_are_set_before_the_first_step(config):
    run = fit(config, "--trainer.max_steps=1")
    bias = run.model.speech_llm.bias
    heard = {row: int(n) for row, n in enumerate(bias.utterances) if n}
    assert sorted(heard.values()) == [12, 12, 12, 12]
    assert int(bias.trained.sum()) == 3


def test_without_alignment_the_loss_is_cross_entropy(config):
    run = fit(config, "--model.alignment=null", "--model.schedule=null", "--model.bias=null")
    assert_close(column(run, "train/loss"), column(run, "train/ce"))
    assert not column(run, "train/ot")
    assert len(column(run, "train/collapse_layer_1")) == 6
    assert run.model.speech_llm.bias is None


def test_pairs_of_one_sentence_are_no_negatives_of_one_another(config):
    """Four languages say one sentence, so that each batch is two pairs of it."""
    options = ["--model.alignment=speechalign.alignment.contrastive.Contrastive",
               "--data.languages=[deu, fra, ita, nld]", "--data.zero_shot=[]",
               "--trainer.callbacks=null"]  # fmt: skip
    few = fit(config, *options, "--data.batch_size=4", "--data.max_train_sentences=1")
    assert column(few, "train/ot") == [0] * 6
    more = fit(config, *options, "--trainer.max_steps=2")
    assert min(column(more, "train/ot")) > 0


def test_strength_rises_in_a_line(config):
    options = ["--model.strength=2", "--model.strength_warmup=4", "--trainer.max_steps=6"]
    run = fit(config, *options)
    shares = [
        (loss - ce) / ot
        for loss, ce, ot in zip(
            *(column(run, f"train/{name}") for name in ("loss", "ce", "ot")), strict=True
        )
    ]
    assert shares == pytest.approx([0.4, 0.8, 1.2, 1.6, 2.0, 2.0], rel=1e-3)


def test_it_can_learn_a_few_sentences(config):
    options = ["--trainer.max_steps=60", "--trainer.callbacks=null", "--model.strength=0.1"]
    run = fit(config, *options, "--data.max_train_sentences=2", "--data.batch_size=6",
              "--model.qformer.init_args.dropout=0")  # fmt: skip
    ce = column(run, "train/ce")
    assert ce[-1] < 0.6 * ce[0]


def test_bf16_and_accumulation_train(config):
    run = fit(config, "--trainer.precision=bf16-mixed", "--trainer.accumulate_grad_batches=2",
              "--trainer.max_steps=2")  # fmt: skip
    assert run.trainer.global_step == run.model.schedule.step == 2
    assert sum(run.model.schedule.counts) == 2  # a step is one look at a layer
    assert all(p.dtype == torch.float32 for p in run.model.parameters() if p.requires_grad)


def test_training_from_manifests_equals_training_from_fleurs(config, corpus, tmp_path):
    source = Fleurs(str(corpus))
    for split in ("train", "dev", "test"):
        for code in ("deu", "fra", "ita", "nld"):
            file = tmp_path / "manifests" / f"{code}_{split}.jsonl"
            write_manifest(file, entries(source, code, split, "eng"))
    settings = yaml.safe_load(config.read_text())
    files = {
        split: sorted(map(str, (tmp_path / "manifests").glob(f"*_{split}.jsonl")))
        for split in ("train", "dev", "test")
    }
    settings["data"]["source"] = {
        "class_path": "speechalign.data.manifest.Manifest",
        "init_args": {"files": files},
    }
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(settings))
    one = fit(config)
    other = fit(tmp_path / "other.yaml", f"--trainer.default_root_dir={tmp_path / 'other'}")
    for name in ("train/loss", "train/ot", "val/ce", "val/ce_zero_shot"):
        assert column(one, name) == column(other, name), name


def test_a_run_starts_from_anothers_weights(config, tmp_path):
    first = fit(config, "--trainer.max_steps=1", "--model.bias=null")
    file = next((tmp_path / "run").rglob("step=1.ckpt"))
    options = [f"--model.init_from={file}", "--model.bias=null", "--trainer.logger=false"]
    second = command_line("validate", [f"--config={config}", *options])
    for key, value in first.model.speech_llm.trained_state().items():
        assert_close(second.model.speech_llm.trained_state()[key], value)


def test_what_counts_as_trained_is_what_this_run_trains(config, tmp_path):
    fit(config, "--trainer.max_steps=1")
    start = f"--model.init_from={next((tmp_path / 'run').rglob('step=1.ckpt'))}"
    folder = f"--trainer.default_root_dir={tmp_path / 'second'}"
    second = fit(config, "--trainer.max_steps=1", "--data.languages=[deu,nld]",
                 "--data.zero_shot=[]", start, folder)  # fmt: skip
    bias = second.model.speech_llm.bias
    assert {LANGUAGES[row].code for row in bias.trained.nonzero().flatten()} == {"deu", "nld"}
    assert int(bias.utterances.count_nonzero()) == 4


def test_centroids_of_a_pack_are_taken_and_the_others_estimated(config, tmp_path, whisper_folder):
    encoder = WhisperEncoder(whisper_folder, attend="speech")
    told = moments_of(torch.ones(5, encoder.width)), [f"{n:032x}" for n in range(5)]
    pack = empty_pack(encoder, "valid").add("deu", *told)
    save_pack(pack, tmp_path / "pack")
    option = f"--model.bias.init_args.pack={tmp_path / 'pack'}"
    run = fit(config, "--trainer.max_steps=1", "--model.optimizer.init_args.lr=0", option)
    bias, german = run.model.speech_llm.bias, language("deu").row
    assert (bias.centroid[german] == 1).all()
    assert bias.utterances[german] == 5
    assert bias.trained[german]
    assert int(bias.utterances.count_nonzero()) == 4
    save_pack(pack._replace(encoder="other"), tmp_path / "pack")
    with pytest.raises(UserError, match="made for another encoder"):
        fit(config, "--trainer.max_steps=1", option, f"--trainer.default_root_dir={tmp_path / 'b'}")


def test_a_pack_may_travel_with_the_package(config, tmp_path, whisper_folder, monkeypatch):
    encoder = WhisperEncoder(whisper_folder, attend="speech")
    names = [f"{number:032x}" for number in range(5)]
    pack = empty_pack(encoder, "valid").add("deu", moments_of(torch.ones(5, encoder.width)), names)
    save_pack(pack, tmp_path / "packs/own")
    monkeypatch.setattr("speechalign.assets.FOLDER", tmp_path)
    option = "--model.bias.init_args.pack=assets:packs/own"
    run = fit(config, "--trainer.max_steps=1", option)
    assert run.model.speech_llm.bias.utterances[language("deu").row] == 5


def test_centroids_of_other_frames_are_estimated_anew(config, tmp_path, capfd):
    fit(config, "--trainer.max_steps=1")
    start = f"--model.init_from={next((tmp_path / 'run').rglob('step=1.ckpt'))}"
    other = [start, "--model.encoder.init_args.attend=window"]
    folder = f"--trainer.default_root_dir={tmp_path / 'second'}"
    options = ["--trainer.max_steps=1", "--model.optimizer.init_args.lr=0"]
    first = artifact.read(next((tmp_path / "run").rglob("step=1.ckpt"))).weights["bias.centroid"]
    second = fit(config, *options, *other, folder).model.speech_llm.bias
    heard = second.utterances > 0
    assert int(heard.sum()) == 4
    assert not torch.isclose(second.centroid[heard], first[heard], atol=1e-3).all(dim=1).any()


def test_the_last_checkpoint_is_the_last_also_where_dev_gets_worse(config, tmp_path):
    settings = yaml.safe_load(config.read_text())
    settings["trainer"]["callbacks"] = [
        {
            "class_path": "speechalign.training.checkpoint.Checkpoints",
            "init_args": {
                "monitor": "val/ce",
                "mode": "max",
                "save_last": True,
                "filename": "best",
            },
        }
    ]
    settings["trainer"]["val_check_interval"] = 1
    config.write_text(yaml.safe_dump(settings))
    run = fit(config, "--model.strength=0", "--model.qformer.init_args.dropout=0")
    ce = column(run, "val/ce")
    assert max(ce) != ce[-1]
    steps = {
        name: torch.load(tmp_path / "run" / "checkpoints" / f"{name}.ckpt", weights_only=True)[
            "global_step"
        ]
        for name in ("best", "last")
    }
    assert steps == {"best": 1 + ce.index(max(ce)), "last": 6}


def test_the_end_is_kept_also_between_two_looks_at_dev(config, tmp_path):
    settings = yaml.safe_load(config.read_text())
    init = {"monitor": "val/ce", "save_last": True, "filename": "best"}
    settings["trainer"]["callbacks"] = [
        {"class_path": "speechalign.training.checkpoint.Checkpoints", "init_args": init}
    ]
    config.write_text(yaml.safe_dump(settings))
    fit(config, "--trainer.max_steps=7")
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    assert torch.load(last, weights_only=True)["global_step"] == 7
    end = torch.load(last, weights_only=True)["state_dict"]
    whole = f"--trainer.default_root_dir={tmp_path / 'whole'}"
    fit(config, "--trainer.max_steps=9", whole)
    fit(config, "--trainer.max_steps=9", "--ckpt_path=last")
    expected = torch.load(tmp_path / "whole/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    found = torch.load(last, weights_only=True)["state_dict"]
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert not all(torch.equal(end[key], expected[key]) for key in expected)


def test_a_run_resumes_without_what_it_started_from(config, tmp_path):
    fit(config, "--trainer.max_steps=1")
    run = fit(config, "--model.init_from=since/deleted.ckpt", "--ckpt_path=last",
              "--trainer.max_steps=2")  # fmt: skip
    assert run.trainer.global_step == 2


def test_transcripts_of_several_languages_are_scored_apart(config, corpus, tmp_path):
    """Japanese is counted in other tokens than German: there is no mean of the two."""
    shutil.copytree(corpus, tmp_path / "more")
    shutil.copytree(corpus / "de_de", tmp_path / "more" / "ja_jp")
    asr = (
        f"--data.source.init_args.root={tmp_path / 'more'}",
        "--data.languages=[deu,jpn]",
        "--data.zero_shot=[]",
        "--data.tasks={asr: 1}",
    )
    fit(config, "--trainer.max_steps=1", *asr)
    best = next((tmp_path / "run").rglob("step=1.ckpt"))
    run = command_line("test", [f"--config={config}", *asr, f"--ckpt_path={best}"])
    metrics = json.loads((Path(run.trainer.log_dir) / "metrics.json").read_text())
    assert set(metrics["pairs"]) == {"deu-deu", "jpn-jpn"}
    means = metrics["averages"]["trained"]
    assert means["languages"] == ["deu", "jpn"]
    assert "cer" not in means
    assert (
        "norm:whisper-basic-unspaced" in metrics["pairs"]["jpn-jpn"]["scores"]["cer"]["signature"]
    )
