"""TidalDecode against what the authors' code gave, layer after layer: every array has a leading axis of layers."""

import pytest
import torch
from support import architectures, random_case
from support.engine_runs import generation
from transformers import AutoModelForCausalLM

from golden import attended, by_head, settings
from harness.attention import LayerShape
from harness.engine import Engine, Prompt
from harness.errors import InputError
from harness.hf import Bridge
from harness.methods import Budget, create, decode, solve
from harness.methods.cost import LayerAt, dense_cost

REAL = {"wanted": lambda setting: setting.given.get("kind") != "dense"}


def method_of(setting):
    return create("tidal_decode", **{knob: value for knob, value in setting.given.items() if knob != "source"})


def layers_of(setting, dtype):
    """The tensors of each layer, as `decode` takes them, and its place."""
    query, key, value, mask, p = setting.tensors(dtype)
    shared = {}
    for layer in range(len(query)):
        yield (query[layer], key[layer], value[layer], mask, p), {"layer": layer, "layers": 7, "shared": shared}
    assert not shared, "the last layer lets go of what was chosen"


@settings("tidal_decode", **REAL)
def test_outputs_are_those_of_the_authors_code(setting):
    for (tensors, place), expected in zip(layers_of(setting, torch.float32), setting.expected(), strict=True):
        torch.testing.assert_close(decode(method_of(setting), *tensors, **place), expected, atol=1e-5, rtol=0)


@settings("tidal_decode", **REAL)
def test_the_same_tokens_are_attended_to(setting):
    for (tensors, place), kept in zip(layers_of(setting, torch.float64), setting.array("kept"), strict=True):
        seen = torch.ones(kept.shape[-2:], dtype=torch.bool).tril(tensors[4])  # which the file has as True to the end
        assert torch.equal(attended(method_of(setting), *tensors, **place), by_head(kept, tensors[0].shape[1]) & seen)


@pytest.fixture(params=["llama", "gemma3_text"])
def deep(request):
    """An engine of seven layers, all full or six with a window of 9."""
    config = architectures.config(request.param)
    config.num_hidden_layers = 7
    torch.manual_seed(0)
    return Engine(Bridge(AutoModelForCausalLM.from_config(config, dtype=torch.float64).eval()))


def test_forced_passes_over_several_tokens_hand_on_the_sets_of_each_of_them(deep, monkeypatch):
    cells = [create("tidal_decode", token_budget=b, sparse_layer_start=1, correction_layer=4) for b in (4, 9)]
    generated = deep.run(generation(), [create("dense"), *cells])
    assert generated[0] != generated[1] != generated[2]
    for chunk in (1 << 28, 1):
        monkeypatch.setattr("harness.engine.session.LOGIT_BYTES", chunk)
        for cell, outputs in zip(cells, generated[1:], strict=True):
            prompts = [Prompt(p.tokens, forced=tuple(o.tokens)) for p, o in zip(generation(), outputs, strict=True)]
            (scored,) = deep.run(prompts, [cell])
            assert all(all(output.greedy) for output in scored) and any(output.active for output in scored)
            found, expected = ([nll for output in of for nll in output.nll] for of in (scored, outputs))
            assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("layer", [0, 1, 4])
def test_layers_that_choose_and_those_below_cost_what_dense_attention_does(layer):
    method = create("tidal_decode", token_budget=4, sparse_layer_start=1, correction_layer=4)
    dense, sparse = (LayerAt(100, 8, prompt=90, layer=number, layers=7) for number in (layer, 5))
    assert method.cost(dense) == dense_cost(dense)
    assert method.cost(sparse).attend == 4 * 2 * 8 * 16


def test_what_chooses_nowhere_is_refused_with_the_fix():
    with pytest.raises(InputError, match="chooses in layer 2, which dense_layers leaves dense: set sparse_layer_start"):
        create("tidal_decode", token_budget=4, dense_layers=3)
    with pytest.raises(InputError, match="needs correction_layer of at least sparse_layer_start: raise it"):
        create("tidal_decode", token_budget=4, sparse_layer_start=14)
    windowed = (LayerShape(1, 8), LayerShape(1, 8), LayerShape(1, 8, window=9), LayerShape(1, 8))
    with pytest.raises(InputError, match="chooses in layer 2, which has a window: set sparse_layer_start to a full"):
        solve("tidal_decode", Budget(1.2, 100, windowed), layers="full")
    with pytest.raises(InputError, match="no layer below 5 chose tokens for it"):
        decode(create("tidal_decode", token_budget=4), *random_case(), layer=5)


def test_no_more_than_the_layers_that_are_dense_allow_can_be_saved():
    layers = (LayerShape(2, 64),) * 32
    assert (
        solve("tidal_decode", Budget(7.5, 4000, layers)).token_budget == 37
    )  # (32 * 8002 / 7.5 - 4 * 8002) / 28 = 2 * 37.1 + 2
    with pytest.raises(InputError, match="with token_budget=1 it moves"):
        solve("tidal_decode", Budget(8.1, 4000, layers))
