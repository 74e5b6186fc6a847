"""What reproducing figures costs is what one computes by hand from the published sizes."""

import dataclasses

import pytest

from harness.commands.compose import model_spec
from harness.commands.recipe_cost import costs, published_model
from harness.forecast.device import MEASURED
from harness.hf import find
from harness.report import recipes
from harness.report.against.published import published, shapes
from harness.sweep.batch_tokens import transformer_of

TIED = {"gemma-7b"}
"""Models whose table of embeddings is their last matrix too."""


def recipe(experiment, tasks, model="llama-2-7b"):
    return recipes.Recipe("x", "", "tradeoff", experiment, (model,), tasks)


@pytest.fixture(scope="module")
def grid():
    """The costs of the paper's grid."""
    return costs([recipes.find("fig-grid")])


def test_the_paper_grid_is_800_cells_and_1_4_million_example_runs(grid):
    assert len(grid) == 40 and grid["cells"].sum() == 800
    assert grid["example runs"].sum() == 8 * 20 * (4000 + 2992 + 500 + 500 + 1000)


def test_hours_are_more_than_those_of_the_bytes_alone_at_the_device_s_bandwidth(grid):
    assert (grid["GPU-hours"] * 3600 * MEASURED.bandwidth > grid["KV gigabytes"] * 1e9).all()


def test_what_several_recipes_need_is_paid_once():
    one = recipe("paper_grid", ("squad",))
    assert costs([one, dataclasses.replace(one, name="y")]).equals(costs([one]))


def test_bytes_and_prefills_are_those_of_the_methods():
    line = costs([recipe("fig_masked_prefill", ("squad",))]).iloc[0]
    s = published().query("model == 'llama-2-7b' and task == 'squad'")["mean_prompt_tokens"].iloc[0]
    per_head = (2 * s * 128 + 2 * 128) + 2 * sum(2 * k * 128 + 2 * 128 for k in (192, 256, 384, 512, 768))
    steps = 30 - 1  # the first token is the prefill's
    assert line["KV gigabytes"] == pytest.approx(32 * 32 * per_head * 4000 * steps * 2 / 1e9)
    assert line["prefill tokens"] == 4000 * s * (1 + 5)  # a masked prefill is one of its own


def test_a_list_of_knobs_makes_a_cell_of_each_combination():
    assert costs([recipe("fig_ablation", ("squad",))]).iloc[0]["cells"] == 1 + 4 * 2 + 4


def test_needles_cost_a_line_for_each_length_and_move_what_their_ratios_say():
    lines = costs([recipes.find("fig-needle")]).set_index("task")
    assert list(lines.index) == [f"needle_{1024 << i}" for i in range(6)]
    assert set(lines["cells"]) == {1 + 3 * 2}
    dense = 32 * 32 * (2 * (8192 - 96) * 128 + 2 * 128) * 2
    expected = dense * (1 + 3 / 4 + 3 / 8) * 17 * (64 - 1) / 1e9
    assert lines.loc["needle_8192", "KV gigabytes"] == pytest.approx(expected, rel=0.01)  # k is a whole number


def test_a_device_whose_memory_is_spent_on_weights_takes_the_examples_one_by_one_and_longer():
    one = [recipe("paper_grid", ("squad",))]
    full = costs(one, dataclasses.replace(MEASURED, memory=1e9))
    assert (full["GPU-hours"] > costs(one)["GPU-hours"]).all()


@pytest.mark.parametrize("name", shapes().index)
def test_the_widths_of_the_paper_s_models_make_up_their_published_parameters(name):
    model = published_model(name)
    table = 0 if name in TIED else model.hidden * model.vocabulary
    assert model.parameters + table == pytest.approx(shapes().loc[name, "parameters"], rel=0.005)


def test_a_model_of_the_paper_is_the_one_that_a_plan_reads_from_its_configuration():
    read = transformer_of(find(model_spec("llama-3-8b-shape")))
    assert dataclasses.replace(read, layers=list(read.layers)) == published_model("llama-3-8b")
