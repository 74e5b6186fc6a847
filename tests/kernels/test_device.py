"""What the kernels need is found out before they are imported."""

import os
import subprocess
import sys

import pytest
from support.kernels import DEVICE

from harness.kernels import fits


def printed_by(code):
    """Return what a fresh Python prints, without the interpreter unless the code asks for it."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return done.stdout.strip()


def test_a_triton_that_is_too_old_is_not_used():
    old = "import os; os.environ['TRITON_INTERPRET'] = '1'; import triton; triton.__version__ = '3.5.1'"
    assert printed_by(f"{old}; import harness.kernels; print(harness.kernels.available('{DEVICE}'))") == "False"


def test_the_package_needs_neither_triton_nor_a_gpu():
    hidden = "import sys; sys.modules['triton'] = None"
    assert printed_by(f"{hidden}; import harness.kernels; print(harness.kernels.available('cpu'))") == "False"


@pytest.mark.parametrize(("head_dim", "capped", "taken"), [(256, False, True), (256, True, False), (512, False, False)])
def test_kernels_take_heads_up_to_256_and_no_soft_cap(head_dim, capped, taken):
    assert fits(head_dim, capped) is taken
