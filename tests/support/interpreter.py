"""Kernels in Triton's interpreter where there is no GPU: to be called before a file of device code is imported."""

import os
import sys

import torch


def interpret():
    """Have Triton interpret kernels on a machine without a GPU."""
    if torch.cuda.is_available() or os.environ.get("TRITON_INTERPRET") == "1":
        return
    os.environ["TRITON_INTERPRET"] = "1"
    # Triton reads that when its files are imported, and another test's imports may have come first.
    for module in [name for name in sys.modules if name.split(".")[0] == "triton" and "._C" not in name]:
        del sys.modules[module]
