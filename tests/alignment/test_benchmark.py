import sys

from recipes.benchmarks import solver

SMALL = ["--width", "5", "--repeats", "2", "--threads", "1"]


def test_the_benchmark_prints_a_line_per_solver(monkeypatch, capsys):
    """Times are not asserted: they depend on what else the machine does."""
    sizes = ["--pairs", "2", "--tokens", "6"]
    monkeypatch.setattr(sys, "argv", ["solver", *sizes, *SMALL])
    solver.main()
    lines = capsys.readouterr().out.splitlines()
    for name in ("speechalign", "geomloss", "geomloss, one by one", "POT", "POT, one by one"):
        rows = [line for line in lines if line.startswith(name)]
        assert len(rows) >= 2
        assert all(float(row.split()[-1]) > 0.8 for row in rows)


def test_the_grid_is_printed_and_drawn(monkeypatch, capsys, tmp_path):
    plot = tmp_path / "grid.png"
    monkeypatch.setattr(sys, "argv", ["solver", "--plot", str(plot), *SMALL])
    solver.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["pairs", "tokens", "layers"]
    assert plot.read_bytes().startswith(b"\x89PNG")
