"""Methods through the engine's seam to the kernels: the same numbers as in torch, step after step."""

import pytest
import torch
from support import KNOBS, VARIANTS, architectures, label, random_case
from support.engine_runs import generation, scoring
from support.kernels import DEVICE, both

from harness import methods
from harness.attention import age
from harness.engine import Engine
from harness.hf.bridge import Bridge
from harness.kernels import choose_binding, find_binding
from harness.methods.eviction.h2o import H2O
from harness.methods.prompt_eviction import PromptEviction

BY_KERNEL = {
    "dense",
    "sparq",
    "sparq-no_reallocate",
    "h2o",
    "lm_infinite",
    "streaming",
    "window",
    "flexgen",
    "oracle_topk",
    "quest",
    "quest-keep_last_page",
    "loki",
    "shadow_kv",
    "double_sparsity",
    "kivi",
    "int_kv",
    "fp8",
    "snapkv",
    "pyramid_kv",
    "ada_kv",
    "ada_kv-normalize",
    "ada_kv-pyramid",
    "knorm",
    "key_diff",
    "expected_attention",
    "expected_attention-no_covariance-no_value_norm",
}
"""Two settings of one method may have the same label."""
SERVED = [v for v in VARIANTS if find_binding(methods.create(v[0], **v[1]))]
EVERY = pytest.mark.parametrize(("name", "knobs"), SERVED, ids=[label(v) for v in SERVED])


def test_only_these_methods_and_knobs_have_a_kernel():
    assert {label(v) for v in SERVED} == BY_KERNEL


@EVERY
@pytest.mark.parametrize("window", [None, 5])
def test_steps_equal_the_method(name, knobs, window):
    for expected, got in both(name, knobs, random_case(pads=(0, 15), h=1, dtype=torch.float32), window):
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


@EVERY
@pytest.mark.parametrize(("group", "dtype"), [(1, torch.bfloat16), (3, torch.float16)], ids=["bfloat16", "float16"])
def test_short_floats_are_close(name, knobs, group, dtype):
    """Triton's interpreter multiplies matrices of bfloat16 as if they were integers, and a group of one needs none."""
    for expected, got in both(name, knobs, random_case(h=1, g=group, p=60, t=2, dtype=dtype, seed=3)):
        assert got.dtype == dtype
        assert (got.float() - expected.float()).abs().median() < 0.01


@pytest.mark.parametrize(("name", "works"), [("llama", generation), ("mistral", scoring)])
def test_the_engine_gives_the_same_answers(name, works):
    cells = [methods.create(name, **KNOBS[name]) for name in ("dense", "h2o", "lru", "quest", "loki", "ada_kv")]
    model = architectures.model(name).to(DEVICE)
    plain, fast = (Engine(Bridge(model), kernel=kernel).run(works()[:2], cells) for kernel in ("torch", "triton"))
    for of_cell, other in zip(plain, fast, strict=True):
        for expected, got in zip(of_cell, other, strict=True):
            assert got.tokens == expected.tokens
            assert got.nll == pytest.approx(expected.nll, abs=1e-4)
            assert got.active == expected.active


def test_an_architecture_that_kernels_do_not_take_keeps_every_method_in_torch():
    for name, knobs in VARIANTS:
        method = methods.create(name, **knobs)
        assert choose_binding(method, "triton", torch.device(DEVICE), fits=False) is None


def test_tokens_that_are_seen_elsewhere_than_they_are_have_no_kernel():
    assert find_binding(methods.create("h2o", k=6, positions="cache")) is None
    assert find_binding(methods.create("lm_infinite", k=20, ceiling="local")) is None
    assert find_binding(methods.create("streaming_llm", k=20)) is None


def test_a_subclass_is_not_taken_for_what_it_derives_from():
    class Other(H2O):
        def rescore(self, score, weights, step):
            return score

    assert find_binding(H2O(k=4)) is not None
    assert find_binding(Other(k=4)) is None


def test_who_only_says_which_prompt_tokens_stay_is_served_and_who_attends_otherwise_is_not():
    class Newest(PromptEviction):
        def keep(self, prefix):
            return (age(prefix.mask) < self.k)[:, :, None]

    class Doubled(Newest):
        def attend(self, step, state):
            return 2 * super().attend(step, state)

    assert find_binding(Newest(k=4)) is not None
    assert find_binding(Doubled(k=4)) is None
