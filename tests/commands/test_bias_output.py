"""The folder of a pack: shared by calls that fill it, and tried before the work."""

import pytest
import torch

from speechalign.cli import main
from speechalign.commands import bias_estimation, bias_output
from speechalign.errors import UserError
from speechalign.models.bias_pack import load_pack
from tests.data.conftest import Clip, write_fleurs


@pytest.fixture
def corpus(tmp_path):
    for locale in ("de_de", "fr_fr"):
        clips = [Clip(n, f"{locale} {n}.", 0.2 + 0.05 * n) for n in range(3)]
        write_fleurs(tmp_path / "fleurs", locale, "train", clips)
    return str(tmp_path / "fleurs")


def meanwhile(monkeypatch, *arguments: str) -> None:
    """Let another call begin and end while the first one is at its first language."""
    estimated = bias_estimation.estimated

    def slow(*given):
        monkeypatch.setattr(bias_estimation, "estimated", estimated)
        assert main(["estimate-bias", *arguments]) == 0
        return estimated(*given)

    monkeypatch.setattr(bias_estimation, "estimated", slow)


def test_two_calls_fill_one_pack(corpus, tmp_path, monkeypatch):
    given = ["--output", str(tmp_path / "pack")]
    meanwhile(monkeypatch, corpus, "--languages=fra", *given)
    assert main(["estimate-bias", corpus, "--languages=deu", *given]) == 0
    both = load_pack(tmp_path / "pack")
    assert {c: told.utterances for c, told in both.centroids.items()} == {"deu": 3, "fra": 3}
    assert main(["estimate-bias", corpus, "--output", str(tmp_path / "one")]) == 0
    assert torch.allclose(both.scatter, load_pack(tmp_path / "one").scatter)


def test_two_calls_for_one_language_count_it_once(corpus, tmp_path, monkeypatch):
    given = [corpus, "--languages=deu", "--output", str(tmp_path / "pack")]
    meanwhile(monkeypatch, *given)
    assert main(["estimate-bias", *given]) == 0
    assert load_pack(tmp_path / "pack").centroids["deu"].utterances == 3


def test_what_another_call_wrote_of_other_recordings_stays(corpus, tmp_path, monkeypatch, capsys):
    given = [corpus, "--languages=deu", "--output", str(tmp_path / "pack")]
    meanwhile(monkeypatch, *given, "--limit=2")
    assert main(["estimate-bias", *given]) == 2
    assert "has deu from other recordings" in capsys.readouterr().err
    assert load_pack(tmp_path / "pack").centroids["deu"].utterances == 2


@pytest.mark.parametrize("place", ["file", "file/pack"])
def test_a_folder_that_cannot_be_is_told_before_the_work(
    corpus, tmp_path, monkeypatch, capsys, place
):
    (tmp_path / "file").write_text("")
    output = ["--output", str(tmp_path / place)]
    monkeypatch.setattr(bias_estimation, "estimated", None)  # nothing is estimated
    assert main(["estimate-bias", corpus, *output]) == 2
    monkeypatch.undo()
    assert main(["estimate-bias", corpus, "--output", str(tmp_path / "pack")]) == 0
    assert main(["estimate-bias", "merge", str(tmp_path / "pack"), *output]) == 2
    told = [row for row in capsys.readouterr().err.splitlines() if row.startswith("speechalign")]
    assert len(told) == 2
    for line in told:
        assert f"{place}: cannot be written" in line


def test_a_folder_that_another_call_holds_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(bias_output, "PATIENCE", 0.1)
    with (
        bias_output.held(tmp_path),
        pytest.raises(UserError, match="another call is writing"),
        bias_output.held(tmp_path),
    ):
        pass
    with bias_output.held(tmp_path):  # it was let go
        pass
