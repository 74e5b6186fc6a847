"""Folders that are incomplete or contradict themselves: a sentence or a marked gap, never a wrong mean."""

import math

import pandas as pd
import pytest
from support.report.folders import Cell, Folder, quarter_and_eighth
from support.report.reading import one_notice, value_of

from harness.errors import InputError
from harness.report.load import load
from harness.report.markdown import to_markdown
from harness.report.tables import score_tables


def test_no_folder_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="is no folder: `harness run"):
        load(tmp_path / "nowhere")


def test_a_folder_without_runs_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="no run found"):
        load(tmp_path)


def test_runs_without_scores_are_one_sentence(tmp_path):
    Folder([]).write(tmp_path)
    with pytest.raises(InputError, match=r"nothing to report .* holds no scores"):
        load(tmp_path)


def test_an_unfinished_run_is_left_out_and_named(tmp_path):
    quarter_and_eighth().write(tmp_path)
    (quarter_and_eighth(task="triviaqa").write(tmp_path) / "summary.csv").unlink()
    assert "m-triviaqa-hub-00000001 is unfinished" in one_notice(tmp_path)
    assert set(load(tmp_path).cells["task"]) == {"squad"}


@pytest.mark.parametrize("content", ["{", "[]", '{"protocol": 1}', '{"protocol": "x", "config": {}}'])
def test_a_run_with_a_broken_description_is_left_out_and_named(tmp_path, content):
    quarter_and_eighth().write(tmp_path)
    (quarter_and_eighth(task="triviaqa").write(tmp_path) / "run.json").write_text(content)
    assert "m-triviaqa-hub-00000001 is left out" in one_notice(tmp_path)


def test_a_summary_that_no_line_can_be_placed_from_is_left_out_and_the_column_named(tmp_path):
    quarter_and_eighth().write(tmp_path)
    file = quarter_and_eighth(task="triviaqa").write(tmp_path) / "summary.csv"
    pd.read_csv(file).drop(columns="compression").to_csv(file, index=False)
    assert "lacks the column compression" in one_notice(tmp_path)


def test_a_torn_summary_is_left_out_and_named(tmp_path):
    quarter_and_eighth().write(tmp_path)
    file = quarter_and_eighth(task="triviaqa").write(tmp_path) / "summary.csv"
    file.write_bytes(file.read_bytes()[:-1])
    assert "m-triviaqa-hub-00000001 is left out" in one_notice(tmp_path) and "torn" in one_notice(tmp_path)


def test_rows_that_cannot_be_read_are_one_sentence(tmp_path):
    (quarter_and_eighth().write(tmp_path) / "rows.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(InputError, match=r"rows.parquet cannot be read"):
        load(tmp_path)


def test_without_dense_there_are_scores_but_no_differences(tmp_path):
    Folder([Cell("h2o", [1, 0], 4, {"k": 1})]).write(tmp_path)
    assert "no dense cell: differences to dense are gaps" in one_notice(tmp_path)
    assert value_of(tmp_path)["value"] == 0.5 and math.isnan(value_of(tmp_path)["delta_dense"])


def test_a_single_example_has_a_score_without_an_error(tmp_path):
    Folder([Cell("dense", [1]), Cell("h2o", [0], 4, {"k": 1})]).write(tmp_path)
    assert "| 0.000<br>-1.000 |" in to_markdown(score_tables(load(tmp_path)))


def test_a_score_that_is_no_number_makes_a_gap_not_the_mean_of_the_rest(tmp_path):
    Folder([Cell("dense", [1, 1, 1]), Cell("h2o", [1, math.nan, 0], 4, {"k": 1})]).write(tmp_path)
    assert math.isnan(value_of(tmp_path)["value"])
    assert "shown as a gap: 1 of 3 scores are not numbers" in one_notice(tmp_path)
    assert "gap: 1 of 3 scores are not numbers" in to_markdown(score_tables(load(tmp_path)))


def test_a_dense_score_that_is_no_number_leaves_no_difference(tmp_path):
    Folder([Cell("dense", [1, math.inf]), Cell("h2o", [1, 0], 4, {"k": 1})]).write(tmp_path)
    assert math.isnan(value_of(tmp_path)["delta_dense"]) and value_of(tmp_path)["value"] == 0.5


def test_an_example_counted_twice_makes_a_gap(tmp_path):
    file = quarter_and_eighth().write(tmp_path) / "rows.parquet"
    rows = pd.read_parquet(file)
    pd.concat([rows, rows[rows["method"] == "dense"].head(1)]).to_parquet(file)
    assert math.isnan(value_of(tmp_path, "dense")["value"])
    assert "1 examples are counted twice" in load(tmp_path).notices[0]


def test_a_summary_that_its_rows_contradict_makes_a_gap(tmp_path):
    Folder([Cell("dense", [1, 1]), Cell("h2o", [1, 0], 4, {"k": 1}, summary={"value": 0.9})]).write(tmp_path)
    assert math.isnan(value_of(tmp_path)["value"]) and "disagree" in one_notice(tmp_path)


def test_a_metric_that_is_no_mean_is_believed(tmp_path):
    Folder([Cell("dense", [1, 1], summary={"value": 0.3, "stderr": math.nan})]).write(tmp_path)
    assert value_of(tmp_path, "dense")["value"] == 0.3


def test_a_cell_that_lacks_examples_is_named(tmp_path):
    Folder([Cell("dense", [1, 1, 1]), Cell("h2o", [1, 0], 4, {"k": 1})]).write(tmp_path)
    assert "has 2 of 3 examples: compare its paired difference, not its score" in one_notice(tmp_path)
