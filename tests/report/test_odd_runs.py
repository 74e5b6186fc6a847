"""Several runs in one folder that do not belong together: some are left out and named, none is averaged."""

import json

import pytest
from support.report.folders import Cell, Folder, quarter_and_eighth
from support.report.reading import one_notice, value_of

from harness.errors import InputError
from harness.report.load import load
from harness.report.tables import score_tables


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
    assert [name for name, _ in table.lines] == ["Dense", "H2O", "LRU", "SparQ"]


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
