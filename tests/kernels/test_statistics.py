"""The prompt's statistic by kernels is the one that torch gathers."""

import pytest
import torch
from support.kernels import DEVICE, error, normal

from harness import kernels
from harness.attention.scores import Scores
from harness.attention.statistics import AttentionReceived, LastQueries, LastUsed, LayerPrompt, observe
from harness.kernels.statistics import observe_by_kernel

RECEIVED = AttentionReceived()


@pytest.mark.parametrize(("group", "d"), [(1, 16), (3, 20)])
@pytest.mark.parametrize("padded", [False, True])
def test_attention_received_equals_its_definition(group, d, padded):
    q, k = normal(2, 2, group, 50, d), normal(2, 2, 50, d, seed=1)
    mask = torch.arange(50, device=DEVICE) < torch.tensor([[50], [31]], device=DEVICE) if padded else None
    got = kernels.attention_received(q, k, mask, 0.3, block=16)
    expected = observe([RECEIVED], LayerPrompt(q.double(), k.double(), mask, Scores(0.3)))[RECEIVED]
    assert error(got, expected) < 1e-6
    if padded:
        assert (got[1, :, 31:] == 0).all()


def test_a_query_of_another_layout_receives_the_same():
    q, k = normal(1, 40, 6, 16), normal(1, 40, 2, 16, seed=1)  # as models have them: tokens before heads
    seen = q.transpose(1, 2).view(1, 2, 3, 40, 16), k.transpose(1, 2)
    expected = kernels.attention_received(*(x.contiguous() for x in seen), None, 0.25, block=16)
    assert torch.equal(kernels.attention_received(*seen, None, 0.25, block=16), expected)


@pytest.mark.parametrize("served", [True, False], ids=["kernel", "window"])
def test_what_kernels_serve_and_what_torch_does_are_gathered_together(served):
    q, k = normal(1, 2, 2, 30, 16), normal(1, 2, 30, 16, seed=1)
    distance = torch.arange(30, device=DEVICE)[:, None] - torch.arange(30, device=DEVICE)
    window = None if served else ((distance >= 0) & (distance < 5))[None, None]
    wanted = {RECEIVED, LastUsed(), LastQueries(3)}
    got = observe_by_kernel(wanted, LayerPrompt(q, k, None, Scores(0.3), window))
    expected = observe(wanted, LayerPrompt(q.double(), k.double(), None, Scores(0.3), window))
    assert set(got) == wanted
    assert max(error(got[statistic], expected[statistic]) for statistic in wanted) < 1e-6
