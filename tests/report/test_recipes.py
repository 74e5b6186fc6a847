"""Recipes name things that exist, and draw under their own names."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.report.folders import quarter_and_eighth

from harness.__main__ import main
from harness.commands.compose import choices
from harness.report import figures, recipes

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", recipes.names())
def test_a_recipe_names_a_figure_and_what_makes_its_data(name):
    recipe = recipes.find(name)
    assert recipe.figure in figures.names()
    assert bool(recipe.experiment) != bool(recipe.benchmark)
    if recipe.experiment:
        assert recipe.experiment in choices("experiment")
        for group, members in (("model", recipe.models), ("task", recipe.tasks)):
            assert members and set(members) <= set(choices(group))


def test_an_experiment_is_run_once_into_a_folder_of_its_own():
    lines = recipes.commands([recipes.find("fig-tradeoff"), recipes.find("fig-length")], Path("results"))
    (run,) = [line for line in lines if line.startswith("harness run")]
    assert "experiment=paper_grid" in run and "results=results/paper_grid" in run
    assert "harness figures fig-length --out results/figures --results results/paper_grid --against published" in lines


def test_the_script_s_dry_run_prints_commands_and_cost():
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = [ROOT / "scripts" / "reproduce_paper.sh", "--dry-run", "fig-tradeoff"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PATH": path}, check=True)
    assert "harness run -m experiment=paper_grid" in done.stdout and "GPU-hours" in done.stdout


def test_a_figure_is_drawn_by_its_recipe_s_name(tmp_path, capsys):
    quarter_and_eighth().write(tmp_path)
    assert main(["figures", "fig-pareto", "--results", str(tmp_path), "--models", "m", "--tasks", "squad"]) == 0
    assert (tmp_path / "figures" / "fig-pareto-m-hub.pdf").exists()
    assert "fig-pareto-m-hub.pdf" in capsys.readouterr().out


def test_a_recipe_whose_models_did_not_run_says_what_to_do(tmp_path, capsys):
    quarter_and_eighth().write(tmp_path)
    assert main(["figures", "fig-tradeoff", "--results", str(tmp_path)]) == 2
    assert re.search(r"no results of llama-2-13b here: .* add --models m", capsys.readouterr().err)


def test_without_a_name_the_recipes_are_listed(capsys):
    assert main(["figures"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(recipes.names())


@pytest.mark.parametrize("arguments", [["fig-nothing"], ["--against", "nobody"]])
def test_a_bad_argument_is_one_sentence(arguments, capsys):
    assert main(["figures", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(r"harness: .*(unknown figure|invalid choice)", line)
