"""PyramidKV against its authors' attention, layer by layer, one choice per query head or per KV head."""

import pytest
import torch
from support import close

from golden import left, settings
from harness.attention import LayerShape
from harness.errors import InputError
from harness.methods import Budget, create, solve
from harness.methods.cost import ELEMENT, LayerAt

KNOBS = ("k", "window", "kernel", "pooling", "group", "beta")
LAYERS = (LayerShape(2, 16),) * 32


def method_of(setting):
    return create("pyramid_kv", **{knob: setting.given[knob] for knob in KNOBS})


def place_of(setting):
    return {name: setting.given[name] for name in ("layer", "layers")}


every_setting = settings("pyramid_kv", lambda setting: setting.given["kind"] == "pyramid_kv")


@every_setting
def test_the_outputs_of_a_layer_are_the_authors(setting):
    close(setting.decode(method_of(setting), **place_of(setting)), setting.expected(), 2e-5)


@every_setting
def test_the_prompt_tokens_left_in_a_layer_are_the_authors(setting):
    found = left(method_of(setting), *setting.tensors(), **place_of(setting))
    assert torch.equal(found, setting.array("kept"))


@every_setting
def test_a_layer_is_charged_for_the_tokens_that_the_authors_keep(setting):
    prompt, shape = int(setting.array("prefill_length")), {"head_dim": 16, "group": 1}
    cost = method_of(setting).cost(LayerAt(prompt, prompt=prompt, **shape, **place_of(setting)))
    assert cost.attend / ELEMENT == setting.given["kept"] * 2 * 16


def mean_kept(k, n):
    """Tokens that the integer schedule keeps in a layer of 32, window 8 and beta 20, added up by hand."""
    b = k - 8
    if n < 2 * b:
        return min(k, n)
    low = b // 20
    high = 2 * b - low
    if high >= n - 8:
        low, high = 2 * b - (n - 8), n - 8
    step = (high - low) // 31
    return sum(high - layer * step + 8 for layer in range(32)) / 32


@pytest.mark.parametrize("ratio", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("n", [500, 1500, 4001])
def test_a_ratio_is_that_of_the_mean_over_the_layers_and_k_is_the_largest_that_keeps_to_it(n, ratio):
    allowed = (n + 1) / ratio - 1
    fitting = [k for k in range(9, n + 1) if mean_kept(k, n) <= allowed]
    assert solve("pyramid_kv", Budget(ratio, n, LAYERS)).k == fitting[-1]


def test_a_ratio_below_the_smallest_pyramid_is_refused():
    with pytest.raises(InputError, match="with k=9 it moves"):
        solve("pyramid_kv", Budget(200, 1500, LAYERS))
