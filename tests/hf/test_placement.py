"""Where a model's layers lie: what is refused, what is said, and that random weights do not depend on it."""

import importlib.util

import pytest
import torch
from accelerate import dispatch_model
from support import KNOBS, architectures
from support.devices import devices, spread
from support.engine_runs import engine, generation, learnt, ropes
from torch import nn

from harness import methods
from harness.engine import Engine
from harness.errors import InputError
from harness.hf import Bridge, find
from harness.hf.placement import OFFLOADED, check_placing, find_devices, layer_devices, unrecorded
from harness.hf.projections import projections
from harness.hf.random_weights import draw_weights, random_model
from harness.hf.spec import ModelSpec

GPUS = [torch.device("cuda", index) for index in (0, 1)]
PLACES = ("lazy:0", "lazy:1", "lazy:1")


def test_layers_lie_where_they_were_put():
    with devices():
        model = spread(architectures.model("llama"), PLACES)
        assert [str(device) for device in layer_devices(model)] == list(PLACES)
        assert sorted(str(device) for device in find_devices(model)) == ["lazy:0", "lazy:1"]


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ([torch.device("cpu")], None),
        (GPUS[:1], None),
        (GPUS, "decoding without a CUDA graph, which is slower: layers lie on cuda:0, cuda:1"),
        ([GPUS[0], OFFLOADED], "which is slower: layers lie on cuda:0, and weights wait on the host"),
    ],
)
def test_it_is_said_when_steps_cannot_be_recorded_on_one_gpu(where, said):
    found = unrecorded(where)
    assert found is None if said is None else found.endswith(said)


def test_a_model_on_several_gpus_says_so_once_and_is_not_recorded(monkeypatch):
    monkeypatch.setattr("harness.hf.bridge.find_devices", lambda _: tuple(GPUS))
    monkeypatch.setattr(Bridge, "device", GPUS[0])
    with pytest.warns(RuntimeWarning, match="without a CUDA graph"):
        bridge = Bridge(architectures.model("llama"))
    assert not bridge.replayable


def test_weights_that_wait_on_the_host_are_not_changed():
    model = architectures.model("llama")
    linear = model.model.layers[1].self_attn.k_proj
    linear.weight = nn.Parameter(linear.weight.to("meta"), requires_grad=False)
    with pytest.raises(InputError, match="some wait on the host"):
        projections(model)


@pytest.mark.parametrize("architecture", ["llama", "gpt_neox", "gemma3_text", "mixtral", "gpt2"])
def test_a_random_model_that_is_made_where_its_layers_lie_is_the_one_made_whole(architecture):
    whole = architectures.model(architecture)
    draw_weights(whole)
    tokens = torch.tensor([architectures.prompts()[0]])
    for device_map in (None, "auto"):
        placed = random_model("m", architectures.config(architecture), torch.float32, "cpu", device_map)
        assert {str(device) for device in find_devices(placed)} == {"cpu"}
        with torch.no_grad():
            torch.testing.assert_close(placed.eval()(tokens).logits, whole(tokens).logits, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["dense", "h2o", "lorc"])
def test_the_hooks_that_place_layers_change_no_number(name):
    method = methods.create(name, **KNOBS[name])
    expected = engine(dtype=torch.float32).run(generation(), [method])
    model = architectures.model("llama")
    parts = [
        "model.embed_tokens",
        "model.norm",
        "model.rotary_emb",
        "lm_head",
        *(f"model.layers.{i}" for i in range(3)),
    ]
    dispatch_model(model, dict.fromkeys(parts, "cpu"), main_device="cpu", force_hooks=True)
    found = Engine(Bridge(model), ropes=ropes("llama"), calibrations=learnt("llama")).run(generation(), [method])
    assert [(of.tokens, of.nll) for of in found[0]] == [(of.tokens, of.nll) for of in expected[0]]


def test_without_the_package_that_places_layers_a_device_map_is_refused(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    check_placing("m", None)
    with pytest.raises(InputError, match=r"model\.device_map=auto needs a package that places layers: pip install acc"):
        check_placing("m", "auto")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"device_map": "cuda:0"}, "model.device_map=cuda:0 is unknown: choose from auto, balanced"),
        ({"device_map": "auto", "device": "cuda:1"}, "leave model.device=auto, or choose model.device_map=null"),
    ],
)
def test_a_device_map_that_cannot_be_meant_is_refused(settings, words):
    with pytest.raises(InputError, match=words):
        ModelSpec(name="m", path="p", **settings)


def test_the_shape_of_llama_3_70b_has_its_layers():
    spec = ModelSpec(name="m", path="shape:llama-3-70b", device="cpu", random_weights=True, dtype="bfloat16")
    layers = find(spec).layers
    assert (len(layers), {(of.kv_heads, of.group, of.head_dim) for of in layers}) == (80, {(8, 8, 128)})
