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


def test_a_run_that_lost_half_of_its_outputs_gives_the_same_table(harness, tmp_path):
    harness(*RUN)
    first, outputs = summary(tmp_path), results(tmp_path) / "outputs.jsonl"
    lines = outputs.read_text().splitlines(keepends=True)
    outputs.write_text("".join(lines[::2]) + lines[1][:40])
    assert harness(*RUN)[0] == 0
    pd.testing.assert_frame_equal(summary(tmp_path), first)
    kept = outputs.read_text().splitlines(keepends=True)
    assert kept[: len(lines) // 2] == lines[::2]


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


def test_another_method_and_more_examples_add_only_what_is_missing(harness, tmp_path):
    harness(*RUN)
    outputs = results(tmp_path) / "outputs.jsonl"
    before = outputs.read_text()
    assert harness(*RUN, "methods=[dense,sparq,window]", "limit=5")[0] == 0
    assert outputs.read_text().startswith(before)
    added = [json.loads(line) for line in outputs.read_text()[len(before) :].splitlines()]
    assert len(added) == 2 * 5 + 3 * 1


def test_knobs_solved_for_a_ratio_are_the_same_for_any_number_of_examples(harness, tmp_path):
    short = ["task=wikitext", "task.arguments.prefix=600", "methods=[h2o,lm_infinite]", "ratios=[2,4]"]
    harness(*short, "limit=1")
    few = set(summary(tmp_path).cell)
    harness(*short, "limit=3")
    assert set(summary(tmp_path).cell) == few
    assert len(few) == 4


def test_the_paired_difference_is_the_mean_of_differences(harness, tmp_path):
    harness(*RUN, "task=wikitext")
    rows, table = pd.read_parquet(results(tmp_path) / "rows.parquet"), summary(tmp_path)
    scores = rows.pivot_table(index="example", columns="cell", values="value")
    dense = table.loc[table.method == "dense", "cell"].item()
    for line in table.itertuples():
        difference = scores[line.cell] - scores[dense]
        assert line.delta_dense == pytest.approx(difference.mean(), abs=1e-12)
        assert line.delta_ci_low - 1e-12 <= line.delta_dense <= line.delta_ci_high + 1e-12
        assert not line.higher_is_better


def test_a_run_whose_method_changed_nothing_fails_as_inert(harness):
    code, _, err = harness("methods=[dense,sparq]", "method.sparq.r=64", "method.sparq.k=100000", "limit=1")
    assert code == 1
    assert "inert" in err[-1]


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


def test_every_row_names_the_launch_whose_commit_and_versions_computed_it(harness, tmp_path):
    harness(*RUN, "limit=2")
    harness(*RUN, "methods=[dense,window]", "limit=2")
    folder = results(tmp_path)
    launches = [json.loads(line) for line in (folder / "launches.jsonl").read_text().splitlines()]
    first, second = (launch["launch"] for launch in launches)
    assert all(launch["versions"]["torch"] and launch["commit"] and launch["argv"] for launch in launches)
    rows = pd.read_parquet(folder / "rows.parquet")
    assert set(rows.launch[rows.method == "window"]) == {second}
    assert set(rows.launch[rows.method != "window"]) == {first}
