"""COMET's files, and its command, played by a script that writes what comet-score writes."""

import stat
import sys
from pathlib import Path

import pytest

from speechalign.errors import UserError
from speechalign.evaluation.comet import Comet, export, run_comet, with_kept
from speechalign.evaluation.comparison import System, compare_systems
from speechalign.evaluation.counted import count
from speechalign.evaluation.predictions import Prediction
from speechalign.evaluation.presets import Convention
from speechalign.evaluation.scoring import summarize

ROWS = [
    Prediction("a", "1", "deu", "eng", "", 1.0, "one\ntwo", "Eins, zwei", "one two", "Eins zwei."),
    Prediction("b", "2", "deu", "eng", "", 1.0, "", None, "three", "Drei."),
    Prediction("c", "2", "deu", "deu", "", 1.0, "drei", None, "Drei.", "Drei."),
    Prediction("d", "2", "fra", "eng", "", 1.0, "three", None, "three", None),
]
# what comet/cli/score.py of COMET 2 writes: {file of translations: [{src, mt, ref, COMET}]}
SCRIPT = """#!{python}
import argparse, json, sys
parser = argparse.ArgumentParser()
for short, name in (("-s", "--sources"), ("-t", "--translations"), ("-r", "--references")):
    parser.add_argument(short, name)
parser.add_argument("--to_json")
parser.add_argument("--model")
parser.add_argument("--quiet", action="store_true")
parser.add_argument("--gpus", type=int)
parser.add_argument("--batch_size", type=int)
told = parser.parse_args()
lines = open(told.translations, encoding="utf-8").read().splitlines()
if "kiwi" not in told.model and not told.references:
    sys.exit(told.model + " requires -r/--references")
rows = [dict(mt=line, COMET=len(line) / 10) for line in lines]
json.dump({{told.translations: rows}}, open(told.to_json, "w"))
"""


@pytest.fixture
def command(tmp_path):
    file = tmp_path / "comet-score"
    file.write_text(SCRIPT.format(python=sys.executable))
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return str(file)


def lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").split("\n")[:-1]


def test_files_have_a_line_a_recording(tmp_path):
    written = export(count(ROWS), tmp_path)
    assert set(written) == {"deu-eng"}  # no transcripts, and nothing without a source text
    assert lines(tmp_path / "deu-eng.src") == ["Eins zwei.", "Drei."]
    assert lines(tmp_path / "deu-eng.mt") == ["one two", ""]
    assert lines(tmp_path / "deu-eng.ref") == ["one two", "three"]


def test_what_was_recognised_may_be_the_source(tmp_path):
    heard = [ROWS[0], ROWS[1]._replace(transcript="Drei")]
    export(count(heard), tmp_path, "recognised")
    assert lines(tmp_path / "deu-eng.src") == ["Eins, zwei", "Drei"]
    assert export(count(ROWS), tmp_path, "recognised") == {}
    with pytest.raises(UserError, match="no recognised of what is said"):
        run_comet(Comet("x", source="recognised"), {})


@pytest.mark.parametrize(
    ("model", "referenced"),
    [("Unbabel/wmt22-comet-da", "yes"), ("Unbabel/wmt22-cometkiwi-da", "no")],
)
def test_the_command_is_run(command, tmp_path, model, referenced):
    parts = count(ROWS)
    run_comet(Comet(command, model), export(parts, tmp_path))
    told = summarize(with_kept(parts, tmp_path), Convention(), {})["pairs"]
    found = told["deu-eng"]["scores"]["comet"]
    assert found["value"] == pytest.approx(100 * (0.7 + 0) / 2)
    assert found["low"] <= 0.1
    assert found["high"] == pytest.approx(70)  # one of the two sentences again and again
    assert found["signature"] == f"model:{model}|src:transcript|ref:{referenced}"
    assert all("comet" not in told[pair]["scores"] for pair in ("deu-deu", "fra-eng"))


def test_scores_stay_as_long_as_the_texts_do(command, tmp_path):
    run_comet(Comet(command), export(count(ROWS), tmp_path))
    again = count([row._replace(failure="truncated") for row in ROWS])
    assert set(export(again, tmp_path)) == {"deu-eng"}
    kept = next(part for part in with_kept(again, tmp_path) if part.pair == ("deu", "eng"))
    assert kept.counts["comet"].tolist() == [[pytest.approx(70), 1], [0, 1]]
    assert kept.strict["comet"].tolist() == [[0, 1], [0, 1]]  # both failed
    other = count([ROWS[0]._replace(prediction="one"), *ROWS[1:]])
    export(other, tmp_path)
    assert all("comet" not in part.counts for part in with_kept(other, tmp_path))
    (tmp_path / "deu-eng.scores").write_text("{}")
    with pytest.raises(UserError, match="does not hold COMET's scores"):
        with_kept(count(ROWS), tmp_path)
    export(count(ROWS[2:]), tmp_path)
    assert list(tmp_path.iterdir()) == [Path(command)]  # nothing from German to English now


def test_scores_stay_beside_source_texts_of_another_kind(command, tmp_path):
    parts = count(ROWS)
    run_comet(Comet(command), export(parts, tmp_path))
    assert export(parts, tmp_path, "recognised") == {}  # not all of it was recognised
    assert not (tmp_path / "deu-eng.mt").exists()
    kept = with_kept(parts, tmp_path)
    assert ["comet" in part.counts for part in kept] == [False, True, False]


def test_systems_scored_by_different_models_are_not_compared(command, tmp_path):
    parts = count(ROWS)
    systems = []
    for model in ("Unbabel/wmt22-comet-da", "Unbabel/wmt22-cometkiwi-da"):
        run_comet(Comet(command, model), export(parts, tmp_path / model))
        systems.append(System(model, [with_kept(parts, tmp_path / model)]))
    for other, compared in ((systems[1], False), (systems[0], True)):
        (told,) = compare_systems([systems[0], other], {"all": ["deu"]}, draws=20)
        assert ("comet" in told["pairs"]["deu-eng"]) == compared
        assert ("comet" in told["averages"]["all"]) == compared


def test_what_fails_is_one_line(command, tmp_path):
    written = export(count(ROWS), tmp_path)
    with pytest.raises(UserError, match="cannot be run"):
        run_comet(Comet(str(tmp_path / "none")), written)
    text = Path(command).read_text()
    Path(command).write_text(
        text.replace("rows = [", "sys.exit('no model of that name'); rows = [")
    )
    with pytest.raises(UserError, match="failed on deu-eng: no model of that name"):
        run_comet(Comet(command), written)
    Path(command).write_text(text.replace("COMET=", "KOMET="))
    with pytest.raises(UserError, match="does not hold COMET's scores"):
        run_comet(Comet(command), written)
    Path(command).write_text(text.replace("in lines]", "in lines[:1]]"))
    with pytest.raises(UserError, match="1 score for 2 translations"):
        run_comet(Comet(command), written)
