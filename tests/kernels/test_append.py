"""New tokens arrive in every copy of a cache, and a method's own tokens behind the prompt."""

import pytest
import torch
from support.kernels import DEVICE, Inputs, normal

from harness import kernels
from harness.kernels import KVCache


def test_appending_equals_filling():
    x = Inputs.random()
    grown = x.cache()
    filled = KVCache.of(x.k, x.v, x.padding)
    n = x.k.shape[2]
    mask = (torch.arange(n, device=x.k.device) >= x.padding[:, None])[:, None, :, None]
    assert torch.equal(grown.kt[..., :n].mT.where(mask, 0), filled.k[:, :, :n].where(mask, 0))
    assert torch.allclose(grown.v_sum, filled.v_sum, atol=1e-5)
    assert torch.equal(grown.kv_lengths, filled.kv_lengths)


@pytest.mark.parametrize(("done", "new"), [(0, 1), (5, 1), (19, 1), (9, 4)])
def test_decoded_tokens_are_extended_and_put_behind_the_prompt(done, new):
    decoded, cache = normal(2, 2, 3, 20, 24), normal(2, 2, 3, 37, 24, seed=1)
    fresh = (normal(2, new, 3, 24, seed=2).transpose(1, 2), normal(2, 3, new, 24, seed=3))
    expected = cache.clone()
    expected[..., 17 : 17 + done, :] = decoded[..., :done, :]
    expected[..., 17 + done : 17 + done + new, :] = torch.stack(fresh)
    rest = decoded[..., done + new :, :].clone()
    kernels.extend(fresh, tuple(decoded), tuple(cache), torch.arange(done, done + new, device=DEVICE))
    assert torch.equal(cache, expected)
    assert torch.equal(decoded[..., : done + new, :], expected[..., 17 : 17 + done + new, :])
    assert torch.equal(decoded[..., done + new :, :], rest)
