"""Presses of kvpress on the engine's cache. What asks the package itself is skipped where it is not installed."""

import importlib.util
import sys
from types import SimpleNamespace

import pytest
import torch
from golden import settings
from support import architectures, close
from support.engine_runs import engine, generation, ropes
from transformers.cache_utils import DynamicCache
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from harness import methods
from harness.attention import Rope
from harness.attention.compressor import Compressor
from harness.engine import Prompt
from harness.errors import InputError
from harness.hf import kvpress_package
from harness.hf.bridge import Bridge, _cache_name
from harness.hf.kvpress_package import make_press, package
from harness.hf.press_trial import press_refusal
from harness.hf.presses import _PressedLayer
from harness.methods.controls.dense import Dense

INSTALLED = importlib.util.find_spec("kvpress") is not None
kvpress = pytest.mark.skipif(not INSTALLED, reason=f"no kvpress: {kvpress_package.INSTALL}")
SINGLE = """CURPress CapPress CompactorPress ExpectedAttentionPress KeyDiffPress KnormPress LagKVPress
LeverageScorePress NonCausalAttnPress PyramidKVPress RandomPress SnapKVPress StreamingLLMPress TOVAPress""".split()
WRAPPING = """AdaKVPress BlockPress ChunkKVPress ChunkPress CriticalAdaKVPress CriticalKVPress EntropyGatedChunkKVPress
KeyRerotationPress MergingPress""".split()
PRESSES = [*SINGLE, *(f"{name}/SnapKVPress" for name in WRAPPING)]
LENGTHS = (140, 97)


def method(press, ratio=0.5, **more):
    return methods.create("kvpress", press=press, ratio=ratio, **more)


def refusal(press, kind="llama", ratio=0.5, options=""):
    config = architectures.config(kind)
    heads = [SimpleNamespace(head_dim=rope.width if rope else 8) for rope in ropes(kind)]
    return press_refusal(Compressor(press, ratio, options), config, ropes(kind), heads)


def own_cache(name, tokens):
    """What transformers' own attention has cached of a prompt, and what entered it: by layer, (inputs, k, v)."""
    model, cache = architectures.model(name, torch.float64, attn_implementation="sdpa"), DynamicCache()
    hidden = model(torch.tensor([tokens]), output_hidden_states=True, **{_cache_name(model): cache}).hidden_states
    inputs = [layer.input_layernorm(x) for layer, x in zip(model.model.layers, hidden[:-1], strict=True)]
    return model, [(x, held.keys, held.values) for x, held in zip(inputs, cache.layers, strict=True)]


def test_without_the_package_it_is_refused_with_how_to_install_it(monkeypatch):
    package.cache_clear()
    monkeypatch.setitem(sys.modules, "kvpress", None)
    said = refusal("KnormPress")
    package.cache_clear()
    assert said.startswith("kvpress cannot be imported (")
    assert said.endswith(f"): {kvpress_package.INSTALL}")


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
def test_these_are_all_its_presses_that_can_be_run():
    found = {
        name: vars(package())[name] for name in package().__all__ if kvpress_package._is_press(vars(package())[name])
    }
    fit = {name for name, cls in found.items() if kvpress_package._why_unfit(cls) is None}
    assert fit == {*SINGLE, *WRAPPING, "SimLayerKVPress"}


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


def stub(setting):
    """An attention module whose projection of queries is a slice of the hidden states."""
    query, key, *_ = setting.tensors()
    config = SimpleNamespace(num_attention_heads=query.shape[1], num_key_value_heads=key.shape[1])
    return SimpleNamespace(head_dim=query.shape[3], layer_idx=0, config=config, q_proj=lambda x: x)


def decoded(setting, press, options=""):
    query, _, _, _, p = setting.tensors()
    unrotated = setting.array("query_unrotated", torch.float32) if setting.has("query_unrotated") else query
    inputs = unrotated[:, :, :p].transpose(1, 2).flatten(2)
    given = method(press, setting.given["ratio"], options=options)
    compress = _PressedLayer(given.compressor, stub(setting))
    rope = Rope.plain(float(setting.array("rope_theta")) if setting.has("rope_theta") else 10_000, query.shape[3])
    return setting.decode(given, compress=compress, rope=rope, inputs=inputs)


