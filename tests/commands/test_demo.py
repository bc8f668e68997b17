"""`speechalign demo` in a short setting: it runs to the end and reports what it measured."""

import json

from speechalign.cli import main


def test_a_short_demo_reports(tmp_path, capsys):
    assert main(["demo", "--steps", "3", "--output", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert set(report["bleu"]) == {"deu", "fra", "ita", "spa", "swe", "nld", "por", "nob"}
    assert all(count >= 150 for count in report["recordings"].values())
    assert report["signature"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp")
    assert set(report["seconds"]) == {"clips", "train", "evaluate"}
    trained = [report["bleu"][code] for code in report["trained_languages"]]
    assert abs(report["trained"] - sum(trained) / 5) < 1e-9
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    told = capsys.readouterr().out
    assert "German" in told
    assert "zero-shot mean" in told
