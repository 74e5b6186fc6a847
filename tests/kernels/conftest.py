"""Kernels run in Triton's interpreter where there is no GPU; without Triton every test here is skipped, visibly."""

import pytest
from support.interpreter import interpret

interpret()


@pytest.fixture(autouse=True)
def triton():
    pytest.importorskip("triton", reason="the kernels need Triton")
