"""What a person at the terminal is shown."""

import math
from typing import NamedTuple

import pandas as pd
import pytest

from harness.sweep.console import Console, _Left
from harness.tables.columns import SUMMARY, names
from harness.tables.marks import INTERVAL, MEANING

DENSE = {"model": "m", "task": "squad", "method": "dense", "params": "{}", "ratio": 1.0, "compression": 1.0, "n": 4}
DENSE |= {"bytes_per_token": 8e6, "metric": "match", "higher_is_better": True, "value": 0.5, "seconds": 0.1}
DENSE |= {"dtype": "float32", "memory_ratio": math.nan, "memory_compression": 1.0, "cost": "formula"}
H2O = {**DENSE, "method": "h2o", "params": '{"k": 97}', "ratio": 8.0, "compression": 7.5, "bytes_per_token": 1e6}


@pytest.fixture
def shown(capsys, tmp_path):
    """What the console prints of a summary's lines, without the spaces of its columns."""

    def call(*lines):
        Console().table(pd.DataFrame(lines, columns=names(SUMMARY)), tmp_path)
        return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]

    return call


def test_bytes_name_their_precision(shown):
    assert [("MB/token" in line, "(float32)" in line) for line in shown(DENSE)[2:4]] == [(True, False), (False, True)]
    assert not any("(float32)" in line for line in shown({**DENSE, "dtype": math.nan}))


def test_a_compression_that_is_not_the_ratio_asked_for_is_marked(shown):
    assert any("h2o k=97 7.50 (asked 8) 1.00 1.0" in line for line in shown(DENSE, {**H2O, "per": "task"}))
    assert not any("asked 8" in line for line in shown(DENSE, {**H2O, "per": "task", "compression": 7.9}))


def test_memory_is_shown_with_the_ratio_asked_of_it(shown):
    solved = {**H2O, "ratio": math.nan, "memory_ratio": 8.0, "memory_compression": 7.25}
    assert any("h2o k=97 7.50 7.25 (asked 8) 1.0" in line for line in shown(DENSE, solved))
    older = {**H2O, "compression": 8.0, "memory_compression": math.nan}
    assert any("h2o k=97 8.00 - 1.0" in line for line in shown(DENSE, older))


def test_what_was_measured_or_simulated_is_said_and_explained(shown):
    found = shown(DENSE, {**H2O, "cost": "measured"}, {**H2O, "compression": 8.0, "cost": "simulated"})
    assert any("h2o k=97 7.50 (asked 8) measured 1.00" in line for line in found)
    assert any("h2o k=97 8.00 simulated 1.00" in line for line in found)
    assert [line.split(":")[0] for line in found if line.startswith(("measured:", "simulated:"))] == [
        "measured", "simulated"
    ]  # fmt: skip
    free = shown(DENSE, {**H2O, "cost": "oracle"})
    assert any("h2o k=97 7.50 (asked 8) 1.00" in line for line in free)
    assert not any(line.startswith(("measured:", "simulated:")) for line in free)
    nothing = {**H2O, "cost": "measured", "compression": math.nan, "bytes_per_token": math.nan}
    assert any("h2o k=97 - measured 1.00 - 0.500" in line for line in shown(DENSE, nothing))


def test_where_knobs_were_solved_is_said(shown):
    ranged = {**H2O, "per": "example", "params": '{"k": [61, 203]}'}
    assert not any("solved at" in line for line in shown(DENSE, {**H2O, "ratio": math.nan}))
    assert any("solved at a task's mean prompt length;" in line for line in shown(DENSE, {**H2O, "per": "task"}))
    found = shown(DENSE, ranged)
    assert any("h2o k=61..203" in line for line in found)
    assert any("solved at each example's own length (k=a..b);" in line for line in found)
    both = shown({**H2O, "per": "task"}, ranged)
    assert any("mean prompt length or each example's own" in line for line in both)


def test_what_is_not_told_apart_from_dense_is_marked_by_how_many_were_compared(shown):
    compared = {"delta_dense": -0.2, "delta_ci_low": -0.4, "delta_ci_high": -0.01}
    lines = [{**H2O, **compared, "delta_p": p} for p in (0.02, 0.04)]
    marks = [
        [line.split()[-2] for line in shown(DENSE, *some) if line.startswith("h2o")] for some in (lines[:1], lines)
    ]
    assert marks == [["-0.010]"], ["-0.010]", "-0.010]"]]
    more = shown(DENSE, {**lines[0], "delta_p": 0.03}, lines[1])
    assert [line.split()[-2] for line in more if line.startswith("h2o")] == ["≈", "≈"]


def test_dense_has_no_difference_to_itself(shown):
    assert any(line.startswith("dense") and line.endswith("0.500 - 100") for line in shown(DENSE))


def test_what_the_marks_mean_is_said(shown):
    said = " ".join(shown(DENSE))
    assert INTERVAL in said and MEANING in said


class Work(NamedTuple):
    """As much of a progress bar's task as its columns read."""

    completed: int
    total: int
    elapsed: float

    @property
    def remaining(self):
        return self.total - self.completed


@pytest.mark.parametrize(
    ("each", "work", "left"),
    [
        (None, Work(0, 10, 3.0), "-:--:--"),
        (2.0, Work(0, 10, 3.0), "0:00:20"),
        (None, Work(2, 10, 30.0), "0:02:00"),
        (2.0, Work(2, 10, 30.0), "0:02:00"),
        (2.0, Work(10, 10, 90.0), "0:00:00"),
    ],
    ids=["nothing tells", "earlier launches tell", "the first batch tells", "rather than earlier ones", "done"],
)
def test_what_is_left_is_estimated_from_the_first_batch_on(each, work, left):
    assert _Left(each).render(work).plain == left


def test_the_next_launch_has_an_estimate_from_the_start(sweep, monkeypatch):
    seen, progress = [], Console.progress
    monkeypatch.setattr(Console, "progress", lambda *asked: (seen.append(asked[2]), progress(*asked))[1])
    assert sweep("limit=2")[0] == sweep("limit=4")[0] == 0
    assert seen[0] is None and seen[1] > 0
