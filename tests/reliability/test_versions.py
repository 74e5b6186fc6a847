"""A run that another version began goes on: nothing is computed again, and its tables are those of today."""

import json

import pandas as pd
import pytest
from compare_tables import tables
from support.sweeps import sweep_job

from harness.store.store import Store
from harness.sweep.outcome import read_outcome
from harness.sweep.prepare import prepare


def rewrite_lines(file, change):
    """Change each line of a file of JSON lines."""
    file.write_text("".join(json.dumps(change(json.loads(line))) + "\n" for line in file.read_text().splitlines()))


def older(folder):
    """Take away what came after the first version: fields of outputs, columns, and all of a cell but its knobs."""
    rewrite_lines(folder / "outputs.jsonl", lambda line: {k: v for k, v in line.items() if k not in LATER})
    info = json.loads((folder / "run.json").read_text())
    cells = {name: record["params"] for name, record in info["cells"].items()}
    (folder / "run.json").write_text(json.dumps({"key": info["key"], "cells": cells, "config": info["config"]}))
    file = folder / "summary.csv"
    pd.read_csv(file).drop(columns=["delta_nll", "seconds"]).to_csv(file, index=False)


def newer(folder):
    """Add what a later version may write."""
    rewrite_lines(folder / "outputs.jsonl", lambda line: line | {"kl_to_dense": [0.5]})
    info = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(info | {"added": {"deep": 1}}))
    file = folder / "summary.csv"
    pd.read_csv(file).assign(kl_to_dense=0.5).to_csv(file, index=False)


LATER = ("shared_seconds", "launch", "batch")


@pytest.mark.parametrize("version", [older, newer])
def test_a_run_of_another_version_goes_on_without_computing_anything_again(
    sweep, reference, finished, tmp_path, version
):
    version(finished)
    code, _, prefilled = sweep()
    assert (code, prefilled) == (0, [])
    assert tables(tmp_path / "results") == reference


@pytest.mark.parametrize("version", [older, newer])
def test_a_run_of_another_version_stays_in_the_table_of_all_runs(sweep, finished, tmp_path, version):
    version(finished)
    assert sweep("task.arguments.prefix=200", "limit=1").code == 0
    assert pd.read_csv(tmp_path / "results" / "summary.csv")["run"].nunique() == 2


def test_cells_whose_method_or_knobs_are_others_now_are_named_and_the_rest_is_scored(tiny, finished):
    prepared = prepare(sweep_job(tiny, finished.parent))
    gone = {"method": "gone", "params": "{}", "ratio": 2}
    with_fewer_knobs = {"method": "h2o", "params": '{"k": 37}', "ratio": 4}
    with Store(finished, prepared.identity.key) as store:
        store.amend({"cells": store.cells() | {"gone-1": gone, "h2o-1": with_fewer_knobs}})
        outcome = read_outcome(prepared, store)
    assert sorted(outcome.outdated) == ["gone-1", "h2o-1"]
    assert [cell.id for cell in outcome.cells] == [cell.id for cell in prepared.plan.cells]
