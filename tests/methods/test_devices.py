"""A method computes on a GPU what it computes on the CPU. float64; needs a GPU."""

import dataclasses

import pytest
import torch
from support import close, each_method, random_case, run

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="methods on a GPU need one")


@each_method()
def test_a_gpu_computes_what_the_cpu_does(name, knobs, layer):
    here = random_case(pads=(0, 4))
    there = dataclasses.replace(here, **{field: getattr(here, field).cuda() for field in ("q", "k", "v", "mask")})
    found = run(name, knobs, there, layer)
    assert found.is_cuda
    close(found.cpu(), run(name, knobs, here, layer), 1e-9)
