"""A summary pairs a cell's examples with those of dense."""

import math

import pytest
from scipy.stats import sem
from support.rows import frame

from harness.tables.summary import summarise


def test_the_summary_pairs_examples_by_name():
    table = summarise(frame(), "dense-1", {}).set_index("cell")
    line, dense = table.loc["x-1"], table.loc["dense-1"]
    assert (line["value"], dense["value"], line["n"]) == (0.4375, 0.75, 4)
    assert line["delta_dense"] == -0.3125
    assert line["delta_stderr"] == pytest.approx(sem([0, -1, -0.5, 0.25]))
    assert -1 < line["delta_ci_low"] < -0.3125 < line["delta_ci_high"] < 1
    assert line["stderr"] == pytest.approx(sem([1, 0, 0.5, 0.25]))
    assert (line["first_difference"], line["same_output"], line["decided"]) == (2.0, 0.25, 0.25)
    assert (line["compression"], dense["compression"]) == (4, 1)
    assert (line["memory_compression"], dense["memory_compression"], line["held_bytes"]) == (3, 1, 2)
    assert 0.05 < line["delta_p"] < 1
    assert dense[["delta_dense", "delta_stderr", "delta_ci_low", "delta_ci_high", "delta_p"]].isna().all()


def test_only_examples_that_dense_has_too_are_compared():
    rows = frame()
    rows = rows[~((rows.cell == "dense-1") & (rows.example == "c"))]
    line = summarise(rows, "dense-1", {}).set_index("cell").loc["x-1"]
    assert line["delta_dense"] == pytest.approx(-0.25 / 3)
    assert line["n"] == 4


def test_without_dense_nothing_is_compared():
    rows = frame()
    line = summarise(rows[rows.cell == "x-1"], None, {}).iloc[0]
    assert math.isnan(line["delta_dense"])
    assert math.isnan(line["same_output"])
    assert (line["compression"], line["memory_compression"]) == (9, 5)


def test_examples_without_a_measurement_are_left_out_on_both_sides():
    rows = frame()
    own, dense = rows.cell == "x-1", rows.cell == "dense-1"
    rows.loc[own & (rows.example == "a"), "transfers_elements"] = math.nan
    rows.loc[dense & (rows.example == "a"), "transfers_elements"] = 1e9
    line = summarise(rows, "dense-1", {}).set_index("cell").loc["x-1"]
    assert (line["transfers_elements"], line["compression"], line["memory_compression"]) == (1, 4, 3)
    rows.loc[own, "transfers_elements"] = math.nan
    assert math.isnan(summarise(rows, "dense-1", {}).set_index("cell").loc["x-1", "compression"])


def test_an_aggregate_that_is_no_mean_stands_as_it_is():
    line = summarise(frame(), "dense-1", {("t", "x-1", "match"): 7.5}).set_index("cell").loc["x-1"]
    assert line["value"] == 7.5
    assert math.isnan(line["stderr"])
    assert math.isnan(line["delta_dense"])


def test_a_summary_has_a_value_for_each_of_its_columns():
    table = summarise(frame(), "dense-1", {}).drop(columns="delta_nll")
    assert table.notna().any().all()
