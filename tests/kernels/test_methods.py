import os
import subprocess
import sys

import pytest
import torch
from support.kernels import DEVICE, Inputs, error

from harness import kernels
from harness.errors import InputError
from harness.kernels import HeavyHitters
from harness.kernels.shared.tiles import AttendTiles

GROUPS = pytest.mark.parametrize("group", [1, 3])


@GROUPS
@pytest.mark.parametrize("tiles", [AttendTiles(16, 1, 1), AttendTiles(16, 1, 3), None], ids=["one", "parts", "planned"])
def test_dense(group, tiles):
    x = Inputs.random(g=group)
    assert error(kernels.dense(x.q, x.cache(), tiles=tiles), x.expected("dense")) < 1e-5


@GROUPS
@pytest.mark.parametrize(("k", "initial"), [(24, 4), (400, 16), (8, 8)])
def test_lm_infinite(group, k, initial):
    x = Inputs.random(g=group)
    got = kernels.lm_infinite(x.q, x.cache(), k=k, initial=initial)
    assert error(got, x.expected("lm_infinite", k=k, initial=initial)) < 1e-5


@GROUPS
@pytest.mark.parametrize("k", [1, 24, 400])
@pytest.mark.parametrize("name", ["flexgen", "oracle_topk"])
def test_the_heaviest_weights(group, k, name):
    x = Inputs.random(g=group)
    assert error(getattr(kernels, name)(x.q, x.cache(), k=k), x.expected(name, k=k)) < 1e-5


def test_more_chunks_than_one():
    x = Inputs.random(b=1, h=1, n=5000)
    assert error(kernels.flexgen(x.q, x.cache(), k=24), x.expected("flexgen", k=24)) < 1e-5


def test_h2o():
    x = Inputs.random(g=2)
    b, h, n, _ = x.k.shape
    received = torch.rand(b, h, n - 1, device=x.k.device)
    column = torch.arange(n - 1, dtype=torch.int32, device=x.k.device).expand(b, h, -1)
    got = kernels.h2o(x.q, x.cache(), HeavyHitters(column, received), k=20)
    assert error(got, x.expected("h2o", {"attention_received": received}, k=20)) < 1e-5


def test_a_query_that_does_not_fit_is_refused():
    x = Inputs.random()
    with pytest.raises(InputError, match="does not fit"):
        kernels.dense(x.q.half(), x.cache())


def told(code):
    """What a fresh Python prints, without the interpreter unless the code asks for it."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return done.stdout.strip()


def test_a_triton_that_is_too_old_is_not_used():
    old = "import os; os.environ['TRITON_INTERPRET'] = '1'; import triton; triton.__version__ = '3.3.1'"
    assert told(f"{old}; import harness.kernels; print(harness.kernels.available('{DEVICE}'))") == "False"


def test_the_package_needs_neither_triton_nor_a_gpu():
    hidden = "import sys; sys.modules['triton'] = None"
    assert told(f"{hidden}; import harness.kernels; print(harness.kernels.available('cpu'))") == "False"
