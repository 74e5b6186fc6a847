"""Statistics and tables made from raw outputs."""

import math

import pandas as pd
import pytest
from scipy.stats import sem
from support import record

from harness.engine.divergence import Divergence
from harness.store.files import write_whole
from harness.store.records import DivergenceRecord
from harness.tables.columns import ROWS, SUMMARY, names
from harness.tables.rows import CellFacts, Elements, example_facts, to_frame
from harness.tables.summary import join_summaries, summarise

LABELS = {"model": "m", "run": "r", "method": "x", "params": "{}", "ratio": 2.0, "cell": "x-1", "per": "task"}
LABELS |= {"dtype": "float16", "memory_ratio": 3.0, "cost": "formula"}
OWN = {10: Elements(100.0, 30.0), 20: Elements(150.0, 50.0)}
DENSE = {10: Elements(400.0, 390.0), 20: Elements(800.0, 790.0)}
FACTS = CellFacts(LABELS, str, OWN, DENSE, bytes_per_element=2)
MEASURED = CellFacts(LABELS, str, OWN, DENSE, bytes_per_element=2, measured=True)


def test_the_costs_of_an_example_are_those_of_its_own_length():
    found = example_facts(FACTS, [record(), record(prompt_tokens=20, tokens=[5], nll=[1.0])], None)
    assert (found["transfers_elements"], found["bytes_per_token"], found["prompt_tokens"]) == (125, 250, 15)
    assert found["compression"] == pytest.approx(600 / 125)
    assert (found["held_bytes"], found["memory_compression"]) == (80, pytest.approx(590 / 40))
    assert found["knobs"] == "[10, 20]"
    assert (found["new_tokens"], found["seconds"], found["active"]) == (3, 1.0, True)
    assert math.isnan(found["first_difference"])
    assert math.isnan(found["delta_nll"])


def test_a_measured_cell_moves_its_share_of_what_dense_moves_at_the_length_of_each_prompt():
    found = example_facts(MEASURED, [record(share=0.5), record(prompt_tokens=20, share=0.125)], None)
    assert found["transfers_elements"] == (0.5 * 400 + 0.125 * 800) / 2
    assert found["compression"] == pytest.approx(600 / 150)
    assert (found["held_bytes"], found["memory_compression"]) == (80, pytest.approx(590 / 40))


def test_a_request_without_a_decode_step_leaves_the_measurement_to_the_others():
    found = example_facts(MEASURED, [record(), record(prompt_tokens=20, share=0.125)], None)
    assert (found["transfers_elements"], found["bytes_per_token"], found["compression"]) == (100, 200, 8)
    nothing = example_facts(MEASURED, [record()], None)
    assert all(math.isnan(nothing[name]) for name in ("transfers_elements", "bytes_per_token", "compression"))
    assert nothing["held_bytes"] == 60


@pytest.mark.parametrize(
    ("tokens", "dense", "expected"),
    [
        ([[1, 2, 3]], [[1, 2, 3]], math.nan),
        ([[1, 2, 3]], [[1, 9, 3]], 1),
        ([[9, 2]], [[1, 2]], 0),
        ([[1, 2]], [[1, 2, 3]], 2),
        ([[1, 2, 3]], [[1]], 1),
        ([[1, 2], [3, 4]], [[1, 2], [3, 5]], 3),
    ],
)
def test_the_first_difference_is_the_index_of_the_first_other_token(tokens, dense, expected):
    ours, theirs = ([record(tokens=t, nll=[0.0] * len(t)) for t in rows] for rows in (tokens, dense))
    assert example_facts(FACTS, ours, theirs)["first_difference"] == pytest.approx(expected, nan_ok=True)


def test_the_difference_in_likelihood_is_over_tokens_that_both_were_given():
    ours = [record(nll=[1.0, 2.0]), record(tokens=[7], nll=[100.0])]
    theirs = [record(nll=[0.5, 2.25]), record(tokens=[8], nll=[0.0])]
    assert example_facts(FACTS, ours, theirs)["delta_nll"] == pytest.approx((0.5 + 0.25) / 2)
    assert math.isnan(example_facts(FACTS, ours[1:], theirs[1:])["delta_nll"])


def frame():
    """Two cells, one metric, four examples; the dense rows come in another order."""
    scores = {"dense-1": {"a": 1.0, "b": 0.0, "c": 1.0, "d": 1.0}, "x-1": {"d": 1.0, "c": 0.0, "a": 0.5, "b": 0.25}}
    rows = []
    for cell, by_example in scores.items():
        for example, value in by_example.items():
            labels = {**LABELS, "cell": cell, "method": cell[:-2], "task": "t", "example": example, "metric": "match"}
            facts = {"bytes_per_token": 2.0, "transfers_elements": 1.0 if cell == "x-1" else 4.0, "prompt_tokens": 9.0}
            facts |= {
                "kl": 0.5,
                "agreement": 0.75,
                "lost": 0.25,
                "accepted_2": 1.0,
                "accepted_4": 2.0,
                "accepted_8": 3.0,
            }
            facts |= {"held_bytes": 2.0 if cell == "x-1" else 6.0, "memory_compression": 5.0}
            facts |= {
                "cut_tokens": 0,
                "new_tokens": 3,
                "seconds": 0.1,
                "active": cell == "x-1",
                "decided": example == "a",
                "delta_nll": math.nan,
            }
            facts |= {"first_difference": 2.0 if cell == "x-1" and example != "d" else math.nan, "compression": 9.0}
            rows.append({**labels, **facts, "value": value, "higher_is_better": True})
    return to_frame(rows)


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


def test_rows_hold_what_their_columns_say_after_what_the_task_declares():
    found = DivergenceRecord(**Divergence.of([0.5] * 8, [True] * 8, [0.25] * 8).record)
    made = example_facts(FACTS, [record(divergence=found)], [record()]) | {
        "task": "t",
        "metric": "match",
        "value": 1.0,
        "decided": True,
    }
    table = to_frame([{"depth": 0.5} | made | {"higher_is_better": True}])
    assert list(table.columns) == ["depth", *names(ROWS)]
    assert table.drop(columns="first_difference").notna().all(axis=None)


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
