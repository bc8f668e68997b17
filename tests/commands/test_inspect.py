"""`speechalign inspect` writes one page that holds all it shows, and names faults in a line."""

import json
import re
from pathlib import Path

import pytest

from speechalign.assets import resolve
from speechalign.assets.templates import filled
from speechalign.cli import main
from speechalign.commands.inspect_pair import TEMPLATE

CLIPS = Path(resolve("assets:micro/clips"))
DEU, FRA = str(CLIPS / "deu.ogg"), str(CLIPS / "fra.ogg")


def shown(text: str):
    (data,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', text, re.S)
    return json.loads(data)


def test_a_page_is_written(tmp_path, capsys):
    file = tmp_path / "page.html"
    assert main(["inspect", DEU, FRA, "--from", "deu,fr", "--output", str(file)]) == 0
    text = file.read_text(encoding="utf-8")
    view = shown(text)
    assert [side["language"] for side in view["sides"]] == ["German", "French"]
    assert len(view["layers"]) == 3
    assert not re.search(r"(src|href|url)\s*[=(]|https?:", text)  # it opens offline
    told = capsys.readouterr().out
    assert told.count("divergence") == 3
    assert str(file) in told


def test_names_cannot_end_the_script():
    told = {"checkpoint": "</script><script>alert(1)</script><!--"}
    text = filled(TEMPLATE, told)
    assert text.count("</script>") == 2
    assert shown(text) == told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([DEU], "compared, not 1"),
        ([DEU, FRA, DEU], "compared, not 3"),
        ([DEU, FRA, "--epsilon=1e39"], "1000 at most"),
        ([DEU, "none.wav"], "'none.wav' does not exist"),
        ([DEU, FRA, "--from=deu"], "--from is 'deu'"),
        ([DEU, FRA, "--from=deu,xyz"], "xyz"),
        ([DEU, FRA, "--epsilon=0"], "epsilon is 0"),
        ([DEU, FRA, "--output=/dev/null/page.html"], "/dev/null"),
    ],
)
def test_faults_are_one_line(arguments, told, capsys):
    assert main(["inspect", *arguments]) == 2
    assert told in capsys.readouterr().err.splitlines()[-1]
