"""A model whose layers lie on two devices gives the numbers that it gives on one."""

from itertools import chain

import pytest
import torch
from support import KNOBS, architectures
from support.devices import devices, lie_on, spread
from support.engine_runs import cells, engine, learnt, ropes
from torch.utils._pytree import tree_map

from harness import methods
from harness.engine import Engine, Prompt
from harness.hf import Bridge

PLACES = ("lazy:0", "lazy:1", "lazy:0")
SOME = ("dense", "sparq", "h2o", "lm_infinite", "snapkv", "tidal_decode", "twilight", "loki", "kivi", "lorc", "palu")
"""Some of each family, and those whose layers share something; all others run in `make test-slow`."""
NAMES = [name if name in SOME else pytest.param(name, marks=pytest.mark.slow) for name in KNOBS]


def on_two_devices(**more):
    """The engine of a model whose layers lie on PLACES, which has learnt what the model on one device has."""
    bridge = Bridge(spread(architectures.model("llama", dtype=torch.float64), PLACES))
    moved = {
        calibrator: [
            tree_map(lambda x, place=place: lie_on(x, place), of) for of, place in zip(found, PLACES, strict=True)
        ]
        for calibrator, found in learnt("llama").items()
    }
    return Engine(bridge, ropes=ropes("llama"), calibrations=moved, **more)


def prompts(new=3):
    return [Prompt(tokens, new_tokens=new) for tokens in architectures.prompts((21, 13))]


def forced():
    ends = architectures.prompts((3, 2), seed=4)
    return [Prompt(a, forced=b) for a, b in zip(architectures.prompts((21, 13)), ends, strict=True)]


def same(found, expected):
    for own, other in zip(chain(*found), chain(*expected), strict=True):
        assert (own.tokens, own.greedy, own.active) == (other.tokens, other.greedy, other.active)
        assert own.nll == pytest.approx(other.nll, abs=1e-5)  # computed in float32
        assert (own.share, own.density) == (other.share, pytest.approx(other.density))


def test_tensors_of_two_devices_are_refused_as_on_cuda():
    with devices():
        here, there = (torch.ones(3, device=device) for device in PLACES[:2])
        with pytest.raises(RuntimeError, match="two devices, lazy:0, lazy:1"):
            here + there
        assert (here + there.to(here.device)).tolist() == [2, 2, 2]


@pytest.mark.filterwarnings("ignore:at::frobenius_norm is deprecated")  # torch calls it where it has no kernels
@pytest.mark.parametrize("name", NAMES)
def test_a_method_decodes_on_two_devices_as_on_one(name):
    method = methods.create(name, **KNOBS[name])
    if method not in cells():
        pytest.skip("it needs what is not here")
    expected = engine().run(prompts(), [method])
    with devices():
        same(on_two_devices().run(prompts(), [method]), expected)


def test_forced_tokens_are_scored_on_two_devices_as_on_one():
    several = [methods.create(name, **KNOBS[name]) for name in ("dense", "sparq", "tidal_decode")]
    expected = engine().run(forced(), several)
    with devices():
        same(on_two_devices().run(forced(), several), expected)


def test_methods_are_compared_with_dense_on_two_devices_as_on_one():
    several = [methods.create(name, **KNOBS[name]) for name in ("dense", "h2o", "palu")]
    expected = engine(divergence=True).run(prompts(), several)
    with devices():
        found = on_two_devices(divergence=True).run(prompts(), several)
    for own, other in zip(chain(*found), chain(*expected), strict=True):
        assert own.divergence.kl == pytest.approx(other.divergence.kl, abs=1e-5)


def test_what_a_layer_holds_lies_where_the_layer_does():
    with devices():
        filled = on_two_devices()._prefill(prompts(), [methods.create("h2o", k=8)])
    for place, layer in zip(PLACES, filled.cache.layers.values(), strict=True):
        held = [layer.k, layer.v, *layer.statistics.values()]
        assert [str(tensor.device) for tensor in held] == [place] * 3
