"""What a training refuses, in one line that says why."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from speechalign.cli import main
from speechalign.commands.training import command_line
from speechalign.errors import UserError
from tests.training.test_fit import fit


@pytest.mark.parametrize("verb", ["test", "validate", "predict", "fit"])
@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--model.qformer.init_args.heads=2", "qformer's heads is 2, was 4"),
        ("--model.encoder.init_args.attend=window", "encoder's attend is window, was speech"),
        ("--model.bias.init_args.pooling=all", "bias's pooling is all, was valid"),
        ("--data.prompts.asr=Write:", "the prompt asr is 'Write:', was"),
    ],
)
def test_weights_are_not_asked_with_other_settings(trained, capfd, verb, option, told):
    config, checkpoint = trained
    other = [option, "--model.encoder.init_args.attend=window"] if "pooling" in option else [option]
    for start in (f"--ckpt_path={checkpoint}", f"--model.init_from={checkpoint}"):
        if verb == "fit" and ("init_from" in start and "qformer" not in option):
            continue  # other frames or prompts may be learnt, from any start
        assert main([verb, f"--config={config}", *other, start]) == 2
        error = capfd.readouterr().err
        assert told in error or "centroids yet, or they are of another encoder" in error


def moved_to(folder: Path, trained: tuple[Path, Path]) -> list[str]:
    """Ask a checkpoint's weights with the LLM of a folder."""
    config, checkpoint = trained
    place = f"--model.llm.init_args.path={folder}"
    return [f"--config={config}", f"--ckpt_path={checkpoint}", place]


def test_models_that_moved_are_known_by_their_weights(trained, tmp_path, llm_folder):
    moved = shutil.copytree(llm_folder, tmp_path / "moved")
    command_line("validate", moved_to(moved, trained))  # a warning would be an error


def test_other_models_are_refused_with_both_named(trained, tmp_path, llm_folder):
    moved = shutil.copytree(llm_folder, tmp_path / "moved")
    weights = load_file(moved / "model.safetensors")
    weights["model.norm.weight"] += 0.01
    save_file(weights, moved / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="their weights differ") as told:
        command_line("validate", moved_to(moved, trained))
    assert str(moved) in str(told.value)
    assert llm_folder in str(told.value)
    config, checkpoint = trained
    start = [f"--model.llm.init_args.path={moved}", f"--model.init_from={checkpoint}"]
    with pytest.raises(UserError, match="their weights differ"):
        command_line("fit", [f"--config={config}", *start])


def test_models_of_older_checkpoints_that_moved_are_warned_of(trained, tmp_path, llm_folder):
    _, checkpoint = trained
    stored = torch.load(checkpoint, weights_only=True)
    for part in ("encoder", "llm"):
        del stored["speech_llm"]["parts"][part]["base"]
    torch.save(stored, checkpoint)
    moved = shutil.copytree(llm_folder, tmp_path / "moved")
    with pytest.warns(UserWarning, match="only if it is the same model"):
        command_line("validate", moved_to(moved, trained))


@pytest.fixture
def trained(config, tmp_path) -> tuple[Path, Path]:
    """A configuration, and a checkpoint that it made."""
    fit(config, "--trainer.max_steps=1")
    return config, next((tmp_path / "run").rglob("step=1.ckpt"))


def test_a_new_run_does_not_mix_with_another(config, capfd):
    fit(config, "--trainer.max_steps=1")
    assert main(["fit", f"--config={config}"]) == 2
    assert "holds the checkpoints of another run" in capfd.readouterr().err


def test_a_run_elsewhere_is_not_gone_on_with_in_this_folder(config, tmp_path, capfd):
    fit(config, "--trainer.max_steps=1")
    there = f"--trainer.default_root_dir={tmp_path / 'there'}"
    fit(config, "--trainer.max_steps=1", there)
    elsewhere = next((tmp_path / "run").rglob("step=1.ckpt"))
    assert main(["fit", f"--config={config}", there, f"--ckpt_path={elsewhere}"]) == 2
    assert "holds the checkpoints of another run" in capfd.readouterr().err


