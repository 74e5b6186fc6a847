"""Which presses of kvpress can be run: the others are refused in a sentence before weights are loaded."""

import sys

import pytest
from support import architectures
from support.engine_runs import engine, generation
from support.presses import PRESSES, SINGLE, WRAPPING, kvpress, method, refusal

from harness.errors import InputError
from harness.hf import kvpress_package
from harness.hf.kvpress_package import package


def test_without_the_package_it_is_refused_with_how_to_install_it(monkeypatch):
    package.cache_clear()
    monkeypatch.setitem(sys.modules, "kvpress", None)
    said = refusal("KnormPress")
    package.cache_clear()
    assert said.startswith("kvpress cannot be imported (")
    assert said.endswith(f"): {kvpress_package.INSTALL}")


@kvpress
def test_these_are_all_its_presses_that_can_be_run():
    found = {
        name: vars(package())[name] for name in package().__all__ if kvpress_package._is_press(vars(package())[name])
    }
    fit = {name for name, cls in found.items() if kvpress_package._why_unfit(cls) is None}
    assert fit == {*SINGLE, *WRAPPING, "SimLayerKVPress"}


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
def test_a_prompt_that_is_too_short_for_a_press_is_named():
    with pytest.raises(InputError, match=r"SnapKVPress fails on a prompt of 13 tokens: .* window size 64"):
        engine().run(generation(architectures.prompts((13,))), [method("SnapKVPress")])
