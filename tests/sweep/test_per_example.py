"""Knobs may be solved for each example at its own length: then every example is at the ratio, not only their mean."""

import json

import pandas as pd
import pytest
from compare_tables import tables
from support.sweeps import only_run

from harness import methods
from harness.__main__ import main
from harness.attention import LayerShape
from harness.errors import InputError
from harness.methods.cell import Cell
from harness.sweep.plan import make_plan
from harness.sweep.solving import PerExample, PerTask

PER_EXAMPLE = "budget.per=example"
LAYERS = (LayerShape(2, 16),) * 2
"""Those of the tiny model."""


def rows_of(results):
    return pd.read_parquet(only_run(results) / "rows.parquet")


def test_every_example_is_at_the_ratio_with_the_largest_knobs_that_keep_to_it(sweep, tmp_path):
    assert sweep(PER_EXAMPLE).code == 0
    rows = rows_of(tmp_path / "results")
    compressed = rows[rows["method"] != "dense"]
    assert dict(zip(rows["method"], rows["per"], strict=True)) == {"dense": "", "sparq": "example", "h2o": "example"}
    for row in compressed.itertuples():
        knobs, n = json.loads(row.knobs), round(row.prompt_tokens)
        dense = methods.create("dense").transfers(n, 16)
        assert row.compression == pytest.approx(dense / methods.create(row.method, **knobs).transfers(n, 16))
        more = methods.create(row.method, **{**knobs, "k": knobs["k"] + 1})
        assert dense / more.transfers(n, 16) < row.ratio <= row.compression
    assert compressed.groupby("cell")["knobs"].nunique().max() > 1


def test_the_table_tells_least_and_greatest_knobs_and_that_they_are_per_example(sweep, tmp_path):
    assert sweep(PER_EXAMPLE, "methods=[dense,h2o]").code == 0
    rows = rows_of(tmp_path / "results")
    table = pd.read_csv(only_run(tmp_path / "results") / "summary.csv").set_index(["method", "ratio"])
    for ratio in (2, 4):
        used = [json.loads(knobs)["k"] for knobs in rows[(rows["method"] == "h2o") & (rows["ratio"] == ratio)]["knobs"]]
        line = table.loc["h2o", ratio]
        assert (json.loads(line["params"])["k"], line["per"]) == ([min(used), max(used)], "example")


def test_an_output_is_that_of_the_same_knobs_given_by_hand(sweep, tmp_path):
    assert sweep(PER_EXAMPLE, "methods=[dense,h2o]", "ratios=[4]").code == 0
    rows = rows_of(tmp_path / "results").set_index(["example", "method"])
    for example, row in rows[rows["per"] == "example"].iterrows():
        by_hand = tmp_path / "by_hand" / example[0]
        k = json.loads(row["knobs"])["k"]
        assert sweep("methods=[dense,h2o]", f"method.h2o.k={k}", results=by_hand).code == 0
        assert rows_of(by_hand).set_index(["example", "method"]).loc[example, "value"] == pytest.approx(
            row["value"], 1e-5
        )


def test_cells_of_both_kinds_live_in_one_folder_and_in_its_tables(sweep, tmp_path):
    assert sweep("methods=[dense,h2o]").code == sweep("methods=[dense,h2o]", PER_EXAMPLE).code == 0
    rows = rows_of(tmp_path / "results")
    assert {(row.per, row.ratio) for row in rows[rows["method"] == "h2o"].itertuples()} == {
        (per, ratio) for per in ("task", "example") for ratio in (2, 4)
    }


def test_where_all_knobs_are_given_no_ratio_and_no_place_of_solving_is_told(sweep, tmp_path):
    assert sweep("methods=[sparq]", "method.sparq.r=[2,5]", "method.sparq.k=8").code == 0
    table = pd.read_csv(only_run(tmp_path / "results") / "summary.csv")
    assert table[["ratio", "per"]].isna().all(axis=None) and (table["dtype"] == "float32").all()
    assert main(["report", str(tmp_path / "results")]) == 0


def test_a_run_that_lost_half_of_its_outputs_gives_the_same_tables(sweep, tmp_path):
    assert sweep(PER_EXAMPLE).code == 0
    outputs, whole = only_run(tmp_path / "results") / "outputs.jsonl", tables(tmp_path / "results")
    outputs.write_text("".join(outputs.read_text().splitlines(keepends=True)[::2]))
    assert sweep(PER_EXAMPLE).code == 0
    assert tables(tmp_path / "results") == whole


def test_a_ratio_that_one_prompt_cannot_reach_is_skipped_with_that_prompt():
    plan = make_plan(["dense", "h2o", "window"], {}, [2, 8], PerExample(LAYERS, {500, 20, 1000}))
    assert [(cell.name, cell.ratio) for cell in plan.cells] == [("dense", 1), ("h2o", 2), ("window", 2), ("window", 8)]
    (skip,) = plan.skipped
    assert (skip.ratio, "at 20 tokens" in skip.reason, "budget.per=example" in skip.reason) == (8, True, True)


def test_a_cell_is_named_by_its_ratio_and_given_knobs_whatever_the_examples():
    def cell(lengths, ratio=4, **fixed):
        (found,) = make_plan(["sparq"], {"sparq": fixed}, [ratio], PerExample(LAYERS, lengths)).cells
        return found

    assert cell({500}).id == cell({500, 1000}).id == Cell.from_record(cell({9000}).record, LAYERS).id
    (task,) = make_plan(["sparq"], {}, [4], PerTask(LAYERS, 500)).cells
    ids = {cell({500}).id, cell({500}, 5).id, cell({500}, k=64).id, cell({500}, local=0).id, task.id}
    assert len(ids) == 5
    assert Cell.from_record(task.record, LAYERS) == task


def test_a_record_of_an_unknown_method_or_knob_makes_no_cell():
    record = Cell.per_example("sparq", {"k": 64}, 4, LAYERS).record
    for change in ({"method": "gone"}, {"params": '{"gone": 1}'}):
        with pytest.raises(InputError, match="gone"):
            Cell.from_record(record | change, LAYERS)
