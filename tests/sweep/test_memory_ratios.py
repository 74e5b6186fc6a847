"""What a run is asked for beside ratios of bytes moved: ratios of bytes held, and layers that stay dense."""

import json

import pandas as pd
import pytest
from support.sweeps import only_run, sweep_job

from harness import methods
from harness.hf import Checkpoint
from harness.sweep.prepare import prepare

HELD = ("methods=[dense,h2o,window,sparq]", "ratios=[]", "memory_ratios=[2,4]")


def read(results):
    folder = only_run(results)
    return pd.read_parquet(folder / "rows.parquet"), pd.read_csv(folder / "summary.csv")


def test_a_memory_ratio_is_reached_and_told_in_a_column_of_its_own(sweep, tmp_path):
    assert sweep(*HELD, "budget.per=example").code == 0
    rows, summary = read(tmp_path / "results")
    assert set(zip(summary["method"], summary["memory_ratio"].fillna(0), strict=True)) == {
        ("dense", 0), ("h2o", 2), ("h2o", 4), ("window", 2), ("window", 4)
    }  # fmt: skip
    assert summary.set_index("method")["ratio"].dropna().to_dict() == {"dense": 1.0}
    for row in rows[rows["method"] == "window"].itertuples():
        k, n = json.loads(row.knobs)["k"], round(row.prompt_tokens)
        assert (k, row.memory_compression) == (n // row.memory_ratio, pytest.approx(n / k))
        assert row.held_bytes == 2 * 2 * 2 * 16 * k * 4  # K and V, layers, KV heads, width, tokens, bytes
    solved = summary[summary["memory_ratio"].notna()]
    assert (solved["memory_compression"] >= solved["memory_ratio"]).all()


def test_what_holds_the_whole_cache_is_skipped_with_the_reason_and_planned_so(tiny, tmp_path):
    job = sweep_job(tiny, tmp_path, *HELD)
    skipped = [(skip.name, skip.bounds, skip.ratio) for skip in prepare(job).plan.skipped]
    assert skipped == [("sparq", "held", 2), ("sparq", "held", 4)]
    assert "the whole cache stays in memory" in prepare(job).plan.skipped[0].reason


def test_a_run_with_memory_ratios_goes_on_with_the_cells_that_are_there(sweep, tmp_path):
    arguments = ("methods=[dense,h2o]", "memory_ratios=[4]", "ratios=[4]", "budget.per=example")
    assert sweep(*arguments).code == 0
    before = (only_run(tmp_path / "results") / "summary.csv").read_text()
    assert sweep("methods=[dense]", "ratios=[2]").prefilled == []
    assert sweep(*arguments).prefilled == []
    assert (only_run(tmp_path / "results") / "summary.csv").read_text() == before
    _, summary = read(tmp_path / "results")
    assert summary["cell"].nunique() == 3


def test_layers_are_left_dense_under_every_method_unless_a_method_says_otherwise(sweep, tmp_path):
    assert (
        sweep("methods=[dense,h2o,window]", "ratios=[1.5]", "dense_layers=1", "method.window.dense_layers=0").code == 0
    )
    rows, summary = read(tmp_path / "results")
    knobs = {line.method: json.loads(line.params) for line in summary.itertuples()}
    assert (knobs["dense"], knobs["h2o"]["dense_layers"], "dense_layers" in knobs["window"]) == ({}, 1, False)
    for row in rows[rows["method"] == "h2o"].itertuples():
        n, own = round(row.prompt_tokens), {key: v for key, v in json.loads(row.knobs).items() if key != "dense_layers"}
        heads = [methods.create("dense").transfers(n, 16), methods.create("h2o", **own).transfers(n, 16)]
        assert row.transfers_elements == 2 * sum(heads)


def test_a_model_that_has_no_rotary_embedding_is_asked_only_by_methods_that_need_one(tiny, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(Checkpoint, "rope_refusal", lambda self: asked.append(self) or "model 'm': has no such thing")
    assert prepare(sweep_job(tiny, tmp_path, "methods=[dense,h2o]")).plan.skipped == []
    assert asked == []
    monkeypatch.setattr(methods.find("h2o"), "needs", frozenset({"rope"}))
    plan = prepare(sweep_job(tiny, tmp_path, "methods=[dense,h2o,sparq]")).plan
    assert {skip.reason for skip in plan.skipped} == {"h2o: model 'm': has no such thing"}
    assert {cell.name for cell in plan.cells} == {"dense", "sparq"}


def test_a_method_that_needs_the_rotary_embedding_is_given_it(sweep, monkeypatch):
    seen, start = [], methods.find("h2o").start

    def noting(self, prefix):
        seen.append(prefix.rope)
        return start(self, prefix)

    monkeypatch.setattr(methods.find("h2o"), "start", noting)
    assert sweep("methods=[dense,h2o]", "limit=1").code == 0
    assert seen and set(seen) == {None}
    seen.clear()
    monkeypatch.setattr(methods.find("h2o"), "needs", frozenset({"rope"}))
    assert sweep("methods=[dense,h2o]", "limit=2").code == 0
    assert seen and all(rope.width == 16 for rope in seen)
