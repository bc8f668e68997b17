"""What README and RESULTS.md tell of the experiments is what their answers give."""

import re
from pathlib import Path

import pytest

from recipes.micro.experiments.__main__ import main

ROOT = Path(__file__).parents[2]
GRIDS = ROOT / "recipes" / "micro" / "experiments"
RESULTS = (ROOT / "recipes" / "micro" / "RESULTS.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
HEAD = "| | baseline | + bias | + OT | + bias + OT |\n|---|---|---|---|---|\n"
COLUMNS = {"trained": (3, 4), "zero-shot": (5, 6), "Recall@1": (7, None)}


def cells(line):
    return [cell.strip() for cell in line.split("|")]


@pytest.mark.parametrize("grid", ["confirm", "spelling"])
def test_a_grid_gives_the_table_of_its_answers(grid, capsys):
    main([str(GRIDS / f"{grid}.yaml"), "--table"])
    assert capsys.readouterr().out.strip() in RESULTS


@pytest.mark.parametrize(("number", "title"), [
    (0, "The paper's ablation"), (1, "Few sentences"), (2, "On fresh seeds"),
    (3, "An encoder that only spells"),
])  # fmt: skip
def test_the_readme_has_the_numbers_of_the_results(number, title):
    told = README.split(HEAD)[number + 1].split("\n\n")[0].splitlines()
    section = RESULTS.split(f"## {title}\n")[1].split("\n## ")[0]
    lines = [cells(line) for line in section.splitlines() if line.startswith("| ")]
    rows = {line[1]: line for line in lines if line[2].isdigit()}  # of so many seeds
    settings = cells(HEAD.splitlines()[0])[2:-1]
    assert {cells(line)[1] for line in told} == set(COLUMNS)
    for line in told:
        _, kind, *found, _ = cells(line)
        level, difference = COLUMNS[kind]
        for setting, cell in zip(settings, found, strict=True):
            expected = rows[setting][level]
            if difference is not None and setting != "baseline":
                expected += f" ({rows[setting][difference]})"
            assert re.sub(r"\s+", " ", cell) == expected
