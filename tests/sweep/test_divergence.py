"""A sweep that is asked for divergence has its columns, in a folder of its own; all else is as without."""

import json

import pandas as pd
import pytest
from compare_tables import tables
from support.sweeps import only_run, sweep_job

from harness.sweep.prepare import prepare

COLUMNS = ["kl", "agreement", "lost", "accepted_2", "accepted_4", "accepted_8"]
METHODS = ("methods=[dense,sparq,lorc]", "ratios=[4]")


def outputs(folder):
    lines = [json.loads(line) for line in (folder / "outputs.jsonl").read_text().splitlines()]
    return {(line["unit"], line["cell"]): line for line in lines}


@pytest.fixture
def both(sweep, tmp_path):
    """The folders of the same run without and with divergence."""
    assert sweep(*METHODS).code == 0
    without = only_run(tmp_path / "results")
    assert sweep(*METHODS, "divergence=true").code == 0
    (asked,) = (folder for folder in (tmp_path / "results").glob("custom-*") if folder != without)
    return without, asked


def test_the_columns_say_how_far_each_cell_is_from_dense(both):
    _, asked = both
    rows, summary = pd.read_parquet(asked / "rows.parquet"), pd.read_csv(asked / "summary.csv").set_index("method")
    assert rows[["kl", "agreement", "lost"]].notna().all(axis=None)
    dense = rows[rows["method"] == "dense"]
    assert (dense[COLUMNS] == [0, 1, 0, 2, 4, 8]).all(axis=None)
    for method in ("sparq", "lorc"):
        mine = rows[rows["method"] == method]
        assert (mine["kl"] > 1e-6).all() and mine["agreement"].between(0, 1).all()
        assert (mine["accepted_2"] <= 2).all() and (mine["accepted_8"] <= 8).all()
        assert summary.loc[method, COLUMNS].tolist() == pytest.approx(mine[COLUMNS].mean().tolist())


def test_nothing_else_changes_and_without_it_the_columns_are_empty(both):
    without, asked = both
    assert tables(asked, COLUMNS) == tables(without, COLUMNS)
    assert pd.read_parquet(without / "rows.parquet")[COLUMNS].isna().all(axis=None)
    apart = dict.fromkeys(("seconds", "shared_seconds", "batch", "launch", "divergence"))
    plain, compared = outputs(without), outputs(asked)
    assert {key: {**line, **apart} for key, line in compared.items()} == {k: {**v, **apart} for k, v in plain.items()}
    assert all(line["divergence"] is None for line in plain.values())
    assert all(line["divergence"]["steps"] == len(line["tokens"]) - 1 for line in compared.values())


def test_a_run_without_divergence_has_the_key_that_it_always_had(tiny, tmp_path):
    without, asked = (prepare(sweep_job(tiny, tmp_path, *METHODS, *more)) for more in ((), ("divergence=true",)))
    assert set(asked.identity.asked) - set(without.identity.asked) == {"divergence"}
    assert asked.folder != without.folder


def test_a_comparison_that_was_interrupted_goes_on_to_the_same_tables(sweep, both):
    _, asked = both
    before = tables(asked)
    lines = (asked / "outputs.jsonl").read_text().splitlines(keepends=True)
    (asked / "outputs.jsonl").write_text("".join(lines[: len(lines) // 2]))
    assert sweep(*METHODS, "divergence=true").code == 0
    assert tables(asked) == before
