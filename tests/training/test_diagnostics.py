"""Diagnostics on dev: their numbers are those of a model followed by hand, and disturb nothing."""

import csv
import math
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch.nn.functional import cosine_similarity
from torch.testing import assert_close

from speechalign.alignment.divergence import SinkhornDivergence
from speechalign.commands.training import CommandLine, command_line
from speechalign.data.batch import pad_waveforms
from speechalign.data.examples import read_audio
from speechalign.data.fleurs import Fleurs
from speechalign.errors import UserError
from speechalign.languages import language
from speechalign.models import artifact
from speechalign.training.collection import collect
from speechalign.training.diagnostics import AlignmentDiagnostics
from tests.training.conftest import part

NUMBERS = ("recall", "cka", "collapse", "cost", "margin", "plan_entropy", "diagonal_mass",
           "marginal_error")  # fmt: skip


def observed(config: Path, **options: object) -> Path:
    """Add the callback to a configuration."""
    settings = yaml.safe_load(config.read_text())
    settings["trainer"]["callbacks"].append(
        part("speechalign.training.diagnostics.AlignmentDiagnostics", **options)
    )
    file = config.with_name("observed.yaml")
    file.write_text(yaml.safe_dump(settings))
    return file


def fit(config: Path, *options: str) -> CommandLine:
    return command_line("fit", [f"--config={config}", *options])


def logged(folder: Path) -> list[dict[str, float]]:
    with (folder / "metrics.csv").open() as file:
        rows = csv.DictReader(file)
        return [{k: float(v) for k, v in row.items() if v} for row in rows]


def test_every_number_of_every_layer_is_logged(config, tmp_path):
    run = fit(observed(config))
    rows = [row for row in logged(Path(run.trainer.log_dir)) if "align/recall_layer_1" in row]
    assert len(rows) == 2
    for row in rows:
        found = {name for name in row if name.startswith("align/")}
        assert found == {f"align/{what}_layer_{layer}" for what in NUMBERS for layer in range(1, 5)}
        assert row["align/collapse_layer_4"] <= 1
        assert row["align/cost_layer_4"] >= 0
        assert row["align/plan_entropy_layer_4"] <= math.log(6)


def test_numbers_equal_those_of_the_checkpoint_followed_by_hand(config, corpus, tmp_path):
    options = {"stages": ["qformer.3", "llm.2"], "languages": ["it", "nld"], "transported": 4}
    run = fit(observed(config, **options), "--trainer.max_steps=3")
    (row,) = (row for row in logged(Path(run.trainer.log_dir)) if "align/cka_layer_3" in row)
    model, _ = artifact.load(next((tmp_path / "run").rglob("step=3.ckpt")))
    states: dict[str, dict[str, torch.Tensor]] = {}
    for code in ("ita", "nld"):
        states[code] = {}
        for one in Fleurs(str(corpus)).utterances(code, "dev"):
            waveform, samples = pad_waveforms([read_audio(one)], 64_000, False)
            with torch.no_grad():
                frames = model.frames(waveform, samples, torch.tensor([language(code).row]))
                tokens = model.listen(frames).tokens.layers[3][0]
            states[code][one.sentence_id] = tokens
    names = sorted(states["ita"])
    x, y = (torch.stack([states[code][name] for name in names]) for code in ("ita", "nld"))
    cosines = cosine_similarity(x.mean(dim=1)[:, None], y.mean(dim=1)[None], dim=-1)
    hits = [cosines.argmax(dim=d) == torch.arange(5) for d in (0, 1)]
    assert row["align/recall_layer_3"] == pytest.approx(torch.stack(hits).float().mean().item())
    pooled = torch.cat([x, y]).mean(dim=1)
    unlike = [
        cosine_similarity(pooled[i], pooled[j], dim=0)
        for i, j in permutations(range(10), 2)
        if (i - j) % 5
    ]
    assert row["align/collapse_layer_3"] == pytest.approx(np.mean(unlike), rel=1e-4)
    drawn = [sentence[0].sentence_id for sentence in callback(run).chosen[:4]]
    near = sorted(names.index(name) for name in drawn)
    cost = SinkhornDivergence()(x[near], y[near])
    assert row["align/cost_layer_3"] == pytest.approx(cost.mean().item(), rel=0.01)
    assert "align/margin_llm.2" in row
    assert "align/recall_layer_1" not in row


def callback(run: CommandLine) -> AlignmentDiagnostics:
    return next(c for c in run.trainer.callbacks if isinstance(c, AlignmentDiagnostics))


def test_the_training_is_the_same_with_and_without(config, tmp_path):
    plain = fit(config)
    watched = fit(observed(config, every=2), f"--trainer.default_root_dir={tmp_path / 'other'}")
    one, other = (logged(Path(run.trainer.log_dir)) for run in (plain, watched))
    rest = [{k: v for k, v in row.items() if not k.startswith("align/")} for row in other]
    assert [row for row in rest if len(row) > 2] == [row for row in one if len(row) > 2]
    assert sum("align/cka_layer_1" in row for row in other) == 1  # of two validations, the first
    assert callback(watched).state_dict() == {"validations": 2}


def test_kept_frames_give_the_same_numbers(config, tmp_path):
    runs = [
        fit(observed(config), "--trainer.max_steps=3", f"--data.cache={cache}",
            f"--trainer.default_root_dir={tmp_path / str(at)}")
        for at, cache in enumerate(("false", tmp_path / "frames"))
    ]  # fmt: skip
    one, other = (logged(Path(run.trainer.log_dir)) for run in runs)
    for a, b in zip(one, other, strict=True):
        assert b == pytest.approx(a, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"every": 0}, "every is 0"),
        ({"sentences": 1}, "sentences 1"),
        ({"languages": ["deu"]}, "two or more of the data's languages, not deu"),
        ({"languages": ["deu", "jpn"]}, "languages, not jpn"),
        ({"languages": ["xyz", "deu"]}, "xyz"),
        ({"stages": ["qformer.7"]}, r"No stage 'qformer\.7'; this model has encoder, "),
    ],
)
def test_a_wrong_setting_is_told_before_anything_is_trained(config, tmp_path, options, told):
    with pytest.raises(UserError, match=told):
        fit(observed(config, **options))
    assert not list(tmp_path.rglob("*.ckpt"))


def test_recordings_are_the_same_in_any_batches(config, corpus):
    run = fit(config, "--trainer.max_steps=1")
    model = run.model.speech_llm.eval()
    recordings = Fleurs(str(corpus)).utterances("deu", "dev")
    alone = {one.utterance.id: one for one in collect(model, recordings, batch_size=1)}
    together = list(collect(model, recordings, tokens=["projector"], batch_size=4))
    assert {one.utterance.id for one in together} == alone.keys()
    for one in together:
        for stage, state in one.pooled.items():
            its = alone[one.utterance.id].pooled[stage]
            assert_close(state, its, atol=1e-4, rtol=1e-4)
            assert state.untyped_storage().nbytes() == state.nbytes  # no view of its batch
        assert list(one.tokens) == ["projector"]
        assert_close(one.tokens["projector"].mean(dim=0), one.pooled["projector"])
