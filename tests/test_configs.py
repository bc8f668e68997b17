"""Every configuration parses; the FLEURS ones train, one after the other, with tiny models."""

from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path

import pytest

from speechalign.cli import main
from speechalign.commands.training import command_line
from tests.data.conftest import Clip, write_fleurs

CONFIGS = Path(__file__).parents[1] / "configs"
RUNS = [CONFIGS / "micro.yaml", *sorted((CONFIGS / "fleurs").glob("*.yaml"))]
ABLATIONS = sorted((CONFIGS / "ablation").glob("*.yaml"))
BASES = [CONFIGS / "micro.yaml", CONFIGS / "fleurs/3_potsa.yaml"]

LOCALES = ("en_us", "ja_jp", "es_419", "ko_kr", "ru_ru")
ZERO_SHOT = ("de_de", "fr_fr", "it_it", "pt_br", "th_th", "vi_vn")
TWO_STEPS = (
    "--trainer.accelerator=cpu",
    "--trainer.devices=1",
    "--trainer.max_steps=2",
    "--trainer.accumulate_grad_batches=1",
    "--trainer.val_check_interval=2",
    "--trainer.log_every_n_steps=1",
    "--trainer.limit_val_batches=1",
    "--trainer.limit_test_batches=1",
    "--trainer.enable_progress_bar=false",
    "--model.qformer.init_args.width=24",
    "--model.qformer.init_args.heads=2",
    "--model.qformer.init_args.feed_forward=48",
    "--model.decoding.max_new_tokens=4",
    "--data.workers=0",
)


@cache
def parse(*files: Path) -> str:
    """Check against the signatures, without loading anything, and print the whole."""
    printed = StringIO()
    with redirect_stdout(printed), pytest.raises(SystemExit) as stopped:
        main(["fit", *[f"--config={file}" for file in files], "--print_config"])
    assert stopped.value.code in (None, 0)
    return printed.getvalue()


def name(path: Path) -> str:
    return str(path.relative_to(CONFIGS))


def test_no_configuration_is_left_out():
    assert sorted(CONFIGS.rglob("*.yaml")) == sorted(RUNS + ABLATIONS)
    assert [run.stem for run in RUNS] == ["micro", "1_asr", "2_st", "3_potsa"]


@pytest.mark.parametrize("run", RUNS, ids=name)
def test_a_run_parses(run):
    assert "class_path: speechalign.models.qformer.QFormer" in parse(run)


@pytest.mark.parametrize("base", BASES, ids=name)
@pytest.mark.parametrize("ablation", ABLATIONS, ids=name)
def test_an_ablation_is_a_small_difference_from_a_run(base, ablation):
    assert len(ablation.read_text().splitlines()) <= 8
    assert parse(base, ablation) != parse(base)


@pytest.mark.parametrize(
    ("ablation", "expected"),
    [
        ("all_layers", ["alignment.schedule.AllLayers", "- 8"]),
        ("anchor", ["stop: first", "pairing: spa"]),
        ("augment", ["noise_probability: 0.5", "time_masks: 2"]),
        ("centered", ["center: true"]),
        ("contrastive", ["alignment.contrastive.Contrastive", "strength: 1.0"]),
        ("cosine", ["alignment.controls.Cosine"]),
        ("last_layer", ["alignment.schedule.Fixed", "layer: 8"]),
        ("mmd", ["alignment.mmd.MMD", "kernel: gaussian"]),
        ("mse", ["alignment.controls.MeanSquaredError"]),
        ("no_bias", ["bias: null"]),
        ("no_ot", ["alignment: null", "schedule: null"]),
        ("pooled", ["alignment.pooled.PooledSinkhorn", "window: 4", "stride: 2"]),
        ("uniform", ["alignment.schedule.Uniform"]),
    ],
)
def test_an_ablation_is_what_its_name_says(ablation, expected):
    parsed = parse(CONFIGS / "fleurs/3_potsa.yaml", CONFIGS / f"ablation/{ablation}.yaml")
    assert all(line in parsed for line in expected)
    assert all(line not in parse(CONFIGS / "fleurs/3_potsa.yaml") for line in expected)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("model: {strenght: 1.0}", "strenght"),
        ("data: {langages: [deu]}", "langages"),
        ("trainer: {max_step: 5}", "max_step"),
        ("model: {qformer: {class_path: QFormer, init_args: {widht: 8}}}", "widht"),
    ],
)
def test_a_mistyped_key_is_named_in_one_line(text, key, tmp_path, capsys):
    mistyped = tmp_path / "mistyped.yaml"
    mistyped.write_text(text)
    status = main(["fit", f"--config={CONFIGS / 'micro.yaml'}", f"--config={mistyped}"])
    told = capsys.readouterr().err
    assert status == 2
    assert told.count("\n") == 1
    assert key in told


@pytest.fixture
def fleurs(tmp_path) -> Path:
    """Sine tones in the place and the languages that the FLEURS configurations name."""
    root = tmp_path / "data/fleurs"
    for split, sentences in (("train", range(4)), ("dev", [10]), ("test", [20])):
        for locale in LOCALES if split == "train" else LOCALES + ZERO_SHOT:
            clips = [Clip(n, f"{locale} {n}.", seconds=0.1) for n in sentences]
            write_fleurs(root, locale, split, clips)
        write_fleurs(root, "cmn_hans_cn", split, [Clip(n, f"句子{n}。") for n in sentences], "none")
    return root


def test_the_stages_on_fleurs_train_one_after_the_other(
    fleurs, long_whisper_folder, llm_folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)  # the paths in the configurations are relative
    models = (
        f"--model.encoder.init_args.path={long_whisper_folder}",
        f"--model.llm.init_args.path={llm_folder}",
    )
    for stage in ("1_asr", "2_st", "3_potsa"):
        options = [f"--config={CONFIGS}/fleurs/{stage}.yaml", *models, *TWO_STEPS]
        run = command_line("fit", options)
        assert run.trainer.global_step == 2
        best = Path(f"runs/fleurs/{stage}/checkpoints/best.ckpt")
        assert best.is_file()
    run = command_line("test", [*options, f"--ckpt_path={best}"])
    assert sum("bleu" in metric for metric in run.trainer.callback_metrics) == 11


def test_the_micro_world_trains_on_other_takes(tmp_path, monkeypatch):
    monkeypatch.setenv("SPEECHALIGN_CACHE", str(tmp_path))
    options = [f"--config={CONFIGS}/micro.yaml", f"--config={CONFIGS}/ablation/augment.yaml"]
    few = ["--data.batch_size=4", "--data.max_train_sentences=20", "--data.eval_batch_size=4"]
    rest = ["--model.bias=null", "--data.cache=false", f"--trainer.default_root_dir={tmp_path}"]
    run = command_line("fit", [*options, *TWO_STEPS[:-1], *few, *rest])
    assert run.trainer.global_step == 2
    batch = next(iter(run.datamodule.train_dataloader()))
    assert batch.hidden.any()
