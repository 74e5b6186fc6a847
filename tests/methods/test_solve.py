"""From a compression ratio to knobs."""

import pytest
from definitions import defined
from hypothesis import given
from hypothesis import strategies as st
from support import KNOBS, one_layer

from harness import methods
from harness.attention import LayerShape
from harness.errors import InputError
from harness.methods.cost import ELEMENT, Cost, dense_transfers, transfers
from harness.methods.exemption import Exemption
from harness.methods.knob_types import floor
from harness.methods.ratio import largest_knob

FORMULAS = {
    ("dense", ()): lambda n, d: 2 * n * d + 2 * d,
    ("sparq", (("r", 16), ("k", 128), ("reallocate", True))): lambda n, d: 16 * n + 256 * d + 5 * d,
    ("sparq", (("r", 16), ("k", 128), ("reallocate", False))): lambda n, d: 16 * n + 256 * d + 3 * d,
    ("h2o", (("k", 192),)): lambda n, d: 2 * 192 * d + 2 * d + 2 * n + 1,
    ("lru", (("k", 192),)): lambda n, d: 2 * 192 * d + 2 * d + 2 * n + 1,
    ("lm_infinite", (("k", 192),)): lambda _, d: 2 * 192 * d + 2 * d,
    ("flexgen", (("k", 32),)): lambda n, d: n * d + 32 * d + 2 * d,
    ("oracle_topk", (("k", 100),)): lambda _, d: 200 * d + 2 * d,
    ("random_k", (("k", 100),)): lambda _, d: 200 * d + 2 * d,
}

lengths, widths, ratios = st.integers(2, 5000), st.sampled_from([8, 16, 64, 128, 256]), st.floats(1, 40)


@pytest.mark.parametrize(("name", "knobs"), list(FORMULAS), ids=lambda value: value if isinstance(value, str) else "")
def test_transfers_are_the_papers_formula(name, knobs):
    for n, d in ((600, 64), (1234, 128), (4096, 256)):
        assert methods.create(name, **dict(knobs)).transfers(n, d) == FORMULAS[name, knobs](n, d)


def grown(law, small, more):
    """Each method that a law holds for, with an r or k `small` above the least, and `more` above that."""
    for name, knobs in KNOBS.items():
        for knob in {"r", "k"} & set(knobs) if law not in methods.find(name).excused else ():
            low = max(1, floor(methods.find(name), knob, **knobs))
            yield [methods.create(name, **{**knobs, knob: low + value}) for value in (small, small + more)]


@given(lengths, widths, st.integers(0, 300), st.integers(1, 300))
def test_transfers_never_fall_with_a_knob(n, d, small, more):
    for less, greater in grown("transfers_never_fall_with_a_knob", small, more):
        assert less.transfers(n, d) <= greater.transfers(n, d)


@given(lengths, widths, st.integers(0, 300), st.integers(1, 300))
def test_transfers_never_fall_with_length(n, d, small, more):
    for method, _ in grown("transfers_never_fall_with_length", small, more):
        assert method.transfers(n, d) <= method.transfers(n + more, d)


@given(lengths, widths, ratios)
def test_the_largest_knob_fits_and_the_next_does_not(n, d, ratio):
    for name in ("h2o", "lm_infinite", "flexgen", "oracle_topk", "random_k", "window"):
        try:
            method = methods.solve(name, one_layer(ratio, n, d))
        except InputError as error:
            assert name in str(error)
            least = methods.create(name, k=getattr(methods.find(name), "initial", 0) + 1)
            assert least.transfers(n, d) > dense_transfers(n, d) / ratio
            continue
        allowed = dense_transfers(n, d) / ratio
        assert method.transfers(n, d) <= allowed
        assert method.k >= n or methods.create(name, k=method.k + 1).transfers(n, d) > allowed


@given(lengths, widths, ratios, st.sampled_from(["sparq", "low_rank"]), st.booleans())
def test_sparq_is_solved_for_r_at_a_given_k(n, d, ratio, name, reallocate):
    allowed = dense_transfers(n, d) / ratio
    fixed = {"k": 32, "reallocate": reallocate}
    try:
        method = methods.solve(name, one_layer(ratio, n, d), **fixed)
    except InputError:
        least, most = (methods.create(name, r=r, **fixed).transfers(n, d) for r in (1, d))
        assert least > allowed or most < 0.98 * allowed
        return
    assert (method.k, method.reallocate) == (32, reallocate)
    assert method.transfers(n, d) <= allowed
    assert method.r == d or methods.create(name, r=method.r + 1, **fixed).transfers(n, d) > allowed


