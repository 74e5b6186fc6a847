"""What the engine asks of kernels beside attention: the prompt's statistics, and a method's tokens put into place."""

import pytest
import torch
from support.kernels import DEVICE, error

from harness import kernels
from harness.attention.scores import Scores
from harness.attention.statistics import ATTENTION_RECEIVED, observe


def normal(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE, dtype)


@pytest.mark.parametrize(("group", "d"), [(1, 16), (3, 20)])
@pytest.mark.parametrize("padded", [False, True])
def test_attention_received_equals_its_definition(group, d, padded):
    q, k = normal(2, 2, group, 50, d), normal(2, 2, 50, d, seed=1)
    mask = torch.arange(50, device=DEVICE) < torch.tensor([[50], [31]], device=DEVICE) if padded else None
    got = kernels.attention_received(q, k, mask, 0.3, block=16)
    expected = observe([ATTENTION_RECEIVED], q.double(), k.double(), mask, Scores(0.3))[ATTENTION_RECEIVED]
    assert error(got, expected) < 1e-6
    if padded:
        assert (got[1, :, 31:] == 0).all()


def test_a_query_of_another_layout_receives_the_same():
    q, k = normal(1, 40, 6, 16), normal(1, 40, 2, 16, seed=1)  # as models have them: tokens before heads
    seen = q.transpose(1, 2).view(1, 2, 3, 40, 16), k.transpose(1, 2)
    expected = kernels.attention_received(*(x.contiguous() for x in seen), None, 0.25, block=16)
    assert torch.equal(kernels.attention_received(*seen, None, 0.25, block=16), expected)


@pytest.mark.parametrize(("done", "new"), [(0, 1), (5, 1), (19, 1), (9, 4)])
def test_a_tail_is_extended_and_put_behind_the_prompt(done, new):
    tail, cache = normal(2, 2, 3, 20, 24), normal(2, 2, 3, 37, 24, seed=1)
    fresh = (normal(2, new, 3, 24, seed=2).transpose(1, 2), normal(2, 3, new, 24, seed=3))
    expected = cache.clone()
    expected[..., 17 : 17 + done, :] = tail[..., :done, :]
    expected[..., 17 + done : 17 + done + new, :] = torch.stack(fresh)
    rest = tail[..., done + new :, :].clone()
    kernels.extend(fresh, tuple(tail), tuple(cache), torch.arange(done, done + new, device=DEVICE))
    assert torch.equal(cache, expected)
    assert torch.equal(tail[..., : done + new, :], expected[..., 17 : 17 + done + new, :])
    assert torch.equal(tail[..., done + new :, :], rest)
