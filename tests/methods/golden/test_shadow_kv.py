"""ShadowKV against the class of the release that its published accuracies are from."""

import pytest
import torch
from support import random_case

from golden import attended, settings
from harness import methods
from harness.attention import LayerShape, Rope
from harness.attention.index.factors import low_rank
from harness.methods import Budget, create
from harness.methods.cost import LayerAt

SMOLLM2 = (LayerShape(3, 64, group=3),) * 30


def rope(setting):
    return Rope.plain(float(setting.array("rope_base")), setting.array("query").shape[-1])


def method_of(setting):
    return create("shadow_kv", **setting.given)


@settings("shadow_kv")
def test_decode_steps_are_the_authors(setting):
    found = setting.decode(method_of(setting), torch.float64, rope=rope(setting))
    torch.testing.assert_close(found, setting.expected(torch.float64), atol=1e-3, rtol=0)
    found = setting.decode(method_of(setting), torch.float32, rope=rope(setting))
    torch.testing.assert_close(found, setting.expected(torch.float32), atol=1e-3, rtol=0)


@settings("shadow_kv")
def test_the_same_tokens_are_chosen_or_kept_exact(setting):
    found = attended(method_of(setting), *setting.tensors(torch.float64), rope=rope(setting))
    chosen = setting.array("selected")
    p, chunk = int(setting.array("prefill_length")), setting.given["chunk"]
    exact = setting.array("outlier_chunks").repeat_interleave(chunk, 2)
    kept = chosen.clone()
    kept[..., : exact.shape[2]] |= exact[:, :, None]
    for i in range(chosen.shape[2]):
        kept[:, :, i, exact.shape[2] : p + i + 1] = True
    assert torch.equal(found, kept.repeat_interleave(found.shape[1] // kept.shape[1], 1))


def test_keys_of_all_heads_together_have_no_better_approximation_of_the_rank():
    x = random_case(p=30).k
    left, right = low_rank(x, 5)
    wide = x.transpose(1, 2).flatten(2)
    u, s, v = torch.linalg.svd(wide, full_matrices=False)
    expected = (u[..., :5] * s[:, None, :5]) @ v[:, :5]
    found = (left[:, None] @ right).transpose(1, 2).flatten(2)
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize(("ratio", "least"), [(2, 400), (4, 100), (8, 10)])
def test_a_prompt_of_a_thousand_tokens_leaves_something_to_choose(ratio, least):
    k = methods.solve("shadow_kv", Budget(ratio, 1200, SMOLLM2)).k
    assert k > least and k % 8 == 0


def test_less_memory_is_fewer_dimensions():
    half, fewer = (methods.solve("shadow_kv", Budget(ratio, 4000, SMOLLM2, "held")) for ratio in (1.4, 1.6))
    assert half.rank > fewer.rank and half.k == 2048


def test_what_is_rebuilt_is_charged_by_its_rank():
    method = create("shadow_kv", k=8, chunk=4, rank=3, outliers=2)
    at = LayerAt(41, 8, prompt=40, kv_heads=2)
    assert method.cost(at).attend == 16 * (8 * 3 + 3 * 8 + 8 * 8 + 2 * 8 * (41 - 4 * 4))