def test_another_alignment_is_not_resumed(config, capfd):
    fit(config, "--trainer.max_steps=1")
    options = ["--model.alignment=null", "--model.schedule=null", "--ckpt_path=last"]
    assert main(["fit", f"--config={config}", *options]) == 2
    assert "of a run with alignment, the configuration is without" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--ckpt_path=last"], "There is no last checkpoint in"),
        (["--ckpt_path=best"], "name the file, RUN/checkpoints/best.ckpt"),
        (["--model.qformer.init_args.widht=3"], "widht"),
        (["--data.languages=[germn]"], "Did you mean"),
        (["--model.init_from=nowhere.ckpt"], "no checkpoint 'nowhere.ckpt'"),
        (["--model.schedule.init_args.layers=[9]"], "asks for layer 9"),
        (["--model.schedule=null"], "go together"),
        (["--model.encoder.init_args.path=/nowhere"], "no model folder"),
        (["--data.source.init_args.root=/nowhere"], "/nowhere"),
        (["--ckpt_path=/nowhere.ckpt"], "no checkpoint '/nowhere.ckpt'"),
        (["--ckpt_path=."], "name a checkpoint, as ./checkpoints/best.ckpt"),
        (["--model.qformer.init_args.heads=5"], "cannot be shared by 5 attention heads"),
        (["--trainer.max_steps=-5"], "must be a non-negative integer"),
        ([f"--trainer.default_root_dir={__file__}"], "test_fit_faults.py"),
        (["--trainer.max_step=3"], "max_step"),
        (["--config=more.yaml"], "more.yaml"),
        (["--data.prompts.st=<{src}>"], "The prompt st is '<{src}>'"),
        (["--data.prompts.tag="], "tag is empty"),
        (["--data.workers=-1"], "workers is -1; expected 0 or more"),
    ],
)
def test_faults_of_the_user_are_one_line(config, capfd, options, told):
    assert main(["fit", f"--config={config}", *options]) == 2
    last = capfd.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("speechalign: ")
    assert told in last


def test_a_checkpoint_that_was_cut_short_is_told(config, tmp_path, capfd):
    fit(config, "--trainer.max_steps=1")
    whole = next((tmp_path / "run").rglob("step=1.ckpt")).read_bytes()
    (tmp_path / "half.ckpt").write_bytes(whole[: len(whole) // 2])
    assert main(["fit", f"--config={config}", f"--ckpt_path={tmp_path / 'half.ckpt'}"]) == 2
    assert "is no checkpoint that" in capfd.readouterr().err


def test_tensors_that_are_no_checkpoint_are_told(config, tmp_path, capfd):
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    assert main(["fit", f"--config={config}", f"--ckpt_path={tmp_path / 'other.ckpt'}"]) == 2
    assert "is no checkpoint that" in capfd.readouterr().err


@pytest.mark.parametrize("option", ["--model.strength=3", "--seed_everything=7", "--data.seed=1"])
def test_an_option_before_the_configuration_is_not_lost(config, capfd, option):
    assert main(["fit", option, f"--config={config}"]) == 2
    assert "put all --config first" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--data.augment={noise_snr: [20, 5]}", "noise_snr is [20.0, 5.0]; give [least, most]"),
        (
            "--model.alignment.init_args.epsilon=-1",
            "epsilon is -1.0, but must be above 0, and finite.",
        ),
    ],
)
def test_a_part_that_may_be_null_tells_its_fault_in_its_own_words(config, capfd, option, told):
    assert main(["fit", f"--config={config}", option]) == 2
    error = capfd.readouterr().err.strip().splitlines()[-1]
    assert error.startswith(f"speechalign: {told}")


def test_an_exported_folder_is_no_checkpoint(config, tmp_path, capfd):
    (tmp_path / "config.json").touch()
    assert main(["test", f"--config={config}", f"--ckpt_path={tmp_path}"]) == 2
    assert "is an exported folder: say --model.init_from" in capfd.readouterr().err


@pytest.mark.parametrize("verb", ["validate", "test", "predict"])
def test_an_untrained_adapter_is_not_scored(config, capfd, verb):
    assert main([verb, f"--config={config}"]) == 2
    assert f"{verb} needs trained weights" in capfd.readouterr().err


def test_a_reading_process_tells_its_fault_in_one_line(config, corpus, tmp_path, capfd):
    """torch puts the worker's traceback before the message."""
    shutil.copytree(corpus, tmp_path / "damaged")
    for file in (tmp_path / "damaged" / "de_de" / "audio" / "train").iterdir():
        file.write_bytes(b"no sound")
    options = [f"--data.source.init_args.root={tmp_path / 'damaged'}", "--data.workers=1"]
    assert main(["fit", f"--config={config}", "--model.bias=null", *options]) == 2
    last = capfd.readouterr().err.strip().splitlines()[-1]
    assert "Traceback" not in last
    assert "de_de/audio/train" in last


def test_a_loss_that_is_not_a_number_names_its_term_and_utterances(config, tmp_path, capfd):
    fit(config, "--trainer.max_steps=1")
    file = next((tmp_path / "run").rglob("step=1.ckpt"))
    checkpoint = torch.load(file, weights_only=True)
    checkpoint["state_dict"]["speech_llm.projector.layers.0.weight"].fill_(float("nan"))
    torch.save(checkpoint, file)
    assert main(["fit", f"--config={config}", f"--ckpt_path={file}"]) == 2
    last = capfd.readouterr().err.strip().splitlines()[-1]
    assert "the cross-entropy is not finite for" in last
    assert "/train/" in last
