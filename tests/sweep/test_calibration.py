"""What a method learnt from is a part of its cell's name: runs that learnt from other prompts are never mixed."""

import json

import pandas as pd
import pytest
from support.sweeps import only_run

from harness.attention import LayerShape
from harness.engine import CalibratingPrompts
from harness.methods import create
from harness.methods.cell import Cell

LAYERS = (LayerShape(1, 64),) * 3
SOME, OTHER = (CalibratingPrompts(((1, 2, 3), (4, 5), last)) for last in ((6,), (7,)))
LEARNING = (
    "methods=[dense,double_sparsity]",
    "method.double_sparsity.dense_layers=0",
    "method.double_sparsity.channels=qk",
)


def learning(prompts=3):
    return Cell.of("double_sparsity", create("double_sparsity", r=8, k=16, channels="qk", calibration_prompts=prompts))


def summary(results):
    return pd.read_csv(only_run(results) / "summary.csv")


def outputs(results):
    files = only_run(results).glob("outputs*.jsonl")
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def test_the_prompts_that_a_cell_learnt_from_are_in_its_name():
    named = {cell.calibrated(of.name, 100).id for of in (SOME, OTHER) for cell in (learning(), learning(2))}
    assert len(named) == 3, "the first two prompts are the same"
    assert learning().id not in named


def test_a_cell_that_learns_nothing_is_called_as_ever():
    cell = Cell.of("sparq", create("sparq", r=8))
    assert cell.calibrated(SOME.name, 100) is cell
    assert (cell.id, cell.params_at([100])) == ("sparq-ee87ae91", cell.params)
    assert set(cell.record) == {"method", "params", "ratio", "per"}


def test_a_budget_per_example_learns_too():
    solved = Cell.per_example("double_sparsity", {"channels": "q", "dense_layers": 0}, 4.0, LAYERS)
    named = solved.calibrated(SOME.name, 500)
    assert named.id != solved.id
    assert json.loads(named.params_at([300, 500]))["calibrated"] == SOME.name(8)
    assert {named.method_at(n).calibrator for n in (300, 500)} == {solved.method_at(400).calibrator}


@pytest.mark.parametrize(
    "cell", [learning(), Cell.per_example("double_sparsity", {"channels": "k", "dense_layers": 0}, 2.0, LAYERS)]
)
def test_a_cell_is_made_again_from_its_record_with_what_it_learnt_from(cell):
    named = cell.calibrated(SOME.name, 500)
    assert Cell.from_record(json.loads(json.dumps(named.record)), LAYERS) == named


def test_a_table_says_what_a_cell_learnt_from_and_a_limit_changes_it_as_little_as_shards_do(sweep, tmp_path):
    assert sweep(*LEARNING, "limit=2").code == 0
    few = summary(tmp_path / "results")
    assert sweep(*LEARNING, "limit=4", "shards=2", "shard=0", results="shared").code == 0
    assert sweep(*LEARNING, "limit=4", "shards=2", "shard=1", results="shared").code == 0
    many = summary(tmp_path / "shared")
    assert set(few["cell"]) == set(many["cell"])
    learnt = [json.loads(params).get("calibrated") for params in few.loc[few["method"] != "dense", "params"]]
    assert len(set(learnt)) == 1 and learnt[0].startswith("8 prompts ")


def test_shards_compute_what_one_process_does(sweep, tmp_path):
    assert sweep(*LEARNING).code == 0
    for shard in (0, 1):
        assert sweep(*LEARNING, "shards=2", f"shard={shard}", results="shared").code == 0
    one, two = (
        {(line["unit"], line["cell"]): (line["tokens"], line["nll"]) for line in outputs(tmp_path / results)}
        for results in ("results", "shared")
    )
    assert one == two


def test_a_run_goes_on_with_what_was_learnt_from_the_same_prompts_alone(sweep, tmp_path):
    assert sweep(*LEARNING).code == 0
    assert sweep(*LEARNING).prefilled == []
    before = len(outputs(tmp_path / "results"))
    assert sweep(*LEARNING, "method.double_sparsity.calibration_prompts=3").code == 0
    table = summary(tmp_path / "results")
    named = {json.loads(params).get("calibrated", "")[:9] for params in table["params"]}
    assert named == {"", "8 prompts", "3 prompts"}
    assert len(outputs(tmp_path / "results")) == before * 5 // 3


def test_knobs_that_are_solved_for_each_example_start_from_one_calibration(sweep, tmp_path):
    assert sweep(*LEARNING, "budget.per=example", "limit=3").code == 0
    table = summary(tmp_path / "results")
    learnt = {params.get("calibrated") for params in map(json.loads, table["params"])}
    assert set(table["per"].dropna()) == {"example"}
    assert len(learnt) == 2 and None in learnt
