"""Kernels that choose by an index agree in 16 bits with definitions in float64, as `harness bench` compares them."""

import pytest
import torch
from support.kernels import DEVICE

from harness import methods
from harness.bench.cases import BY_KERNEL, Layout, method_call, prompt_of
from harness.bench.check import TOLERANCE, Definition

INDEXED = {
    "quest": {"token_budget": 96, "page_size": 8},
    "loki": {"r": 16, "k": 90},
    "double_sparsity": {"r": 16, "k": 90},
    "shadow_kv": {"k": 64, "rank": 24, "outliers": 5},
}


@pytest.mark.parametrize("name", INDEXED)
@pytest.mark.parametrize(("heads", "dtype"), [(4, torch.bfloat16), (8, torch.float16)], ids=["bfloat16", "float16"])
def test_a_step_agrees_where_near_ties_do_not_decide_it(name, heads, dtype):
    """Triton's interpreter multiplies matrices of bfloat16 as if they were integers, and a group of one needs none."""
    torch.manual_seed(0)
    x = Layout(1, 600, heads, 4, 64, dtype).buffers(torch.device(DEVICE))
    method = methods.create(name, **INDEXED[name])
    definition = Definition.of(method, x.step, prompt_of(method, x.step, BY_KERNEL))
    found = definition.compare(method_call(name, x, "triton", **INDEXED[name])(), TOLERANCE[dtype])
    assert found.error < TOLERANCE[dtype]
    assert found.compared >= 0.5
