"""Presses of kvpress on the engine's cache. What asks the package itself is skipped where it is not installed."""

import sys

import pytest
import torch
from support import architectures, close
from support.engine_runs import engine, generation, ropes
from support.presses import PRESSES, kvpress, method, refusal
from transformers.cache_utils import DynamicCache
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from harness import methods
from harness.attention.compressor import Compressor
from harness.engine import Prompt
from harness.hf.bridge import Bridge, _cache_name
from harness.hf.kvpress_package import make_press, package
from harness.methods.controls.dense import Dense

LENGTHS = (140, 97)


def own_cache(name, tokens):
    """What transformers' own attention has cached of a prompt, and what entered it: by layer, (inputs, k, v)."""
    model, cache = architectures.model(name, torch.float64, attn_implementation="sdpa"), DynamicCache()
    hidden = model(torch.tensor([tokens]), output_hidden_states=True, **{_cache_name(model): cache}).hidden_states
    inputs = [layer.input_layernorm(x) for layer, x in zip(model.model.layers, hidden[:-1], strict=True)]
    return model, [(x, held.keys, held.values) for x, held in zip(inputs, cache.layers, strict=True)]


@kvpress
def test_importing_it_leaves_the_attention_functions_as_they_were():
    for name in [name for name in sys.modules if name.split(".")[0] == "kvpress"]:
        del sys.modules[name]
    package.cache_clear()
    ours = Bridge(architectures.model("llama"))
    before = dict(ALL_ATTENTION_FUNCTIONS)
    package()
    assert dict(ALL_ATTENTION_FUNCTIONS) == before
    assert ours._key in before


@kvpress
@pytest.mark.parametrize("press", PRESSES)
@pytest.mark.parametrize("name", ["llama", "qwen3"])
def test_a_press_leaves_what_it_does_of_the_model_s_own_cache(name, press):
    (tokens,) = architectures.prompts((140,))
    model, held = own_cache(name, tokens)
    bridge = Bridge(architectures.model(name, torch.float64))
    made = bridge.compress(Compressor(press, 0.5))
    for layer, (compress, (inputs, k, v), rope) in enumerate(zip(made, held, ropes(name), strict=True)):
        found = compress(inputs, k, v, rope)
        module = model.model.layers[layer].self_attn
        module.rotary_emb, module.masked_key_indices = model.model.rotary_emb, None
        positions = model.model.rotary_emb(k, torch.arange(140)[None])
        with torch.random.fork_rng():
            torch.manual_seed(layer)
            given = {"position_embeddings": positions, "hidden_states": inputs, "cache_position": torch.arange(140)}
            keys, values = make_press(Compressor(press, 0.5)).compress(
                module, inputs, k.clone(), v.clone(), None, given
            )
        close(found.k, keys, 1e-5)
        close(found.v, values, 1e-5)
        masked = module.masked_key_indices
        assert (found.kept is None) == (masked is None)
        if masked is not None:
            assert (~found.kept).nonzero().tolist() == sorted(
                map(list, zip(*(x.tolist() for x in masked), strict=True))
            )


@kvpress
@pytest.mark.parametrize("press", PRESSES)
def test_a_press_decodes_in_a_batch_as_alone_and_in_any_company(press):
    running, prompts = engine(), generation(architectures.prompts(LENGTHS), new=4)
    _, (long, short) = running.run(prompts, [Dense(), method(press)])
    ((alone,),) = running.run(prompts[1:], [method(press)])
    (found,) = running.run(prompts[::-1], [method(press)])
    for other in (alone, found[0]):
        assert other.nll == pytest.approx(short.nll, abs=1e-9)
    assert found[1].nll == pytest.approx(long.nll, abs=1e-9)
    assert long.active and 0.4 < long.share < 0.6


@kvpress
def test_a_model_has_no_mask_of_a_press_and_no_rotary_embedding_afterwards():
    model = architectures.model("llama", torch.float64)
    bridge = Bridge(model)
    (tokens,) = architectures.prompts((60,))
    _, held = own_cache("llama", tokens)
    left = bridge.compress(Compressor("AdaKVPress/KnormPress", 0.5))[0](*held[0], ropes("llama")[0])
    assert int(left.kept.sum()) == 2 * 30
    for module in model.modules():
        assert not hasattr(module, "masked_key_indices")
    assert not hasattr(model.model.layers[0].self_attn, "rotary_emb")


@kvpress
@pytest.mark.parametrize(
    ("press", "ours"),
    [
        (("KnormPress", ""), ("knorm", {})),
        (("KeyDiffPress", ""), ("key_diff", {})),
        (("ExpectedAttentionPress", "n_future_positions=64"), ("expected_attention", {"future": 64})),
        (("SnapKVPress", "window_size=8, kernel_size=5"), ("snapkv", {"window": 8, "kernel": 5, "pooling": "avg"})),
    ],
    ids=["knorm", "key_diff", "expected_attention", "snapkv"],
)
@pytest.mark.parametrize("name", ["llama", "qwen2"])
def test_a_method_of_ours_decodes_as_its_press(name, press, ours):
    (tokens,) = architectures.prompts((80,))
    prompts = [Prompt(tokens, forced=architectures.prompts((6,), seed=3)[0])]
    more = {"group": "mean"} if ours[0] == "snapkv" else {}
    mine = methods.create(ours[0], k=20, **ours[1], **more)
    found, expected = engine(name).run(prompts, [method(press[0], 0.75, options=press[1]), mine])
    assert found[0].nll == pytest.approx(expected[0].nll, abs=1e-5)


@kvpress
def test_a_press_whose_threshold_decides_is_measured():
    options = "lazy_threshold=0.0, n_recent=20, n_initial=2"
    assert refusal("SimLayerKVPress", ratio=0.0, options=options) is None
    prompts = generation(architectures.prompts((100,)), new=4)
    ((output,),) = engine().run(prompts, [method("SimLayerKVPress", 0.0, options=options)])
    assert 0.2 < output.share < 0.3
