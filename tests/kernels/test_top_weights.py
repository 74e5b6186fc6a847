"""FlexGen and the oracle by kernels are what harness/methods/ defines."""

import pytest
from support.kernels import Inputs, error

from harness import kernels

GROUPS = pytest.mark.parametrize("group", [1, 3])


@GROUPS
@pytest.mark.parametrize("k", [1, 24, 400])
@pytest.mark.parametrize("name", ["flexgen", "oracle_topk"])
def test_the_largest_weights_equal_the_definition(group, k, name):
    x = Inputs.random(g=group)
    assert error(getattr(kernels, name)(x.q, x.cache(), k=k), x.expected(name, k=k)) < 1e-5


def test_the_largest_weights_of_several_chunks_equal_the_definition():
    x = Inputs.random(b=1, h=1, n=5000)
    assert error(kernels.flexgen(x.q, x.cache(), k=24), x.expected("flexgen", k=24)) < 1e-5
