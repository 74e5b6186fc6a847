"""Folders that are incomplete or contradict themselves: a sentence or a marked gap, never a wrong mean."""

import json
import math

import pandas as pd
import pytest

from harness.errors import InputError
from harness.report.load import load
from harness.report.markup import to_markdown
from harness.report.tables import score_tables

from .folders import Cell, Folder, quarter_and_eighth


def value_of(root, method="h2o"):
    cells = load(root).cells
    return cells[cells["method"] == method].iloc[0]


def one_notice(root):
    (notice,) = load(root).notices
    return notice


def test_no_folder_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="is no folder: `harness run"):
        load(tmp_path / "nowhere")


def test_a_folder_without_runs_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="no run found"):
        load(tmp_path)


def test_runs_without_scores_are_one_sentence(tmp_path):
    Folder([]).write(tmp_path)
    with pytest.raises(InputError, match="nothing to report .* holds no scores"):
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


def test_a_summary_without_a_column_is_left_out_and_the_column_named(tmp_path):
    quarter_and_eighth().write(tmp_path)
    file = quarter_and_eighth(task="triviaqa").write(tmp_path) / "summary.csv"
    pd.read_csv(file).drop(columns="stderr").to_csv(file, index=False)
    assert "lacks the column stderr" in one_notice(tmp_path)


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
    assert "| **0.000**<br>-1.000 |" in to_markdown(score_tables(load(tmp_path)))


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


def test_runs_of_an_older_protocol_are_left_out(tmp_path):
    quarter_and_eighth(protocol=2).write(tmp_path)
    quarter_and_eighth(task="triviaqa").write(tmp_path)
    assert "protocol 1, and the others follow protocol 2" in one_notice(tmp_path)
    assert set(load(tmp_path).cells["task"]) == {"squad"}


def test_two_runs_of_a_cell_are_never_averaged(tmp_path):
    quarter_and_eighth().write(tmp_path)
    Folder([Cell("h2o", [1, 1, 1, 1], 4, {"k": 200})], suffix="00000002").write(tmp_path)
    assert value_of(tmp_path)["value"] == 0.25
    assert any("repeats 1 cells of another run" in notice for notice in load(tmp_path).notices)


def test_cells_of_two_runs_on_the_same_examples_share_a_table(tmp_path):
    quarter_and_eighth().write(tmp_path)
    Folder([Cell("lru", [1, 1, 1, 1], 4, {"k": 200})], suffix="00000002").write(tmp_path)
    (table,) = score_tables(load(tmp_path))
    assert [name for name, _ in table.lines] == ["Dense", "SparQ", "H2O", "LRU"]


def test_of_runs_on_other_examples_the_largest_is_shown(tmp_path):
    quarter_and_eighth().write(tmp_path)
    Folder([Cell("dense", [0, 0])], suffix="00000002").write(tmp_path)
    assert "m-squad-hub-00000002 is left out: other examples" in one_notice(tmp_path)
    assert value_of(tmp_path, "dense")["value"] == 0.75


def test_other_data_are_another_table(tmp_path):
    quarter_and_eighth().write(tmp_path)
    quarter_and_eighth(data="embedded").write(tmp_path)
    assert len(score_tables(load(tmp_path))) == 2


def test_automatic_data_are_named_after_what_they_became(tmp_path):
    folder = quarter_and_eighth(data="embedded").write(tmp_path)
    info = json.loads((folder / "run.json").read_text())
    info["config"]["data"]["kind"] = "auto"
    (folder / "run.json").write_text(json.dumps(info))
    assert set(load(tmp_path).cells["data"]) == {"embedded"}


def test_a_single_run_can_be_reported_by_its_own_folder(tmp_path):
    assert len(load(quarter_and_eighth().write(tmp_path)).cells) == 5


def test_a_name_without_results_is_one_sentence_with_those_that_are_there(tmp_path):
    quarter_and_eighth().write(tmp_path)
    with pytest.raises(InputError, match="no results of model 'x' here: there are m"):
        load(tmp_path).only(["x"])
