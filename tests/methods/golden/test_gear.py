"""GEAR against its authors' compression of chunks, driven by the paper's schedule: outputs, and the cache read back."""

import pytest
import torch
from support import close, one_layer

from golden import settings
from harness.attention.packed.low_rank import Factors
from harness.errors import InputError
from harness.methods import create, solve
from harness.methods.cost import ELEMENT, LayerAt
from harness.methods.decoding import steps

KNOBS = ("bits", "group_size", "outlier_fraction", "rank_prefill", "rank", "buffer", "key_outliers")
TOLERANCE = 1e-4


def method_of(setting):
    iterations = setting.given["iterations"] if setting.given["low_rank"] == "power_iteration" else None
    return create("gear", **{knob: setting.given[knob] for knob in KNOBS}, iterations=iterations)


def is_gear(setting):
    return setting.given["kind"] == "gear"


@pytest.fixture
def started_as(monkeypatch):
    """The power method starts from the authors' draws for the chunk at a place; exact decompositions draw nothing."""

    def inject(setting):
        def start(factors, places, *_):
            (place,) = set(places)
            return setting.array(f"start_{'kv'[factors.of]}_from_{place}", torch.float32)

        monkeypatch.setattr(Factors, "start", start)

    return inject


@settings("gear", is_gear)
def test_the_outputs_are_the_authors(setting, started_as):
    started_as(setting)
    close(setting.decode(method_of(setting)), setting.expected(), TOLERANCE)


@settings("gear", lambda setting: setting.has("cache_k_after_prefill"))
def test_the_cache_reads_back_as_the_authors(setting, started_as):
    started_as(setting)
    _, state = next(steps(method_of(setting), *setting.tensors()))
    close(state.k.read(), setting.array("cache_k_after_prefill"), TOLERANCE)
    close(state.v.read(), setting.array("cache_v_after_prefill"), TOLERANCE)


def bits_of(held):
    """Codes are in bytes, all else in elements, an index too."""
    return held.numel() * (8 if held.dtype == torch.uint8 else ELEMENT)


@settings("gear", is_gear)
def test_bits_are_those_of_what_is_held_of_the_prompt_and_of_its_exact_rest(setting):
    method, (_, k, _, _, p) = method_of(setting), setting.tensors()
    b, h, _, d = k.shape
    _, state = next(steps(method, *setting.tensors()))
    coded = sum(bits_of(held) for of in (state.k, state.v) for held in of.prompt.held)
    exact = sum(p - settled for of in (state.k, state.v) for settled in of.settled) * h * d * ELEMENT
    assert b * h * method.cost(LayerAt(p, d, p, h)).held == coded + exact


@pytest.mark.parametrize("made", [lambda of: of.transfers(100, 24), lambda of: one_step(of, torch.randn(1, 1, 70, 24))])
def test_groups_that_do_not_divide_a_tokens_values_are_refused(made):
    with pytest.raises(InputError, match=r"GEAR needs a group_size that divides 24, .* or 0, not 64"):
        made(create("gear", bits=2))


def one_step(method, x):
    return next(steps(method, x, x, x, torch.ones(1, 70, dtype=torch.bool), 69))


@pytest.mark.parametrize("iterations", [None, 5])
def test_a_ratio_leaves_the_decomposition_as_it_is_asked_for(iterations):
    assert solve("gear", one_layer(3, 4000, 64), iterations=iterations).iterations == iterations
