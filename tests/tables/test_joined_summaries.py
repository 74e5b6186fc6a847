"""Summaries of all runs join in one table, whichever version wrote them."""

import pandas as pd
import pytest
from support.rows import frame

from harness.store.files import write_whole
from harness.tables.columns import SUMMARY, names
from harness.tables.summary import join_summaries, summarise


def write_run(results, run, change=lambda table: table):
    """A run's summary as another version would have written it."""
    (results / run).mkdir(parents=True)
    table = change(summarise(frame().assign(run=run), "dense-1", {}))
    write_whole(results / run / "summary.csv", table.to_csv(index=False))


def test_summaries_of_all_runs_join_in_one_table(tmp_path):
    assert len(join_summaries(tmp_path).table) == 0
    for run in ("one", "two"):
        write_run(tmp_path, run)
    whole = join_summaries(tmp_path)
    assert (list(whole.table["run"]), whole.left_out) == (["one", "one", "two", "two"], [])
    lines = [(tmp_path / run / "summary.csv").read_text().splitlines(keepends=True) for run in ("one", "two")]
    assert (tmp_path / "summary.csv").read_text() == "".join([*lines[0], *lines[1][1:]])


def test_runs_of_an_older_and_a_newer_version_stand_in_the_table_of_all_runs(tmp_path):
    write_run(tmp_path, "newer", lambda table: table.assign(kl_to_dense=0.25))
    write_run(tmp_path, "older", lambda table: table.drop(columns=["delta_nll", "seconds"]))
    write_run(tmp_path, "today")
    whole = join_summaries(tmp_path)
    table = pd.read_csv(tmp_path / "summary.csv").set_index("run")
    assert (set(table.index), whole.left_out) == ({"older", "today", "newer"}, [])
    assert list(table.columns) == [*(name for name in names(SUMMARY) if name != "run"), "kl_to_dense"]
    assert table.loc["older", ["delta_nll", "seconds", "kl_to_dense"]].isna().all(axis=None)
    assert table.loc["older", "value"].tolist() == table.loc["today", "value"].tolist()
    assert table["kl_to_dense"].dropna().to_dict() == {"newer": 0.25}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda whole: whole[:-1], "is torn"),
        (lambda whole: whole[:9], "is torn"),
        (lambda whole: whole[:0], "is torn"),
        (lambda whole: b"\xff\xfe" + whole, "is torn"),
        (lambda whole: whole + b'"', "is torn"),
        (lambda whole: whole.replace(b"task", b"exam", 1), "lacks the column task"),
    ],
)
def test_a_torn_summary_is_left_out_and_named(tmp_path, content, said):
    for run in ("one", "two"):
        write_run(tmp_path, run)
    file = tmp_path / "two" / "summary.csv"
    file.write_bytes(content(file.read_bytes()))
    whole = join_summaries(tmp_path)
    assert set(whole.table["run"]) == {"one"}
    (sentence,) = whole.left_out
    assert str(file) in sentence and said in sentence


def test_names_that_look_like_numbers_or_gaps_stay_names(tmp_path):
    write_run(tmp_path, "007", lambda table: table.assign(model="null", task="NA"))
    join_summaries(tmp_path)
    assert (tmp_path / "summary.csv").read_bytes() == (tmp_path / "007" / "summary.csv").read_bytes()