@kvpress
@settings("knorm", lambda setting: setting.given["kind"] == "knorm")
def test_the_key_norm_decodes_as_the_golden_numbers(setting):
    close(decoded(setting, "KnormPress"), setting.expected(), 2e-5)


@kvpress
@settings("key_diff", lambda setting: setting.given["kind"] == "key_diff")
def test_key_diff_decodes_as_the_golden_numbers(setting):
    block = setting.given.get("block")
    press = ("BlockPress/KeyDiffPress", f"block_size={block}") if block else ("KeyDiffPress", "")
    close(decoded(setting, *press), setting.expected(), 2e-5)


@kvpress
@settings("expected_attention", lambda setting: setting.given["kind"] == "expected_attention")
def test_expected_attention_decodes_as_the_golden_numbers(setting):
    given = setting.given
    options = {
        "n_future_positions": given["future"],
        "n_sink": given["sink"],
        "use_covariance": str(given["covariance"]).lower(),
        "use_vnorm": str(given["value_norm"]).lower(),
        "epsilon": given["epsilon"],
    }
    text = ", ".join(f"{name}={value}" for name, value in options.items())
    close(decoded(setting, "ExpectedAttentionPress", text), setting.expected(), 2e-5)


@kvpress
@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"press": "NoPress"}, "kvpress has no press 'NoPress': choose from AdaKVPress, BlockPress,"),
        ({"press": "DecodingPress"}, "DecodingPress acts in hooks or passes of its own, so it cannot be run"),
        ({"press": "KVzipPress"}, "KVzipPress acts in hooks or passes of its own"),
        ({"press": "ObservedAttentionPress"}, "needs whole matrices of attention weights"),
        ({"press": "ExpectedAttentionStatsPress"}, "loads what was learnt of a model beforehand"),
        ({"press": "DuoAttentionPress"}, "loads what was learnt of a model beforehand"),
        ({"press": "ThinKPress"}, "sets channels of keys to zero"),
        ({"press": "ScorerPress"}, "is only what other presses are made of"),
        ({"press": "AdaKVPress"}, "wraps another press: name it behind a slash, as in AdaKVPress/KnormPress"),
        ({"press": "KnormPress/SnapKVPress"}, "KnormPress wraps no other press"),
        (
            {"press": "SnapKVPress", "options": "window=3"},
            "SnapKVPress has no option 'window': choose from kernel_size",
        ),
        ({"press": "KnormPress", "options": "compression_ratio=0.5"}, "has no option 'compression_ratio'"),
        ({"press": "SimLayerKVPress"}, "removes what its options say: set ratio=0"),
        ({"press": "SimLayerKVPress", "ratio": 0.0, "options": "lazy_threshold=7"}, "refuses its options: "),
        ({"press": "SnapKVPress", "options": "window_size=true, kernel_size=x"}, "fails on a prompt of 2048 tokens"),
        ({"press": "KnormPress", "kind": "mixtral"}, "kvpress does not know architecture 'mixtral', only gemma3"),
        ({"press": "CriticalKVPress/KnormPress", "kind": "qwen2"}, "fails on a prompt of 2048 tokens: 'Qwen2Config'"),
    ],
    ids=lambda value: value["press"] if isinstance(value, dict) else "",
)
def test_what_cannot_be_run_is_refused_in_a_sentence_before_weights(given, sentence):
    assert sentence in refusal(**given)


@kvpress
@pytest.mark.parametrize("press", PRESSES)
def test_what_can_be_run_is_not_refused(press):
    assert refusal(press) is None


@kvpress
def test_a_press_whose_threshold_decides_is_measured():
    options = "lazy_threshold=0.0, n_recent=20, n_initial=2"
    assert refusal("SimLayerKVPress", ratio=0.0, options=options) is None
    prompts = generation(architectures.prompts((100,)), new=4)
    ((output,),) = engine().run(prompts, [method("SimLayerKVPress", 0.0, options=options)])
    assert 0.2 < output.share < 0.3


@kvpress
def test_a_prompt_that_is_too_short_for_a_press_is_named():
    with pytest.raises(InputError, match=r"SnapKVPress fails on a prompt of 13 tokens: .* window size 64"):
        engine().run(generation(architectures.prompts((13,))), [method("SnapKVPress")])
