"""Recipes name things that exist, and their cost is what one computes by hand."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.report.folders import quarter_and_eighth

from harness.commands.report import figures_command
from harness.errors import InputError
from harness.forecast.time_model import MEASURED
from harness.paths import asset
from harness.report import figures, recipes
from harness.report.against.published import published
from harness.report.cost import costs
from harness.report.experiments import loads, settings

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", recipes.names())
def test_a_recipe_names_a_figure_and_what_makes_its_data(name):
    recipe = recipes.find(name)
    assert recipe.figure in figures.names()
    assert bool(recipe.experiment) != bool(recipe.benchmark)
    if recipe.experiment:
        assert (asset("conf") / "experiment" / f"{recipe.experiment}.yaml").exists()
        for group, members in (("model", recipe.models), ("task", recipe.tasks)):
            assert members and all((asset("conf") / group / f"{member}.yaml").exists() for member in members)


def test_the_paper_grid_is_800_cells_and_1_4_million_example_runs():
    lines = costs([recipes.find("fig-grid")])
    assert len(lines) == 40 and lines["cells"].sum() == 800
    assert lines["example runs"].sum() == 8 * 20 * (4000 + 2992 + 500 + 500 + 1000)


def test_what_several_recipes_need_is_paid_once():
    once = costs([recipes.find("fig-grid")])
    assert costs([recipes.find("fig-grid"), recipes.find("fig-tradeoff")]).equals(once)


def test_bytes_are_those_that_the_methods_move():
    recipe = recipes.Recipe("x", "", "tradeoff", "fig_masked_prefill", ("llama-2-7b",), ("squad",))
    line = costs([recipe]).iloc[0]
    s = published().query("model == 'llama-2-7b' and task == 'squad'")["mean_prompt_tokens"].iloc[0]
    per_head = (2 * s * 128 + 2 * 128) + 2 * sum(2 * k * 128 + 2 * 128 for k in (192, 256, 384, 512, 768))
    assert line["KV gigabytes"] == pytest.approx(32 * 32 * per_head * 4000 * 30 * 2 / 1e9)
    assert line["prefill tokens"] == 4000 * s * (1 + 5)  # a masked prefill is one of its own


def test_a_list_of_knobs_makes_a_cell_of_each_combination():
    assert len(settings("fig_ablation")) == 1 + 4 * 2 + 4


def test_a_method_without_knobs_makes_a_cell_of_each_ratio():
    assert len(settings("fig_needle")) == 1 + 3 * 2


def test_needles_cost_a_line_for_each_length_and_move_what_their_ratios_say():
    lines = costs([recipes.find("fig-needle")]).set_index("task")
    assert list(lines.index) == [f"needle_{1024 << i}" for i in range(6)]
    (load,) = [load for load in loads("fig_needle", "llama-2-7b-32k", "needle") if load.task == "needle_8192"]
    dense = 32 * 32 * (2 * load.prompt * 128 + 2 * 128) * 2
    expected = dense * (1 + 3 / 4 + 3 / 8) * 17 * load.new / 1e9
    assert lines.loc["needle_8192", "KV gigabytes"] == pytest.approx(expected)


def test_hours_are_more_than_those_of_the_bytes_alone_at_the_device_s_bandwidth():
    lines = costs([recipes.find("fig-grid")])
    assert (lines["GPU-hours"] * 3600 * MEASURED.bandwidth > lines["KV gigabytes"] * 1e9).all()


def test_a_device_whose_memory_is_spent_on_weights_takes_the_examples_one_by_one_and_longer():
    grid = [recipes.find("fig-grid")]
    full = costs(grid, dataclasses.replace(MEASURED, memory=1e9))["GPU-hours"]
    assert (full > costs(grid)["GPU-hours"]).all()


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
    figures_command(["fig-pareto", "--results", str(tmp_path), "--models", "m", "--tasks", "squad"])
    assert (tmp_path / "figures" / "fig-pareto-m-hub.pdf").exists()
    assert "fig-pareto-m-hub.pdf" in capsys.readouterr().out


def test_a_recipe_whose_models_did_not_run_says_what_to_do(tmp_path):
    quarter_and_eighth().write(tmp_path)
    with pytest.raises(InputError, match=r"no results of llama-2-13b here: .* add --models m"):
        figures_command(["fig-tradeoff", "--results", str(tmp_path)])


def test_without_a_name_the_recipes_are_listed(capsys):
    figures_command([])
    assert len(capsys.readouterr().out.splitlines()) == len(recipes.names())


@pytest.mark.parametrize("arguments", [["fig-nothing"], ["--against", "nobody"], ["--unknown"]])
def test_a_bad_argument_is_one_sentence(arguments):
    with pytest.raises(InputError, match=r"unknown figure|invalid choice|unrecognized"):
        figures_command(arguments)
