"""Kernels run in Triton's interpreter where there is no GPU; tests that ask for `triton` are skipped without it."""

import pytest
from support.interpreter import interpret

interpret()


@pytest.fixture
def triton():
    pytest.importorskip("triton", reason="the kernels need Triton")
