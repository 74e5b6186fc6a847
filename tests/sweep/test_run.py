"""A run adds what is missing and scores all that is there; on a tiny model with random weights."""

import json
import math

import pandas as pd
import pytest
from compare_tables import tables
from support.sweeps import only_run

from harness.tables.stats import FEWEST


def summary(results):
    return pd.read_csv(only_run(results) / "summary.csv")


def lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_run_that_lost_half_of_its_outputs_gives_the_same_tables(sweep, finished, reference, tmp_path):
    outputs = finished / "outputs.jsonl"
    before = outputs.read_text().splitlines(keepends=True)
    outputs.write_text("".join(before[::2]) + before[1][:40])
    assert sweep().code == 0
    assert tables(tmp_path / "results") == reference
    assert outputs.read_text().splitlines(keepends=True)[: len(before) // 2] == before[::2]


def test_another_method_and_more_examples_add_only_what_is_missing(sweep, finished):
    outputs = finished / "outputs.jsonl"
    before = outputs.read_text()
    assert sweep("methods=[dense,sparq,window]", "limit=5").code == 0
    assert outputs.read_text().startswith(before)
    added = outputs.read_text()[len(before) :].splitlines()
    assert len(added) == 2 * 5 + 3 * 1


def test_knobs_solved_for_a_ratio_are_the_same_for_any_number_of_examples(sweep, tmp_path):
    cells = []
    for limit in (1, 3):
        sweep("methods=[h2o,lm_infinite]", f"limit={limit}")
        cells.append(set(summary(tmp_path / "results")["cell"]))
    assert cells[0] == cells[1]
    assert len(cells[0]) == 4


def test_the_paired_difference_is_the_mean_of_differences(whole):
    rows, table = pd.read_parquet(only_run(whole) / "rows.parquet"), summary(whole)
    scores = rows.pivot_table(index="example", columns="cell", values="value")
    dense = table.loc[table["method"] == "dense", "cell"].item()
    for line in table[table["method"] != "dense"].itertuples():
        difference = scores[line.cell] - scores[dense]
        assert line.delta_dense == pytest.approx(difference.mean(), abs=1e-12)
        assert (len(scores) < FEWEST) == math.isnan(line.delta_ci_low)
        assert not line.higher_is_better


def test_a_run_whose_method_changed_nothing_fails_as_inert(sweep):
    code, err, _ = sweep("methods=[dense,sparq]", "method.sparq.r=64", "method.sparq.k=100000", "limit=1")
    assert (code, "inert" in err) == (1, True)


def test_every_row_names_the_launch_whose_commit_and_versions_computed_it(sweep, finished):
    sweep("methods=[dense,window]")
    launches = lines(finished / "launches.jsonl")
    first, second = (launch["launch"] for launch in launches)
    assert all(launch["versions"]["torch"] and launch["commit"] and launch["argv"] for launch in launches)
    rows = pd.read_parquet(finished / "rows.parquet")
    assert set(rows["launch"][rows["method"] == "window"]) == {second}
    assert set(rows["launch"][rows["method"] != "window"]) == {first}


def test_prompts_that_do_not_fit_the_model_are_counted_and_told(harness, tmp_path):
    code, out, _ = harness("methods=[dense]", "limit=3", "model.max_length=320")
    folder = only_run(tmp_path / "results")
    rows = pd.read_parquet(folder / "rows.parquet")
    assert (code, len(rows)) == (0, 3)
    assert (rows["prompt_tokens"] == 64).all()  # 256 positions are kept free
    assert (rows["cut_tokens"] > 64).all()
    about = json.loads((folder / "run.json").read_text())
    assert (about["prompts"], about["prompts_cut"]) == (3, 3)
    assert any("3 of 3 prompts do not fit into the model's 320 positions" in line for line in out)
    assert summary(tmp_path / "results")["cut_tokens"].item() == pytest.approx(rows["cut_tokens"].mean())


def test_nothing_is_told_of_prompts_that_fit(harness, tmp_path):
    _, out, _ = harness("methods=[dense]", "limit=1", "task=wikitext", "task.arguments.prefix=300")
    assert not any("positions" in line for line in out)
    assert json.loads((only_run(tmp_path / "results") / "run.json").read_text())["prompts_cut"] == 0
    assert summary(tmp_path / "results")["cut_tokens"].item() == 0
