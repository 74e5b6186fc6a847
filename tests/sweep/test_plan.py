"""The grid of cells."""

import math

import pytest

from harness import methods
from harness.attention import LayerShape
from harness.errors import InputError
from harness.methods.cell import Cell
from harness.sweep.plan import check_grid, make_plan
from harness.sweep.solving import PerTask

N, LAYERS = 1000, (LayerShape(2, 64),) * 3
DEFAULTS = {"sparq": {"r": None, "k": 128, "local": 32}, "h2o": {"k": None, "local": None}, "flexgen": {"k": None}}


def plan(names, knobs=None, ratios=(2, 4, 8)):
    return make_plan(names, {**DEFAULTS, **(knobs or {})}, ratios, PerTask(LAYERS, N))


def test_each_method_has_a_cell_for_each_ratio_and_dense_one():
    cells = plan(["dense", "sparq", "h2o"]).cells
    assert [(c.name, c.ratio) for c in cells] == [
        ("dense", 1.0), *(("sparq", r) for r in (2, 4)), *(("h2o", r) for r in (2, 4, 8))
    ]  # fmt: skip


def test_a_ratio_that_one_method_cannot_reach_is_left_out_with_the_reason():
    found = plan(["dense", "sparq", "h2o", "flexgen"])
    assert {(s.name, s.ratio) for s in found.skipped} == {("sparq", 8), ("flexgen", 2), ("flexgen", 4), ("flexgen", 8)}
    assert all(s.name in s.reason and f"ratio {s.ratio:g}" in s.reason for s in found.skipped)


def test_a_ratio_that_no_method_reaches_is_refused():
    with pytest.raises(InputError, match="no method reaches ratio 500") as error:
        plan(["dense", "sparq", "h2o"], ratios=[2, 500])
    assert "sparq cannot" in str(error.value)
    assert "h2o cannot" in str(error.value)


def test_dense_alone_reaches_no_ratio_but_needs_none():
    assert [c.name for c in plan(["dense"]).cells] == ["dense"]


def test_a_complete_setting_is_taken_as_it_is_whatever_the_ratios():
    (cell,) = plan(["sparq"], {"sparq": {"r": 16, "k": 64, "local": None}}).cells
    assert cell.method_at(N) == methods.create("sparq", r=16, k=64)
    assert cell.ratio is None


def test_lists_of_values_make_every_combination():
    cells = plan(["sparq"], {"sparq": {"r": [8, 16], "k": [64, 128]}}).cells
    assert [(c.method_at(N).r, c.method_at(N).k) for c in cells] == [(8, 64), (8, 128), (16, 64), (16, 128)]
    solved = plan(["sparq"], {"sparq": {"r": None, "k": [32, 64]}}, ratios=[4]).cells
    assert [c.method_at(N).k for c in solved] == [32, 64]
    assert all(c.ratio == 4 for c in solved)


def test_equal_cells_are_run_once():
    assert len(plan(["dense", "dense", "h2o", "h2o"], ratios=[4]).cells) == 2
    assert len(plan(["sparq"], {"sparq": {"r": [8, 8], "k": 64}}).cells) == 1


def test_the_id_of_a_cell_is_stable_and_tells_its_knobs_apart():
    first, again = (Cell.of("sparq", methods.create("sparq", r=8, k=16)) for _ in range(2))
    assert first.id == again.id
    assert first.id == Cell.of("sparq", methods.create("sparq", k=16, r=8), ratio=3.0).id
    others = {Cell.of("sparq", methods.create("sparq", r=8, k=16, reallocate=False)).id}
    others |= {Cell.of("sparq", methods.create("sparq", r=r, k=16)).id for r in range(9, 40)}
    assert len(others | {first.id}) == 33
    ids = {Cell.of(name, methods.create(name, k=20)).id for name in ("lm_infinite", "streaming", "window", "h2o")}
    assert len(ids) == 4


@pytest.mark.parametrize("ratio", [0.5, 0, -2, math.nan])
def test_a_ratio_below_1_is_refused(ratio):
    with pytest.raises(InputError, match="no compression"):
        check_grid(["dense"], {}, [ratio])


def test_unknown_methods_and_knobs_are_refused_before_anything_is_solved():
    with pytest.raises(InputError, match="unknown method 'nope'"):
        check_grid(["nope"], {}, [2])
    with pytest.raises(InputError, match="no knob 'q'"):
        check_grid(["sparq"], {"sparq": {"q": 1}}, [2])
    with pytest.raises(InputError, match="methods="):
        check_grid([], {}, [2])
    check_grid(["sparq"], {"h2o": {"not": "used"}}, [2])
