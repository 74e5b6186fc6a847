"""The prompt's statistic by kernels is the one that torch gathers."""

import pytest
import torch
from support.kernels import DEVICE, error, normal

from harness import kernels
from harness.attention.scores import Scores
from harness.attention.statistics import ATTENTION_RECEIVED, observe


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
