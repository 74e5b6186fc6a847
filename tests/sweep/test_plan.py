"""The grid of cells."""

import json
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


def plan(names, knobs=None, ratios=(2, 4, 8), **more):
    return make_plan(names, {**DEFAULTS, **(knobs or {})}, ratios, PerTask(LAYERS, N), **more)


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


def test_memory_ratios_solve_what_is_held_and_stand_beside_the_others():
    found = plan(["dense", "h2o", "sparq"], ratios=[4], memory_ratios=[4])
    assert [(c.name, c.bounds, c.ratio) for c in found.cells] == [
        ("dense", "moved", 1.0), ("h2o", "moved", 4), ("h2o", "held", 4), ("sparq", "moved", 4)
    ]  # fmt: skip
    moved, held = (cell.method_at(N).k for cell in found.cells[1:3])
    kept = 2 * 64 + 1  # elements of a kept token: K, V, and its score
    assert (held + 1) * kept <= 2 * 64 * N / 4 < (held + 2) * kept
    assert moved != held
    (skip,) = found.skipped
    assert (skip.name, skip.bounds, skip.ratio) == ("sparq", "held", 4)
    assert "sparq cannot reach memory ratio 4" in skip.reason and "the whole cache stays in memory" in skip.reason


def test_a_memory_ratio_that_no_method_reaches_is_refused():
    with pytest.raises(InputError, match=r"no method reaches memory ratio 4: sparq cannot.*such as those of eviction$"):
        plan(["dense", "sparq"], ratios=[4], memory_ratios=[4])
    with pytest.raises(InputError, match="no compression"):
        plan(["h2o"], memory_ratios=[0.5])


def test_a_cell_of_a_memory_ratio_is_made_again_from_its_record_and_named_by_what_it_bounds():
    (moved, held) = plan(["h2o"], ratios=[4], memory_ratios=[4]).cells
    assert Cell.from_record(held.record, LAYERS) == held != moved
    each = [Cell.per_example("h2o", {}, 4, LAYERS, bounds) for bounds in ("moved", "held")]
    assert each[0].id != each[1].id
    assert [Cell.from_record(cell.record, LAYERS) for cell in each] == each
    assert [cell.method_at(N) for cell in each] == [moved.method_at(N), held.method_at(N)]
    assert "bounds" not in moved.record  # as before there were memory ratios


def test_a_method_that_the_model_cannot_run_is_left_out_with_the_reason():
    def refuse(method):
        return "has no such thing" if method.about.title == "H2O" else None

    found = plan(["dense", "h2o", "window"], ratios=[4], refuse=refuse)
    assert [c.name for c in found.cells] == ["dense", "window"]
    assert [s.reason for s in found.skipped] == ["h2o: has no such thing"]
    with pytest.raises(InputError, match="no method reaches ratio 4: h2o: has no such thing"):
        plan(["dense", "h2o"], ratios=[4], refuse=refuse)
    with pytest.raises(InputError, match="nothing is left to run: h2o: has no such thing"):
        plan(["h2o"], {"h2o": {"k": 9}}, refuse=refuse)


def test_open_knobs_without_a_ratio_to_solve_them_for_are_refused():
    with pytest.raises(InputError, match="nothing solves k of h2o: set it, or ask for ratios"):
        plan(["dense", "h2o"], ratios=[])


def test_layers_that_stay_dense_are_counted_in_the_ratio_and_told():
    solved = [plan(["h2o"], {"h2o": {"dense_layers": layers}}, ratios=[2]).cells[0] for layers in (0, 1, "2")]
    assert [json.loads(cell.params).get("dense_layers") for cell in solved] == [None, 1, "2"]
    all_layers, first, last = (cell.method_at(N).k for cell in solved)
    assert first == last < all_layers
    assert solved[0].id == Cell.of("h2o", methods.create("h2o", k=all_layers)).id


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"dense_layers": 4}, "dense_layers=4 names more layers than the model's 3: take fewer"),
        ({"dense_layers": "0,3"}, "dense_layers=0,3 names more layers than the model's 3: numbers go up to 2"),
        ({"dense_layers": 3}, "dense_layers=3 layers=all leaves no layer to act in, of the model's 3"),
        ({"dense_layers": "0,1,2"}, "leaves no layer to act in"),
    ],
)
def test_layers_that_the_model_has_not_are_refused(knobs, words):
    with pytest.raises(InputError, match=words):
        plan(["dense", "h2o"], {"h2o": knobs})


def test_full_layers_of_a_model_that_has_none_are_refused_and_by_a_method_s_own_default_left_out(monkeypatch):
    sliding = PerTask((LayerShape(2, 64, window=100),) * 3, N)
    with pytest.raises(InputError, match=r"leaves no layer to act in, of the model's 3 \(3 with a window\)"):
        make_plan(["h2o"], {"h2o": {"layers": "full"}}, [2], sliding)
    monkeypatch.setattr(methods.find("h2o").__dataclass_fields__["layers"], "default", "full")
    found = make_plan(["dense", "h2o"], {}, [2], sliding)
    assert [c.name for c in found.cells] == ["dense"]
    assert "h2o: dense_layers=0 layers=full leaves no layer" in found.skipped[0].reason


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
