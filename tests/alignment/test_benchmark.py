import sys

from recipes.benchmarks import solver


def test_the_benchmark_prints_a_line_per_solver(monkeypatch, capsys):
    """Times are not asserted: they depend on what else the machine does."""
    sizes = ["--pairs", "2", "--tokens", "6", "--width", "5", "--repeats", "2"]
    monkeypatch.setattr(sys, "argv", ["solver", *sizes])
    solver.main()
    lines = capsys.readouterr().out.splitlines()
    for name in ("speechalign", "geomloss", "POT"):
        rows = [line for line in lines if line.startswith(name)]
        assert len(rows) >= 2
        assert all(float(row.split()[-1]) > 0.8 for row in rows)
