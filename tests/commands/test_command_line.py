"""`harness run` from end to end, in this process, on a tiny model with random weights."""

import json
import math

import pandas as pd
import pytest

from harness.hf import Checkpoint
from harness.store.store import Store

RUN = ["methods=[dense,sparq,h2o,lm_infinite]", "ratios=[2,4]", "budget=balanced", "limit=4"]


def results(tmp_path):
    (folder,) = (tmp_path / "results").glob("custom-*")
    return folder


def summary(tmp_path):
    return pd.read_csv(results(tmp_path) / "summary.csv").drop(columns="seconds")


def test_a_run_writes_its_results_and_a_second_run_computes_nothing(harness, tmp_path, monkeypatch):
    code, out, _ = harness(*RUN)
    assert code == 0
    folder = results(tmp_path)
    written = [json.loads(line) for line in (folder / "outputs.jsonl").read_text().splitlines()]
    assert len(written) == 7 * 4
    rows, table = pd.read_parquet(folder / "rows.parquet"), pd.read_csv(folder / "summary.csv")
    assert len(rows) == 7 * 4
    assert set(table.method) == {"dense", "sparq", "h2o", "lm_infinite"}
    assert (table.n == 4).all()
    info = json.loads((folder / "run.json").read_text())
    assert {"config", "versions", "commit", "data_fingerprint", "device", "argv"} <= {*info, *info["config"]}
    compressed = table[table.method != "dense"]
    assert (compressed.compression >= compressed.ratio * 0.98).all()
    assert table.loc[table.method == "dense", "compression"].item() == 1
    assert any("sparq" in line for line in out)
    assert "harness report results" in out[-1]
    assert (tmp_path / "results" / "summary.csv").exists()
    before = (folder / "outputs.jsonl").read_bytes()
    monkeypatch.setattr(Checkpoint, "load", lambda _: pytest.fail("weights were loaded"))
    assert harness(*RUN)[0] == 0
    assert (folder / "outputs.jsonl").read_bytes() == before
    pd.testing.assert_frame_equal(pd.read_csv(folder / "summary.csv"), table)


def test_an_interrupted_run_goes_on_where_it_stopped(harness, tmp_path, monkeypatch):
    harness(*RUN, "results=whole", "engine.batch_size=1")
    batches, append = [], Store.append

    def die(self, records):
        batches.append(append(self, records))
        if len(batches) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Store, "append", die)
        code, _, err = harness(*RUN, "engine.batch_size=1")
    assert (code, "interrupted" in err[-1]) == (130, True)
    assert len((results(tmp_path) / "outputs.jsonl").read_text().splitlines()) == 14
    assert harness(*RUN, "engine.batch_size=1")[0] == 0
    assert len((results(tmp_path) / "outputs.jsonl").read_text().splitlines()) == 28
    whole = pd.read_csv(next((tmp_path / "whole").glob("custom-*")) / "summary.csv").drop(columns="seconds")
    pd.testing.assert_frame_equal(summary(tmp_path), whole)


def test_an_explicit_setting_and_a_list_of_settings_make_cells(harness, tmp_path):
    assert harness("methods=[sparq]", "method.sparq.r=[2,5]", "method.sparq.k=24", "limit=1")[0] == 0
    params = [json.loads(text) for text in summary(tmp_path).params]
    assert [(p["r"], p["k"]) for p in params] == [(2, 24), (5, 24)]
    assert summary(tmp_path).delta_dense.isna().all()
    assert summary(tmp_path).ratio.isna().all()


def test_several_tasks_join_in_one_summary(harness, tmp_path):
    argument = ["-m", "task=wikitext,repetition", "methods=[dense,lm_infinite]", "ratios=[4]", "limit=1"]
    assert harness(*argument)[0] == 0
    table = pd.read_csv(tmp_path / "results" / "summary.csv")
    assert set(zip(table.task, table.method, strict=True)) == {
        (task, method) for task in ("wikitext", "repetition") for method in ("dense", "lm_infinite")
    }
    assert all(math.isfinite(value) for value in table.value)


def test_automatic_data_says_when_it_fell_back_to_the_embedded_corpus(harness):
    code, out, _ = harness("data=auto", "methods=[dense]", "limit=1")
    assert code == 0
    assert any("embedded" in line and "hub" in line for line in out)