@given(st.integers(400, 5000), widths.filter(lambda d: d >= 64), st.sampled_from([2, 4, 8]))
def test_a_balanced_budget_spends_half_on_choosing(n, d, ratio):
    method = methods.solve("sparq", one_layer(ratio, n, d), k=None, local=None)
    assert method.r == d // ratio
    assert method.k == pytest.approx(n / (2 * ratio), rel=0.05, abs=4)


@pytest.mark.parametrize("name", methods.runnable())
def test_solved_knobs_keep_to_the_ratio_and_grow_with_it(name):
    cls = methods.find(name)
    for n, d in ((100, 16), (1200, 64), (4000, 128)):
        moved = []
        for ratio in (1, 1.25, 1.5, 2, 3, *getattr(defined()[name], "RATIOS", ()), 4, 8, 16, 32):
            acts = {} if cls.is_dense else {"dense_layers": 0}
            acts |= getattr(defined()[name], "SOLVED", {})
            for fixed in [{}] + [{"k": n // 64}] * ("r" in methods.knobs(cls)):
                try:
                    method = methods.solve(name, one_layer(ratio, n, d), **fixed, **acts)
                except InputError:
                    continue
                assert method.transfers(n, d) <= dense_transfers(n, d) / ratio
                assert all(getattr(method, knob) == value for knob, value in fixed.items())
                if not fixed:
                    moved.append(method.transfers(n, d))
        assert moved == sorted(moved, reverse=True)
        assert moved


def test_dense_exists_at_ratio_1_only():
    assert methods.solve("dense", one_layer(1, 100, 16)) == methods.create("dense")
    with pytest.raises(InputError, match="dense"):
        methods.solve("dense", one_layer(2, 100, 16))


def test_the_reason_for_an_unreachable_ratio_has_its_numbers():
    said = r"flexgen cannot reach ratio 4 at 100 tokens in 1 layers of head dimension 16: .* 808 elements, .* 1,648$"
    with pytest.raises(InputError, match=said):
        methods.solve("flexgen", one_layer(4, 100, 16))
    with pytest.raises(InputError, match=r"with r=12, k=1 it moves"):
        methods.solve("sparq", one_layer(1.3, 2, 16))


@given(st.integers(0, 200), st.integers(-5, 300), st.integers(1, 90))
def test_the_search_finds_what_trying_all_finds(low, span, allowed):
    class Toy:
        def __init__(self, knob):
            self.knob = knob

        exemption, layered = Exemption(), False

        def cost(self, _at):
            return Cost(attend=ELEMENT * (self.knob // 3))

    high = low + max(0, span)
    budget = one_layer(dense_transfers(50, 1) / allowed, 50, 1)
    fitting = [v for v in range(low, high + 1) if v // 3 <= budget.allowed]
    if fitting and high // 3 >= 0.98 * budget.allowed:
        assert largest_knob(Toy, "knob", (low, high), budget).knob == fitting[-1]
    else:
        with pytest.raises(InputError):
            largest_knob(Toy, "knob", (low, high), budget)


def test_a_layer_with_a_window_moves_no_more_than_its_window():
    method = methods.create("dense")
    layers = [LayerShape(2, 8), LayerShape(2, 8, window=10), LayerShape(4, 16, window=500)]
    assert transfers(method, layers, 100) == 2 * (1616) + 2 * 176 + 4 * (2 * 100 * 16 + 32)


def test_an_unknown_or_a_missing_knob_is_named():
    with pytest.raises(InputError, match="method 'h2o' needs k"):
        methods.create("h2o")
    with pytest.raises(InputError, match="no knob 'q'"):
        methods.create("sparq", q=1)
    with pytest.raises(InputError, match="unknown method 'spark'"):
        methods.create("spark")
    with pytest.raises(InputError, match="it has none"):
        methods.solve("dense", one_layer(1, 10, 10), k=3)
